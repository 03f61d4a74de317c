"""Bringing a hammer from a closed bin on one table into a bin on the other, which holds trash.

The left arm lifts the lid off the start bin and lays it on the table, takes the hammer by the part of its handle that
is nearer to it, and brings it between the arms with the other part towards the right arm, leaning forward. Meanwhile
the right arm takes the trash out of the target bin and lets it fall into the trash bin. Then it comes along the
handle, leaning forward too, and takes the far part; the left hand lets go and draws back, and the right one lays the
hammer into the target bin. The hammer may lie either way round: the hands share the handle, whichever end has the head.

Hands rise over the bins' walls before they go sideways.
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

_PAYLOAD, _TRASH, _TRASH_QUATERNION, _LID, _BINS = 0, 10, 13, 17, 20
_IS_CLEARED, _IS_DELIVERED, _ARM_OFFSET, _ARM_OBJECT_SIZE = 29, 30, 31, 12
_START_BIN, _TARGET_BIN, _TRASH_BIN = 0, 1, 2

# The parts' sizes, as robosuite makes them.
_HANDLE_WIDTH_M, _HALF_HANDLE_M, _TO_MIDDLE_M = 0.03, 0.1, 0.0165
"""The last: from the handle's centre towards the head to the middle of the whole hammer."""
_TRASH_WIDTH_M, _LID_BAR_M = 0.04, 0.02
_LID_REST_M, _BIN_HALF_M = 0.055, 0.14
"""A lid on the table lies this far below the centre of a bin."""

_LID_GRASP_M = 0.012
"""Height of the grasp over the lid's centre."""
_LID_OFF_M, _LID_AWAY_M = 0.305, 0.40
_LEFT_FROM_CENTRE_M, _RIGHT_FROM_CENTRE_M = 0.03, 0.08

_NEAR_M, _ALIGNED_RAD, _SLACK = 0.010, 0.12, 1.8
_HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 6.0, 0.5
_HOVER_M, _LID_HOVER_M, _RIGHT_HOVER_M = 0.18, 0.08, 0.10
_SAFE_M, _SIDEWAYS_M = 0.10, 0.04
"""Height of a hand that is over the bins' walls, and how far it may go sideways below that."""
_WIDE_M = 0.024
_SEEN_M, _SEEN_RAD = 0.022, 0.25
_DRIFT_S = 0.12
"""What a hand at rest should counter of the velocity that it is seen with: elbows that swing push it off its place."""
_DESCENT_M, _RISE_M = 0.035, 0.03

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
_OVER_BIN_M = 0.02


@numba.njit(cache=True)
def _rise_first(position: Any, offset: Any, aside: Any) -> None:
    """Lets a hand between walls rise before it goes sideways; ``aside`` (2,) is where it should be until then."""
    across = math.sqrt(offset[0] ** 2 + offset[1] ** 2)
    if position[2] < _SAFE_M and across > _SIDEWAYS_M:
        for i in range(2):
            offset[i] = min(max(aside[i] - position[i], -_SIDEWAYS_M), _SIDEWAYS_M)
        offset[2] = _RISE_M


