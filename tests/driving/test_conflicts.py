"""Conflict zones against shapely's buffers, and who goes first against the rules of the road."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import shapely

from simloop_driving.roads import conflicts
from simloop_driving.roads.conflicts import ALONG, CROSSING, MERGING, conflict_zones
from simloop_driving.roads.priority import priorities, ring_lanes
from simloop_driving.roads.road_map import STOP_SIGN, TRAFFIC_LIGHT, YIELD_SIGN, RoadMap, load_map
from simloop_driving.roads.route import Paths, Route, stack_routes
from simloop_driving.roads.routing import find_route, route_along

from .conftest import ARMS, curve, made_map

MapBuilder = Callable[..., tuple[RoadMap, dict[str, int]]]
TURNS = list(itertools.permutations(ARMS, 2))


def _paths(road_map: RoadMap, lane: dict[str, int], ways: list[tuple[str, str]]) -> Paths:
    return stack_routes(
        tuple(
            route_along(road_map, find_route(road_map, lane[f"in_{start}"], lane[f"out_{goal}"]))
            for start, goal in ways
        )
    )


def _line(route: Route) -> shapely.LineString:
    return shapely.LineString(route.samples[:2].T)


def _overlap(one: Route, other: Route, width_m: float) -> list[tuple[float, float]]:
    """Stations at which a centre line enters and leaves the other's buffer, by shapely."""
    line = _line(one)
    parts = shapely.get_parts(line.intersection(_line(other).buffer(width_m, quad_segs=64)))
    ends = [
        sorted(line.project(shapely.Point(p)) for p in (part.coords[0], part.coords[-1]))
        for part in parts
        if part.length > 0.1
    ]
    joined: list[tuple[float, float]] = []
    for begin, end in sorted(ends):
        if joined and begin - joined[-1][1] < 0.1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


@pytest.mark.parametrize("width_m", [2.0, 2.5])
def test_zones_of_all_ways_through_a_junction_are_those_of_shapely(
    junction_map: MapBuilder, width_m: float
) -> None:
    road_map, lane = junction_map()
    paths = _paths(road_map, lane, TURNS)
    zones = conflict_zones(paths, width_m)
    for a, b in itertools.combinations(range(len(TURNS)), 2):
        one, other = paths.routes[a], paths.routes[b]
        found = zones[(zones[:, conflicts.PATH_A] == a) & (zones[:, conflicts.PATH_B] == b)]
        if TURNS[a][0] == TURNS[b][0]:
            assert len(found) == 0  # they part, and never meet again
            continue
        on_a, on_b = _overlap(one, other, width_m), _overlap(other, one, width_m)
        assert len(found) == len(on_a) == len(on_b)
        # Stations are read off a polygon here: a chord is shorter than its arc.
        assert found[:, [conflicts.A_IN_M, conflicts.A_OUT_M]] == pytest.approx(
            np.array(on_a).reshape(-1, 2), abs=0.1
        )
        assert found[:, [conflicts.B_IN_M, conflicts.B_OUT_M]] == pytest.approx(
            np.array(on_b).reshape(-1, 2), abs=0.1
        )


def _way(junction_map: MapBuilder, first: str, second: str) -> tuple[float, ...]:
    road_map, lane = junction_map()
    ways = [tuple(way.split("-")) for way in (first, second)]
    zones = conflict_zones(_paths(road_map, lane, ways))  # type: ignore[arg-type]
    return tuple(zones[:, conflicts.RELATION])


@pytest.mark.parametrize(
    ("first", "second", "relations"),
    [
        ("south-north", "west-east", (CROSSING,)),
        ("south-west", "north-south", (CROSSING,)),
        ("south-west", "north-west", (MERGING,)),
        ("south-east", "west-east", (MERGING,)),
        ("south-north", "north-south", ()),
        ("south-east", "north-south", ()),
        ("south-north", "south-east", ()),
        ("south-east", "west-south", ()),
    ],
)
def test_relation_of_two_ways(
    junction_map: MapBuilder, first: str, second: str, relations: tuple[float, ...]
) -> None:
    assert _way(junction_map, first, second) == relations


