"""The tasks in which something moves by itself: what delay does to their experts, and why."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from simloop.agent import Call, InferenceRequest
from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_agents.experts.two_arm.planner import OBSERVATIONS, TwoArmExpert
from simloop_bimanual.world import BimanualWorld

HANDOVER, CONVEYOR, TRAY = "two_arm_moving_handover", "two_arm_conveyor_lift", "two_arm_tray_balance"
PERIOD_NS = 50_000_000
STEPS = 8


def _request(world: BimanualWorld) -> InferenceRequest:
    return InferenceRequest(
        episode_id="episode",
        call=Call.POLICY,
        embodiment=world.spec.action.name,
        observation={name: world.capture(name, 0).array for name in OBSERVATIONS},
        age_ns=dict.fromkeys(OBSERVATIONS, 0),
        instruction="",
        anchor=world.anchor(),
        observation_tick=0,
        predicted_delay_ticks=0,
        draw_key=(0, 0),
    )


def _successes(name: str, seeds: range, delay_ticks: int, **parameters: float) -> int:
    """Plays as ``naive_async`` does: asks every eight ticks, plays the old chunk on until the new one arrives."""
    family = load_family(name)
    world, count = BimanualWorld(**family.world_config), 0
    for seed in seeds:
        scenario = family.scenario(seed)
        scenario = dataclasses.replace(scenario, parameters={**scenario.parameters, **parameters})
        world.reset(scenario, seed)
        expert = TwoArmExpert(world.spec.action.name)
        playing: tuple[int, Any] | None = None
        coming: list[tuple[int, int, Any]] = []
        for tick in range(scenario.time_limit_ns // PERIOD_NS):
            if tick % STEPS == 0:
                coming.append((tick + delay_ticks, tick, expert.chunk(_request(world))))
            if coming and coming[0][0] <= tick:
                _, asked, chunk = coming.pop(0)
                playing = asked, chunk
            world.actuate(np.zeros(14) if playing is None else playing[1][tick - playing[0]])
            world.advance((tick + 1) * PERIOD_NS)
            if world.outcome().state is not OutcomeState.RUNNING:
                break
        world.drain()
        count += world.outcome().state is OutcomeState.SUCCESS
    return count


@pytest.mark.parametrize(
    ("name", "delay_ticks", "most_late"), [(HANDOVER, 8, 4), (CONVEYOR, 8, 4), (TRAY, 8, 1)]
)
def test_delay_loses_episodes_that_succeed_without_it(name: str, delay_ticks: int, most_late: int) -> None:
    assert _successes(name, range(6), 0) == 6
    assert _successes(name, range(6), delay_ticks) <= most_late


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "delay_ticks", "calm"),
    [(HANDOVER, 8, {"drift_speed_mps": 0.0}), (CONVEYOR, 8, {"belt_speed_mps": 0.0})],
)
def test_what_moves_is_what_makes_delay_matter(name: str, delay_ticks: int, calm: dict[str, float]) -> None:
    """400 ms cost at least 20 points of 100, and next to nothing when base or belt stand still."""
    seeds = range(20)
    prompt, late = _successes(name, seeds, 0), _successes(name, seeds, delay_ticks)
    late_but_still = _successes(name, seeds, delay_ticks, **calm)
    assert prompt >= 18
    assert late <= prompt - 4
    assert late_but_still >= late + 4
