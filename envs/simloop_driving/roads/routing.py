"""Finds routes over a map's lanes and joins lanes into one centre line.

Lanes follow each other by ``RoadMap.successor``; a change to a neighbouring lane is a quintic blend of both centre
lines, whose curvature begins and ends at that of the lanes.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop_driving.roads import route as rows
from simloop_driving.roads.road_map import DRIVING, RoadMap
from simloop_driving.roads.route import NUM_ROWS, Route, lane_route, lane_strip, project_near

FloatArray = npt.NDArray[np.float64]

LANE_CHANGE_COST_M = 100.0
"""A lane change counts as much as this way: a detour round a block is not taken to save one."""

MIN_CHANGE_M = 10.0
"""Shortest way on which a lane change is planned."""

MAX_JOIN_GAP_M = 5.0
"""A lane that begins farther than this from the end of the one before does not continue it."""

_MAX_LISTED_LANES = 40


def lane_name(road_map: RoadMap, lane: int) -> str:
    """Returns how messages call a lane: OpenDRIVE road and lane id, ``"12/-1"``."""
    return f"{int(road_map.lane_road_id[lane])}/{int(road_map.lane_opendrive_id[lane])}"


def successors(road_map: RoadMap, lane: int) -> tuple[int, ...]:
    """Returns the driving lanes that a lane leads into."""
    part = road_map.successor[road_map.successor_start[lane] : road_map.successor_start[lane + 1]]
    return tuple(int(following) for following in part if road_map.lane_kind[following] == DRIVING)


def side_lanes(road_map: RoadMap, lane: int) -> tuple[int, ...]:
    """Returns the lanes that one may change to from a lane: driving neighbours, outside junctions."""
    if road_map.lane_junction_id[lane] >= 0 or road_map.length_m(lane) < MIN_CHANGE_M:
        return ()
    beside = (road_map.driving_neighbour(lane, side) for side in ("left", "right"))
    return tuple(other for other in beside if other >= 0)


def find_route(
    road_map: RoadMap, start_lane: int, goal_lane: int, *, via: Sequence[int] = ()
) -> tuple[int, ...]:
    """Returns the lanes of the shortest way from one lane to another (Dijkstra's algorithm).

    Args:
        road_map: The map.
        start_lane: The first lane.
        goal_lane: The last lane.
        via: Lanes to pass on the way, in this order.

    Raises:
        ConfigurationError: A lane cannot be reached from the one before; the message names both and what can be.
    """
    path: tuple[int, ...] = (start_lane,)
    for stage in (*via, goal_lane):
        path += _shortest(road_map, path[-1], stage)[1:]
    return path


@functools.lru_cache(maxsize=1024)
def _shortest(road_map: RoadMap, start: int, goal: int) -> tuple[int, ...]:
    for lane in (start, goal):
        if road_map.lane_kind[lane] != DRIVING:
            raise ConfigurationError(
                f"Lane {lane_name(road_map, lane)} of map {road_map.name!r} is not a driving lane; routes lead over "
                "driving lanes only."
            )
    cost = {start: 0.0}
    before: dict[int, int] = {}
    done: set[int] = set()
    queue = [(0.0, start)]
    while queue:
        so_far, lane = heapq.heappop(queue)
        if lane in done:
            continue
        done.add(lane)
        if lane == goal:
            break
        steps = [(following, road_map.length_m(lane)) for following in successors(road_map, lane)]
        steps += [(beside, LANE_CHANGE_COST_M) for beside in side_lanes(road_map, lane)]
        for following, way in steps:
            if so_far + way < cost.get(following, math.inf):
                cost[following] = so_far + way
                before[following] = lane
                heapq.heappush(queue, (so_far + way, following))
    if goal not in done:
        names = sorted(lane_name(road_map, lane) for lane in done)
        rest = f" and {len(names) - _MAX_LISTED_LANES} more" if len(names) > _MAX_LISTED_LANES else ""
        raise ConfigurationError(
            f"Map {road_map.name!r}: lane {lane_name(road_map, goal)} cannot be reached from lane "
            f"{lane_name(road_map, start)}; reachable (road/lane): {', '.join(names[:_MAX_LISTED_LANES])}{rest}."
        )
    path = [goal]
    while path[-1] != start:
        path.append(before[path[-1]])
    return tuple(reversed(path))


def route_along(
    road_map: RoadMap,
    lanes: Sequence[int],
    *,
    from_m: float = 0.0,
    change_length_m: float = 60.0,
    change_at_ratio: float = 0.5,
) -> Route:
    """Joins lanes into one route, sampled at the map's step; cached by map and arguments.

    Args:
        road_map: The map.
        lanes: Each leads into the next, or lies beside it (a lane change).
        from_m: Station on the first lane after which the first lane change may begin.
        change_length_m: Way of one lane change; shorter where the lanes lie side by side for less.
        change_at_ratio: Where the middle of a lane change lies on the way that the lanes lie side by side: 0 its
            beginning, 1 its end. Several changes in a row share the way equally.

    Raises:
        ConfigurationError: Two consecutive lanes neither follow each other nor lie side by side, lie apart, or lie
            side by side on less than ``MIN_CHANGE_M``.
    """
    return _route_along(road_map, tuple(lanes), float(from_m), float(change_length_m), float(change_at_ratio))


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Part of a route: samples at any steps of the arc length, with the rows of ``Route.samples``."""

    along_m: FloatArray
    samples: FloatArray
    lane: npt.NDArray[np.int64]
    lanes: npt.NDArray[np.int64]
    centres_m: FloatArray
    widths_m: FloatArray


@functools.lru_cache(maxsize=256)
def _route_along(
    road_map: RoadMap, lanes: tuple[int, ...], from_m: float, change_length_m: float, change_at_ratio: float
) -> Route:
    if len(lanes) == 1:
        return lane_route(road_map, lanes[0])
    pieces = []
    for number, group in enumerate(_groups(road_map, lanes)):
        if len(group) == 1:
            strip = lane_strip(road_map, group[0])
            pieces.append(
                _Piece(
                    road_map.s_m[road_map.samples(group[0])],
                    strip.rows,
                    np.full(strip.rows.shape[1], group[0]),
                    strip.lanes,
                    strip.lane_centres_m,
                    strip.lane_widths_m,
                )
            )
        else:
            begin_m = from_m if number == 0 else 0.0
            pieces.append(_change_lanes(road_map, group, begin_m, change_length_m, change_at_ratio))
    return _join(road_map, lanes, pieces)


def _groups(road_map: RoadMap, lanes: tuple[int, ...]) -> list[list[int]]:
    """Splits a chain of lanes into runs of lanes that lie side by side."""
    groups = [[lanes[0]]]
    for lane, following in itertools.pairwise(lanes):
        if following in successors(road_map, lane):
            groups.append([following])
        elif following in side_lanes(road_map, lane):
            groups[-1].append(following)
        else:
            allowed = (*successors(road_map, lane), *side_lanes(road_map, lane))
            raise ConfigurationError(
                f"Map {road_map.name!r}: lane {lane_name(road_map, lane)} does not lead to lane "
                f"{lane_name(road_map, following)}; it leads to: "
                f"{', '.join(lane_name(road_map, other) for other in allowed) or 'none'}."
            )
    return groups


def _quintic(position: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns the smooth step 10 u^3 - 15 u^4 + 6 u^5 from 0 to 1, and its derivative."""
    u = np.clip(position, 0.0, 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u * u), 30.0 * (u * (1.0 - u)) ** 2


def _change_lanes(
    road_map: RoadMap, group: Sequence[int], begin_m: float, change_length_m: float, at_ratio: float
) -> _Piece:
    """Blends the centre lines of lanes that lie side by side; the first lane's samples set the pace."""
    first = lane_strip(road_map, group[0])
    along = road_map.s_m[road_map.samples(group[0])]
    num_changes = len(group) - 1
    share_m = (float(along[-1]) - begin_m) / num_changes
    if share_m < MIN_CHANGE_M:
        raise ConfigurationError(
            f"Map {road_map.name!r}: {num_changes} lane change(s) from lane {lane_name(road_map, group[0])} to lane "
            f"{lane_name(road_map, group[-1])} have {max(share_m, 0.0):.1f} m each from station {begin_m:g} m on; "
            f"allowed: from {MIN_CHANGE_M:g} m. Start earlier, or change lanes on another road."
        )
    length_m = min(change_length_m, share_m)
    centre = np.stack([first.rows[rows.X_M], first.rows[rows.Y_M]])
    tangent = np.stack([np.cos(first.rows[rows.YAW_RAD]), np.sin(first.rows[rows.YAW_RAD])])
    width = first.rows[rows.WIDTH_M].copy()
    lane = np.full(len(along), group[0])
    before_xy, before_tangent, before_width = centre.copy(), tangent.copy(), width.copy()
    xy, heading = centre.copy(), tangent.copy()
    for number, target in enumerate(group[1:]):
        target_xy, target_tangent, target_width = _beside(road_map, target, centre)
        low, high = begin_m + number * share_m, begin_m + (number + 1) * share_m
        middle = low + at_ratio * (high - low)
        middle = min(max(middle, low + 0.5 * length_m), high - 0.5 * length_m)
        weight, slope = _quintic((along - (middle - 0.5 * length_m)) / length_m)
        move = target_xy - before_xy
        xy = xy + weight * move
        heading = heading + weight * (target_tangent - before_tangent) + slope / length_m * move
        width = width + weight * (target_width - before_width)
        lane = np.where(weight > 0.5, target, lane)
        before_xy, before_tangent, before_width = target_xy, target_tangent, target_width
    yaw = np.unwrap(np.arctan2(heading[1], heading[0]))
    yaw += 2.0 * math.pi * round((first.rows[rows.YAW_RAD, 0] - yaw[0]) / (2.0 * math.pi))
    offset = tangent[0] * (xy[1] - centre[1]) - tangent[1] * (xy[0] - centre[0])
    samples = first.rows.copy()
    samples[rows.X_M], samples[rows.Y_M] = xy[0], xy[1]
    samples[rows.YAW_RAD], samples[rows.WIDTH_M] = yaw, width
    for row in (rows.LEFT_EDGE_M, rows.RIGHT_EDGE_M, rows.ROAD_LEFT_M, rows.ROAD_RIGHT_M):
        samples[row] -= offset
    return _Piece(
        np.concatenate([[0.0], np.cumsum(_arc_m(xy[0], xy[1], yaw))]),
        samples,
        lane,
        first.lanes,
        first.lane_centres_m - offset,
        first.lane_widths_m,
    )


def _beside(road_map: RoadMap, lane: int, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns the points of a lane's centre line beside (2, N) points, its directions and its widths there."""
    strip = lane_strip(road_map, lane)
    step_m = road_map.step_m
    found = np.empty(points.shape[1])
    guess = 0.0
    for i in range(points.shape[1]):
        guess, _ = project_near(strip.rows, step_m, points[0, i], points[1, i], guess, 10.0 * step_m)
        found[i] = guess
    x, y, yaw, _ = _hermite(strip.rows, np.arange(strip.rows.shape[1]) * step_m, found)
    width = np.interp(found, np.arange(strip.rows.shape[1]) * step_m, strip.rows[rows.WIDTH_M])
    return np.stack([x, y]), np.stack([np.cos(yaw), np.sin(yaw)]), width


def _arc_m(x: FloatArray, y: FloatArray, yaw: FloatArray) -> FloatArray:
    """Arc lengths between points: a chord is shorter than its arc by sin(h) / h, h = half the turn along it."""
    arc_m: FloatArray = np.hypot(np.diff(x), np.diff(y)) / np.sinc(np.abs(np.diff(yaw)) / (2.0 * math.pi))
    return arc_m


def _hermite(
    samples: FloatArray, along: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Returns x, y, yaw and the sample before, at arc lengths ``at``; beyond the ends it goes on straight."""
    index = np.clip(np.searchsorted(along, at, side="right") - 1, 0, len(along) - 2)
    h = along[index + 1] - along[index]
    t = (at - along[index]) / h
    u = np.clip(t, 0.0, 1.0)
    beyond = (t - u) * h
    yaw0, yaw1 = samples[rows.YAW_RAD, index], samples[rows.YAW_RAD, index + 1]
    yaw = yaw0 + u * (yaw1 - yaw0)
    rest, square = 1.0 - u, u * u
    from_0, from_1 = rest * rest * (1.0 + 2.0 * u), square * (3.0 - 2.0 * u)
    slope_0, slope_1 = u * rest * rest * h, -square * rest * h
    x = from_0 * samples[rows.X_M, index] + from_1 * samples[rows.X_M, index + 1]
    y = from_0 * samples[rows.Y_M, index] + from_1 * samples[rows.Y_M, index + 1]
    x += slope_0 * np.cos(yaw0) + slope_1 * np.cos(yaw1) + beyond * np.cos(yaw)
    y += slope_0 * np.sin(yaw0) + slope_1 * np.sin(yaw1) + beyond * np.sin(yaw)
    return x, y, yaw, index


def _join(road_map: RoadMap, lanes: tuple[int, ...], pieces: Sequence[_Piece]) -> Route:
    """Puts pieces behind each other and samples them anew at equal steps."""
    beside = np.array(list(dict.fromkeys(int(lane) for piece in pieces for lane in piece.lanes)))
    samples, along = [pieces[0].samples], [pieces[0].along_m]
    for piece in pieces[1:]:
        last, first = samples[-1][:, -1], piece.samples[:, 0].copy()
        turns = round((last[rows.YAW_RAD] - first[rows.YAW_RAD]) / (2.0 * math.pi))
        moved = piece.samples.copy()
        moved[rows.YAW_RAD] += 2.0 * math.pi * turns
        first = moved[:, 0]
        gap_m = math.hypot(first[rows.X_M] - last[rows.X_M], first[rows.Y_M] - last[rows.Y_M])
        if gap_m > MAX_JOIN_GAP_M:
            raise ConfigurationError(
                f"Map {road_map.name!r}: lane {lane_name(road_map, int(piece.lane[0]))} begins {gap_m:.1f} m from the "
                f"end of the lane that leads into it; allowed: up to {MAX_JOIN_GAP_M:g} m. Mend the link or the "
                "geometry."
            )
        half_turn = 0.5 * abs(first[rows.YAW_RAD] - last[rows.YAW_RAD])
        along.append(piece.along_m + along[-1][-1] + gap_m / float(np.sinc(half_turn / math.pi)))
        samples.append(moved)
    knots = np.concatenate(along)
    is_new = np.concatenate([[True], np.diff(knots) > 1e-6])
    knots, joined = knots[is_new], np.concatenate(samples, axis=1)[:, is_new]
    lane = np.concatenate([piece.lane for piece in pieces])[is_new]
    centres = np.concatenate([_spread(p.centres_m, p.lanes, beside, math.inf) for p in pieces], axis=1)[
        :, is_new
    ]
    widths = np.concatenate([_spread(p.widths_m, p.lanes, beside, 0.0) for p in pieces], axis=1)[:, is_new]
    step_m = road_map.step_m
    s = np.arange(0.0, knots[-1], step_m)
    new = np.empty((NUM_ROWS, len(s)))
    new[rows.X_M], new[rows.Y_M], new[rows.YAW_RAD], index = _hermite(joined, knots, s)
    new[rows.CURVATURE_PER_M] = np.gradient(new[rows.YAW_RAD], s)
    for row in (
        rows.WIDTH_M,
        rows.LEFT_EDGE_M,
        rows.RIGHT_EDGE_M,
        rows.ROAD_LEFT_M,
        rows.ROAD_RIGHT_M,
    ):
        new[row] = np.interp(s, knots, joined[row])
    for row in (rows.SPEED_LIMIT_MPS, rows.JUNCTION):
        new[row] = joined[row, index]
    return Route(
        lane=lanes[0],
        path=lanes,
        step_m=step_m,
        samples=np.ascontiguousarray(new),
        length_m=(len(s) - 1) * step_m,
        path_lanes=lane[index].astype(np.int64),
        stops=_stops(road_map, lanes, new, lane[index], step_m),
        lanes=beside.astype(np.int64),
        lane_centres_m=centres[:, index],
        lane_widths_m=widths[:, index],
        speed_limit_mps=float(road_map.lane_speed_limit_mps[lanes[0]]),
    )


def _spread(
    values: FloatArray, lanes: npt.NDArray[np.int64], all_lanes: npt.NDArray[np.int64], absent: float
) -> FloatArray:
    """Puts rows of some lanes into an array with a row for each of ``all_lanes``."""
    spread = np.full((len(all_lanes), values.shape[1]), absent)
    for lane, row in zip(lanes, values, strict=True):
        spread[np.flatnonzero(all_lanes == lane)[0]] = row
    return spread


def _stops(
    road_map: RoadMap,
    lanes: Sequence[int],
    samples: FloatArray,
    path_lanes: npt.NDArray[np.int64],
    step_m: float,
) -> FloatArray:
    """Returns ``Route.stops``: a stop line counts where the route lies on its lane."""
    stops = []
    for at, lane_s_m, signal in zip(road_map.stop_lane, road_map.stop_s_m, road_map.stop_signal, strict=True):
        on_lane = np.flatnonzero(path_lanes == at)
        if int(at) not in lanes or len(on_lane) == 0:
            continue
        part = road_map.samples(int(at))
        x = float(np.interp(lane_s_m, road_map.s_m[part], road_map.x_m[part]))
        y = float(np.interp(lane_s_m, road_map.s_m[part], road_map.y_m[part]))
        near = (samples[rows.X_M, on_lane] - x) ** 2 + (samples[rows.Y_M, on_lane] - y) ** 2
        guess_m = float(on_lane[int(np.argmin(near))]) * step_m
        s_m, d_m = project_near(samples, step_m, x, y, guess_m, 2.0 * step_m)
        if abs(d_m) < 0.5 * road_map.width_m[part].max():
            stops.append((s_m, float(signal), _junction_end_m(samples, s_m, step_m)))
    return np.array(sorted(stops), dtype=np.float64).reshape(-1, 3)


def _junction_end_m(samples: FloatArray, s_m: float, step_m: float, reach_m: float = 30.0) -> float:
    """Returns where the junction ends that begins within ``reach_m`` of a stop line; the line if there is none."""
    is_inside = samples[rows.JUNCTION] > 0.0
    first = max(int(s_m / step_m), 0)
    entry = np.flatnonzero(is_inside[first : first + int(reach_m / step_m) + 1])
    if len(entry) == 0:
        return s_m
    begin = first + int(entry[0])
    leave = np.flatnonzero(~is_inside[begin:])
    end = begin + int(leave[0]) if len(leave) else len(is_inside) - 1
    return end * step_m
