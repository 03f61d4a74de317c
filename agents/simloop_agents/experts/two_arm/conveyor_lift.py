"""Lifting a pot from a moving belt: take its handles while following it, and lift level.

The plan takes the belt to keep the speed that it has; the pot moves with it as long as it is not held.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.bars import grasp_bars, predict_fingers
from simloop_agents.experts.two_arm.geometry import (
    STEP_S,
    keep_committed,
    predict_arm,
    read_arms,
    write_pose_delta,
)

_CLEARANCE, _HANDLES, _HANDLE_SIZE, _BELT = 13, 14, 9, 33
_LIFT_M = 0.14
_ON_BELT_M = 0.01
_FASTEST_RISE_M = 0.04


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular = np.empty((2, 3)), np.empty((2, 3))
    opening, handle, bar, velocity = np.empty(2), np.empty((2, 3)), np.empty((2, 3)), np.zeros((2, 3))
    offsets, turns = np.empty((2, 3)), np.empty((2, 3))
    read_arms(robot, position, rotation, linear, angular, opening)
    for arm in range(2):
        where = objects[_HANDLES + _HANDLE_SIZE * arm :]
        for i in range(3):
            handle[arm, i] = where[i]
            bar[arm, i] = where[3 + i]
    clearance = objects[_CLEARANCE]
    tilt = math.acos(min(max(objects[_HANDLES + 8], -1.0), 1.0))
    action, gone = np.empty(14), np.empty(3)
    for row in range(len(out)):
        for arm in range(2):
            for i in range(2):
                velocity[arm, i] = objects[_BELT + 2 * arm + i] if clearance < _ON_BELT_M else 0.0
        ready, held = grasp_bars(
            position, rotation, opening, handle, bar, velocity, tilt, 1.0, offsets, turns
        )
        if held:
            # Lift level: both grippers follow one height.
            low = 0.5 * (position[0, 2] + position[1, 2])
            step = min(_LIFT_M - clearance, _FASTEST_RISE_M)
            for arm in range(2):
                offsets[arm, 0] = 0.0
                offsets[arm, 1] = 0.0
                offsets[arm, 2] = low + step - position[arm, 2]
        for arm in range(2):
            write_pose_delta(offsets[arm], turns[arm], action[7 * arm :])
            action[7 * arm + 6] = 1.0 if ready else -1.0
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        rise = 0.0
        for arm in range(2):
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
            for i in range(3):
                handle[arm, i] += gone[i] if held else STEP_S * velocity[arm, i]
            rise += 0.5 * gone[2] if held else 0.0
            opening[arm] = predict_fingers(position[arm], handle[arm], action[7 * arm + 6], opening[arm])
        clearance += rise
