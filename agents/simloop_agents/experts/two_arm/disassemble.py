"""Pulling two bricks apart that are snapped together.

Each arm takes its brick top-down, across. Once both hold, they pull against each other along the stud, and stop when
the bricks are apart. When the snap fit will open is not known: as long as it holds, the predicted hands stay.
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

_OBJECT_OFFSET, _OBJECT_ARM_SIZE = 26, 9
_IS_CLOSED = 44

_BRICK_M = 0.036
_HELD_BELOW_M, _MISSED_BELOW_M = 0.0405, 0.028
_NEAR_M, _ALIGNED_RAD = 0.012, 0.12
"""How near a gripper has to be to its grasp before the fingers close."""
_SLACK = 1.6
_HOVER_M = 0.065
_HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 6.0, 0.5
"""How high a gripper stays over its brick: metres per metre and per radian that it is still off."""
_PULL_M = 0.05
"""Offset of the goals of arms that pull."""
_APART_M = 0.22
"""Distance of the bricks' centres at which the arms stop; their faces are 0.08 m apart then."""


@numba.njit(cache=True)
def _decide(
    position: Any, rotation: Any, opening: Any, place: Any, along: Any, distance: float, action: Any
) -> bool:
    """Writes the (14,) action for a state and returns whether both bricks are held.

    Args:
        position, place, along: (2, 3), each arm's in the frame of its own base: grip site, its brick's centre, unit
            vector along the stud towards the right brick.
        rotation: (2, 3, 3) of the grippers.
        opening: (2,) metres.
        distance: Of the bricks' centres, metres.
        action: (14,), written.
    """
    offsets, turns = np.empty((2, 3)), np.empty((2, 3))
    goal = np.zeros((3, 3))
    held = True
    for arm in range(2):
        sign = 1.0 if along[arm, 0] >= 0.0 else -1.0
        norm = math.sqrt(along[arm, 0] ** 2 + along[arm, 1] ** 2)
        ux, uy = sign * along[arm, 0] / norm, sign * along[arm, 1] / norm
        top_down_grasp(ux, uy, goal)
        angle = rotation_error(goal, rotation[arm], turns[arm])
        for i in range(3):
            offsets[arm, i] = place[arm, i] - position[arm, i]
        across = math.sqrt(offsets[arm, 0] ** 2 + offsets[arm, 1] ** 2)
        slack = 1.0 if opening[arm] > 0.065 else _SLACK
        near = across < _NEAR_M * slack and abs(offsets[arm, 2]) < _NEAR_M * slack
        near = near and angle < _ALIGNED_RAD * slack and opening[arm] > _MISSED_BELOW_M
        # What is held may have slid a little along the fingers.
        holds = opening[arm] < _HELD_BELOW_M and opening[arm] > _MISSED_BELOW_M
        holds = holds and across < 0.05 and abs(offsets[arm, 2]) < 0.03
        held = held and holds
        hover = _HOVER_BY_OFFSET * max(0.0, across - 0.8 * _NEAR_M)
        hover += _HOVER_BY_ANGLE_M * max(0.0, angle - 0.8 * _ALIGNED_RAD)
        if opening[arm] <= _MISSED_BELOW_M:
            hover = _HOVER_M
        if holds:
            for i in range(3):
                offsets[arm, i] = turns[arm, i] = 0.0
        else:
            offsets[arm, 2] += min(hover, _HOVER_M)
        action[7 * arm + 6] = 1.0 if near or holds else -1.0
    if held:
        pull = min(max(_APART_M - distance, 0.0) * 2.0, _PULL_M)
        for arm in range(2):
            way = -pull if arm == 0 else pull
            for i in range(2):
                offsets[arm, i] = way * along[arm, i]
    for arm in range(2):
        write_pose_delta(offsets[arm], turns[arm], action[7 * arm :])
    return held


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular = np.empty((2, 3)), np.empty((2, 3))
    opening, place, along = np.empty(2), np.empty((2, 3)), np.empty((2, 3))
    read_arms(robot, position, rotation, linear, angular, opening)
    distance = 0.0
    for arm in range(2):
        where = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE * arm :]
        for i in range(3):
            place[arm, i] = where[i]
            along[arm, i] = where[3 + i]
    for i in range(3):
        distance += (objects[13 + i] - objects[i]) ** 2
    distance = math.sqrt(distance)
    is_closed = objects[_IS_CLOSED] > 0.5
    action, gone = np.empty(14), np.empty(3)
    for row in range(len(out)):
        held = _decide(position, rotation, opening, place, along, distance, action)
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        for arm in range(2):
            grip = action[7 * arm + 6]
            away = 0.0
            for i in range(3):
                away += (place[arm, i] - position[arm, i]) ** 2
            narrowest = _BRICK_M if away < 0.05**2 else 0.0
            opening[arm] = predict_opening(opening[arm], grip, narrowest)
            if held and is_closed:
                continue
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
            if held:
                for i in range(3):
                    place[arm, i] += gone[i]
                    distance += gone[i] * along[arm, i] * (-1.0 if arm == 0 else 1.0)
