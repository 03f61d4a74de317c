"""Settings that every test runs under, suites of toy worlds, and one Ray for the session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before numpy, torch or numba load: one thread a process, as episodes are run.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Nothing in a test may ask a model hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

if TYPE_CHECKING:
    from simloop.runner.planning import RunPlan
    from simloop.store.row import Row

# The same examples in every run: a failure that shows once shows again.
settings.register_profile("simloop", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("simloop")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root; skips where the tests run without one, against a built wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "simloop" / "__init__.py").is_file():
        pytest.skip("needs a checkout; these tests run against a built wheel")
    return root


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
        # Here, so that tests of other parts do not wait for it.
        from simloop.runner.planning import plan_run
        from simloop.runner.run import execute
        from simloop.store.run_store import RunStore

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
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
