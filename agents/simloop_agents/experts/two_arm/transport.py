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
    predict_arm,
    predict_opening,
    read_arms,
    turn_between_bases,
)
from simloop_agents.experts.two_arm.transport_arms import (
    HANDLE_WIDTH_M,
    LET_GO_M,
    LID_BAR_M,
    LID_GRASP_M,
    TRASH_WIDTH_M,
    decide_left,
    decide_right,
)
from simloop_agents.experts.two_arm.transport_grasps import grasp_point, holds, is_near, is_over

_TRASH, _TRASH_QUATERNION, _LID, _BINS = 10, 13, 17, 20
_IS_CLEARED, _IS_DELIVERED, _ARM_OFFSET, _ARM_OBJECT_SIZE = 29, 30, 31, 12
_START_BIN, _TARGET_BIN, _TRASH_BIN = 0, 1, 2

_BIN_HALF_M = 0.14
_APART_M = 0.06
"""How far the left hand, open, is from the handle when the right one has it alone."""


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
    let_go = False
    for row in range(len(out)):
        for arm in range(2):
            grasp_point(handle[arm], along[arm], position[arm], points[arm])
        is_held = holds(points[0], position[0], opening[0], HANDLE_WIDTH_M)
        is_taken = holds(points[1], position[1], opening[1], HANDLE_WIDTH_M)
        apart = 0.0
        for i in range(3):
            apart += (points[0, i] - position[0, i]) ** 2
        is_alone = opening[0] > HANDLE_WIDTH_M + LET_GO_M and apart > _APART_M**2
        has_trash = holds(trash, position[1], opening[1], TRASH_WIDTH_M)
        lid_bar[0], lid_bar[1], lid_bar[2] = lid[0], lid[1], lid[2] + LID_GRASP_M
        has_lid = holds(lid_bar, position[0], opening[0], LID_BAR_M)
        if row == 0:
            held_then[0], held_then[1], held_then[2], held_then[3] = is_held, is_taken, has_trash, has_lid
        is_held, is_taken = is_held and held_then[0] > 0.0, is_taken and held_then[1] > 0.0
        has_trash, has_lid = has_trash and held_then[2] > 0.0, has_lid and held_then[3] > 0.0
        is_cleared = objects[_IS_CLEARED] > 0.5 or (
            not has_trash and is_over(trash, bins[1, _TRASH_BIN], _BIN_HALF_M)
        )
        is_delivered = objects[_IS_DELIVERED] > 0.5 or (
            not is_taken and is_over(handle[1], bins[1, _TARGET_BIN], _BIN_HALF_M)
        )
        is_letting_go = is_near(trash, position[1], opening[1], TRASH_WIDTH_M) and not has_trash
        is_letting_go = is_letting_go and is_over(trash, bins[1, _TRASH_BIN], _BIN_HALF_M)
        if not is_taken and is_over(position[1], bins[1, _TARGET_BIN], _BIN_HALF_M):
            is_letting_go = is_letting_go or is_near(points[1], position[1], opening[1], HANDLE_WIDTH_M)
        # Fingers that squeezed something part later than predicted: a hand that lets go stays for the rest of a chunk.
        if is_letting_go:
            let_go = True
        is_letting_go = let_go
        is_offered = decide_left(
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
        decide_right(
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
            is_letting_go,
            seen[1],
            action[7:],
        )
        for arm in range(2):
            seen[arm, 0] = max(seen[arm, 0], 0.0)
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
            grasp_point(handle[arm], along[arm], position[arm], points[arm])
            if holds(points[arm], position[arm], HANDLE_WIDTH_M, HANDLE_WIDTH_M):
                narrowest = HANDLE_WIDTH_M
            elif arm == 0 and holds(lid_bar, position[0], LID_BAR_M, LID_BAR_M):
                narrowest = LID_BAR_M
            elif arm == 1 and holds(trash, position[1], TRASH_WIDTH_M, TRASH_WIDTH_M):
                narrowest = TRASH_WIDTH_M
            opening[arm] = predict_opening(opening[arm], action[7 * arm + 6], min(narrowest, OPEN_M))
