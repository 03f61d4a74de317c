"""The tasks in which something moves by itself: what delay does to their experts, and why."""

from __future__ import annotations

import dataclasses

import pytest

from simloop.compose import component, make_strategy, make_timing
from simloop.scenario_files import load_family
from simloop.spec import Case
from simloop.testing.rollout import play
from simloop.world import OutcomeState
from simloop_agents.experts.expert import ExpertAgent
from simloop_bimanual.world import BimanualWorld

HANDOVER, CONVEYOR, TRAY = "two_arm_moving_handover", "two_arm_conveyor_lift", "two_arm_tray_balance"


def _successes(name: str, seeds: range, delay_ms: int, **parameters: float) -> int:
    """Plays as ``simloop run strategy=naive_async`` does, with a constant inference time."""
    family = load_family(name)
    world, agent, count = BimanualWorld(**family.world_config), ExpertAgent(), 0
    timing = make_timing(component("timing", "constant", {"inference.value_ms": str(delay_ms)}))
    strategy = make_strategy(component("strategy", "naive_async"))
    for seed in seeds:
        scenario = family.scenario(seed)
        scenario = dataclasses.replace(scenario, parameters={**scenario.parameters, **parameters})
        play(world, agent, case=Case(scenario=scenario, seed=seed), timing=timing, strategy=strategy)
        count += world.outcome().state is OutcomeState.SUCCESS
    return count


@pytest.mark.parametrize(
    ("name", "seeds", "most_late"),
    [(HANDOVER, range(6), 4), (CONVEYOR, range(20, 26), 4), (TRAY, range(6), 2)],
)
def test_delay_loses_episodes_that_succeed_without_it(name: str, seeds: range, most_late: int) -> None:
    assert _successes(name, seeds, 0) == 6
    assert _successes(name, seeds, 400) <= most_late


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "calm", "num_seeds", "most_lost_when_still"),
    [(HANDOVER, {"drift_speed_mps": 0.0}, 20, 2), (CONVEYOR, {"belt_speed_mps": 0.0}, 40, 6)],
)
def test_what_moves_is_most_of_what_makes_delay_matter(
    name: str, calm: dict[str, float], num_seeds: int, most_lost_when_still: int
) -> None:
    """400 ms cost at least 20 points of 100, and no more than 10 (handover) or 15 (belt) when nothing moves."""
    seeds = range(num_seeds)
    prompt, late = _successes(name, seeds, 0), _successes(name, seeds, 400)
    assert prompt >= 0.9 * num_seeds
    assert late <= prompt - 0.2 * num_seeds
    assert _successes(name, seeds, 400, **calm) >= prompt - most_lost_when_still


def test_a_late_plan_loses_the_ball_in_still_air_too() -> None:
    """Gusts are not what makes delay matter to the tray; how its plan rolls on is (docs/two-arm-tasks.md)."""
    calm = {"gust_mps": 0.0, "ball_x_m": 0.0, "ball_y_m": 0.0, "ball_speed_mps": 0.0}
    assert _successes(TRAY, range(6), 0, **calm) == 6
    assert _successes(TRAY, range(6), 400, **calm) <= 4
