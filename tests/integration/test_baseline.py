"""The committed baseline is the shipped smoke suite's, says on which platform it was made, and can be compared."""

from __future__ import annotations

from pathlib import Path

from simloop.report.comparison import compare_runs
from simloop.store.baseline import read_rows_and_manifest
from simloop.suites import load_suite


def test_the_smoke_baseline_covers_the_smoke_suite_and_compares(repository: Path) -> None:
    rows, manifest = read_rows_and_manifest(repository / "results/baselines/smoke")
    suite = load_suite("smoke")
    planned = {
        (scenario, agent, timing, strategy, seed)
        for axes in suite.axes
        for scenario in axes.scenario
        for agent in axes.agent
        for timing in axes.timing
        for strategy in axes.strategy
        for seed in axes.seeds
    }
    assert {(r["scenario"], r["agent"], r["timing"], r["strategy"], r["seed"]) for r in rows} == planned
    assert len(rows) == len(planned) == manifest.num_planned
    assert {"cpu", "libc", "python", "numpy", "mujoco", "torch"} <= manifest.platform.keys()
    assert not {"episode_id", "episode_hash"} & rows[0].keys()

    assert not any(cell.is_regression for cell in compare_runs(rows, rows))
    lost = [{**r, "status": "fail"} if r["agent"] == "expert" else r for r in rows]
    worse = compare_runs(rows, lost)
    assert all(cell.comparison.difference < 0 for cell in worse if cell.agent == "expert")