def test_a_left_turn_crosses_oncoming_traffic_once_and_both_zones_lie_in_the_junction(
    junction_map: MapBuilder,
) -> None:
    road_map, lane = junction_map()
    (zone,) = conflict_zones(_paths(road_map, lane, [("south", "west"), ("north", "south")]))
    assert 100.0 < zone[conflicts.A_IN_M] < zone[conflicts.A_OUT_M] < 100.0 + 0.5 * math.pi * 16.75
    assert 100.0 < zone[conflicts.B_IN_M] < zone[conflicts.B_OUT_M] < 130.0


def test_oncoming_use_of_a_lane_is_along() -> None:
    lines = {"there": curve(0.0, 0.0, 0.0, 200.0, 0.0), "back": curve(200.0, 1.0, math.pi, 200.0, 0.0)}
    road_map, lane = made_map(lines, [])
    paths = stack_routes(tuple(route_along(road_map, (i,)) for i in lane.values()))
    (zone,) = conflict_zones(paths)
    assert zone.tolist() == [0.0, 0.0, 200.0, 1.0, 0.0, 200.0, float(ALONG)]
    assert len(conflict_zones(paths, 0.9)) == 0


def test_a_path_that_begins_on_another_is_no_conflict() -> None:
    track = load_map("straight_track")
    lane = track.lane_index(1, -3)
    ahead = route_along(track, (lane, track.lane_index(1, -2)), from_m=500.0)
    paths = stack_routes((route_along(track, (lane,)), ahead))
    assert len(conflict_zones(paths)) == 0


def test_a_lane_change_merges_and_gives_way() -> None:
    track = load_map("straight_track")
    keeps, changes = track.lane_index(1, -3), track.lane_index(1, -4)
    straight = route_along(track, (keeps,))
    change = route_along(track, (changes, keeps), from_m=500.0)
    for routes, first in (((straight, change), 1), ((change, straight), -1)):
        paths = stack_routes(routes)
        zones = conflict_zones(paths)
        assert zones[:, conflicts.RELATION].tolist() == [MERGING]
        assert priorities(track, paths, zones).tolist() == [first]


LIGHTS = [(TRAFFIC_LIGHT, 3, 0), (TRAFFIC_LIGHT, 3, 1), (TRAFFIC_LIGHT, 3, 0), (TRAFFIC_LIGHT, 3, 1)]
ALL_LIGHTS = {"signals": LIGHTS, "stops": [(f"in_{arm}", 97.0, i) for i, arm in enumerate(ARMS)]}
MINOR_STOPS = {
    "signals": [(STOP_SIGN, -1, -1), (YIELD_SIGN, -1, -1)],
    "stops": [("in_east", 97.0, 0), ("in_west", 97.0, 1)],
}


@pytest.mark.parametrize(
    ("options", "first", "second", "expected"),
    [
        # Uncontrolled: right before left; left turns after oncoming traffic.
        ({}, "south-north", "east-west", -1),
        ({}, "south-north", "west-east", 1),
        ({}, "south-west", "north-south", -1),
        ({}, "south-west", "north-west", -1),
        ({}, "south-east", "west-east", 1),
        ({}, "east-west", "south-west", 1),
        # Signs: whoever has one gives way, from the right as well; between two signs the rules hold.
        (MINOR_STOPS, "south-north", "east-west", 1),
        (MINOR_STOPS, "south-west", "east-west", 1),
        (MINOR_STOPS, "west-north", "south-north", -1),
        (MINOR_STOPS, "east-south", "west-east", -1),
        (MINOR_STOPS, "south-west", "north-south", -1),
        # Lights: crossing arms by signal alone; a left turn yields to the arm that has green with it.
        (ALL_LIGHTS, "south-north", "east-west", 0),
        (ALL_LIGHTS, "south-west", "east-west", 0),
        (ALL_LIGHTS, "south-west", "north-south", -1),
        (ALL_LIGHTS, "north-south", "south-west", 1),
    ],
)
def test_who_goes_first(
    junction_map: MapBuilder,
    options: dict[str, list[tuple[object, ...]]],
    first: str,
    second: str,
    expected: int,
) -> None:
    road_map, lane = junction_map(**options)
    ways = [tuple(way.split("-")) for way in (first, second)]
    paths = _paths(road_map, lane, ways)  # type: ignore[arg-type]
    zones = conflict_zones(paths)
    assert priorities(road_map, paths, zones).tolist() == [expected]


