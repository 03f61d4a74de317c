"""A run in which some seeds put one object into another: those episodes end by themselves, the others are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from simloop.runner.planning import plan_run
from simloop.runner.run import execute
from simloop.store.run_store import RunStore

FAMILY = """
family: lift_beside_a_pillar
world: bimanual
world_config: {action: two_arm_delta, task: two_arm_lift}
time_limit_s: 0.5
parameters:
  pot_x_m: {low: 0.0, high: 0.03}
  distractor_1_x_m: {choices: [0.3, 0.0]}
  distractor_1_height_m: {low: 0.1, high: 0.2}
scene: {task: two_arm_lift}
"""
SUITE = """
suite: pillars
axes:
  scenario: lift.yaml
  agent: expert
  timing: zero
  strategy: naive_async
  seeds: {first: 0, count: 4}
"""


def test_a_seed_with_objects_in_collision_costs_its_own_episode_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lift.yaml").write_text(FAMILY)
    (tmp_path / "pillars.yaml").write_text(SUITE)
    plan = plan_run(["suite=pillars.yaml", "runner=in_process", "run_id=pillars"])
    execute(plan, lambda row: None)
    store = RunStore.open_read_only(plan.folder)
    rows = {row["episode_id"]: row for row in store.read_rows().to_pylist()}
    assert len(rows) == 4
    is_bad = [task.spec.case.scenario.parameters["distractor_1_x_m"] == 0.0 for task in plan.tasks]
    assert 0 < sum(is_bad) < 4
    for task, bad in zip(plan.tasks, is_bad, strict=True):
        row = rows[task.spec.episode_id]
        if bad:
            assert row["status"] == "infra_error"
            assert row["episode_hash"] is None
            assert "mm into" in row["error_trace"] and "distractor_1" in row["error_trace"]
        else:
            assert (row["status"], row["reason"]) == ("fail", "time_limit")
            assert row["episode_hash"] and row["min_arm_distance_m"] > 0.0
