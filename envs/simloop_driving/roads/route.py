"""A route: the lane that the ego is to follow, as one array with constant-time queries.

Position along the route is ``s`` (arc length of the lane's centre line, metres), position across it ``d`` (metres,
positive to the left). Beyond either end the route goes on straight.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.roads.road_map import RoadMap

FloatArray = npt.NDArray[np.float64]

# Rows of Route.samples.
X_M = 0
Y_M = 1
YAW_RAD = 2
CURVATURE_PER_M = 3
WIDTH_M = 4
LEFT_EDGE_M = 5  # d of the left edge of the outermost driving lane on the left
RIGHT_EDGE_M = 6
NUM_ROWS = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One lane of a map with what lies beside it.

    Attributes:
        lane: Index of the lane in its map.
        step_m: Arc length between two samples.
        samples: (NUM_ROWS, M) float64, see the row constants of this module.
        length_m: Arc length of the route.
        lanes: (K,) int64, the driving lanes side by side, from left to right; holds ``lane``.
        lane_centres_m: (K, M) float64, d of the centre of each of ``lanes``.
        lane_widths_m: (K, M) float64, width of each of ``lanes``.
        speed_limit_mps: Speed limit, inf where there is none.
    """

    lane: int
    step_m: float
    samples: FloatArray
    length_m: float
    lanes: npt.NDArray[np.int64]
    lane_centres_m: FloatArray
    lane_widths_m: FloatArray
    speed_limit_mps: float

    def lane_centre_m(self, lane: int, s_m: float) -> float:
        """Returns the d of the centre of one of ``lanes`` at ``s_m``."""
        row = int(np.flatnonzero(self.lanes == lane)[0])
        return float(np.interp(s_m / self.step_m, np.arange(self.samples.shape[1]), self.lane_centres_m[row]))


@functools.lru_cache(maxsize=64)
def lane_route(road_map: RoadMap, lane: int) -> Route:
    """Builds the route along one driving lane."""
    part = road_map.samples(lane)
    num = part.stop - part.start
    fraction = np.arange(num) / max(num - 1, 1)
    own_width = road_map.width_m[part]

    def width_of(other: int) -> FloatArray:
        values = road_map.width_m[road_map.samples(other)]
        return np.interp(fraction, np.arange(len(values)) / max(len(values) - 1, 1), values)

    lanes, centres, widths = [lane], [np.zeros(num)], [own_width]
    edges = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        edge = sign * 0.5 * own_width
        current = lane
        while (neighbour := road_map.driving_neighbour(current, side)) >= 0:
            width = width_of(neighbour)
            position = 0 if side == "left" else len(lanes)
            lanes.insert(position, neighbour)
            centres.insert(position, edge + sign * 0.5 * width)
            widths.insert(position, width)
            edge = edge + sign * width
            current = neighbour
        edges[side] = edge
    samples = np.stack(
        [
            road_map.x_m[part],
            road_map.y_m[part],
            road_map.yaw_rad[part],
            road_map.curvature_per_m[part],
            own_width,
            edges["left"],
            edges["right"],
        ]
    )
    return Route(
        lane=lane,
        step_m=road_map.step_m,
        samples=np.ascontiguousarray(samples),
        length_m=(num - 1) * road_map.step_m,
        lanes=np.array(lanes, dtype=np.int64),
        lane_centres_m=np.stack(centres),
        lane_widths_m=np.stack(widths),
        speed_limit_mps=float(road_map.lane_speed_limit_mps[lane]),
    )


@numba.njit(cache=True)
def centre_at(samples: FloatArray, step_m: float, s_m: float) -> tuple[float, float, float, float]:
    """Returns x, y, yaw and curvature of the route's centre at ``s_m``."""
    last = samples.shape[1] - 1
    position = s_m / step_m
    if position <= 0.0 or position >= last:
        end = 0 if position <= 0.0 else last
        beyond = (position - end) * step_m
        yaw = samples[YAW_RAD, end]
        return (
            samples[X_M, end] + beyond * math.cos(yaw),
            samples[Y_M, end] + beyond * math.sin(yaw),
            yaw,
            0.0,
        )
    i = int(position)
    w = position - i
    v = 1.0 - w
    return (
        v * samples[X_M, i] + w * samples[X_M, i + 1],
        v * samples[Y_M, i] + w * samples[Y_M, i + 1],
        v * samples[YAW_RAD, i] + w * samples[YAW_RAD, i + 1],
        v * samples[CURVATURE_PER_M, i] + w * samples[CURVATURE_PER_M, i + 1],
    )


@numba.njit(cache=True)
def value_at(samples: FloatArray, step_m: float, row: int, s_m: float) -> float:
    """Returns a row of the samples at ``s_m``, held constant beyond the ends."""
    last = samples.shape[1] - 1
    position = min(max(s_m / step_m, 0.0), float(last))
    i = min(int(position), last - 1)
    w = position - i
    return float((1.0 - w) * samples[row, i] + w * samples[row, i + 1])


@numba.njit(cache=True)
def pose_at(samples: FloatArray, step_m: float, s_m: float, d_m: float) -> tuple[float, float, float]:
    """Returns x, y and the route's heading at a position along and across the route."""
    x, y, yaw, _ = centre_at(samples, step_m, s_m)
    return x - d_m * math.sin(yaw), y + d_m * math.cos(yaw), yaw


@numba.njit(cache=True)
def project(
    samples: FloatArray, step_m: float, x_m: float, y_m: float, s_guess_m: float
) -> tuple[float, float]:
    """Returns s and d of a point, by Newton steps from a guess that is within a few tens of metres."""
    s = s_guess_m
    d = 0.0
    for _ in range(20):
        x, y, yaw, curvature = centre_at(samples, step_m, s)
        cos_yaw, sin_yaw = math.cos(yaw), math.sin(yaw)
        along = (x_m - x) * cos_yaw + (y_m - y) * sin_yaw
        d = (y_m - y) * cos_yaw - (x_m - x) * sin_yaw
        move = along / max(1.0 - curvature * d, 0.2)
        s += move
        if abs(move) < 1e-6:
            break
    return s, d


@numba.njit(cache=True)
def nearest_station(samples: FloatArray, step_m: float, x_m: float, y_m: float) -> float:
    """Returns s of the sample nearest to a point: a guess for ``project`` when there is none."""
    best, best_square = 0, math.inf
    for i in range(samples.shape[1]):
        square = (samples[X_M, i] - x_m) ** 2 + (samples[Y_M, i] - y_m) ** 2
        if square < best_square:
            best, best_square = i, square
    return best * step_m