@numba.njit(cache=True)
def _reach(
    offset: Any,
    drift: Any,
    approach: Any,
    angle: float,
    width: float,
    opening: float,
    hover: float,
    seen: Any,
) -> bool:
    """Keeps a hand back along its approach until it is lined up and open; returns whether its fingers may close.

    Args:
        offset: (3,) way to the grasp, metres; changed.
        drift: (3,) velocity of the hand when it was seen, m/s.
        approach: (3,) direction in which the hand comes.
        angle: That it is still off, radians.
        width: Of what it is to take, metres.
        opening: Of its fingers, metres.
        hover: Largest distance to keep back, metres.
        seen: (1,) whether the hand was at the grasp when it was seen: -1 to find out, 0 or 1; fingers do not close on
            a prediction alone.
    """
    depth, across = 0.0, 0.0
    for i in range(3):
        depth += offset[i] * approach[i]
    for i in range(3):
        across += (offset[i] - depth * approach[i]) ** 2
    across = math.sqrt(across)
    if seen[0] < 0.0:
        seen[0] = 1.0 if across < _SEEN_M and abs(depth) < _SEEN_M and angle < _SEEN_RAD else 0.0
    is_wide = opening > width + _WIDE_M
    slack = 1.0 if is_wide else _SLACK
    is_there = across < _NEAR_M * slack and abs(depth) < _NEAR_M * slack and angle < _ALIGNED_RAD * slack
    back = _HOVER_BY_OFFSET * max(0.0, across - 0.8 * _NEAR_M)
    back += _HOVER_BY_ANGLE_M * max(0.0, angle - 0.8 * _ALIGNED_RAD)
    if not is_wide and not is_there:
        back = hover
    back = min(back, hover)
    for i in range(3):
        offset[i] -= back * approach[i]
    if seen[0] > 0.0:
        sinking = drift[0] * approach[0] + drift[1] * approach[1] + drift[2] * approach[2]
        for i in range(3):
            offset[i] -= _DRIFT_S * (drift[i] - sinking * approach[i])
    depth = offset[0] * approach[0] + offset[1] * approach[1] + offset[2] * approach[2]
    if depth > _DESCENT_M:
        for i in range(3):
            offset[i] -= (depth - _DESCENT_M) * approach[i]
    return is_there and seen[0] > 0.0 and opening > width - 0.008


@numba.njit(cache=True)
def _holds(point: Any, position: Any, opening: float, width: float) -> bool:
    """Whether a hand holds something of a width that has its centre between the fingers."""
    away = 0.0
    for i in range(3):
        away += (point[i] - position[i]) ** 2
    return away < 0.025**2 and width - 0.008 < opening < width + 0.0035


@numba.njit(cache=True)
def _grasp_point(handle: Any, along: Any, position: Any, out: Any) -> float:
    """Writes the point of the handle that is nearest to a hand, and returns its distance from the centre."""
    place = 0.0
    for i in range(3):
        place += (position[i] - handle[i]) * along[i]
    place = min(max(place, -_HALF_HANDLE_M), _HALF_HANDLE_M)
    for i in range(3):
        out[i] = handle[i] + place * along[i]
    return place


@numba.njit(cache=True)
def _is_over(point: Any, centre: Any, half: float) -> bool:
    return abs(point[0] - centre[0]) < half and abs(point[1] - centre[1]) < half


