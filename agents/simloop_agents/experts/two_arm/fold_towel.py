"""Folding a towel in half with two arms.

Both hands lean outwards and take the carried edge by its corners, which hang over the board's sides: one finger over
the cloth, one under it. They carry the edge along an arc onto the opposite one, open, and leave the way they came.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.geometry import (
    keep_committed,
    limit_length,
    predict_arm,
    predict_opening,
    read_arms,
    rotation_error,
    write_pose_delta,
)

_OBJECT_OFFSET, _OBJECT_ARM_SIZE = 27, 12
_CORNER, _EDGE, _TARGET = 0, 3, 6
"""Where they are within an arm's part of ``object_state``."""

_DOWN_RAD = math.radians(55.0)
"""How far below the horizontal the hands point; further up, the Panda's wrist reaches the end of its joints."""
_READY_M = 0.034
"""Opening with which a hand comes: wider, and its inner finger would meet the board."""
_READY_SLACK_M = (0.004, 0.008)
_THICKNESS_M = 0.01
"""Opening with the towel between the fingers."""

_BACK_M = 0.10
"""How far before its corner a hand waits until it is turned."""
_BACK_BY_OFFSET, _BACK_BY_ANGLE_M = 4.0, 0.4
"""How far it stays back: metres per metre and per radian that it is still off."""
_PAST_M = 0.003
"""How far past the corner the grip site goes: the pads' middle lies this far behind it."""
_NEAR_M, _GAP_M, _ALIGNED_RAD = 0.006, 0.009, 0.12
"""How near a hand has to be before it closes: along and across its fingers, between them, and in direction."""
_SLACK = 1.8
_GRASPED_WITHIN_M, _HELD_WITHIN_M, _HELD_BELOW_M = 0.011, 0.02, 0.018
"""How near a corner has to be to the middle of closed fingers: before it is lifted, and in the air."""
_LOW_M = 0.02

_REACH_STEP_M, _CARRY_STEP_M = 0.05, 0.03
"""Largest goal offset in a row: on the way to the towel, and with it."""
_HALF_M = 0.16
"""Half the towel's length: the radius of the arc."""
_ARC_STEP_RAD = 0.30
_ARC_HEIGHT_RATIO = 0.95
_DROP_M = 0.012
"""Height over the opposite corner at which the arc ends."""
_LAID_M, _LAID_HEIGHT_M = 0.018, 0.05
"""A corner this near to the opposite one, from above and in height, is let go of."""
_FREE_M, _LEAVE_M = 0.06, 0.14
"""Opening from which a hand leaves, and how far."""


@numba.njit(cache=True)
def _carry(target: Any, corner: Any, phase: float, offset: Any) -> None:
    """Writes the way (3,) from a corner to its place on the arc at an angle: 0 at the start, pi at its target."""
    dx, dy = target[0] - corner[0], target[1] - corner[1]
    left = math.sqrt(dx * dx + dy * dy)
    share = (left - _HALF_M * (1.0 + math.cos(phase))) / left if left > 1e-6 else 0.0
    offset[0], offset[1] = share * dx, share * dy
    offset[2] = target[2] + _DROP_M + _ARC_HEIGHT_RATIO * _HALF_M * math.sin(phase) - corner[2]
    limit_length(offset, _CARRY_STEP_M)


@numba.njit(cache=True)
def _leaning_hand(x: float, y: float, side: float, out: Any) -> None:
    """Writes the rotation (3, 3) of a hand that leans back from a heading and closes in the plane of its lean.

    Args:
        x, y: Where it heads, horizontally.
        side: 1 or -1: which of the two ways to turn about its own axis.
        out: (3, 3), written; its last column is where the hand points.
    """
    norm = math.sqrt(x * x + y * y)
    x, y = x / norm, y / norm
    cosine, sine = math.cos(_DOWN_RAD), math.sin(_DOWN_RAD)
    out[0, 0], out[1, 0], out[2, 0] = side * sine * x, side * sine * y, side * cosine
    out[0, 1], out[1, 1], out[2, 1] = side * y, -side * x, 0.0
    out[0, 2], out[1, 2], out[2, 2] = cosine * x, cosine * y, -sine


