"""Settings that every test runs under, suites of toy worlds, and one Ray for the session."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

# Before numpy, torch or numba load: one thread a process, as episodes are run.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Nothing in a test may ask a model hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# Output goes to no terminal and is of the width that a test gives, whatever holds where the tests are run.
for _name in ("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
              "COLUMNS", "LINES"):  # fmt: skip
    os.environ.pop(_name, None)

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

if TYPE_CHECKING:
    from simloop.log import EpisodeLog
    from simloop.runner.planning import RunPlan
    from simloop.store.row import Row
    from simloop.world import World

# The same examples in every run: a failure that shows once shows again. How fast they are made is the machine's.
settings.register_profile(
    "simloop", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("simloop")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root; skips where the tests run without one, against a built wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "simloop" / "__init__.py").is_file():
        pytest.skip("needs a checkout; these tests run against a built wheel")
    return root


_KEPT = {
    ("simloop_bimanual.rendering.gl_rendering", "_drawing"): 0,
    ("simloop_bimanual.rendering.views", "_shared_view"): 0,
    ("simloop_bimanual.models.two_arm_model", "_built"): 12,
}
"""Caches of what is large, and how much of it a module of tests may leave to the next one."""


@pytest.fixture(scope="module", autouse=True)
def _memory_is_given_back() -> Iterator[None]:
    """Frees what two arms were drawn with when a module's tests are over, and their models once they are many.

    What is left, such as millions of objects of numba's compiler, stays to the end: collections need not look at it.
    """
    yield
    gc.collect()
    gc.freeze()
    made = [
        cached
        for (module, name), allowed in _KEPT.items()
        if module in sys.modules
        and (cached := getattr(sys.modules[module], name)).cache_info().currsize > allowed
    ]
    if made:
        from simloop_bimanual.physics.native import give_memory_back

        for cached in made:
            cached.cache_clear()
        give_memory_back()


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


class Timer:
    """A ``threading.Timer`` whose time is over when the test says so.

    Attributes:
        after_s: When it would be over.
    """

    def __init__(self, interval: float, function: Callable[[], object]) -> None:
        self.after_s = interval
        self._function = function
        self._is_set = False

    def start(self) -> None:
        """Begins to wait."""
        self._is_set = True

    def cancel(self) -> None:
        """Waits no longer."""
        self._is_set = False

    def elapse(self) -> None:
        """Lets its time be over: it calls its function once, if it waits."""
        if self._is_set:
            self._is_set = False
            self._function()


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[Timer]:
    """Takes the place of ``threading.Timer``; returns those that have been made."""
    made: list[Timer] = []

    def make(interval: float, function: Callable[[], object]) -> Timer:
        made.append(Timer(interval, function))
        return made[-1]

    monkeypatch.setattr(threading, "Timer", make)
    return made


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray for all tests of a session; executors leave a Ray alone that they did not start."""
    import ray

    # Ray's own 15 lets anything else on the machine starve its workers.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


MEMORY_FAMILIES = (
    "cut_in",
    "lead_deceleration",
    "signal_left",
    "unsignalised_right",
    "roundabout",
    "parked_obstacle",
)
STATM = Path("/proc/self/statm")
NUM_MEMORY_READINGS = 10


def _resident_mb() -> float:
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _stopped_early(world: World, limit_ns: int) -> World:
    """Lets a world be reset with its family's time limit although the loop will stop the episode before."""
    reset = world.reset
    world.reset = lambda scenario, seed: reset(replace(scenario, time_limit_ns=limit_ns), seed)  # type: ignore[method-assign]
    return world


def _memory_over_episodes(
    num_first: int,
    num_more: int,
    *,
    time_limit_s: float | None = None,
    keep: Callable[[EpisodeLog], object] = lambda log: None,
) -> list[float]:
    from simloop.compose import make_agent, make_strategy, make_timing, make_world
    from simloop.metrics.evaluate import evaluate
    from simloop.plugins import load_metrics
    from simloop.runner.planning import plan_run
    from simloop.testing.rollout import play

    num_families = len(MEMORY_FAMILIES)
    plan = plan_run(
        ["suite=driving_core", f"scenario={','.join(MEMORY_FAMILIES)}", "timing=zero",
         f"seeds.count={-(-(num_first + num_more) // num_families)}", "runner=in_process"]
    )  # fmt: skip
    by_family = {f: [t for t in plan.tasks if t.spec.case.scenario.family == f] for f in MEMORY_FAMILIES}
    worlds = {
        family: _stopped_early(make_world(tasks[0].world), tasks[0].spec.case.scenario.time_limit_ns)
        for family, tasks in by_family.items()
    }
    first = plan.tasks[0].spec
    agent, timing, strategy = (
        make_agent(first.agent),
        make_timing(first.timing),
        make_strategy(first.strategy),
    )
    metrics = load_metrics()
    readings: list[float] = []
    for number in range(1, num_first + num_more + 1):
        family = MEMORY_FAMILIES[number % num_families]
        case = by_family[family][(number - 1) // num_families].spec.case
        if time_limit_s is not None:
            case = replace(case, scenario=replace(case.scenario, time_limit_ns=round(time_limit_s * 1e9)))
        log = play(worlds[family], agent, case=case, timing=timing, strategy=strategy)
        assert evaluate(metrics, log).values["progress_m"] is not None
        keep(log)
        if number >= num_first and (number - num_first) % (num_more // NUM_MEMORY_READINGS) == 0:
            readings.append(_resident_mb())
    assert len(readings) == NUM_MEMORY_READINGS + 1
    return readings


@pytest.fixture
def memory_over_episodes() -> Callable[..., list[float]]:
    """Plays different driving episodes of the expert in this process; returns resident memory in MB.

    The families take turns, with one world each; reset, expert, loop, log and all metrics work for each episode. The
    arguments: ``num_first`` episodes before the first reading; ``num_more`` with ten more readings; ``time_limit_s``
    at which the loop stops every episode; ``keep``, called with each log. Skips where there is no /proc.
    """
    if sys.platform != "linux":
        pytest.skip("resident memory is read from /proc")
    return _memory_over_episodes


def pytest_unconfigure() -> None:
    """Lets the last collection look at everything: DuckDB reports what that leaves as leaks."""
    gc.unfreeze()
