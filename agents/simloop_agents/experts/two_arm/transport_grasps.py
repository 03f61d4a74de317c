"""Coming to a grasp, and telling what a hand holds, for hands that work in bins."""

from __future__ import annotations

import math
from typing import Any

import numba

_HALF_HANDLE_M = 0.1
_NEAR_M, _ALIGNED_RAD, _SLACK = 0.010, 0.12, 1.8
_HOVER_BY_OFFSET, _HOVER_BY_ANGLE_M = 6.0, 0.5
SAFE_M, _SIDEWAYS_M = 0.10, 0.04
"""Height of a hand that is over the bins' walls, and how far it may go sideways below that."""
_WIDE_M = 0.024
_SEEN_M, _SEEN_RAD = 0.022, 0.25
_DRIFT_S = 0.12
"""What a hand at rest should counter of the velocity that it is seen with: elbows that swing push it off its place."""
_DESCENT_M, _RISE_M = 0.035, 0.03


@numba.njit(cache=True)
def rise_first(position: Any, offset: Any, aside: Any) -> None:
    """Lets a hand between walls rise before it goes sideways; ``aside`` (2,) is where it should be until then."""
    across = math.sqrt(offset[0] ** 2 + offset[1] ** 2)
    if position[2] < SAFE_M and across > _SIDEWAYS_M:
        for i in range(2):
            offset[i] = min(max(aside[i] - position[i], -_SIDEWAYS_M), _SIDEWAYS_M)
        offset[2] = _RISE_M


@numba.njit(cache=True)
def reach(
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
def holds(point: Any, position: Any, opening: float, width: float) -> bool:
    """Whether a hand holds something of a width that has its centre between the fingers."""
    away = 0.0
    for i in range(3):
        away += (point[i] - position[i]) ** 2
    return away < 0.025**2 and width - 0.008 < opening < width + 0.0035


@numba.njit(cache=True)
def is_near(point: Any, position: Any, opening: float, width: float) -> bool:
    """Whether something of a width is still between fingers that are not wide open."""
    away = 0.0
    for i in range(3):
        away += (point[i] - position[i]) ** 2
    return away < 0.04**2 and opening < width + _WIDE_M


@numba.njit(cache=True)
def grasp_point(handle: Any, along: Any, position: Any, out: Any) -> float:
    """Writes the point of the handle that is nearest to a hand, and returns its distance from the centre."""
    place = 0.0
    for i in range(3):
        place += (position[i] - handle[i]) * along[i]
    place = min(max(place, -_HALF_HANDLE_M), _HALF_HANDLE_M)
    for i in range(3):
        out[i] = handle[i] + place * along[i]
    return place


@numba.njit(cache=True)
def is_over(point: Any, centre: Any, half: float) -> bool:
    """Whether a point is over a square around ``centre``, metres."""
    return bool(abs(point[0] - centre[0]) < half and abs(point[1] - centre[1]) < half)
