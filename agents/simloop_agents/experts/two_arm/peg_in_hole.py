"""Putting the peg of the left arm into the hole of the right arm's plate.

Both hands roll by 45 degrees about the line between the arms, so that peg and plate form a right angle while neither
arm comes near the end of its joints. The plate goes to a place halfway between the arms, the peg to a stand-off before
the hole; the better it is lined up, the deeper it goes.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.geometry import (
    carry_point,
    keep_committed,
    predict_arm,
    read_arms,
    rotation_error,
    turn_between_bases,
    write_pose_delta,
)

_OBJECT_OFFSET, _OBJECT_ARM_SIZE = 16, 12
_PEG, _AXIS, _HOLE, _NORMAL = 0, 3, 6, 9
"""Where they are within an arm's part of ``object_state``."""

_ROLL = math.sqrt(0.5)
"""Sine and cosine of both hands' roll."""
_HALF_PEG_M = 0.13
_MEETING_M = (0.6, 0.0, 0.10)
"""Where the hole goes, in the frame of the right arm's base; the bases are 1.2 m apart."""
_HOLE_SHIFT_M = 0.008
"""The plate's opening has its middle a little beyond the point that the task's condition calls the hole's centre."""
_STAND_OFF_M = 0.06
_INSERTED_M = 0.08
"""How far the peg's tip goes beyond the middle of the plate."""
_NEAR_M, _CLEAR_M = 0.05, 0.03
_LINED_UP_M, _LINED_UP_RAD = 0.010, 0.08
_BACK_BY_OFFSET, _BACK_BY_ANGLE_M = 6.0, 0.5
"""How far the peg stays back: metres per metre and per radian that it is off."""


@numba.njit(cache=True)
def _decide(rotation: Any, peg: Any, hole: Any, hole_right: Any, action: Any) -> None:
    """Writes the (12,) action for a state.

    Args:
        rotation: (2, 3, 3) of the hands, each in the frame of its arm's base.
        peg, hole: (3,) peg's and hole's centre in the frame of the left arm's base.
        hole_right: (3,) hole's centre in the frame of the right arm's base.
        action: (12,), written.
    """
    goal, turn, offset = np.zeros((3, 3)), np.empty(3), np.empty(3)
    # From a hand that points down with its x axis along the base's y, rolled about the base's x.
    goal[1, 0], goal[2, 0] = _ROLL, _ROLL
    goal[0, 1] = 1.0
    goal[1, 2], goal[2, 2] = _ROLL, -_ROLL

    angle = rotation_error(goal, rotation[0], turn)
    depth, across = 0.0, 0.0
    for i in range(3):
        offset[i] = hole[i] - peg[i]
    offset[0] += _HOLE_SHIFT_M
    for i in range(3):
        depth += offset[i] * goal[i, 2]
    for i in range(3):
        across += (offset[i] - depth * goal[i, 2]) ** 2
    across = math.sqrt(across)
    back = _BACK_BY_OFFSET * max(0.0, across - _LINED_UP_M) + _BACK_BY_ANGLE_M * max(
        0.0, angle - _LINED_UP_RAD
    )
    wanted = _HALF_PEG_M - _INSERTED_M + min(back, _STAND_OFF_M + _INSERTED_M)
    for i in range(3):
        offset[i] -= wanted * goal[i, 2]
    # Peg and plate start beside each other: the arms come together only when the peg is before the plate.
    is_before = across < _NEAR_M or depth > _HALF_PEG_M + _CLEAR_M
    if not is_before:
        offset[0] = 0.0
    write_pose_delta(offset, turn, action)

    rotation_error(goal, rotation[1], turn)
    for i in range(3):
        offset[i] = _MEETING_M[i] - hole_right[i]
    if not is_before:
        offset[0] = 0.0
    write_pose_delta(offset, turn, action[6:])


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 12) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular, opening = np.empty((2, 3)), np.empty((2, 3)), np.empty(2)
    read_arms(robot, position, rotation, linear, angular, opening)
    left = objects[_OBJECT_OFFSET : _OBJECT_OFFSET + _OBJECT_ARM_SIZE]
    right = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE :]
    cosine, sine = turn_between_bases(
        right[_AXIS : _AXIS + 3], right[_NORMAL:], left[_AXIS : _AXIS + 3], left[_NORMAL:]
    )
    peg, hole, hole_right = left[_PEG : _PEG + 3].copy(), np.empty(3), right[_HOLE : _HOLE + 3].copy()
    start, start_right = left[_HOLE : _HOLE + 3], right[_HOLE : _HOLE + 3]
    before, turned_from = np.empty((2, 3)), np.empty((2, 3, 3))
    action, gone = np.empty(12), np.empty(3)
    for row in range(len(out)):
        x, y = hole_right[0] - start_right[0], hole_right[1] - start_right[1]
        hole[0] = start[0] + cosine * x - sine * y
        hole[1] = start[1] + sine * x + cosine * y
        hole[2] = start[2] + hole_right[2] - start_right[2]
        _decide(rotation, peg, hole, hole_right, action)
        keep_committed(row, committed, num_committed, action)
        for i in range(12):
            out[row, i] = action[i]
        before[:] = position
        turned_from[:] = rotation
        for arm in range(2):
            predict_arm(action[6 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
        carry_point(peg, before[0], turned_from[0], position[0], rotation[0])
        carry_point(hole_right, before[1], turned_from[1], position[1], rotation[1])