def test_going_first_does_not_depend_on_the_order_of_the_paths(junction_map: MapBuilder) -> None:
    for options in ({}, MINOR_STOPS, ALL_LIGHTS):
        road_map, lane = junction_map(**options)
        for one, other in itertools.combinations(TURNS, 2):
            there, back = _paths(road_map, lane, [one, other]), _paths(road_map, lane, [other, one])
            ahead = priorities(road_map, there, conflict_zones(there))
            behind = priorities(road_map, back, conflict_zones(back))
            assert ahead.tolist() == (-behind).tolist()


def test_traffic_on_the_ring_goes_before_whoever_enters() -> None:
    radius = 20.0
    quarter = 0.5 * math.pi * radius
    lines = {
        f"ring{k}": curve(
            radius * math.cos(0.5 * math.pi * k),
            radius * math.sin(0.5 * math.pi * k),
            0.5 * math.pi * (k + 1),
            quarter,
            1.0 / radius,
        )
        for k in range(4)
    }
    # The entry comes from the east, turns right and joins the ring at its easternmost point.
    lines["entry"] = curve(radius + 10.0, -10.0, math.pi, 0.5 * math.pi * 10.0, -1.0 / 10.0)
    links = [(f"ring{k}", f"ring{(k + 1) % 4}") for k in range(4)] + [("entry", "ring0")]
    road_map, lane = made_map(lines, links)
    assert ring_lanes(road_map).tolist() == [True] * 4 + [False]
    ring = route_along(road_map, (lane["ring2"], lane["ring3"], lane["ring0"]))
    entry = route_along(road_map, (lane["entry"], lane["ring0"]))
    for routes, first in (((ring, entry), 1), ((entry, ring), -1)):
        paths = stack_routes(routes)
        zones = conflict_zones(paths)
        assert zones[:, conflicts.RELATION].tolist() == [MERGING]
        assert priorities(road_map, paths, zones).tolist() == [first]


def test_the_main_road_goes_before_the_ramp() -> None:
    ramp = curve(0.0, -20.0, math.radians(8.0), 143.0, -math.radians(8.0) / 143.0)
    x, y = ramp[0][-1], ramp[1][-1]
    lines = {
        "main": curve(x - 200.0, y, 0.0, 199.0, 0.0),
        "ramp": ramp,
        "on": curve(x, y, 0.0, 300.0, 0.0),
    }
    limit = {"main": 33.0, "ramp": 16.0, "on": 33.0}
    road_map, lane = made_map(lines, [("main", "on"), ("ramp", "on")], limit_mps=limit)
    main = route_along(road_map, (lane["main"], lane["on"]))
    side = route_along(road_map, (lane["ramp"], lane["on"]))
    paths = stack_routes((side, main))
    zones = conflict_zones(paths)
    assert zones[:, conflicts.RELATION].tolist() == [MERGING]
    assert priorities(road_map, paths, zones).tolist() == [-1]


def test_zones_are_computed_once(junction_map: MapBuilder) -> None:
    road_map, lane = junction_map()
    paths = _paths(road_map, lane, TURNS[:4])
    assert conflict_zones(paths) is conflict_zones(paths)
    with pytest.raises(ValueError, match="read-only"):
        conflict_zones(paths)[0, 0] = 1.0


def _on(map_name: str, *ways: str) -> tuple[RoadMap, Paths]:
    road_map = load_map(map_name)

    def lane(name: str) -> int:
        road, number = name.split("/")
        return road_map.lane_index(int(road), int(number))

    ends = [way.split(" to ") for way in ways]
    return road_map, stack_routes(
        tuple(route_along(road_map, find_route(road_map, lane(start), lane(goal))) for start, goal in ends)
    )


