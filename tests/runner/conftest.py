"""Suites of toy worlds in an empty folder, and one Ray for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from simloop.runner.planning import RunPlan, plan_run
from simloop.runner.run import execute
from simloop.store.row import Row
from simloop.store.run_store import RunStore

BRAKE = "simloop.testing.brake_agent:BrakeAgent"

WALL = """
family: wall
world: faulty_wall
world_config: {physics_period_ns: 10_000_000}
time_limit_s: 6
parameters:
  fault: {choices: [FAULTS]}
"""
SUITE = f"""
suite: walls
axes:
  scenario: wall.yaml
  agent: {BRAKE}
  timing: [zero, xr0_4090]
  strategy: [paused, blocking, naive_async, prefix]
  seeds: {{first: 0, count: 4}}
"""


class Walls:
    """An empty folder, made the current one, with a suite of 32 episodes at a wall that may break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "walls.yaml").write_text(SUITE)
        self.break_by("none")

    def break_by(self, faults: str) -> None:
        """Writes the family whose episodes break in one of the given ways."""
        (self.folder / "wall.yaml").write_text(WALL.replace("FAULTS", faults))

    def run(self, *words: str) -> tuple[RunPlan, list[Row]]:
        """Plans and executes a run; returns the plan and the recorded rows in the plan's order."""
        plan = plan_run(["suite=walls.yaml", *words])
        execute(plan, lambda row: None)
        rows = {r["episode_id"]: r for r in RunStore.open_read_only(plan.folder).read_rows().to_pylist()}
        return plan, [rows[t.spec.episode_id] for t in plan.tasks]


@pytest.fixture
def walls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Walls:
    """See ``Walls``."""
    monkeypatch.chdir(tmp_path)
    return Walls(tmp_path)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray for all tests of a session; executors leave a Ray alone that they did not start."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
