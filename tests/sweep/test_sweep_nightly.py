"""The shipped driving and two-arm sweeps, whole, on Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from simloop.report.build import build_report
from simloop.report.verdict import RunState
from simloop.runner.run import execute
from simloop.store.run_store import RunStore
from simloop.sweep.planning import plan_command
from simloop.sweep.results import read_sweep


@pytest.mark.nightly
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("suite", ["latency_driving", "latency_bimanual"])
def test_a_shipped_sweep_is_complete_and_latency_costs_success_or_nothing(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_command("run", [f"suite={suite}", "run_id=x", "runner.workers=2"])
    execute(plan, lambda row: None)
    assert build_report(plan.folder).verdict.state is RunState.PASS
    result = read_sweep(RunStore.open_read_only(plan.folder))
    for curve in result.curves:
        assert all(p.num_lost == p.num_missing == 0 for p in curve.points), curve.strategy
        assert curve.rises == (), curve.strategy
        start, last = curve.points[0].rate, curve.points[-1].rate
        assert start is not None and last is not None
        assert start.rate >= 0.9, curve.strategy
        if curve.strategy == "paused":
            assert {p.rate.successes for p in curve.points if p.rate} == {start.successes}
    assert all(
        set(c.counts) <= {"stale", "boundary_jump", "starved", "wrong_plan", "combined"}
        for c in result.causes
    )
    assert all(r.counts.get("lost", 0) == 0 for r in result.reactions)
