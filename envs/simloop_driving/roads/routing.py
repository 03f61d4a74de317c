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

from simloop.errors import ConfigurationError
from simloop_driving.roads.lane_joining import MIN_CHANGE_M, change_piece, join, lane_piece
from simloop_driving.roads.road_map import DRIVING, RoadMap
from simloop_driving.roads.route import Route, lane_route

LANE_CHANGE_COST_M = 100.0
"""A lane change counts as much as this way: a detour round a block is not taken to save one."""

USUAL_CHANGE_M = 60.0
CHANGE_TIME_S = 4.0
"""Over 3.5 m in this time a quintic needs 1.3 m/s2 sideways (5.77 x 3.5 m / (4 s)^2)."""
FAST_MPS = 130.0 / 3.6
"""Taken where there is no speed limit."""

_MAX_LISTED_LANES = 40


def usual_change_m(road_map: RoadMap, lane: int) -> float:
    """Returns the way that a lane change from a lane takes unless somebody says otherwise."""
    limit_mps = min(float(road_map.lane_speed_limit_mps[lane]), FAST_MPS)
    return max(USUAL_CHANGE_M, CHANGE_TIME_S * limit_mps)


def successors(road_map: RoadMap, lane: int) -> tuple[int, ...]:
    """Returns the driving lanes that a lane leads into."""
    following = (int(other) for other in road_map.successors(lane))
    return tuple(other for other in following if road_map.lane_kind[other] == DRIVING)


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
                f"Lane {road_map.lane_name(lane)} of map {road_map.name!r} is not a driving lane; routes lead over "
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
        names = sorted(road_map.lane_name(lane) for lane in done)
        rest = f" and {len(names) - _MAX_LISTED_LANES} more" if len(names) > _MAX_LISTED_LANES else ""
        raise ConfigurationError(
            f"Map {road_map.name!r}: lane {road_map.lane_name(goal)} cannot be reached from lane "
            f"{road_map.lane_name(start)}; reachable (road/lane): {', '.join(names[:_MAX_LISTED_LANES])}{rest}."
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
    change_length_m: float | None = None,
    change_at_ratio: float = 0.5,
) -> Route:
    """Joins lanes into one route, sampled at the map's step; cached by map and arguments.

    Args:
        road_map: The map.
        lanes: Each leads into the next, or lies beside it (a lane change).
        from_m: Station on the first lane after which the first lane change may begin.
        change_length_m: Way of one lane change, ``CHANGE_TIME_S`` at the speed limit but ``USUAL_CHANGE_M`` at least
            unless given; shorter where the lanes lie side by side for less.
        change_at_ratio: Where the middle of a lane change lies on the way that the lanes lie side by side: 0 its
            beginning, 1 its end. Several changes in a row share the way equally.

    Raises:
        ConfigurationError: Two consecutive lanes neither follow each other nor lie side by side, lie apart, or lie
            side by side on less than ``MIN_CHANGE_M``.
    """
    return _route_along(road_map, tuple(lanes), float(from_m), change_length_m, float(change_at_ratio))


@functools.lru_cache(maxsize=256)
def _route_along(
    road_map: RoadMap,
    lanes: tuple[int, ...],
    from_m: float,
    change_length_m: float | None,
    change_at_ratio: float,
) -> Route:
    if len(lanes) == 1:
        return lane_route(road_map, lanes[0])
    pieces = []
    for number, group in enumerate(_groups(road_map, lanes)):
        if len(group) == 1:
            pieces.append(lane_piece(road_map, group[0]))
        else:
            begin_m = from_m if number == 0 else 0.0
            length_m = usual_change_m(road_map, group[0]) if change_length_m is None else change_length_m
            pieces.append(change_piece(road_map, group, begin_m, length_m, change_at_ratio))
    return join(road_map, lanes, pieces)


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
                f"Map {road_map.name!r}: lane {road_map.lane_name(lane)} does not lead to lane "
                f"{road_map.lane_name(following)}; it leads to: "
                f"{', '.join(road_map.lane_name(other) for other in allowed) or 'none'}."
            )
    return groups
