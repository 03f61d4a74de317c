"""Handing a hammer from the left arm to the right one.

The left arm takes the handle from above near the head, lifts it and brings it between the arms with the tail towards
the right arm, leaning forward. The right arm comes along the handle, leaning forward too, so that the two hands keep
apart on the shortest handle, and takes the tail; then the left one lets go and draws back.

The last joint of the arm allows less than a full turn, so that every heading of a hand (that of its y axis) is known
without memory, and so is the way round. Depending on how the hammer lies, the left hand takes it with its y axis
towards the tail or towards the head.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.geometry import (
    OPEN_M,
    carry_direction,
    carry_point,
    keep_committed,
    leaning_grasp,
    predict_arm,
    predict_opening,
    read_arms,
    rotation_error,
    turn_between_bases,
    write_pose_delta,
)

_SIZES, _OBJECT_OFFSET, _OBJECT_ARM_SIZE = 13, 16, 9

_FROM_HEAD_M, _FROM_TAIL_M, _RIGHT_FROM_TAIL_M = 0.022, 0.085, 0.02
"""Where the hands take the handle: the left at least the first from its head end, if it can the second from its tail
end; the right at the third from its tail end."""
_LEFT_FROM_CENTRE_M = 0.02
_ABOVE_CENTRE_M = 0.004
"""The fingers' tips reach 12 mm below the grip site, and the thinnest handle's middle lies 15 mm over the table."""
_HELD_M, _MISSED_M = 0.003, 0.008
"""How much wider, or narrower, than the handle an opening may be that has the handle in it."""
_BESIDE_M = 0.02
_NEAR_M, _ALIGNED_RAD, _SLACK = 0.010, 0.12, 1.8
_HOVER_M, _HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 0.10, 6.0, 0.5
_WIDE_M = 0.024
"""How much wider than the handle the fingers have to be before a hand goes to it."""

_FIRST_HEADING_RAD = -2.4
"""Headings of a left hand run from here to a full turn later: the last joint's range, mapped."""
_TAIL_FIRST_RAD = -1.8
"""Tails that point further round than this are taken with the hand's y axis towards the head."""
_PRESENTED_RAD, _PRESENTED_FLIPPED_RAD = 0.1, -0.1
_LARGEST_YAW_RAD = 1.0

_FREE_HEIGHT_M = -0.03
"""Height of the left hand from which the hammer has left the table (whose top is at -0.11)."""
_MEETING_M = (0.75, 0.0, 0.27)
_LEFT_LEAN_RAD, _RIGHT_LEAN_RAD = 0.25, 0.5
_BACK_M = 0.10
_SURE_ROWS = 10
"""Rows for which the right arm has to be predicted to hold before the left one is planned to let go."""
_CALM_M = 0.03
"""How near to the meeting place the left hand has to be before the right one comes."""


@numba.njit(cache=True)
def _wrapped(angle: float, first: float) -> float:
    """Returns the angle that is in [first, first + 2 pi)."""
    return first + (angle - first) % (2.0 * math.pi)


@numba.njit(cache=True)
def _place(handle: Any, along: Any, position: Any) -> tuple[float, float]:
    """Returns how far along the handle a hand is from its centre and how far beside its axis."""
    place, square = 0.0, 0.0
    for i in range(3):
        place += (position[i] - handle[i]) * along[i]
        square += (position[i] - handle[i]) ** 2
    return place, math.sqrt(max(0.0, square - place**2))


@numba.njit(cache=True)
def _has(handle: Any, along: Any, radius: float, length: float, position: Any, opening: float) -> bool:
    """Whether a hand holds the handle."""
    place, beside = _place(handle, along, position)
    return (
        abs(place) < 0.5 * length + 0.01
        and beside < _BESIDE_M
        and 2.0 * radius - _MISSED_M < opening < 2.0 * radius + _HELD_M
    )


