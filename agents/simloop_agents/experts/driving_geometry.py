"""The route ahead as the driving expert sees it: places on it, and what the road allows there."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]

# Columns of the (M, 6) road beside the (M, 4) route.
CAP_MPS, LEFT_M, RIGHT_M, OWN_LEFT_M, OWN_RIGHT_M, IS_JUNCTION = range(6)
NUM_ROAD_COLUMNS = 6

MAX_LATERAL_MPS2 = 2.5
"""Lateral acceleration in bends; UN R79 lets steering systems of cars command up to 3 m/s^2."""
SLOWING_MPS2 = 1.8
"""Deceleration towards bends and lower speed limits."""
MAX_SAGITTA_M = 0.02
"""Chords that leave the centre line farther are divided."""


@njit(cache=True)
def locate_on_route(route: FloatArray, x_m: float, y_m: float) -> tuple[float, float, float]:
    """Returns arc length, lateral offset (left positive) and route heading of the route point nearest to a point.

    Args:
        route: (M, 4) x_m, y_m, yaw_rad, arc length in m; straight beyond both ends.
        x_m: The point, in the route's frame.
        y_m: The point, in the route's frame.
    """
    last = len(route) - 2
    best = math.inf
    best_s, best_offset, best_yaw = 0.0, 0.0, 0.0
    for index in range(last + 1):
        along_x, along_y = route[index + 1, 0] - route[index, 0], route[index + 1, 1] - route[index, 1]
        length = math.hypot(along_x, along_y)
        if length < 1e-9:
            continue
        along_x, along_y = along_x / length, along_y / length
        to_x, to_y = x_m - route[index, 0], y_m - route[index, 1]
        along = to_x * along_x + to_y * along_y
        if index > 0:
            along = max(along, 0.0)
        if index < last:
            along = min(along, length)
        away_x, away_y = to_x - along * along_x, to_y - along * along_y
        distance = away_x * away_x + away_y * away_y
        if distance < best:
            best = distance
            share = min(max(along / length, 0.0), 1.0)
            turn = route[index + 1, 2] - route[index, 2]
            best_s = route[index, 3] + along
            best_offset = along_x * to_y - along_y * to_x
            best_yaw = route[index, 2] + share * turn
    return best_s, best_offset, best_yaw


@njit(cache=True)
def point_on_route(route: FloatArray, s_m: float, offset_m: float) -> tuple[float, float, float]:
    """Returns x_m, y_m and route heading at an arc length and lateral offset; inverse of ``locate_on_route``."""
    last = len(route) - 2
    index = 0
    while index < last and route[index + 1, 3] <= s_m:
        index += 1
    length = route[index + 1, 3] - route[index, 3]
    share = (s_m - route[index, 3]) / length
    turn = route[index + 1, 2] - route[index, 2]
    yaw = route[index, 2] + min(max(share, 0.0), 1.0) * turn
    x = route[index, 0] + share * (route[index + 1, 0] - route[index, 0])
    y = route[index, 1] + share * (route[index + 1, 1] - route[index, 1])
    return x - offset_m * math.sin(yaw), y + offset_m * math.cos(yaw), yaw


@njit(cache=True)
def _num_parts(length_m: float, turn_rad: float) -> int:
    """Returns into how many pieces a chord that turns by ``turn_rad`` is divided."""
    sagitta = abs(turn_rad) * length_m / 8.0
    return max(1, int(math.ceil(math.sqrt(sagitta / MAX_SAGITTA_M))))


@njit(cache=True)
def refine_route(coarse: FloatArray, road: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Divides the chords of tight bends by cubic Hermite curves, so that nobody cuts the corner.

    Args:
        coarse: (M, 4) x_m, y_m, yaw_rad (not wrapped), arc length.
        road: (M, NUM_ROAD_COLUMNS) what the road allows there.

    Returns:
        Both with n >= M rows.
    """
    num = 1
    for index in range(len(coarse) - 1):
        length = coarse[index + 1, 3] - coarse[index, 3]
        num += _num_parts(length, coarse[index + 1, 2] - coarse[index, 2])
    fine, fine_road = np.empty((num, 4)), np.empty((num, road.shape[1]))
    fine[0], fine_road[0] = coarse[0], road[0]
    row = 1
    for index in range(len(coarse) - 1):
        here, there = coarse[index], coarse[index + 1]
        length, turn = there[3] - here[3], there[2] - here[2]
        parts = _num_parts(length, turn)
        for part in range(1, parts):
            u = part / parts
            h00, h10 = (1.0 + 2.0 * u) * (1.0 - u) ** 2, u * (1.0 - u) ** 2
            h01, h11 = u * u * (3.0 - 2.0 * u), u * u * (u - 1.0)
            fine[row, 0] = (
                h00 * here[0] + h01 * there[0] + length * (h10 * math.cos(here[2]) + h11 * math.cos(there[2]))
            )
            fine[row, 1] = (
                h00 * here[1] + h01 * there[1] + length * (h10 * math.sin(here[2]) + h11 * math.sin(there[2]))
            )
            fine[row, 2] = here[2] + u * turn
            step = math.hypot(fine[row, 0] - fine[row - 1, 0], fine[row, 1] - fine[row - 1, 1])
            fine[row, 3] = fine[row - 1, 3] + step
            for column in range(road.shape[1]):
                fine_road[row, column] = (1.0 - u) * road[index, column] + u * road[index + 1, column]
            fine_road[row, CAP_MPS] = min(road[index, CAP_MPS], road[index + 1, CAP_MPS])
            fine_road[row, IS_JUNCTION] = max(road[index, IS_JUNCTION], road[index + 1, IS_JUNCTION])
            row += 1
        fine[row, :3] = there[:3]
        step = math.hypot(fine[row, 0] - fine[row - 1, 0], fine[row, 1] - fine[row - 1, 1])
        fine[row, 3] = fine[row - 1, 3] + step
        fine_road[row] = road[index + 1]
        row += 1
    return fine, fine_road