@numba.njit(cache=True)
def _left(
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
    point[0], point[1], point[2] = lid[0], lid[1], lid[2] + _LID_GRASP_M
    heading = math.atan2(rotation[1, 1], rotation[0, 1])
    if is_done:
        # The right arm has it: let go, then draw back the way the hand came.
        _grasp_point(handle, along, position, point)
        away = 0.0
        for i in range(3):
            away += (point[i] - position[i]) ** 2
            turn[i] = offset[i] = 0.0
        if opening > _HANDLE_WIDTH_M + 0.012:
            for i in range(3):
                offset[i] = -_BACK_M * rotation[i, 2]
        if away > 0.12**2:
            leaning_grasp(0.0, 0.0, goal)
            rotation_error(goal, rotation, turn)
            for i in range(3):
                offset[i] = _HOME_M[i] - position[i]
            _rise_first(position, offset, position)
    elif has_lid:
        leaning_grasp(0.0, 0.0, goal)
        rotation_error(goal, rotation, turn)
        offset[0] = start_bin[0] - lid[0]
        offset[1] = start_bin[1] + _LID_AWAY_M - lid[1]
        grip = 1.0
        if math.sqrt(offset[0] ** 2 + offset[1] ** 2) > 0.03:
            offset[2] = _TRAVEL_M - position[2]
            _rise_first(position, offset, position)
        else:
            height = lid[2] - (start_bin[2] - _LID_REST_M)
            offset[2] = -height - 0.01
            if height < 0.015:
                grip = -1.0
    elif math.sqrt((lid[0] - start_bin[0]) ** 2 + (lid[1] - start_bin[1]) ** 2) < _LID_OFF_M:
        leaning_grasp(0.0, 0.0, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = point[i] - position[i]
        if _reach(offset, drift, down, angle, _LID_BAR_M, opening, _LID_HOVER_M, seen):
            grip = 1.0
    elif is_held:
        step = min(max(heading, -_PRESENTED_RAD), _PRESENTED_RAD) if position[2] > _SAFE_M else heading
        leaning_grasp(step, _LEFT_LEAN_RAD if position[2] > _SAFE_M + 0.05 else 0.0, goal)
        angle = rotation_error(goal, rotation, turn)
        away = 0.0
        for i in range(3):
            offset[i] = _MEETING_M[i] - position[i]
            away += offset[i] ** 2
        is_calm = math.sqrt(away) < _CALM_M and angle < 0.2
        # Until it is over the walls, the hammer's middle stays over the middle of the bin.
        for i in range(2):
            point[i] = position[i] + start_bin[i] - handle[i] - _TO_MIDDLE_M * along[i]
        _rise_first(position, offset, point)
        grip = 1.0
    elif handle[0] < 0.65:
        sign = 1.0 if along[0] * rotation[0, 1] + along[1] * rotation[1, 1] > 0.0 else -1.0
        leaning_grasp(math.atan2(sign * along[1], sign * along[0]), 0.5 * _LOW_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = handle[i] - sign * _LEFT_FROM_CENTRE_M * along[i] - position[i]
        if _reach(offset, drift, down, angle, _HANDLE_WIDTH_M, opening, _HOVER_M, seen):
            grip = 1.0
        _rise_first(position, offset, position)
    else:
        leaning_grasp(0.0, 0.0, goal)
        rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = _HOME_M[i] - position[i]
    write_pose_delta(offset, turn, action)
    action[6] = grip
    return is_calm


@numba.njit(cache=True)
def _right(
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
    seen: Any,
    action: Any,
) -> None:
    """Writes the right arm's 7 entries."""
    goal, turn, offset = np.empty((3, 3)), np.empty(3), np.empty(3)
    down = np.array((0.0, 0.0, -1.0))
    grip = -1.0
    heading = math.atan2(rotation[1, 1], rotation[0, 1])
    if is_held and not is_alone:
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
        _rise_first(position, offset, position)
    elif has_trash:
        leaning_grasp(heading, 0.0, goal)
        rotation_error(goal, rotation, turn)
        offset[0], offset[1] = trash_bin[0] - trash[0], trash_bin[1] - trash[1]
        is_over = math.sqrt(offset[0] ** 2 + offset[1] ** 2) < _OVER_BIN_M
        offset[2] = (_DROP_TRASH_M - 0.02 if is_over else _TRAVEL_M) - position[2]
        _rise_first(position, offset, target_bin)
        grip = -1.0 if is_over and position[2] < _DROP_TRASH_M else 1.0
    elif not is_cleared:
        leaning_grasp(trash_heading, _LOW_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = trash[i] - position[i]
        if _reach(offset, drift, down, angle, _TRASH_WIDTH_M, opening, _HOVER_M, seen):
            grip = 1.0
        _rise_first(position, offset, position)
    elif is_offered:
        sign = 1.0 if along[0] > 0.0 else -1.0
        leaning_grasp(math.atan2(sign * along[1], sign * along[0]), _RIGHT_LEAN_RAD, goal)
        angle = rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = handle[i] - sign * _RIGHT_FROM_CENTRE_M * along[i] - position[i]
        if _reach(offset, drift, goal[:, 2], angle, _HANDLE_WIDTH_M, opening, _RIGHT_HOVER_M, seen):
            grip = 1.0
    else:
        leaning_grasp(0.0, _RIGHT_LEAN_RAD, goal)
        rotation_error(goal, rotation, turn)
        for i in range(3):
            offset[i] = _WAITING_M[i] - position[i]
        _rise_first(position, offset, position)
    write_pose_delta(offset, turn, action)
    action[6] = grip


@numba.njit(cache=True)
def _into(point: Any, cosine: float, sine: float, here: Any, there: Any, out: Any) -> None:
    """Writes a point (3,) in another upright frame, turned by an angle, in which the point ``here`` is ``there``."""
    x, y = point[0] - here[0], point[1] - here[1]
    z = there[2] + point[2] - here[2]
    out[0], out[1], out[2] = there[0] + cosine * x - sine * y, there[1] + sine * x + cosine * y, z


@numba.njit(cache=True)
def _box_heading(quaternion: Any, cosine: float, sine: float) -> float:
    """Returns the heading, within 45 degrees of 0, of a level face of a cube in a frame turned from the world's."""
    w, x, y, z = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    columns = np.array(
        (
            (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)),
            (2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z)),
        )
    )
    first = columns[0] if (columns[0] ** 2).sum() > (columns[1] ** 2).sum() else columns[1]
    angle = math.atan2(sine * first[0] + cosine * first[1], cosine * first[0] - sine * first[1])
    return (angle + 0.25 * math.pi) % (0.5 * math.pi) - 0.25 * math.pi


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular, opening = np.empty((2, 3)), np.empty((2, 3)), np.empty(2)
    read_arms(robot, position, rotation, linear, angular, opening)
    handle, along, lids, trashes = np.empty((2, 3)), np.empty((2, 3)), np.empty((2, 3)), np.empty((2, 3))
    for arm in range(2):
        part = objects[_ARM_OFFSET + _ARM_OBJECT_SIZE * arm :]
        handle[arm], along[arm], lids[arm], trashes[arm] = part[0:3], part[3:6], part[6:9], part[9:12]
    lid, trash = lids[0], trashes[1]
    # The bases' frames from points that are given in them and in the world.
    payload_w, trash_w, lid_w = objects[0:3], objects[_TRASH : _TRASH + 3], objects[_LID : _LID + 3]
    bins = np.empty((2, 3, 3))
    trash_heading = 0.0
    for arm in range(2):
        cosine, sine = turn_between_bases(
            trash_w - payload_w,
            trash_w - lid_w,
            trashes[arm] - handle[arm],
            trashes[arm] - lids[arm],
        )
        for number in range(3):
            centre = objects[_BINS + 3 * number : _BINS + 3 * number + 3]
            _into(centre, cosine, sine, payload_w, handle[arm], bins[arm, number])
        if arm == 1:
            quaternion = objects[_TRASH_QUATERNION : _TRASH_QUATERNION + 4]
            trash_heading = _box_heading(quaternion, cosine, sine)
    cosine, sine = turn_between_bases(
        trashes[0] - handle[0], trashes[0] - lids[0], trashes[1] - handle[1], trashes[1] - lids[1]
    )
    start = handle.copy()
    before, turned_from = np.empty((2, 3)), np.empty((2, 3, 3))
    action, gone, lid_bar = np.empty(14), np.empty(3), np.empty(3)
    points = np.empty((2, 3))
    # Nothing is carried that was not seen to be held: a chunk waits until the fingers have closed.
    seen, held_then, drift = np.full((2, 1), -1.0), np.zeros(4), linear.copy()
    for row in range(len(out)):
        for arm in range(2):
            _grasp_point(handle[arm], along[arm], position[arm], points[arm])
        is_held = _holds(points[0], position[0], opening[0], _HANDLE_WIDTH_M)
        is_taken = _holds(points[1], position[1], opening[1], _HANDLE_WIDTH_M)
        apart = 0.0
        for i in range(3):
            apart += (points[0, i] - position[0, i]) ** 2
        is_alone = opening[0] > _HANDLE_WIDTH_M + 0.012 and apart > 0.06**2
        has_trash = _holds(trash, position[1], opening[1], _TRASH_WIDTH_M)
        lid_bar[0], lid_bar[1], lid_bar[2] = lid[0], lid[1], lid[2] + _LID_GRASP_M
        has_lid = _holds(lid_bar, position[0], opening[0], _LID_BAR_M)
        if row == 0:
            held_then[0], held_then[1], held_then[2], held_then[3] = is_held, is_taken, has_trash, has_lid
        is_held, is_taken = is_held and held_then[0] > 0.0, is_taken and held_then[1] > 0.0
        has_trash, has_lid = has_trash and held_then[2] > 0.0, has_lid and held_then[3] > 0.0
        is_cleared = objects[_IS_CLEARED] > 0.5 or (
            not has_trash and _is_over(trash, bins[1, _TRASH_BIN], _BIN_HALF_M)
        )
        is_delivered = objects[_IS_DELIVERED] > 0.5 or (
            not is_taken and _is_over(handle[1], bins[1, _TARGET_BIN], _BIN_HALF_M)
        )
        is_offered = _left(
            position[0],
            rotation[0],
            opening[0],
            handle[0],
            along[0],
            lid,
            bins[0, _START_BIN],
            drift[0],
            has_lid,
            is_held,
            is_taken or is_delivered,
            seen[0],
            action,
        )
        _right(
            position[1],
            rotation[1],
            opening[1],
            handle[1],
            along[1],
            trash,
            trash_heading,
            bins[1, _TARGET_BIN],
            bins[1, _TRASH_BIN],
            is_cleared,
            is_delivered,
            is_offered,
            drift[1],
            has_trash,
            is_taken,
            is_alone,
            seen[1],
            action[7:],
        )
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        before[:] = position
        turned_from[:] = rotation
        for arm in range(2):
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
            if arm == 0 and has_lid:
                for i in range(3):
                    lid[i] += gone[i]
            if arm == 1 and has_trash:
                for i in range(3):
                    trash[i] += gone[i]
        if is_taken:
            carry_point(handle[1], before[1], turned_from[1], position[1], rotation[1])
            carry_direction(along[1], turned_from[1], rotation[1])
            _into(handle[1], cosine, -sine, start[1], start[0], handle[0])
            along[0, 0] = cosine * along[1, 0] + sine * along[1, 1]
            along[0, 1] = cosine * along[1, 1] - sine * along[1, 0]
            along[0, 2] = along[1, 2]
        elif is_held:
            carry_point(handle[0], before[0], turned_from[0], position[0], rotation[0])
            carry_direction(along[0], turned_from[0], rotation[0])
            _into(handle[0], cosine, sine, start[0], start[1], handle[1])
            along[1, 0] = cosine * along[0, 0] - sine * along[0, 1]
            along[1, 1] = cosine * along[0, 1] + sine * along[0, 0]
            along[1, 2] = along[0, 2]
        for arm in range(2):
            narrowest = 0.0
            _grasp_point(handle[arm], along[arm], position[arm], points[arm])
            if _holds(points[arm], position[arm], _HANDLE_WIDTH_M, _HANDLE_WIDTH_M):
                narrowest = _HANDLE_WIDTH_M
            elif arm == 0 and _holds(lid_bar, position[0], _LID_BAR_M, _LID_BAR_M):
                narrowest = _LID_BAR_M
            elif arm == 1 and _holds(trash, position[1], _TRASH_WIDTH_M, _TRASH_WIDTH_M):
                narrowest = _TRASH_WIDTH_M
            opening[arm] = predict_opening(opening[arm], action[7 * arm + 6], min(narrowest, OPEN_M))
