"""What each arm does in a transport: the left opens a bin and takes the hammer, the right clears the other bin.

Everything is in the frame of the arm's own base. ``transport`` says how the arms work together.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.geometry import leaning_grasp, rotation_error, write_pose_delta
from simloop_agents.experts.two_arm.transport_grasps import SAFE_M, grasp_point, reach, rise_first

# The parts' sizes, as robosuite makes them.
HANDLE_WIDTH_M, _TO_MIDDLE_M = 0.03, 0.0165
"""The last: from the handle's centre towards the head to the middle of the whole hammer."""
TRASH_WIDTH_M, LID_BAR_M = 0.04, 0.02
_LID_REST_M = 0.055
"""A lid on the table lies this far below the centre of a bin."""

LET_GO_M, _FREE_M = 0.012, 0.12
"""How much wider than the handle fingers are that have let go of it, and how far away the hand can turn freely."""
_LAID_M, _OWN_REACH_M, _LYING_M = 0.015, 0.65, 0.0
"""Height over the table at which the lid is let go of, and where an arm picks the hammer up: how far from its base,
and below which height it lies."""
LID_GRASP_M = 0.012
"""Height of the grasp over the lid's centre."""
_LID_OFF_M, _LID_AWAY_M = 0.305, 0.40
_LEFT_FROM_CENTRE_M, _RIGHT_FROM_CENTRE_M = 0.03, 0.08

_HOVER_M, _LID_HOVER_M, _RIGHT_HOVER_M = 0.18, 0.08, 0.10
_LOW_LEAN_RAD = -0.25
"""A hand low and near its base leans back, away from where the wrist's axes fall together."""
_MEETING_M = (0.75, 0.0, 0.27)
_LEFT_LEAN_RAD, _RIGHT_LEAN_RAD, _PRESENTED_RAD = 0.25, 0.5, 0.1
_CALM_M = 0.03
_WAITING_M = (0.60, 0.0, 0.40)
_HOME_M = (0.45, 0.0, 0.25)
_BACK_M = 0.10
_TRAVEL_M = 0.16
_DROP_TRASH_M, _DROP_PAYLOAD_M = 0.11, 0.17
_OVER_BIN_M = 0.03


