"""The expert drives every driving family: a few cases of each here, all of the suite's seeds by night."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from simloop.compose import component, make_strategy, make_timing
from simloop.scenario_files import load_family, shipped_families
from simloop.suites import load_suite
from simloop.testing.rollout import play
from simloop.world import OutcomeState
from simloop_agents.experts.expert import ExpertAgent
from simloop_driving.world import DrivingWorld

NUM_SEEDS = 50
NUM_QUICK_SEEDS = 3
LEAST_SHARE = 0.95


def _families() -> list[str]:
    return [name for name in sorted(shipped_families()) if load_family(name).world == "driving"]


@functools.cache
def _world(name: str) -> DrivingWorld:
    return DrivingWorld(**load_family(name).world_config)


def _drive(name: str, seeds: range, timing: str = "zero") -> tuple[int, list[str]]:
    """Returns the number of successes, and what went wrong."""
    family, world, agent = load_family(name), _world(name), ExpertAgent()
    delays, strategy = (
        make_timing(component("timing", timing)),
        make_strategy(component("strategy", "naive_async")),
    )
    num_goals, problems = 0, []
    for seed in seeds:
        log = play(world, agent, case=family.case(seed), timing=delays, strategy=strategy)
        faults = int(np.count_nonzero(log.column("world.contacts", "is_at_fault")))
        outcome = world.outcome()
        num_goals += outcome.state is OutcomeState.SUCCESS
        if outcome.state is not OutcomeState.SUCCESS or faults:
            problems.append(f"seed {seed}: {outcome.reason}, {faults} at fault")
    return num_goals, problems


def test_the_suite_has_every_family() -> None:
    (grid,) = load_suite("driving_core").axes
    assert sorted(grid.scenario) == _families()
    assert (grid.first_seed, grid.num_seeds) == (0, NUM_SEEDS)


@pytest.mark.parametrize("name", _families())
def test_a_few_cases(name: str) -> None:
    num_goals, problems = _drive(name, range(NUM_QUICK_SEEDS))
    assert num_goals == NUM_QUICK_SEEDS, problems


@pytest.mark.nightly
@pytest.mark.parametrize("name", _families())
def test_fifty_cases(name: str) -> None:
    """At least 95 % reach their goal, and no collision is the expert's fault."""
    num_goals, problems = _drive(name, range(NUM_SEEDS))
    assert num_goals >= LEAST_SHARE * NUM_SEEDS, problems
    assert not any(not problem.endswith(" 0 at fault") for problem in problems), problems
