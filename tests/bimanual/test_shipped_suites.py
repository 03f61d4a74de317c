"""The shipped two-arm suites, whole, on Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from simloop.report.build import build_report
from simloop.report.verdict import RunState
from simloop.runner.run import execute
from simloop.store.run_store import RunStore
from simloop.sweep.planning import plan_command
from simloop_bimanual.world import DIVERGED


@pytest.mark.nightly
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("suite", ["bimanual_core", "bimanual_dynamic", "bimanual_dynamic_variants"])
def test_a_shipped_suite_passes_and_its_expert_drives_no_physics_apart(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Physics that diverges is a failure of the agent, so that bars on successes would hide a scene that does it."""
    monkeypatch.chdir(tmp_path)
    plan = plan_command("run", [f"suite={suite}", "run_id=x", "runner.workers=2"])
    execute(plan, lambda row: None)
    rows = RunStore.open_read_only(plan.folder).read_rows().to_pylist()
    assert len(rows) >= len(plan.tasks) > 0
    assert [(row["scenario"], row["seed"], row["timing"]) for row in rows if row["reason"] == DIVERGED] == []
    verdict = build_report(plan.folder).verdict
    assert verdict.state is RunState.PASS, verdict
