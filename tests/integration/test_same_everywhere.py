"""Both domains: however episodes are run, the same specs give the same hashes, and replay sees what was altered."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simloop.cli.main import main
from simloop.runner.planning import plan_run
from simloop.runner.run import execute
from simloop.store.episode_logs import read_log, write_log
from simloop.store.parts import list_parts, read_part, write_part
from simloop.store.run_store import RunStore

SUITE = """
suite: both
axes:
  scenario: [cut_in, two_arm_lift]
  agent: expert
  timing: pi05_4090_mobile
  strategy: [naive_async, prefix]
  seeds: {first: 0, count: 2}
"""
HOW = {
    "alone": ("runner=in_process", "runner.interleave=1"),
    "interleaved": ("runner=in_process", "runner.interleave=4"),
    "ray_1": ("runner=ray", "runner.workers=1"),
    "ray_2": ("runner=ray", "runner.workers=2", "runner.interleave=2"),
}
RUNS = Path("results/runs")

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder of this module's tests, with the suite."""
    folder = tmp_path_factory.mktemp("both")
    (folder / "both.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Callable[[str], Rows]:
    """Runs the suite in one of the ways of ``HOW``, once, and returns the rows by episode id."""
    done: dict[str, Rows] = {}

    def rows_of(how: str) -> Rows:
        if how not in done:
            plan = plan_run(["suite=both.yaml", f"run_id={how}", *HOW[how]])
            assert len(plan.tasks) == 8
            execute(plan, lambda row: None)
            rows = RunStore.open_read_only(plan.folder).read_rows().to_pylist()
            done[how] = {row["episode_id"]: row for row in rows}
        return done[how]

    return rows_of


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("how", ["interleaved", "ray_1", "ray_2"])
def test_every_episode_has_the_same_hash(run: Callable[[str], Rows], how: str) -> None:
    alone, other = run("alone"), run(how)
    assert len(alone) == 8
    assert {r["status"] for r in alone.values()} <= {"success", "fail"}
    assert {i: r["episode_hash"] for i, r in other.items()} == {
        i: r["episode_hash"] for i, r in alone.items()
    }
    assert len({r["episode_hash"] for r in alone.values()}) == 8
    measured = [
        n for n in next(iter(alone.values())) if n not in ("run_id", "worker", "wall_s_wall", "has_log")
    ]
    for episode_id, row in alone.items():
        assert {n: other[episode_id][n] for n in measured} == {n: row[n] for n in measured}


def replayed(capsys: pytest.CaptureFixture[str], episode_id: str, run_id: str) -> tuple[int, str]:
    with pytest.raises(SystemExit, match=r"^\d$") as caught:
        main(["replay", episode_id, "--run", run_id])
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().out


def one(rows: Rows, scenario: str) -> dict[str, Any]:
    return next(r for r in rows.values() if r["scenario"] == scenario and r["has_log"])


@pytest.mark.parametrize("scenario", ["cut_in", "two_arm_lift"])
@pytest.mark.parametrize("how", ["interleaved", "ray_2"])
def test_replay_confirms(
    run: Callable[[str], Rows], capsys: pytest.CaptureFixture[str], how: str, scenario: str,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if how.startswith("ray"):
        request.getfixturevalue("ray_cluster")
    row = one(run(how), scenario)
    code, said = replayed(capsys, row["episode_id"], how)
    assert code == 0, said
    assert said.count(row["episode_hash"]) == 2
    assert said.endswith("Identical.\n")


def altered_run(name: str, episode_id: str, new_hash: str | None) -> Path:
    """Copies the run and replaces the recorded hash of one episode; returns the folder of its log."""
    folder = RUNS / name
    shutil.copytree(RUNS / "interleaved", folder)
    if new_hash is not None:
        for part in list_parts(folder / "parts"):
            table = read_part(part)
            hashes = [
                new_hash if i == episode_id else h
                for i, h in zip(
                    table.column("episode_id").to_pylist(),
                    table.column("episode_hash").to_pylist(),
                    strict=True,
                )
            ]
            part.unlink()
            index = table.column_names.index("episode_hash")
            number = int(part.name.split("-")[1])
            write_part(folder / "parts", number, table.set_column(index, "episode_hash", [hashes]))
    return folder / "episodes" / episode_id


@pytest.mark.parametrize(("scenario", "is_hash_altered"), [("cut_in", True), ("two_arm_lift", False)])
def test_an_altered_log_is_reported_with_its_first_difference(
    run: Callable[[str], Rows], capsys: pytest.CaptureFixture[str], scenario: str, is_hash_altered: bool
) -> None:
    row = one(run("interleaved"), scenario)
    log = read_log(RUNS / "interleaved" / "episodes" / row["episode_id"])
    assert log.episode_hash == row["episode_hash"]
    action = log.tables["ticks"]["action"].copy()
    action[[20, 30], 0] += [1e-9, 1.0]
    log.tables["ticks"]["action"] = action
    name = f"altered_{scenario}"
    write_log(altered_run(name, row["episode_id"], log.episode_hash if is_hash_altered else None), log)
    code, said = replayed(capsys, row["episode_id"], name)
    assert code == 1
    assert "DIFFERENT. First: table 'ticks', row 20, column 'action':" in said


def test_an_altered_row_is_reported(run: Callable[[str], Rows], capsys: pytest.CaptureFixture[str]) -> None:
    row = one(run("interleaved"), "cut_in")
    altered_run("altered_row", row["episode_id"], "0" * 32)
    code, said = replayed(capsys, row["episode_id"], "altered_row")
    assert code == 1
    assert "the logs are equal, the recorded hash is not theirs" in said
