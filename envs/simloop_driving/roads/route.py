"""A route: the lanes that a vehicle is to follow, as one array with constant-time queries.

Position along the route is ``s`` (arc length of the joined centre line, metres), position across it ``d`` (metres,
positive to the left). Beyond either end the route goes on straight. ``simloop_driving.roads.routing`` finds routes over
several lanes.
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
ROAD_LEFT_M = 7  # d of the left edge of what may be driven on, the lanes of oncoming traffic included
ROAD_RIGHT_M = 8
SPEED_LIMIT_MPS = 9  # NO_SPEED_LIMIT_MPS where there is none
JUNCTION = 10  # 1 inside a junction
NUM_ROWS = 11

NO_SPEED_LIMIT_MPS = 100.0
"""Stands in the samples where the map sets no limit: finite, so that it can be interpolated."""

JUNCTION_MARGIN_M = 1.0
"""Inside a junction the road ends this far beyond the lanes of the own direction: there is asphalt beside a turning
lane, but the lanes beside it belong to other turns."""

# Columns of Route.stops.
STOP_S_M = 0
STOP_SIGNAL = 1
STOP_EXIT_S_M = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """A chain of lanes with what lies beside it.

    Attributes:
        lane: Index of its first lane in its map.
        path: All its lanes in the order of travel.
        step_m: Arc length between two samples.
        samples: (NUM_ROWS, M) float64, see the row constants of this module.
        length_m: Arc length of the route.
        path_lanes: (M,) int64, the lane of ``path`` that each sample lies on.
        stops: (n, 3) float64, the stop lines in the order of travel: station, index of the map's signal, station at
            which the junction behind the line ends (the line itself where no junction follows).
        lanes: (K,) int64, the driving lanes that lie side by side with ``path`` somewhere; where they all lie side
            by side, as along one lane, from left to right.
        lane_centres_m: (K, M) float64, d of the centre of each of ``lanes``; inf where it is not beside the route.
        lane_widths_m: (K, M) float64, width of each of ``lanes``; 0 where it is not beside the route.
        speed_limit_mps: Speed limit of the first lane, inf where there is none.
    """

    lane: int
    path: tuple[int, ...]
    step_m: float
    samples: FloatArray
    length_m: float
    path_lanes: npt.NDArray[np.int64]
    stops: FloatArray
    lanes: npt.NDArray[np.int64]
    lane_centres_m: FloatArray
    lane_widths_m: FloatArray
    speed_limit_mps: float

    def lane_centre_m(self, lane: int, s_m: float) -> float:
        """Returns the d of the centre of one of ``lanes`` at ``s_m``."""
        row = int(np.flatnonzero(self.lanes == lane)[0])
        return float(np.interp(s_m / self.step_m, np.arange(self.samples.shape[1]), self.lane_centres_m[row]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """Routes side by side in one array for the kernels; path 0 is the ego's.

    Attributes:
        samples: (P, NUM_ROWS, M) float64; a shorter route repeats its last column.
        num_samples: (P,) int64, samples of each route.
        step_m: Arc length between two samples.
        routes: The routes themselves.
    """

    samples: FloatArray
    num_samples: npt.NDArray[np.int64]
    step_m: float
    routes: tuple[Route, ...]


@functools.lru_cache(maxsize=64)
def stack_routes(routes: tuple[Route, ...]) -> Paths:
    """Puts routes of one map into one array."""
    num_samples = np.array([route.samples.shape[1] for route in routes], dtype=np.int64)
    longest = int(num_samples.max())
    samples = np.stack(
        [np.pad(r.samples, ((0, 0), (0, longest - r.samples.shape[1])), mode="edge") for r in routes]
    )
    return Paths(samples=samples, num_samples=num_samples, step_m=routes[0].step_m, routes=routes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneStrip:
    """One driving lane with what lies beside it; arrays have one entry a sample of the lane.

    Attributes:
        rows: (NUM_ROWS, N) float64, as ``Route.samples``.
        lanes: (K,) int64, the driving lanes of its direction, from left to right; holds the lane itself.
        lane_centres_m: (K, N) float64.
        lane_widths_m: (K, N) float64.
    """

    rows: FloatArray
    lanes: npt.NDArray[np.int64]
    lane_centres_m: FloatArray
    lane_widths_m: FloatArray


@functools.lru_cache(maxsize=512)
def lane_strip(road_map: RoadMap, lane: int) -> LaneStrip:
    """Returns the samples of a driving lane, the lanes beside it, and where the road ends."""
    part = road_map.samples(lane)
    num = part.stop - part.start
    fraction = np.arange(num) / max(num - 1, 1)
    own_width = road_map.width_m[part]

    def width_of(other: int, *, is_opposite: bool = False) -> FloatArray:
        values = road_map.width_m[road_map.samples(other)]
        return np.interp(
            fraction,
            np.arange(len(values)) / max(len(values) - 1, 1),
            values[::-1] if is_opposite else values,
        )

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
    road_left, road_right = edges["left"], edges["right"]
    is_in_junction = road_map.lane_junction_id[lane] >= 0
    if is_in_junction:
        road_left, road_right = road_left + JUNCTION_MARGIN_M, road_right - JUNCTION_MARGIN_M
    else:
        opposite = int(road_map.lane_opposite[lane])
        while opposite >= 0:
            road_left = road_left + width_of(opposite, is_opposite=True)
            opposite = road_map.driving_neighbour(opposite, "right")
    rows = np.stack(
        [
            road_map.x_m[part],
            road_map.y_m[part],
            road_map.yaw_rad[part],
            road_map.curvature_per_m[part],
            own_width,
            edges["left"],
            edges["right"],
            road_left,
            road_right,
            np.full(num, min(float(road_map.lane_speed_limit_mps[lane]), NO_SPEED_LIMIT_MPS)),
            np.full(num, float(is_in_junction)),
        ]
    )
    return LaneStrip(
        rows=np.ascontiguousarray(rows),
        lanes=np.array(lanes, dtype=np.int64),
        lane_centres_m=np.stack(centres),
        lane_widths_m=np.stack(widths),
    )


@functools.lru_cache(maxsize=64)
def lane_route(road_map: RoadMap, lane: int) -> Route:
    """Builds the route along one driving lane."""
    strip = lane_strip(road_map, lane)
    num = strip.rows.shape[1]
    stops = [
        (float(s_m), float(signal), float(s_m))
        for at, s_m, signal in zip(road_map.stop_lane, road_map.stop_s_m, road_map.stop_signal, strict=True)
        if at == lane
    ]
    return Route(
        lane=lane,
        path=(lane,),
        step_m=road_map.step_m,
        samples=strip.rows,
        length_m=(num - 1) * road_map.step_m,
        path_lanes=np.full(num, lane, dtype=np.int64),
        stops=np.array(sorted(stops), dtype=np.float64).reshape(-1, 3),
        lanes=strip.lanes,
        lane_centres_m=strip.lane_centres_m,
        lane_widths_m=strip.lane_widths_m,
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


@numba.njit(cache=True)
def nearest_station_between(
    samples: FloatArray, step_m: float, x_m: float, y_m: float, low_m: float, high_m: float
) -> float:
    """Returns s of the sample nearest to a point among those from ``low_m`` to ``high_m``."""
    last = samples.shape[1] - 1
    first = min(max(int(math.floor(low_m / step_m)), 0), last)
    end = min(max(int(math.ceil(high_m / step_m)), first), last)
    best, best_square = first, math.inf
    for i in range(first, end + 1):
        square = (samples[X_M, i] - x_m) ** 2 + (samples[Y_M, i] - y_m) ** 2
        if square < best_square:
            best, best_square = i, square
    return best * step_m


@numba.njit(cache=True)
def project_near(
    samples: FloatArray, step_m: float, x_m: float, y_m: float, s_guess_m: float, window_m: float
) -> tuple[float, float]:
    """Returns s and d of the nearest point of the route within ``window_m`` of a guess; never leaves the window.

    For points that may be far from the route, or that lie between two legs of it (hairpins, rings), where Newton
    steps from a guess may land on the wrong leg. Called every tick with the s of the tick before, it stays on the leg
    on which it began. Beyond either end the route goes on straight.
    """
    last = samples.shape[1] - 1
    end_m = last * step_m
    low = s_guess_m - window_m
    high = s_guess_m + window_m
    near = nearest_station_between(samples, step_m, x_m, y_m, low, high)
    i = int(round(near / step_m))
    best_s, best_d, best_square = near, 0.0, math.inf
    for k in range(max(i - 1, 0), min(i, last - 1) + 1):
        ax, ay = samples[X_M, k], samples[Y_M, k]
        bx, by = samples[X_M, k + 1] - ax, samples[Y_M, k + 1] - ay
        length = max(math.hypot(bx, by), 1e-12)
        w = ((x_m - ax) * bx + (y_m - ay) * by) / (length * length)
        is_first_end = k == 0 and w < 0.0 and low < 0.0
        is_last_end = k == last - 1 and w > 1.0 and high > end_m
        if not (is_first_end or is_last_end):
            w = min(max(w, 0.0), 1.0)
        dx, dy = x_m - (ax + w * bx), y_m - (ay + w * by)
        square = dx * dx + dy * dy
        if square < best_square:
            best_square = square
            side = (bx * (y_m - ay) - by * (x_m - ax)) / length
            best_s = (k + w) * step_m
            best_d = math.copysign(math.sqrt(square), side)
    best_s = min(max(best_s, low), high)
    refined_s, refined_d = project(samples, step_m, x_m, y_m, best_s)
    if abs(refined_s - best_s) <= 0.5 * step_m and low <= refined_s <= high:
        return refined_s, refined_d
    return best_s, best_d
