"""What acts when no fresh action is there. The world's action spec names the rule; a strategy never chooses it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simloop.clock import NS_PER_S
from simloop.world import ActionSpec, Hold

FloatArray = npt.NDArray[np.float64]

SAFE_COAST_S = 0.5
"""How long a vehicle coasts along its last heading before it brakes to a stop."""
COAST_DECELERATION_MPS2 = 0.5
BRAKE_DECELERATION_MPS2 = 4.0
"""UN R157 5.5.1 asks a minimal-risk manoeuvre to aim at no more than 4 m/s2."""


def hold_action(
    spec: ActionSpec, last_action: FloatArray | None, starved_ticks: int, control_period_ns: int
) -> FloatArray:
    """Returns the (A,) world-frame action to apply at a tick for which nothing is planned.

    Args:
        spec: The action space; ``spec.hold`` names the rule.
        last_action: (A,) world-frame action applied at the tick before, or None at the episode's start.
        starved_ticks: How many ticks in a row were starved before this one.
        control_period_ns: Control period.
    """
    if last_action is None or spec.hold is Hold.NULL:
        return np.array(spec.null_action, dtype=np.float64)
    if spec.hold is Hold.REPEAT:
        return last_action.copy()
    return _coast_then_brake(last_action, starved_ticks, control_period_ns)


def _coast_then_brake(last_action: FloatArray, starved_ticks: int, control_period_ns: int) -> FloatArray:
    """Moves a waypoint (x_m, y_m, yaw_rad, speed_mps) one period along its heading with the hold's deceleration."""
    x_m, y_m, yaw_rad, speed_mps = (float(v) for v in last_action)
    period_s = control_period_ns / NS_PER_S
    is_coasting = starved_ticks * period_s < SAFE_COAST_S
    deceleration = COAST_DECELERATION_MPS2 if is_coasting else BRAKE_DECELERATION_MPS2
    next_speed = max(0.0, speed_mps - deceleration * period_s)
    travelled_m = 0.5 * (speed_mps + next_speed) * period_s
    return np.array(
        [x_m + travelled_m * math.cos(yaw_rad), y_m + travelled_m * math.sin(yaw_rad), yaw_rad, next_speed]
    )
