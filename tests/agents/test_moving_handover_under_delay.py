"""A receiver whose base drifts: what delay does to the hand-over, and that the drift is why."""

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

FAMILY = "two_arm_moving_handover"
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


def _successes(seeds: range, delay_ticks: int, **parameters: float) -> int:
    """Plays as ``naive_async`` does: asks every eight ticks, plays the old chunk on until the new one arrives."""
    family = load_family(FAMILY)
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


def test_delay_loses_hand_overs_that_succeed_without_it() -> None:
    assert _successes(range(6), 0) == 6
    assert _successes(range(6), 8) <= 4


@pytest.mark.nightly
def test_the_drift_is_what_makes_delay_matter() -> None:
    """400 ms cost at least 20 points of 100 with the drift, and next to nothing when the base stands still."""
    seeds = range(20)
    moving, late = _successes(seeds, 0), _successes(seeds, 8)
    late_but_still = _successes(seeds, 8, drift_speed_mps=0.0)
    assert moving >= 18
    assert late <= moving - 4
    assert late_but_still >= late + 4