@pytest.mark.parametrize(
    ("map_name", "first", "second", "relation", "expected"),
    [
        # Town, junction 5: lights. A left turn yields to the oncoming arm, which has green with it.
        ("town", "111/-1 to 212/-1", "112/1 to 111/1", CROSSING, -1),
        ("town", "111/-1 to 212/-1", "112/1 to 212/-1", MERGING, -1),
        ("town", "111/-1 to 212/-1", "212/1 to 211/1", CROSSING, 0),
        ("town", "111/-1 to 211/1", "212/1 to 211/1", MERGING, 0),
        # Junction 8: stop signs north and south; left off the main road yields to oncoming traffic.
        ("town", "212/-1 to 213/-1", "121/-1 to 122/-1", CROSSING, -1),
        ("town", "212/-1 to 121/1", "122/1 to 121/1", MERGING, -1),
        ("town", "121/-1 to 213/-1", "122/1 to 121/1", CROSSING, -1),
        # Junction 2, a T without signs: right before left, left after oncoming.
        ("town", "102/1 to 101/1", "211/1 to 101/1", MERGING, -1),
        ("town", "102/1 to 101/1", "101/-1 to 211/-1", CROSSING, 1),
        ("town", "101/-1 to 102/-1", "211/1 to 102/-1", MERGING, 1),
        # Roundabout: the ring first, whatever the arm.
        ("roundabout", "4/-1 to 2/1", "3/-1 to 1/1", MERGING, -1),
        ("roundabout", "4/-1 to 1/1", "3/-1 to 2/1", MERGING, -1),
        ("roundabout", "4/-1 to 2/1", "1/-1 to 2/1", MERGING, 1),
        # Motorway: whoever comes from the ramp changes lanes into the main road's traffic.
        ("merge", "11/-1 to 3/-4", "1/-4 to 3/-4", MERGING, -1),
        ("merge", "1/-4 to 3/-4", "11/-1 to 3/-4", MERGING, 1),
    ],
)
def test_who_goes_first_on_the_shipped_maps(
    map_name: str, first: str, second: str, relation: int, expected: int
) -> None:
    road_map, paths = _on(map_name, first, second)
    zones = conflict_zones(paths)
    assert zones[:, conflicts.RELATION].tolist() == [relation]
    assert priorities(road_map, paths, zones).tolist() == [expected]


@pytest.mark.parametrize(
    ("map_name", "first", "second"),
    [
        ("rural", "1/-1 to 6/-1", "6/1 to 1/1"),  # oncoming, also round the hairpin
        ("merge", "1/-3 to 5/-3", "11/-1 to 3/-4"),
        ("merge", "3/-4 to 12/-1", "3/-4 to 5/-4"),
        ("roundabout", "4/-1 to 1/1", "2/-1 to 3/1"),
    ],
)
def test_ways_on_the_shipped_maps_that_do_not_meet(map_name: str, first: str, second: str) -> None:
    _, paths = _on(map_name, first, second)
    assert len(conflict_zones(paths)) == 0


def test_a_path_that_passes_a_junction_twice_meets_a_crossing_one_twice() -> None:
    road_map, crossing = _on("town", "121/-1 to 122/-1")
    lane = road_map.lane_index
    way = find_route(
        road_map, lane(212, -1), lane(213, -1), via=[lane(121, 1), lane(202, 1), lane(111, -1), lane(212, -1)]
    )
    paths = stack_routes((route_along(road_map, way), *crossing.routes))
    zones = conflict_zones(paths)
    assert zones[:, conflicts.RELATION].tolist() == [CROSSING, CROSSING]
    first, second = zones
    assert 500.0 < second[conflicts.A_IN_M] - first[conflicts.A_IN_M] < 700.0
    for zone in zones:  # a left turn, then straight on, over the same lane
        assert 128.0 < zone[conflicts.B_IN_M] < zone[conflicts.B_OUT_M] < 141.0
    assert priorities(road_map, paths, zones).tolist() == [-1, -1]


def test_every_junction_of_the_town_lets_somebody_go_first_or_has_lights() -> None:
    road_map = load_map("town")
    lights = {4, 5, 9}
    for junction in range(1, 10):
        inside = np.flatnonzero((road_map.lane_junction_id == junction) & (road_map.lane_kind == 0))
        before = {int(road_map.successor[i]): int(lane) for lane, i in _links(road_map)}
        routes = tuple(
            route_along(road_map, (before[int(lane)], int(lane), int(road_map.successors(int(lane))[0])))
            for lane in inside
        )
        paths = stack_routes(routes)
        zones = conflict_zones(paths)
        first = priorities(road_map, paths, zones)
        assert np.any(first != 0)
        assert np.any(first == 0) == (junction in lights)
        assert not np.any(zones[:, conflicts.RELATION] == ALONG)


def _links(road_map: RoadMap) -> list[tuple[int, int]]:
    return [
        (lane, i)
        for lane in range(road_map.num_lanes)
        for i in range(road_map.successor_start[lane], road_map.successor_start[lane + 1])
    ]
