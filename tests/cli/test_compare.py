"""``simloop compare``: equal runs, a loss, a gain, nothing in common."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from simloop.report.comparison import compare_runs
from simloop.store.parts import list_parts, read_part, write_part
from simloop.store.run_store import RunStore

RUNS = Path("results/runs")


def alter(run: str, copy: str, **columns: Any) -> Path:
    """Copies a run and sets columns of all its rows, as if it had come out so."""
    folder = RUNS / copy
    shutil.copytree(RUNS / run, folder)
    (part,) = list_parts(folder / "parts")
    table = read_part(part)
    part.unlink()
    for name, value in columns.items():
        index = table.column_names.index(name)
        values = [value(v) if callable(value) else value for v in table.column(name).to_pylist()]
        table = table.set_column(
            index, name, [type(table.column(name).chunk(0)).from_pandas(values, type=table.column(name).type)]
        )
    write_part(folder / "parts", 0, table)
    return folder


@pytest.fixture
def good(walls: Any) -> str:
    """A run of 8 cases that all succeeded."""
    _, rows = walls.run("runner=in_process", "strategy=paused", "timing=zero", "seeds.count=8", "run_id=good")
    assert {r["status"] for r in rows} == {"success"}
    return "good"


def test_a_run_compared_with_itself_passes(good: str, simloop: Any) -> None:
    ended = simloop("compare", good, good)
    assert ended.code == 0
    assert "No cell is worse at the 5 % level." in ended.out
    assert "+0.0 points" in ended.out
    assert "changed:" not in ended.out


def test_a_loss_is_one_and_a_gain_is_not(good: str, simloop: Any) -> None:
    alter(
        good, "bad", status="fail", reason="collision", success_once=0.0, success_at_end=0.0, success_held=0.0
    )
    ended = simloop("compare", good, "bad")
    assert ended.code == 1
    assert "-100.0 points" in ended.out
    # One-sided exact McNemar with 8 of 8 discordant pairs: 2**-8.
    assert "0.0039" in ended.out
    assert "REGRESSION: wall / simloop.testing.brake_agent:BrakeAgent / zero / paused" in ended.out
    assert simloop("compare", "bad", good).code == 0


def test_one_case_under_several_timings_and_strategies_is_not_several_pairs(walls: Any, simloop: Any) -> None:
    walls.run("runner=in_process", "seeds.count=3", "run_id=all")
    alter("all", "lost", status="fail")
    cells = compare_runs(
        *(RunStore.open_read_only(RUNS / n).read_rows().to_pylist() for n in ("all", "lost"))
    )
    assert len({(c.timing, c.strategy) for c in cells}) == len(cells) == 8
    assert {c.comparison.counts.n for c in cells} == {3}
    # 3 of 3 discordant pairs are 2**-3, Holm's factor 8 makes it 1; 24 pairs in one cell would be 6e-8.
    assert {c.p_worse for c in cells} == {1.0}
    ended = simloop("compare", "all", "lost")
    assert ended.code == 0
    assert "naive_async" in ended.out and "xr0_4090" in ended.out


def test_a_baseline_stands_for_its_run(good: str, simloop: Any) -> None:
    assert simloop("report", good, "--baseline", "kept").code == 0
    ended = simloop("compare", "kept", good)
    assert ended.code == 0
    assert "No cell is worse" in ended.out


def test_nothing_in_common_is_three(good: str, simloop: Any) -> None:
    alter(good, "other", case_id=lambda case_id: case_id[::-1])
    ended = simloop("compare", good, "other")
    assert ended.code == 3
    assert "NOT COMPARABLE: The two runs have no case in common" in ended.out


def test_what_has_changed_is_printed(walls: Any, good: str, simloop: Any) -> None:
    walls.run("runner=in_process", "strategy=paused", "timing=zero", "seeds.count=6", "run_id=fewer")
    ended = simloop("compare", good, "fewer")
    assert ended.code == 0
    assert "changed: suite digest: " in ended.out
    assert RunStore.open_read_only(RUNS / "fewer").manifest.num_planned == 6


def test_a_folder_that_is_no_run_is_refused(good: str, simloop: Any) -> None:
    ended = simloop("compare", good, "nowhere")
    assert ended.code == 4
    assert "neither a run's folder nor a baseline" in ended.err
