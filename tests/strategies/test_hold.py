"""What acts when nothing is planned."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simloop.strategies.hold import (
    BRAKE_DECELERATION_MPS2,
    COAST_DECELERATION_MPS2,
    SAFE_COAST_S,
    hold_action,
)
from simloop.world import ActionDimension, ActionSpec, Hold

PERIOD_NS = 50_000_000


def _spec(hold: Hold) -> ActionSpec:
    names = ("x_m", "y_m", "yaw_rad", "speed_mps")
    dimensions = tuple(ActionDimension(name=n, unit="", low=-1e3, high=1e3) for n in names)
    return ActionSpec(name="waypoints", dimensions=dimensions, hold=hold, null_action=(0.5, 0.0, 0.0, 0.25))


@pytest.mark.parametrize("hold", list(Hold))
def test_before_any_action_the_null_action_acts(hold: Hold) -> None:
    assert hold_action(_spec(hold), None, 0, PERIOD_NS).tolist() == [0.5, 0.0, 0.0, 0.25]


def test_targets_are_repeated_and_deltas_become_null() -> None:
    last = np.array([1.0, 2.0, 3.0, 4.0])
    repeated = hold_action(_spec(Hold.REPEAT), last, 9, PERIOD_NS)
    assert repeated.tolist() == last.tolist()
    repeated[0] = 9.0
    assert last[0] == 1.0
    assert hold_action(_spec(Hold.NULL), last, 0, PERIOD_NS).tolist() == [0.5, 0.0, 0.0, 0.25]


@pytest.mark.parametrize("yaw_rad", [0.0, 0.7, -2.0, math.pi])
@pytest.mark.parametrize("speed_mps", [0.0, 0.01, 3.0, 20.0])
def test_a_plan_coasts_then_brakes_to_a_stop_on_its_heading(yaw_rad: float, speed_mps: float) -> None:
    """Against the closed form of two constant decelerations."""
    action = np.array([10.0, -5.0, yaw_rad, speed_mps])
    speeds = [speed_mps]
    for tick in range(200):
        action = hold_action(_spec(Hold.PLAN_THEN_STOP), action, tick, PERIOD_NS)
        speeds.append(float(action[3]))
    coast_s = min(SAFE_COAST_S, speed_mps / COAST_DECELERATION_MPS2)
    after_coast = speed_mps - COAST_DECELERATION_MPS2 * coast_s
    coasted_m = (speed_mps + after_coast) / 2 * coast_s
    braked_m = after_coast**2 / (2 * BRAKE_DECELERATION_MPS2)
    travelled_m = math.hypot(action[0] - 10.0, action[1] + 5.0)
    # The last period's trapezoid ends at speed zero where the closed form stops inside it.
    assert travelled_m == pytest.approx(coasted_m + braked_m, abs=BRAKE_DECELERATION_MPS2 * 0.05**2)
    assert action[2] == yaw_rad
    assert speeds[-1] == 0.0
    if travelled_m > 1e-9:
        assert (action[:2] - [10.0, -5.0]) / travelled_m == pytest.approx(
            [math.cos(yaw_rad), math.sin(yaw_rad)]
        )
    decelerations = -np.diff(speeds) / 0.05
    assert decelerations.min() >= 0.0
    assert decelerations.max() <= BRAKE_DECELERATION_MPS2 + 1e-9
