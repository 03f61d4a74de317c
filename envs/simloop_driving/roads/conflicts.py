"""Where paths meet, and who goes first there.

Each path is taken as a strip of constant width round its centre line. A zone is where two strips overlap: from entering
it to leaving it, in stations along each path.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.roads.route import X_M, Y_M, YAW_RAD, Paths, Route

FloatArray = npt.NDArray[np.float64]

# Columns of the zones.
PATH_A = 0
A_IN_M = 1
A_OUT_M = 2
PATH_B = 3
B_IN_M = 4
B_OUT_M = 5
RELATION = 6
NUM_ZONE_COLUMNS = 7

# Values of RELATION.
CROSSING = 0
MERGING = 1
ALONG = 2

STRIP_WIDTH_M = 2.5
"""Default width of a strip: the widest vehicle that road law allows (2.5 m), less than the distance of two lanes."""

TOGETHER_M = 0.5
"""Centre lines closer than this, with like headings, run together."""

TOGETHER_LENGTH_M = 3.0
LIKE_HEADING_RAD = math.radians(30.0)
OPPOSED_HEADING_RAD = math.radians(135.0)

_BLOCK = 16


def conflict_zones(paths: Paths, width_m: float = STRIP_WIDTH_M) -> FloatArray:
    """Returns the zones in which paths meet; cached by the routes and the width.

    Args:
        paths: The paths; two of them that begin on the same lane are no conflict until they have parted.
        width_m: Width of the strips: two paths are in conflict where their centre lines are closer than this.

    Returns:
        (C, 7) float64, read-only: path a, station on a at which the strips begin and cease to overlap, path b > a, the
        same on b, relation. ``CROSSING``; ``MERGING``: they run together behind the entry, until the end of the zone,
        where they part or one ends; ``ALONG``: towards each other, or side by side without running together.
    """
    return _conflict_zones(paths.routes, float(width_m))


@functools.lru_cache(maxsize=256)
def _conflict_zones(routes: tuple[Route, ...], width_m: float) -> FloatArray:
    zones = [
        (float(a), a_in, a_out, float(b), b_in, b_out, float(relation))
        for a, b in itertools.combinations(range(len(routes)), 2)
        for a_in, a_out, b_in, b_out, relation in _route_zones(routes[a], routes[b], width_m)
    ]
    table = np.array(zones, dtype=np.float64).reshape(-1, NUM_ZONE_COLUMNS)
    table.flags.writeable = False
    return table


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Samples of a path, first and last, that are near the other path, and the stations where the strips meet."""

    first: int
    last: int
    in_m: float
    out_m: float


def _route_zones(a: Route, b: Route, width_m: float) -> list[tuple[float, float, float, float, int]]:
    return [
        (
            a_in + a_first * a.step_m,
            a_out + a_first * a.step_m,
            b_in + b_first * b.step_m,
            b_out + b_first * b.step_m,
            relation,
        )
        for a_first, a_end in _laps(a)
        for b_first, b_end in _laps(b)
        for a_in, a_out, b_in, b_out, relation in _pair_zones(
            np.ascontiguousarray(a.samples[:, a_first:a_end]),
            np.ascontiguousarray(b.samples[:, b_first:b_end]),
            a.step_m,
            width_m,
        )
    ]


def _laps(route: Route) -> list[tuple[int, int]]:
    """Returns the parts of a route, first sample and end, on which it does not come back to a lane of the part."""
    begins = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(route.path_lanes)))]
    laps, seen = [0], set[int]()
    for begin in begins:
        lane = int(route.path_lanes[begin])
        if lane in seen:
            laps.append(begin)
            seen.clear()
        seen.add(lane)
    return list(zip(laps, [*laps[1:], route.samples.shape[1]], strict=True))


def _pair_zones(
    a: FloatArray, b: FloatArray, step_m: float, width_m: float
) -> list[tuple[float, float, float, float, int]]:
    reach_m = width_m + 2.0 * step_m  # beyond the strip, so that its edge lies between two known distances
    a_distance, a_other = _distances(a, b, step_m, reach_m)
    if not (a_distance < width_m).any():
        return []
    b_distance, b_other = _distances(b, a, step_m, reach_m)
    a_stretches, b_stretches = (
        _stretches(distance, width_m, step_m) for distance in (a_distance, b_distance)
    )
    zones = []
    for a_part, b_part in itertools.product(a_stretches, b_stretches):
        a_near = _part_of(a_part, a_other, b_part, step_m)
        b_near = _part_of(b_part, b_other, a_part, step_m)
        if a_near is None or b_near is None or _begin_together(a, b, a_near, b_near, a_distance, b_distance):
            continue
        relation = _relation(a, b, a_near, a_distance, a_other, step_m)
        zones.append((a_near.in_m, a_near.out_m, b_near.in_m, b_near.out_m, relation))
    return zones


