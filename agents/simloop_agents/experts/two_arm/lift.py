"""Lifting a pot with two arms.

One decision rule maps the state of arms and pot to an action: turn and move above the handle, descend, close when
both grippers are in place, lift level.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.geometry import (
    keep_committed,
    predict_arm,
    predict_opening,
    read_arms,
    rotation_error,
    top_down_grasp,
    write_pose_delta,
)

_OBJECT_OFFSET, _OBJECT_ARM_SIZE = 14, 9
_CLEARANCE = 13

_BAR_OFFSET_M = 0.005
"""The handle's site lies this far inside of the middle of its bar (robosuite ``PotWithHandlesObject``)."""
_BAR_M = 0.02
_HELD_BELOW_M = 0.0235
_MISSED_BELOW_M = 0.012
"""Fingers nearer to each other than this have nothing between them."""
_HOVER_M = 0.065
_NEAR_M, _ALIGNED_RAD = 0.010, 0.10
"""How near a gripper has to be to its grasp before the fingers close."""
_SLACK = 1.6
_HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 6.0, 0.5
"""How high a gripper stays over its handle: metres per metre and per radian that it is still off."""
_UPSET_RAD = 0.15
"""A pot on the table that tilts more than this is let go of."""
_LIFT_M = 0.14


@numba.njit(cache=True)
def _decide(
    position: Any,
    rotation: Any,
    opening: Any,
    handle: Any,
    bar: Any,
    clearance: float,
    tilt: float,
    action: Any,
) -> bool:
    """Writes the (14,) action for a state and returns whether both handles are held.

    Args:
        position, handle, bar: (2, 3), each arm's in the frame of its own base.
        rotation: (2, 3, 3) of the grippers.
        opening: (2,) metres.
        clearance: Of the pot's bottom over the table, metres.
        tilt: Of the pot, radians.
        action: (14,), written.
    """
    targets = np.empty((2, 3))
    offsets = np.empty((2, 3))
    turns = np.empty((2, 3))
    goal = np.empty((3, 3))
    ready = True
    held = True
    for arm in range(2):
        sign = 1.0 if bar[arm, 1] >= 0.0 else -1.0
        norm = math.sqrt(bar[arm, 0] ** 2 + bar[arm, 1] ** 2)
        ux, uy = sign * bar[arm, 0] / norm, sign * bar[arm, 1] / norm
        # Fingers close across the bar, the gripper points down.
        top_down_grasp(ux, uy, goal)
        angle = rotation_error(goal, rotation[arm], turns[arm])
        targets[arm, 0] = handle[arm, 0] - uy * _BAR_OFFSET_M
        targets[arm, 1] = handle[arm, 1] + ux * _BAR_OFFSET_M
        targets[arm, 2] = handle[arm, 2]
        for i in range(3):
            offsets[arm, i] = targets[arm, i] - position[arm, i]
        across = math.sqrt(offsets[arm, 0] ** 2 + offsets[arm, 1] ** 2)
        # Once the fingers close, the gripper may be a little further off without being sent back.
        slack = 1.0 if opening[arm] > 0.065 else _SLACK
        ready = ready and across < _NEAR_M * slack and abs(offsets[arm, 2]) < _NEAR_M * slack
        ready = ready and angle < _ALIGNED_RAD * slack and opening[arm] > _MISSED_BELOW_M
        held = held and opening[arm] < _HELD_BELOW_M
        hover = _HOVER_BY_OFFSET * max(0.0, across - 0.8 * _NEAR_M)
        hover += _HOVER_BY_ANGLE_M * max(0.0, angle - 0.8 * _ALIGNED_RAD)
        if opening[arm] <= _MISSED_BELOW_M or tilt > _UPSET_RAD:
            hover = _HOVER_M
        offsets[arm, 2] += min(hover, _HOVER_M)
    held = held and ready
    if held:
        # Lift level: both grippers follow one height.
        low = 0.5 * (position[0, 2] + position[1, 2])
        step = min(_LIFT_M - clearance, 0.04)
        for arm in range(2):
            offsets[arm, 0] = 0.0
            offsets[arm, 1] = 0.0
            offsets[arm, 2] = low + step - position[arm, 2]
    for arm in range(2):
        write_pose_delta(offsets[arm], turns[arm], action[7 * arm :])
        action[7 * arm + 6] = 1.0 if ready else -1.0
    return held


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular = np.empty((2, 3)), np.empty((2, 3))
    opening, handle, bar = np.empty(2), np.empty((2, 3)), np.empty((2, 3))
    read_arms(robot, position, rotation, linear, angular, opening)
    for arm in range(2):
        where = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE * arm :]
        for i in range(3):
            handle[arm, i] = where[i]
            bar[arm, i] = where[3 + i]
    clearance = objects[_CLEARANCE]
    tilt = math.acos(min(max(objects[_OBJECT_OFFSET + 8], -1.0), 1.0))
    action, gone = np.empty(14), np.empty(3)
    for row in range(len(out)):
        held = _decide(position, rotation, opening, handle, bar, clearance, tilt, action)
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        rise = 0.0
        for arm in range(2):
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
            if held:
                for i in range(3):
                    handle[arm, i] += gone[i]
                rise += 0.5 * gone[2]
            away = 0.0
            for i in range(3):
                away += (handle[arm, i] - position[arm, i]) ** 2
            narrowest = _BAR_M if away < 0.03**2 else 0.0
            opening[arm] = predict_opening(opening[arm], action[7 * arm + 6], narrowest)
        clearance += rise
