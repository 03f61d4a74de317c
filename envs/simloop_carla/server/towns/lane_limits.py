"""Speed limits by place: that of the driving lane whose centre line is nearest."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.dynamics.single_track import X_M, Y_M
from simloop_driving.roads.road_map import DRIVING, RoadMap

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

URBAN_LIMIT_MPS = 50.0 / 3.6
"""Speed limit of lanes without one."""
LOOKED_UP_EVERY_M = 2.0
"""A limit is looked up again when its vehicle is as far from where it was."""
_CELL_M = 8.0
_KMH_PER_MPS = 3.6


class LaneLimits(NamedTuple):
    """Samples of the driving lanes, sorted into square cells.

    Attributes:
        low_m: (2,) corner of the grid.
        shape: (2,) cells along x and y.
        starts: (cells + 1,) first sample of each cell, row by row.
        x_m, y_m: (samples,) places.
        limit_mps: (samples,) limits.
    """

    low_m: FloatArray
    shape: IntArray
    starts: IntArray
    x_m: FloatArray
    y_m: FloatArray
    limit_mps: FloatArray


def lane_limits(road_map: RoadMap) -> LaneLimits:
    """Returns the limits of a map's driving lanes."""
    lane_of_sample = np.repeat(np.arange(road_map.num_lanes), np.diff(road_map.lane_start))
    samples = np.flatnonzero(road_map.lane_kind[lane_of_sample] == DRIVING)
    places = np.stack([road_map.x_m[samples], road_map.y_m[samples]], axis=1).astype(np.float64)
    low_m = places.min(axis=0)
    cells = ((places - low_m) / _CELL_M).astype(np.int64)
    shape = cells.max(axis=0) + 1
    cell = cells[:, 1] * shape[0] + cells[:, 0]
    order = np.argsort(cell, kind="stable")
    limit_mps = road_map.lane_speed_limit_mps[lane_of_sample[samples[order]]]
    return LaneLimits(
        low_m,
        shape,
        np.searchsorted(cell[order], np.arange(shape.prod() + 1)),
        np.ascontiguousarray(places[order, 0]),
        np.ascontiguousarray(places[order, 1]),
        np.where(np.isfinite(limit_mps), limit_mps, URBAN_LIMIT_MPS).astype(np.float64),
    )


@numba.njit(cache=True)
def nearest_sample(x_m: float, y_m: float, limits: LaneLimits) -> int:
    """Returns the sample nearest to a place: by rings of cells around it, or among all if it is off the grid."""
    column = math.floor((x_m - limits.low_m[0]) / _CELL_M)
    row = math.floor((y_m - limits.low_m[1]) / _CELL_M)
    columns, rows = limits.shape[0], limits.shape[1]
    best, best_m2 = 0, math.inf
    if not (0 <= column < columns and 0 <= row < rows):
        for sample in range(len(limits.x_m)):
            off_m2 = (limits.x_m[sample] - x_m) ** 2 + (limits.y_m[sample] - y_m) ** 2
            if off_m2 < best_m2:
                best, best_m2 = sample, off_m2
        return best
    ring = 0
    while (ring - 1) * _CELL_M <= math.sqrt(best_m2):
        for j in range(max(row - ring, 0), min(row + ring, rows - 1) + 1):
            is_edge = abs(j - row) == ring
            for i in range(max(column - ring, 0), min(column + ring, columns - 1) + 1):
                if not is_edge and abs(i - column) != ring:
                    continue
                for sample in range(limits.starts[j * columns + i], limits.starts[j * columns + i + 1]):
                    off_m2 = (limits.x_m[sample] - x_m) ** 2 + (limits.y_m[sample] - y_m) ** 2
                    if off_m2 < best_m2:
                        best, best_m2 = sample, off_m2
        ring += 1
    return best


@numba.njit(cache=True)
def look_up(states: FloatArray, looked_up_m: FloatArray, limits_kmh: FloatArray, limits: LaneLimits) -> None:
    """Brings the limits of N bodies up to date, in place.

    Args:
        states: (N, NUM_EGO_ENTRIES).
        looked_up_m: (N, 2) where each limit was looked up; infinite for a body that is new.
        limits_kmh: (N,) limits.
        limits: Those of the map.
    """
    for body in range(states.shape[0]):
        x_m, y_m = states[body, X_M], states[body, Y_M]
        if max(abs(x_m - looked_up_m[body, 0]), abs(y_m - looked_up_m[body, 1])) > LOOKED_UP_EVERY_M:
            looked_up_m[body, 0], looked_up_m[body, 1] = x_m, y_m
            limits_kmh[body] = _KMH_PER_MPS * limits.limit_mps[nearest_sample(x_m, y_m, limits)]