def _stretches(distance: FloatArray, width_m: float, step_m: float) -> list[_Stretch]:
    is_near = np.concatenate([[False], distance < width_m, [False]])
    turns = np.flatnonzero(is_near[1:] != is_near[:-1])
    stretches = []
    for first, end in zip(turns[::2], turns[1::2], strict=True):
        in_m, out_m = first * step_m, (end - 1) * step_m
        if first > 0:
            before, after = distance[first - 1], distance[first]
            in_m -= step_m * (width_m - after) / (before - after)
        if end < len(distance):
            before, after = distance[end - 1], distance[end]
            out_m += step_m * (width_m - before) / (after - before)
        stretches.append(_Stretch(int(first), int(end - 1), float(in_m), float(out_m)))
    return stretches


def _part_of(own: _Stretch, other_m: FloatArray, other: _Stretch, step_m: float) -> _Stretch | None:
    """Returns the part of a stretch whose nearest points lie in one stretch of the other path."""
    nearest = other_m[own.first : own.last + 1]
    inside = np.flatnonzero((nearest >= other.in_m - step_m) & (nearest <= other.out_m + step_m))
    if len(inside) == 0:
        return None
    first, last = own.first + int(inside[0]), own.first + int(inside[-1])
    return _Stretch(
        first,
        last,
        own.in_m if first == own.first else first * step_m,
        own.out_m if last == own.last else last * step_m,
    )


def _begin_together(
    a: FloatArray,
    b: FloatArray,
    a_part: _Stretch,
    b_part: _Stretch,
    a_distance: FloatArray,
    b_distance: FloatArray,
) -> bool:
    """Whether one path begins on the other: then they share a lane and follow each other."""
    turn = abs(_wrapped(float(a[YAW_RAD, a_part.first] - b[YAW_RAD, b_part.first])))
    if turn > LIKE_HEADING_RAD:
        return False
    begins_a = a_part.first == 0 and a_distance[0] < TOGETHER_M
    begins_b = b_part.first == 0 and b_distance[0] < TOGETHER_M
    return bool(begins_a or begins_b)


def _relation(
    a: FloatArray, b: FloatArray, part: _Stretch, distance: FloatArray, other_m: FloatArray, step_m: float
) -> int:
    near = slice(part.first, part.last + 1)
    there = np.rint(other_m[near] / step_m).astype(np.int64)
    turn = np.abs(np.angle(np.exp(1j * (a[YAW_RAD, near] - b[YAW_RAD, there]))))
    is_together = (distance[near] < TOGETHER_M) & (turn < LIKE_HEADING_RAD)
    if np.count_nonzero(is_together) * step_m >= TOGETHER_LENGTH_M:
        return MERGING
    side = np.cos(b[YAW_RAD, there]) * (a[Y_M, near] - b[Y_M, there]) - np.sin(b[YAW_RAD, there]) * (
        a[X_M, near] - b[X_M, there]
    )
    closest = float(turn[int(np.argmin(distance[near]))])
    is_across = side[0] * side[-1] < 0.0 or LIKE_HEADING_RAD <= closest <= OPPOSED_HEADING_RAD
    return CROSSING if is_across else ALONG


def _wrapped(angle_rad: float) -> float:
    return math.remainder(angle_rad, 2.0 * math.pi)


@numba.njit(cache=True)
def _distances(a: FloatArray, b: FloatArray, step_m: float, reach_m: float) -> tuple[FloatArray, FloatArray]:
    """Returns for each sample of a the distance to b's centre line (inf beyond the reach) and the station there."""
    num_a, num_b = a.shape[1], b.shape[1]
    num_blocks = (num_b - 1 + _BLOCK - 1) // _BLOCK
    centre = np.empty((3, num_blocks))  # x, y, radius
    for block in range(num_blocks):
        first, end = block * _BLOCK, min((block + 1) * _BLOCK, num_b - 1)
        middle = (first + end) // 2
        x, y, radius = b[X_M, middle], b[Y_M, middle], 0.0
        for j in range(first, end + 1):
            radius = max(radius, math.hypot(b[X_M, j] - x, b[Y_M, j] - y))
        centre[0, block], centre[1, block], centre[2, block] = x, y, radius
    distance = np.full(num_a, np.inf)
    station = np.zeros(num_a)
    for i in range(num_a):
        x, y = a[X_M, i], a[Y_M, i]
        best = reach_m
        for block in range(num_blocks):
            if math.hypot(x - centre[0, block], y - centre[1, block]) - centre[2, block] >= best:
                continue
            for j in range(block * _BLOCK, min((block + 1) * _BLOCK, num_b - 1)):
                dx, dy = b[X_M, j + 1] - b[X_M, j], b[Y_M, j + 1] - b[Y_M, j]
                ex, ey = x - b[X_M, j], y - b[Y_M, j]
                w = min(max((ex * dx + ey * dy) / max(dx * dx + dy * dy, 1e-12), 0.0), 1.0)
                gap = math.hypot(ex - w * dx, ey - w * dy)
                if gap < best:
                    best = gap
                    distance[i], station[i] = gap, (j + w) * step_m
    return distance, station