@numba.njit(cache=True)
def _reach(offset: Any, approach: Any, angle: float, wide: float, opening: float, hover: float) -> bool:
    """Keeps a hand back along its approach until it is lined up and open; returns whether its fingers may close.

    Args:
        offset: (3,) way to the grasp, metres; changed.
        approach: (3,) direction in which the hand comes.
        angle: That it is still off, radians.
        wide: Opening from which it may come, metres.
        opening: Of its fingers, metres.
        hover: Least distance to keep back, metres.
    """
    depth, across = 0.0, 0.0
    for i in range(3):
        depth += offset[i] * approach[i]
    for i in range(3):
        across += (offset[i] - depth * approach[i]) ** 2
    across = math.sqrt(across)
    slack = 1.0 if opening > wide else _SLACK
    is_there = across < _NEAR_M * slack and abs(depth) < _NEAR_M * slack and angle < _ALIGNED_RAD * slack
    back = _HOVER_BY_OFFSET * max(0.0, across - 0.8 * _NEAR_M)
    back += _HOVER_BY_ANGLE_M * max(0.0, angle - 0.8 * _ALIGNED_RAD)
    if opening < wide and not is_there:
        back = _HOVER_M
    back = max(min(back, _HOVER_M), hover)
    for i in range(3):
        offset[i] -= back * approach[i]
    return is_there and hover == 0.0


@numba.njit(cache=True)
def _left(
    position: Any,
    rotation: Any,
    opening: float,
    handle: Any,
    along: Any,
    sizes: Any,
    is_held: Any,
    is_taken: Any,
    action: Any,
) -> bool:
    """Writes the left arm's 7 entries; returns whether the hammer is where the right arm can take it."""
    radius, length = sizes[0], sizes[1]
    goal, turn, offset = np.empty((3, 3)), np.empty(3), np.empty(3)
    heading = _wrapped(math.atan2(rotation[1, 1], rotation[0, 1]), _FIRST_HEADING_RAD)
    tail = math.atan2(-along[1], -along[0])
    is_calm = False
    if is_taken:
        # The right arm has it: let go, then draw back the way the hand came.
        for i in range(3):
            turn[i] = 0.0
            offset[i] = -_BACK_M * rotation[i, 2] if opening > 2.0 * radius + 0.012 else 0.0
        grip = -1.0
    elif is_held:
        is_flipped = rotation[0, 1] * along[0] + rotation[1, 1] * along[1] > 0.0
        way = 0.0
        if position[2] > _FREE_HEIGHT_M:
            if is_flipped:
                way = _PRESENTED_FLIPPED_RAD + math.pi - heading
            else:
                way = min(max(heading, -_PRESENTED_RAD), _PRESENTED_RAD) - heading
        step = min(max(way, -_LARGEST_YAW_RAD), _LARGEST_YAW_RAD)
        lean = _LEFT_LEAN_RAD if position[2] > _FREE_HEIGHT_M and abs(way) < 0.5 else 0.0
        _lean_with(heading + step, lean, is_flipped, goal)
        angle = rotation_error(goal, rotation, turn)
        away = 0.0
        for i in range(3):
            offset[i] = _MEETING_M[i] - position[i]
            away += offset[i] ** 2
        is_calm = math.sqrt(away) < _CALM_M and abs(way) < 0.2 and angle < 0.3
        if position[2] < _FREE_HEIGHT_M:
            offset[0] = offset[1] = 0.0
        grip = 1.0
    else:
        place = min(0.5 * length - _FROM_HEAD_M, max(_FROM_TAIL_M - 0.5 * length, _LEFT_FROM_CENTRE_M))
        is_flipped = _wrapped(tail, -math.pi) < _TAIL_FIRST_RAD
        wanted = tail + math.pi if is_flipped else tail
        way = _wrapped(wanted, _FIRST_HEADING_RAD) - heading
        step = min(max(way, -_LARGEST_YAW_RAD), _LARGEST_YAW_RAD)
        leaning_grasp(heading + step, 0.0, goal)
        angle = max(rotation_error(goal, rotation, turn), abs(way))
        for i in range(3):
            offset[i] = handle[i] + place * along[i] - position[i]
        offset[2] += _ABOVE_CENTRE_M
        down = np.array((0.0, 0.0, -1.0))
        is_there = _reach(offset, down, angle, 2.0 * radius + _WIDE_M, opening, 0.0)
        grip = 1.0 if is_there and opening > 2.0 * radius - _MISSED_M else -1.0
    write_pose_delta(offset, turn, action)
    action[6] = grip
    return is_calm


@numba.njit(cache=True)
def _lean_with(heading: float, lean: float, is_flipped: Any, goal: Any) -> None:
    """Writes the rotation of a hand with a heading that leans towards the tail of what it holds."""
    if is_flipped:
        leaning_grasp(heading - math.pi, lean, goal)
        for i in range(3):
            goal[i, 0] = -goal[i, 0]
            goal[i, 1] = -goal[i, 1]
    else:
        leaning_grasp(heading, lean, goal)