@numba.njit(cache=True)
def _decide(
    position: Any, rotation: Any, opening: Any, corner: Any, edge: Any, target: Any, action: Any
) -> bool:
    """Writes the (14,) action for a state and returns whether the hands carry both corners.

    Args:
        position, corner, edge, target: (2, 3), each arm's in the frame of its own base.
        rotation: (2, 3, 3) of the grippers.
        opening: (2,) metres.
        action: (14,), written.
    """
    offsets, turns, ways, grip = np.empty((2, 3)), np.empty((2, 3)), np.empty((2, 3)), np.empty(2)
    goal = np.zeros((3, 3))
    is_held, is_laid, left = True, True, 0.0
    for arm in range(2):
        # The arms mirror each other: the left hand turns one way about its own axis, the right hand the other.
        side = 1.0 if arm == 0 else -1.0
        _leaning_hand(edge[arm, 0], edge[arm, 1], side, goal)
        way = goal[:, 2].copy()
        ways[arm] = way
        angle = rotation_error(goal, rotation[arm], turns[arm])
        along, gap, distance = 0.0, 0.0, 0.0
        for i in range(3):
            offsets[arm, i] = corner[arm, i] + _PAST_M * way[i] - position[arm, i]
            along += offsets[arm, i] * way[i]
            gap += offsets[arm, i] * goal[i, 0]
            distance += offsets[arm, i] ** 2
        across = math.sqrt(max(distance - along**2, 0.0))
        aside = math.sqrt(max(distance - along**2 - gap**2, 0.0))
        is_low = corner[arm, 2] - target[arm, 2] < _LOW_M
        holds = (
            math.sqrt(distance) < (_GRASPED_WITHIN_M if is_low else _HELD_WITHIN_M)
            and opening[arm] < _HELD_BELOW_M
        )
        # Once the fingers close, the gripper may be a little further off without being sent back.
        slack = 1.0 if opening[arm] > _READY_M - 0.01 else _SLACK
        is_near = max(abs(along), aside) < _NEAR_M * slack and abs(gap) < _GAP_M * slack
        if holds or (is_near and angle < _ALIGNED_RAD * slack):
            grip[arm] = 1.0
        elif opening[arm] < _READY_M - _READY_SLACK_M[0]:
            grip[arm] = -1.0
        else:
            grip[arm] = 1.0 if opening[arm] > _READY_M + _READY_SLACK_M[1] else 0.0
        back = _BACK_BY_OFFSET * max(0.0, across - _NEAR_M)
        back += _BACK_BY_ANGLE_M * max(0.0, angle - 0.7 * _ALIGNED_RAD)
        for i in range(3):
            offsets[arm, i] -= min(back, _BACK_M) * way[i]
        limit_length(offsets[arm], _REACH_STEP_M)
        is_held = is_held and holds
        dx, dy = target[arm, 0] - corner[arm, 0], target[arm, 1] - corner[arm, 1]
        rest = math.sqrt(dx * dx + dy * dy)
        left += 0.5 * rest
        is_laid = is_laid and rest < _LAID_M and corner[arm, 2] - target[arm, 2] < _LAID_HEIGHT_M
    phase = math.acos(min(max(left / _HALF_M - 1.0, -1.0), 1.0))
    for arm in range(2):
        if is_laid:
            grip[arm] = -1.0
            is_free = opening[arm] > _FREE_M
            for i in range(3):
                leave = corner[arm, i] - _LEAVE_M * ways[arm, i] - position[arm, i]
                offsets[arm, i] = leave if is_free else 0.0
            limit_length(offsets[arm], _CARRY_STEP_M)
        elif is_held:
            _carry(target[arm], corner[arm], min(phase + _ARC_STEP_RAD, math.pi), offsets[arm])
        write_pose_delta(offsets[arm], turns[arm], action[7 * arm :])
        action[7 * arm + 6] = grip[arm]
    return is_held and not is_laid


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular = np.empty((2, 3)), np.empty((2, 3))
    opening, corner = np.empty(2), np.empty((2, 3))
    edge, target = np.empty((2, 3)), np.empty((2, 3))
    read_arms(robot, position, rotation, linear, angular, opening)
    for arm in range(2):
        where = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE * arm :]
        for i in range(3):
            corner[arm, i] = where[_CORNER + i]
            edge[arm, i] = where[_EDGE + i]
            target[arm, i] = where[_TARGET + i]
    action, gone = np.empty(14), np.empty(3)
    for row in range(len(out)):
        is_carried = _decide(position, rotation, opening, corner, edge, target, action)
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        for arm in range(2):
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
            away = 0.0
            for i in range(3):
                if is_carried:
                    corner[arm, i] += gone[i]
                away += (corner[arm, i] - position[arm, i]) ** 2
            narrowest = _THICKNESS_M if away < _HELD_WITHIN_M**2 else 0.0
            opening[arm] = predict_opening(opening[arm], action[7 * arm + 6], narrowest)