@njit(cache=True)
def slow_down_in_time(route: FloatArray, road: FloatArray) -> None:
    """Lowers ``CAP_MPS`` so that every lower one ahead can be reached at ``SLOWING_MPS2``, in place."""
    for index in range(len(route) - 2, -1, -1):
        later = road[index + 1, CAP_MPS]
        way = route[index + 1, 3] - route[index, 3]
        road[index, CAP_MPS] = min(road[index, CAP_MPS], math.sqrt(later * later + 2.0 * SLOWING_MPS2 * way))


@njit(cache=True)
def road_value(route: FloatArray, road: FloatArray, column: int, s_m: float) -> float:
    """Returns a column of the road at an arc length, linearly interpolated; constant beyond both ends."""
    last = len(route) - 2
    index = 0
    while index < last and route[index + 1, 3] <= s_m:
        index += 1
    here, there = road[index, column], road[index + 1, column]
    if here == there:
        return float(here)
    share = (s_m - route[index, 3]) / (route[index + 1, 3] - route[index, 3])
    return float(here + min(max(share, 0.0), 1.0) * (there - here))


@njit(cache=True)
def narrowest(route: FloatArray, road: FloatArray, from_m: float, to_m: float) -> tuple[float, float, float]:
    """Returns the least left edge, the greatest right edge and whether there is a junction, between two stations."""
    left, right, junction = math.inf, -math.inf, 0.0
    for index in range(len(route)):
        before = route[max(index - 1, 0), 3] if index > 0 else -math.inf
        after = route[index + 1, 3] if index + 1 < len(route) else math.inf
        if after < from_m or before > to_m:
            continue
        left = min(left, road[index, LEFT_M])
        right = max(right, road[index, RIGHT_M])
        junction = max(junction, road[index, IS_JUNCTION])
    return left, right, junction
