"""``simloop run`` and ``simloop report``: what they print, write and end with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from simloop import wall_clock
from simloop.store.run_store import RunStore

WORDS = ("run", "suite=walls.yaml", "runner=in_process", "strategy=paused", "timing=zero", "run_id=toy")
FILES = ("manifest.json", "report.html", "junit.xml", "summary.md", "summary.json")
MUST_SUCCEED = "criteria:\n  - all_episodes_ended: true\n  - {metric: success, at_least: 1}\n"
MUST_FAIL = "criteria:\n  - {name: nobody succeeds, metric: success, at_most: 0}\n"


def judge_by(walls: Any, criteria: str) -> None:
    suite = walls.folder / "walls.yaml"
    suite.write_text(suite.read_text() + criteria)


def test_a_run_that_passes(walls: Any, simloop: Any) -> None:
    judge_by(walls, MUST_SUCCEED)
    ended = simloop(*WORDS)
    assert ended.code == 0
    assert "walls: PASS" in ended.out
    assert "4/4" in ended.out
    assert "4/4 episodes after" in ended.out
    folder = Path("results/runs/toy")
    assert f"Report: {folder / 'report.html'}" in ended.out
    assert all((folder / name).stat().st_size > 0 for name in FILES)
    assert json.loads((folder / "summary.json").read_text())["verdict"]["exit_code"] == 0
    assert len(RunStore.open_read_only(folder).done_ids()) == 4

    again = simloop(*WORDS)
    assert again.code == 0
    assert "Ran 0 episodes" in again.out
    assert "4 were recorded before" in again.out
    assert len(RunStore.open_read_only(folder).done_ids()) == 4


def test_a_run_that_was_stopped_goes_on(walls: Any, simloop: Any) -> None:
    judge_by(walls, MUST_SUCCEED)
    assert simloop(*WORDS).code == 0
    (part,) = Path("results/runs/toy/parts").glob("*.parquet")
    store = RunStore.open_read_only(Path("results/runs/toy"))
    hashes = {r["episode_id"]: r["episode_hash"] for r in store.read_rows().to_pylist()}
    part.unlink()
    again = simloop(*WORDS)
    assert again.code == 0
    assert "Ran 4 episodes" in again.out
    rows = RunStore.open_read_only(Path("results/runs/toy")).read_rows().to_pylist()
    assert {r["episode_id"]: r["episode_hash"] for r in rows} == hashes


def test_a_criterion_that_does_not_hold_is_one(walls: Any, simloop: Any) -> None:
    judge_by(walls, MUST_FAIL)
    ended = simloop(*WORDS)
    assert ended.code == 1
    assert "FAIL  nobody succeeds" in ended.out
    junit = ElementTree.parse("results/runs/toy/junit.xml")
    assert [case.get("name") for case in junit.iter("testcase") if case.find("failure") is not None] == [
        "nobody succeeds"
    ]


def test_a_broken_world_is_four_and_the_others_are_there(walls: Any, simloop: Any) -> None:
    walls.break_by("none, raise")
    judge_by(walls, MUST_SUCCEED)
    ended = simloop(*WORDS, "seeds.count=8")
    assert ended.code == 4
    assert "were lost to infrastructure and stay recorded as that; run with another run_id" in ended.out
    rows = RunStore.open_read_only(Path("results/runs/toy")).read_rows().to_pylist()
    assert len(rows) == 8
    assert {r["status"] for r in rows} == {"success", "infra_error"}
    assert Path("results/runs/toy/report.html").is_file()


def test_a_dry_run_plans_and_writes_nothing(walls: Any, simloop: Any) -> None:
    ended = simloop(*WORDS, "--dry-run")
    assert ended.code == 0
    assert "Run toy: suite walls, 4 episodes, in_process" in ended.out
    assert not Path("results").exists()


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["suite=smoek"], "Unknown suite 'smoek'. Did you mean 'smoke'? Available: "),
        (["scenario=cutin"], "Unknown scenario 'cutin'. Did you mean 'cut_in'? Available: "),
        (["agent=experd"], "Unknown agent 'experd'. Did you mean 'expert'? Available: "),
        (
            ["strategy=pre"],
            "Available: aggregate, blocking, correction, fast_slow, future_state, naive_async, paused, ",
        ),
        (["timing=zer"], "Unknown timing 'zer'. Did you mean 'zero'? Available: "),
        (["runner=local"], "Available: in_process, ray."),
        (["sede=1"], "Unknown key 'sede' in the command line."),
        (
            ["world.gap=1"],
            "does not fit world 'faulty_wall': got an unexpected keyword argument 'gap'; it takes: ",
        ),
        (["results"], "'results' is not of the form key=value"),
        (["--dry-runn"], "No such option: --dry-runn"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_starts(simloop: Any, words: list[str], message: str) -> None:
    suite = [] if words[0].startswith("suite=") else ["suite=walls.yaml"]
    ended = simloop("run", *suite, *words)
    assert ended.code == 4
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not Path("results").exists()


def test_the_folder_of_another_run_is_refused_and_kept(walls: Any, simloop: Any) -> None:
    judge_by(walls, MUST_SUCCEED)
    assert simloop(*WORDS).code == 0
    ended = simloop(*WORDS, "seeds.first=7")
    assert ended.code == 4
    assert "Choose another run_id, or delete the folder." in ended.err
    assert len(RunStore.open_read_only(Path("results/runs/toy")).done_ids()) == 4


def test_report_builds_again_and_ends_as_the_run_did(walls: Any, simloop: Any) -> None:
    judge_by(walls, MUST_FAIL)
    assert simloop(*WORDS).code == 1
    folder = Path("results/runs/toy")
    (folder / "report.html").unlink()
    ended = simloop("report", "toy")
    assert ended.code == 1
    assert ended.out.strip() == str(folder / "report.html")
    assert (folder / "report.html").is_file()
    ended = simloop("report", str(folder), "--baseline", "kept")
    assert ended.code == 1
    assert sorted(p.name for p in Path("kept").iterdir()) == [
        "episodes.parquet",
        "manifest.json",
        "summary.json",
    ]


def test_report_of_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simloop: Any) -> None:
    monkeypatch.chdir(tmp_path)
    ended = simloop("report", "nothing")
    assert ended.code == 4
    assert "nothing is not a results folder: it has no manifest.json" in ended.err


def _listen_to_control_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_control_c_is_130_and_keeps_what_is_finished(walls: Any) -> None:
    words = [sys.executable, "-m", "simloop.cli.main", *WORDS, "seeds.count=4000"]
    process = subprocess.Popen(
        words,
        cwd=walls.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell ignores the signal, and its children would too.
        preexec_fn=_listen_to_control_c,
    )
    parts = walls.folder / "results/runs/toy/parts"
    deadline_s = wall_clock.now_s() + 300.0
    while not (parts.is_dir() and any(parts.glob("part-*.parquet"))):
        assert wall_clock.now_s() < deadline_s, "the run recorded nothing in time"
        wall_clock.sleep_s(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=300.0)
    assert process.returncode == 130
    assert "Interrupted. Run the same command again to go on." in err
    assert "Traceback" not in err
    assert 0 < len(RunStore.open_read_only(walls.folder / "results/runs/toy").done_ids()) < 4000