@numba.njit(cache=True)
def _right(
    position: Any,
    rotation: Any,
    opening: float,
    handle: Any,
    along: Any,
    sizes: Any,
    is_offered: Any,
    is_held: Any,
    action: Any,
) -> None:
    """Writes the right arm's 7 entries: waits before the tail, takes it when it is offered, then stays."""
    radius, length = sizes[0], sizes[1]
    goal, turn, offset = np.empty((3, 3)), np.empty(3), np.empty(3)
    grip = 1.0
    if is_held:
        for i in range(3):
            turn[i] = offset[i] = 0.0
    elif is_offered:
        leaning_grasp(math.atan2(along[1], along[0]), _RIGHT_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = handle[i] - (0.5 * length - _RIGHT_FROM_TAIL_M) * along[i] - position[i]
        is_there = _reach(offset, goal[:, 2], angle, 2.0 * radius + _WIDE_M, opening, 0.0)
        grip = 1.0 if is_there and opening > 2.0 * radius - _MISSED_M else -1.0
    else:
        leaning_grasp(0.0, _RIGHT_LEAN_RAD, goal)
        rotation_error(goal, rotation, turn)
        offset[0], offset[1], offset[2] = 0.60 - position[0], -position[1], 0.40 - position[2]
        grip = -1.0
    write_pose_delta(offset, turn, action)
    action[6] = grip


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular, opening = np.empty((2, 3)), np.empty((2, 3)), np.empty(2)
    read_arms(robot, position, rotation, linear, angular, opening)
    sizes = objects[_SIZES:_OBJECT_OFFSET]
    radius, length = sizes[0], sizes[1]
    handle, along = np.empty((2, 3)), np.empty((2, 3))
    for arm in range(2):
        part = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE * arm :]
        for i in range(3):
            handle[arm, i], along[arm, i] = part[i], part[3 + i]
    left = objects[_OBJECT_OFFSET : _OBJECT_OFFSET + _OBJECT_ARM_SIZE]
    right = objects[_OBJECT_OFFSET + _OBJECT_ARM_SIZE :]
    cosine, sine = turn_between_bases(left[3:6], left[6:], right[3:6], right[6:])
    start = handle.copy()
    before, turned_from = np.empty((2, 3)), np.empty((2, 3, 3))
    action, gone = np.empty(14), np.empty(3)
    num_sure = 0
    for row in range(len(out)):
        is_held = _has(handle[0], along[0], radius, length, position[0], opening[0])
        is_taken = _has(handle[1], along[1], radius, length, position[1], opening[1])
        # What is seen is sure; what is predicted becomes it after a while.
        num_sure = num_sure + (_SURE_ROWS if row == 0 else 1) if is_taken else 0
        is_offered = _left(
            position[0],
            rotation[0],
            opening[0],
            handle[0],
            along[0],
            sizes,
            is_held,
            num_sure >= _SURE_ROWS,
            action,
        )
        _right(
            position[1], rotation[1], opening[1], handle[1], along[1], sizes, is_offered, is_taken, action[7:]
        )
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        before[:] = position
        turned_from[:] = rotation
        for arm in range(2):
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
        if is_held and not is_taken:
            carry_point(handle[0], before[0], turned_from[0], position[0], rotation[0])
            carry_direction(along[0], turned_from[0], rotation[0])
            x, y = handle[0, 0] - start[0, 0], handle[0, 1] - start[0, 1]
            handle[1, 0] = start[1, 0] + cosine * x - sine * y
            handle[1, 1] = start[1, 1] + sine * x + cosine * y
            handle[1, 2] = start[1, 2] + handle[0, 2] - start[0, 2]
            along[1, 0] = cosine * along[0, 0] - sine * along[0, 1]
            along[1, 1] = sine * along[0, 0] + cosine * along[0, 1]
            along[1, 2] = along[0, 2]
        for arm in range(2):
            place, beside = _place(handle[arm], along[arm], position[arm])
            is_between = abs(place) < 0.5 * length and beside < _BESIDE_M
            opening[arm] = predict_opening(
                opening[arm], action[7 * arm + 6], min(2.0 * radius, OPEN_M) if is_between else 0.0
            )
