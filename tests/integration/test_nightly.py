"""What takes minutes: the held-out suite, the model agent however it is run, a run whose driver is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simloop import wall_clock
from simloop.report.verdict import RunState, judge
from simloop.runner.planning import plan_run
from simloop.runner.run import execute
from simloop.store.run_store import RunStore

pytestmark = pytest.mark.nightly

MODEL = [
    "suite=smoke", "agent=unified", "scenario=cut_in,lead_deceleration,two_arm_lift", "timing=pi05_4090_mobile",
    "strategy=naive_async,prefix", "seeds.count=1",
]  # fmt: skip
HOW = {
    "interleaved": ("runner=in_process", "runner.interleave=6"),
    "ray_1": ("runner=ray", "runner.workers=1"),
    "ray_2": ("runner=ray", "runner.workers=2", "runner.interleave=2"),
}
DRIVER = """
import sys
from simloop.runner.planning import plan_run
from simloop.runner.run import execute
if __name__ == "__main__":
    execute(plan_run(sys.argv[1:]), lambda row: None)
"""


def rows_of(*words: str) -> dict[str, dict[str, Any]]:
    """Runs what is missing of a run; returns all its rows by episode id."""
    plan = plan_run(words)
    execute(plan, lambda row: None)
    rows = RunStore.open_read_only(plan.folder).read_rows().to_pylist()
    assert len({r["episode_id"] for r in rows}) == len(rows) == len(plan.tasks)
    return {r["episode_id"]: r for r in rows}


def hashes(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {i: r["episode_hash"] for i, r in rows.items()}


@pytest.mark.usefixtures("ray_cluster")
def test_the_held_out_suite_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["suite=held_out", "run_id=held_out", "runner=ray", "runner.workers=2"]
    rows = rows_of(*words)
    verdict = judge(list(rows.values()), plan_run(words).manifest)
    assert len(verdict.criteria) == 8
    assert verdict.state is RunState.PASS, verdict


@pytest.mark.usefixtures("ray_cluster")
def test_the_model_agent_gives_the_same_hashes_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = rows_of(*MODEL, "run_id=alone", "runner=in_process", "runner.interleave=1")
    assert len(set(hashes(alone).values())) == 6
    assert {r["status"] for r in alone.values()} <= {"success", "fail"}
    for how, words in HOW.items():
        assert hashes(rows_of(*MODEL, f"run_id={how}", *words)) == hashes(alone), how


def test_kill_nine_of_a_ray_runs_driver_loses_nothing_and_doubles_nothing(walls: Any) -> None:
    words = ["suite=walls.yaml", "run_id=killed", "runner=ray", "runner.workers=2", "seeds.count=250"]
    (walls.folder / "script.py").write_text(DRIVER)
    folder = walls.folder / "results/runs/killed"
    # The driver alone is killed: what it started on Ray must end by itself and must not disturb the next run.
    driver = subprocess.Popen([sys.executable, "script.py", *words], cwd=walls.folder, start_new_session=True)
    deadline_s = wall_clock.now_s() + 120.0
    while not any(folder.glob("parts/*.parquet")):
        assert wall_clock.now_s() < deadline_s and driver.poll() is None, "no part was written"
        wall_clock.sleep_s(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(30.0)
    before = RunStore.open_read_only(folder).done_ids()
    assert 0 < len(before) < 2000

    subprocess.run([sys.executable, "script.py", *words], cwd=walls.folder, check=True, timeout=300)
    rows = RunStore.open_read_only(folder).read_rows().to_pylist()
    resumed = {r["episode_id"]: r["episode_hash"] for r in rows}
    assert len(rows) == len(resumed) == 2000
    assert before <= resumed.keys()
    undisturbed = rows_of("suite=walls.yaml", "run_id=undisturbed", "runner=in_process", "seeds.count=250")
    assert hashes(undisturbed) == resumed