@numba.njit(cache=True)
def decide_left(
    position: Any,
    rotation: Any,
    opening: float,
    handle: Any,
    along: Any,
    lid: Any,
    start_bin: Any,
    drift: Any,
    has_lid: Any,
    is_held: Any,
    is_done: Any,
    seen: Any,
    action: Any,
) -> bool:
    """Writes the left arm's 7 entries; returns whether the hammer is where the right arm can take it."""
    goal, turn, offset, point = np.empty((3, 3)), np.empty(3), np.empty(3), np.empty(3)
    down = np.array((0.0, 0.0, -1.0))
    is_calm = False
    grip = -1.0
    point[0], point[1], point[2] = lid[0], lid[1], lid[2] + LID_GRASP_M
    heading = math.atan2(rotation[1, 1], rotation[0, 1])
    if is_done:
        # The right arm has it: let go, then draw back the way the hand came.
        grasp_point(handle, along, position, point)
        away = 0.0
        for i in range(3):
            away += (point[i] - position[i]) ** 2
            turn[i] = offset[i] = 0.0
        if opening > HANDLE_WIDTH_M + LET_GO_M:
            for i in range(3):
                offset[i] = -_BACK_M * rotation[i, 2]
        if away > _FREE_M**2:
            leaning_grasp(0.0, 0.0, goal)
            rotation_error(goal, rotation, turn)
            for i in range(3):
                offset[i] = _HOME_M[i] - position[i]
            rise_first(position, offset, position)
    elif has_lid:
        leaning_grasp(0.0, 0.0, goal)
        rotation_error(goal, rotation, turn)
        offset[0] = start_bin[0] - lid[0]
        offset[1] = start_bin[1] + _LID_AWAY_M - lid[1]
        grip = 1.0
        if math.sqrt(offset[0] ** 2 + offset[1] ** 2) > 0.03:
            offset[2] = _TRAVEL_M - position[2]
            rise_first(position, offset, position)
        else:
            height = lid[2] - (start_bin[2] - _LID_REST_M)
            offset[2] = -height - 0.01
            if height < _LAID_M:
                grip = -1.0
    elif math.sqrt((lid[0] - start_bin[0]) ** 2 + (lid[1] - start_bin[1]) ** 2) < _LID_OFF_M:
        leaning_grasp(0.0, 0.0, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = point[i] - position[i]
        if reach(offset, drift, down, angle, LID_BAR_M, opening, _LID_HOVER_M, seen):
            grip = 1.0
    elif is_held:
        step = min(max(heading, -_PRESENTED_RAD), _PRESENTED_RAD) if position[2] > SAFE_M else heading
        leaning_grasp(step, _LEFT_LEAN_RAD if position[2] > SAFE_M + 0.05 else 0.0, goal)
        angle = rotation_error(goal, rotation, turn)
        away = 0.0
        for i in range(3):
            offset[i] = _MEETING_M[i] - position[i]
            away += offset[i] ** 2
        is_calm = math.sqrt(away) < _CALM_M and angle < 0.2
        # Until it is over the walls, the hammer's middle stays over the middle of the bin.
        for i in range(2):
            point[i] = position[i] + start_bin[i] - handle[i] - _TO_MIDDLE_M * along[i]
        rise_first(position, offset, point)
        grip = 1.0
    elif handle[0] < _OWN_REACH_M:
        sign = 1.0 if along[0] * rotation[0, 1] + along[1] * rotation[1, 1] > 0.0 else -1.0
        leaning_grasp(math.atan2(sign * along[1], sign * along[0]), 0.5 * _LOW_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = handle[i] - sign * _LEFT_FROM_CENTRE_M * along[i] - position[i]
        if reach(offset, drift, down, angle, HANDLE_WIDTH_M, opening, _HOVER_M, seen):
            grip = 1.0
        rise_first(position, offset, position)
    else:
        leaning_grasp(0.0, 0.0, goal)
        rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = _HOME_M[i] - position[i]
    write_pose_delta(offset, turn, action)
    action[6] = grip
    return is_calm


@numba.njit(cache=True)
def decide_right(
    position: Any,
    rotation: Any,
    opening: float,
    handle: Any,
    along: Any,
    trash: Any,
    trash_heading: float,
    target_bin: Any,
    trash_bin: Any,
    is_cleared: Any,
    is_delivered: Any,
    is_offered: Any,
    drift: Any,
    has_trash: Any,
    is_held: Any,
    is_alone: Any,
    is_letting_go: Any,
    seen: Any,
    action: Any,
) -> None:
    """Writes the right arm's 7 entries."""
    goal, turn, offset = np.empty((3, 3)), np.empty(3), np.empty(3)
    down = np.array((0.0, 0.0, -1.0))
    grip = -1.0
    if is_letting_go:
        for i in range(3):
            turn[i] = offset[i] = 0.0
    elif is_held and not is_alone:
        for i in range(3):
            turn[i] = offset[i] = 0.0
        grip = 1.0
    elif is_held:
        leaning_grasp(0.0, 0.0, goal)
        rotation_error(goal, rotation, turn)
        across = 0.0
        for i in range(2):
            offset[i] = target_bin[i] - handle[i] - _TO_MIDDLE_M * along[i]
            across += offset[i] ** 2
        is_over = math.sqrt(across) < _OVER_BIN_M
        offset[2] = (_DROP_PAYLOAD_M - 0.02 if is_over else _TRAVEL_M + 0.08) - position[2]
        grip = -1.0 if is_over and position[2] < _DROP_PAYLOAD_M else 1.0
    elif is_delivered:
        leaning_grasp(0.0, 0.0, goal)
        rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = _HOME_M[i] - position[i]
        rise_first(position, offset, position)
    elif has_trash:
        leaning_grasp(0.0, _LOW_LEAN_RAD, goal)
        rotation_error(goal, rotation, turn)
        offset[0], offset[1] = trash_bin[0] - trash[0], trash_bin[1] - trash[1]
        is_over = math.sqrt(offset[0] ** 2 + offset[1] ** 2) < _OVER_BIN_M
        offset[2] = (_DROP_TRASH_M - 0.02 if is_over else _TRAVEL_M) - position[2]
        rise_first(position, offset, target_bin)
        grip = -1.0 if is_over and position[2] < _DROP_TRASH_M else 1.0
    elif not is_cleared:
        leaning_grasp(trash_heading, _LOW_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = trash[i] - position[i]
        if reach(offset, drift, down, angle, TRASH_WIDTH_M, opening, _HOVER_M, seen):
            grip = 1.0
        rise_first(position, offset, position)
    elif handle[0] < _OWN_REACH_M and handle[2] < _LYING_M:
        # It fell on the way: pick it up where it lies.
        sign = 1.0 if along[0] > 0.0 else -1.0
        leaning_grasp(math.atan2(sign * along[1], sign * along[0]), 0.5 * _LOW_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = handle[i] - position[i]
        if reach(offset, drift, down, angle, HANDLE_WIDTH_M, opening, _HOVER_M, seen):
            grip = 1.0
        rise_first(position, offset, position)
    elif is_offered:
        sign = 1.0 if along[0] > 0.0 else -1.0
        leaning_grasp(math.atan2(sign * along[1], sign * along[0]), _RIGHT_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = handle[i] - sign * _RIGHT_FROM_CENTRE_M * along[i] - position[i]
        if reach(offset, drift, goal[:, 2], angle, HANDLE_WIDTH_M, opening, _RIGHT_HOVER_M, seen):
            grip = 1.0
    else:
        leaning_grasp(0.0, _RIGHT_LEAN_RAD, goal)
        rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = _WAITING_M[i] - position[i]
        rise_first(position, offset, position)
    write_pose_delta(offset, turn, action)
    action[6] = grip
