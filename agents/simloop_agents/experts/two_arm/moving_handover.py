"""Handing a bar to an arm whose base drifts.

The left arm picks the bar up by its end, top-down, and holds it where both arms reach it. The right arm waits above
that place, keeps over its end of the bar against the drift of its own base, descends, closes, and the left arm lets go.
The drift is predicted with the velocity that the base has at the observation; that it changes is not known beforehand.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.geometry import (
    STEP_S,
    keep_committed,
    predict_arm,
    predict_opening,
    read_arms,
    rotation_error,
    top_down_grasp,
    write_pose_delta,
)

_OBJECT_OFFSET, _OBJECT_ARM_SIZE = 13, 9
_DRIFT = 31

_PLACE_M = (0.47, 0.0, 0.12)
"""Where each arm's end of the bar is handed over, in the frame of the arm's base while it has not drifted."""
_AT_PLACE_M = 0.04
_BAR_M = 0.03
_HELD_BELOW_M, _MISSED_BELOW_M = 0.0345, 0.022
_NEAR_ACROSS_M, _NEAR_ALONG_M, _NEAR_HEIGHT_M, _ALIGNED_RAD = 0.012, 0.03, 0.012, 0.12
"""How near a gripper has to be to its place on the bar before the fingers close."""
_SLACK = 1.6
_HOVER_M, _WAIT_M = 0.08, 0.10
_HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 6.0, 0.5
"""How high a gripper stays over the bar: metres per metre and per radian that it is still off."""
_LEAD_S = 0.2
"""A goal has to be this far ahead of a gripper for it to keep up with a moving target: metres per m/s."""
_RETREAT_M = 0.25
"""Height to which the giver goes away after it has let go, in the frame of its base."""
_GRASP_M, _HALF_LENGTH_M, _TABLE_TOP_M = 0.09, 0.17, -0.112
"""The arms' places from the bar's middle, half the bar's length with its corners, the table top in a base's frame."""
_CLEARANCE_M = 0.14
"""The receiver lifts the bar until its lower end is this high over the table."""
_CARRY_M = 0.035
"""Largest goal offset of the arm that carries the bar."""


@numba.njit(cache=True)
def _decide(
    position: Any,
    rotation: Any,
    opening: Any,
    place: Any,
    along: Any,
    drift: Any,
    velocity: Any,
    held: Any,
    action: Any,
) -> None:
    """Writes the (14,) action for a state, and which arms hold the bar.

    Args:
        position, place, along: (2, 3), each arm's in the frame of its own base: grip site, the arm's place on the
            bar, unit vector along the bar.
        rotation: (2, 3, 3) of the grippers.
        opening: (2,) metres.
        drift, velocity: (2,) of the right arm's base, in its own frame.
        held: (2,) booleans, written.
        action: (14,), written.
    """
    offsets, turns = np.empty((2, 3)), np.empty((2, 3))
    goal = np.zeros((3, 3))
    near, far = np.zeros(2, dtype=np.bool_), np.zeros(2)
    for arm in range(2):
        sign = 1.0 if along[arm, 0] >= 0.0 else -1.0
        norm = math.sqrt(along[arm, 0] ** 2 + along[arm, 1] ** 2)
        ux, uy = sign * along[arm, 0] / norm, sign * along[arm, 1] / norm
        top_down_grasp(ux, uy, goal)
        angle = rotation_error(goal, rotation[arm], turns[arm])
        for i in range(3):
            offsets[arm, i] = place[arm, i] - position[arm, i]
        lengthwise = abs(offsets[arm, 0] * ux + offsets[arm, 1] * uy)
        across = abs(offsets[arm, 1] * ux - offsets[arm, 0] * uy)
        height = abs(offsets[arm, 2])
        slack = 1.0 if opening[arm] > 0.065 else _SLACK
        near[arm] = (
            across < _NEAR_ACROSS_M * slack
            and lengthwise < _NEAR_ALONG_M * slack
            and height < _NEAR_HEIGHT_M * slack
            and angle < _ALIGNED_RAD * slack
            and opening[arm] > _MISSED_BELOW_M
        )
        held[arm] = (
            opening[arm] < _HELD_BELOW_M
            and opening[arm] > _MISSED_BELOW_M
            and across < 0.02
            and lengthwise < 0.06
            and height < 0.025
        )
        off = max(across - 0.8 * _NEAR_ACROSS_M, lengthwise - 0.8 * _NEAR_ALONG_M, 0.0)
        far[arm] = _HOVER_BY_OFFSET * off + _HOVER_BY_ANGLE_M * max(0.0, angle - 0.8 * _ALIGNED_RAD)
        if opening[arm] <= _MISSED_BELOW_M:
            far[arm] = _HOVER_M
    action[6], action[13] = -1.0, -1.0
    # The giver.
    limit = 1.0
    if held[1]:
        for i in range(3):
            offsets[0, i] = turns[0, i] = 0.0
        if opening[0] > 0.06:
            offsets[0, 2] = min(max(_RETREAT_M - position[0, 2], 0.0), 0.03)
    elif held[0]:
        action[6] = 1.0
        top_down_grasp(1.0, 0.0, goal)
        rotation_error(goal, rotation[0], turns[0])
        way = 0.0
        for i in range(3):
            offsets[0, i] = _PLACE_M[i] - position[0, i]
            way += offsets[0, i] ** 2
        way = math.sqrt(way)
        if way > _CARRY_M:
            limit = _CARRY_M / way
        for i in range(3):
            offsets[0, i] *= limit
            turns[0, i] *= 0.5
    else:
        offsets[0, 2] += min(far[0], _HOVER_M)
        if near[0]:
            action[6] = 1.0
    # The receiver.
    away = 0.0
    for i in range(3):
        away += (_PLACE_M[i] - position[0, i]) ** 2
    if held[1]:
        action[13] = 1.0
        for i in range(3):
            offsets[1, i] = turns[1, i] = 0.0
        if not held[0]:
            middle = place[1, 2] - _GRASP_M * along[1, 2]
            clearance = middle - _HALF_LENGTH_M * abs(along[1, 2]) - _TABLE_TOP_M
            offsets[1, 2] = min(max(_CLEARANCE_M - clearance, 0.0), 0.03)
    elif held[0] and away < _AT_PLACE_M**2:
        offsets[1, 2] += min(far[1], _HOVER_M)
        if near[1]:
            action[13] = 1.0
    else:
        for i in range(3):
            offsets[1, i] = _PLACE_M[i] - position[1, i] - (drift[i] if i < 2 else -_WAIT_M)
        top_down_grasp(1.0, 0.0, goal)
        rotation_error(goal, rotation[1], turns[1])
    if not held[1] or held[0]:
        for i in range(2):
            offsets[1, i] -= _LEAD_S * velocity[i]
    for arm in range(2):
        write_pose_delta(offsets[arm], turns[arm], action[7 * arm :])


@numba.njit(cache=True)
def _between_bases(objects: Any, out: Any) -> None:
    """Writes the (3, 3) rotation from the left base's frame to the right base's, from the bar's axes in both."""
    axes = np.empty((2, 3, 3))
    for arm in range(2):
        first = _OBJECT_OFFSET + _OBJECT_ARM_SIZE * arm + 3
        for i in range(3):
            a, b = (i + 1) % 3, (i + 2) % 3
            axes[arm, i, 0] = objects[first + i]
            axes[arm, i, 1] = objects[first + 3 + i]
            axes[arm, i, 2] = (
                objects[first + a] * objects[first + 3 + b] - objects[first + b] * objects[first + 3 + a]
            )
    out[:] = axes[1] @ axes[0].T


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular = np.empty((2, 3)), np.empty((2, 3))
    opening, place, along = np.empty(2), np.empty((2, 3)), np.empty((2, 3))
    read_arms(robot, position, rotation, linear, angular, opening)
    for arm in range(2):
        where = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE * arm :]
        for i in range(3):
            place[arm, i] = where[i]
            along[arm, i] = where[3 + i]
    drift, velocity = objects[_DRIFT : _DRIFT + 2].copy(), objects[_DRIFT + 2 : _DRIFT + 4].copy()
    to_right = np.empty((3, 3))
    _between_bases(objects, to_right)
    held = np.zeros(2, dtype=np.bool_)
    action, gone, turned = np.empty(14), np.empty((2, 3)), np.empty(3)
    for row in range(len(out)):
        _decide(position, rotation, opening, place, along, drift, velocity, held, action)
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        for arm in range(2):
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone[arm])
            away = 0.0
            for i in range(3):
                away += (place[arm, i] - position[arm, i]) ** 2
            narrowest = _BAR_M if away < 0.04**2 else 0.0
            opening[arm] = predict_opening(opening[arm], action[7 * arm + 6], narrowest)
        if held[0]:
            sign = 1.0 if along[0, 0] >= 0.0 else -1.0
            for i in range(3):
                turned[i] = sign * rotation[0, i, 1]
            for i in range(3):
                place[0, i] += gone[0, i]
                along[0, i] = turned[i]
                for k in range(3):
                    place[1, i] += to_right[i, k] * gone[0, k]
            for i in range(3):
                along[1, i] = 0.0
                for k in range(3):
                    along[1, i] += to_right[i, k] * turned[k]
        elif held[1]:
            for i in range(3):
                place[1, i] += gone[1, i]
        for i in range(2):
            drift[i] += velocity[i] * STEP_S
            if held[0] or not held[1]:
                place[1, i] -= velocity[i] * STEP_S
