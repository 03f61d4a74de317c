"""Routes over several lanes: the shortest way, one smooth centre line, stop lines, projection on hairpins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from simloop.errors import ConfigurationError
from simloop_driving.roads import route as rows
from simloop_driving.roads.road_map import STOP_SIGN, RoadMap, load_map
from simloop_driving.roads.route import Route, lane_route, pose_at, project_near, stack_routes
from simloop_driving.roads.routing import find_route, route_along

from .conftest import ARMS, curve, made_map

MapBuilder = Callable[..., tuple[RoadMap, dict[str, int]]]
PAIRS = list(itertools.permutations(ARMS, 2))


def _check_smooth(route: Route, max_curvature_per_m: float) -> None:
    """Samples lie a step apart along arcs, and the heading is that of the points."""
    x, y, yaw = (route.samples[row] for row in (rows.X_M, rows.Y_M, rows.YAW_RAD))
    chord = np.hypot(np.diff(x), np.diff(y))
    arc = chord / np.sinc(np.abs(np.diff(yaw)) / (2.0 * math.pi))
    assert arc == pytest.approx(route.step_m, abs=0.01)
    middle = 0.5 * (yaw[1:] + yaw[:-1])
    turn = np.angle(np.exp(1j * (np.arctan2(np.diff(y), np.diff(x)) - middle)))
    assert np.abs(turn).max() < 0.01
    assert np.abs(route.samples[rows.CURVATURE_PER_M]).max() < max_curvature_per_m


@pytest.mark.parametrize(("start", "goal"), PAIRS)
def test_every_way_through_a_junction_is_found_and_smooth(
    junction_map: MapBuilder, start: str, goal: str
) -> None:
    road_map, lane = junction_map()
    path = find_route(road_map, lane[f"in_{start}"], lane[f"out_{goal}"])
    assert path == (lane[f"in_{start}"], lane[f"{start}_{goal}"], lane[f"out_{goal}"])
    route = route_along(road_map, path)
    box_m = {1: 0.5 * math.pi * 13.25, 2: 30.0, 3: 0.5 * math.pi * 16.75}
    way_m = 200.0 + box_m[(ARMS.index(goal) - ARMS.index(start)) % 4]
    assert way_m - 1.01 <= route.length_m <= way_m
    _check_smooth(route, 0.08)
    inside = route.samples[rows.JUNCTION] > 0.0
    assert set(route.path_lanes[inside]) == {path[1]}
    assert set(route.path_lanes[~inside]) == {path[0], path[2]}
    assert route.samples[rows.ROAD_LEFT_M][~inside][:-1] == pytest.approx(5.25, abs=2.6)
    assert route.samples[rows.ROAD_LEFT_M][50] == pytest.approx(1.75 + 3.5)
    assert route.samples[rows.ROAD_LEFT_M][110] == pytest.approx(1.75 + rows.JUNCTION_MARGIN_M)
    assert np.all(route.samples[rows.ROAD_RIGHT_M] <= route.samples[rows.RIGHT_EDGE_M])


def test_the_first_lane_of_a_joined_route_keeps_its_samples(junction_map: MapBuilder) -> None:
    road_map, lane = junction_map()
    alone = lane_route(road_map, lane["in_south"])
    joined = route_along(road_map, (lane["in_south"], lane["south_west"]))
    num = alone.samples.shape[1]
    assert np.array_equal(joined.samples[: rows.CURVATURE_PER_M, :num], alone.samples[:3])
    assert route_along(road_map, (lane["in_south"],)) is alone


def test_a_route_of_one_lane_has_the_rows_of_the_map() -> None:
    highway = load_map("highway")
    lane = highway.lane_index(1, -3)
    part = highway.samples(lane)
    route = lane_route(highway, lane)
    assert np.array_equal(route.samples[rows.X_M], highway.x_m[part])
    assert np.array_equal(route.samples[rows.CURVATURE_PER_M], highway.curvature_per_m[part])
    assert np.array_equal(route.samples[rows.ROAD_LEFT_M], route.samples[rows.LEFT_EDGE_M])
    assert np.array_equal(route.samples[rows.ROAD_RIGHT_M], route.samples[rows.RIGHT_EDGE_M])
    assert np.all(route.samples[rows.SPEED_LIMIT_MPS] == pytest.approx(130.0 / 3.6))
    assert len(route.stops) == 0


def test_a_lane_change_follows_the_quintic_between_both_centre_lines() -> None:
    highway = load_map("straight_track")
    start, goal = highway.lane_index(1, -4), highway.lane_index(1, -3)
    path = find_route(highway, start, goal)
    assert path == (start, goal)
    route = route_along(highway, path, from_m=1000.0, change_length_m=80.0, change_at_ratio=0.25)
    middle = 1000.0 + 0.25 * (highway.length_m(start) - 1000.0)
    begin = lane_route(highway, start).samples[rows.Y_M, 0]
    across = route.samples[rows.Y_M] - begin
    for station in np.linspace(middle - 60.0, middle + 60.0, 31):
        u = min(max((station - middle + 40.0) / 80.0, 0.0), 1.0)
        expected = 3.5 * (10 * u**3 - 15 * u**4 + 6 * u**5)
        found = np.interp(station, route.samples[rows.X_M], across)
        assert found == pytest.approx(expected, abs=5e-3)
    _check_smooth(route, 3.5 * 5.78 / 80.0**2 * 1.05)  # largest second derivative of the quintic: 5.7735
    left = route.samples[rows.LEFT_EDGE_M] + across
    assert left == pytest.approx(left[0], abs=2e-3)
    assert route.lane_centre_m(start, middle - 200.0) == pytest.approx(0.0, abs=1e-4)
    assert route.lane_centre_m(goal, middle + 200.0) == pytest.approx(0.0, abs=1e-4)
    assert route.length_m == pytest.approx(highway.length_m(start), abs=1.0)


def test_a_lane_change_in_a_curve_lies_between_the_lanes() -> None:
    highway = load_map("highway")
    path = find_route(highway, highway.lane_index(1, -4), highway.lane_index(1, -2))
    assert len(path) == 3
    route = route_along(highway, path)
    _check_smooth(route, 1.0 / 590.0 + 3.5 * 5.78 / 60.0**2 * 1.05)
    first, last = (lane_route(highway, lane) for lane in (path[0], path[-1]))
    half = route.samples.shape[1] // 2
    assert route.samples[:2, 10] == pytest.approx(first.samples[:2, 10], abs=1e-6)
    guess = first.length_m
    x, y = route.samples[:2, -1]
    _, d = project_near(last.samples, 1.0, x, y, guess, 50.0)
    assert d == pytest.approx(0.0, abs=5e-3)
    assert route.samples[rows.LEFT_EDGE_M, half] == pytest.approx(5.25, abs=0.05)


def test_stop_lines_lie_where_the_map_has_them_and_end_with_the_junction(junction_map: MapBuilder) -> None:
    road_map, lane = junction_map(stops=[("in_south", 97.0, 0)], signals=[(STOP_SIGN, -1, -1)])
    path = find_route(road_map, lane["in_south"], lane["out_west"])
    route = route_along(road_map, path)
    assert route.stops.shape == (1, 3)
    assert route.stops[0, rows.STOP_S_M] == pytest.approx(97.0)
    assert route.stops[0, rows.STOP_SIGNAL] == 0
    assert route.stops[0, rows.STOP_EXIT_S_M] == pytest.approx(100.0 + 0.5 * math.pi * 16.75, abs=1.01)
    other = route_along(road_map, find_route(road_map, lane["in_west"], lane["out_south"]))
    assert other.stops.shape == (0, 3)
    assert lane_route(road_map, lane["in_south"]).stops.tolist() == [[97.0, 0.0, 97.0]]


def _hairpin() -> Route:
    """Two legs 24 m apart, joined by a half circle of 12 m radius."""
    x, y, yaw = curve(0.0, 0.0, 0.0, 100.0, 0.0)
    bend = curve(100.0, 0.0, 0.0, math.pi * 12.0, 1.0 / 12.0)
    rest = math.pi * 12.0 - (len(bend[0]) - 1)
    back = curve(100.0 - (1.0 - rest), 24.0, math.pi, 100.0, 0.0)
    lines = {"out": (x, y, yaw), "bend": bend, "back": back}
    road_map, lane = made_map(lines, [("out", "bend"), ("bend", "back")])
    return route_along(road_map, tuple(lane.values()))


def test_projection_stays_on_its_leg_of_a_hairpin() -> None:
    route = _hairpin()
    end_m = 200.0 + math.pi * 12.0
    s = 0.0
    for station in np.arange(0.0, end_m, 0.7):
        offset = 11.5 * math.sin(station / 3.0)  # almost to the centre of the bend: the other leg is as near
        x, y, _ = pose_at(route.samples, route.step_m, station, offset)
        s, d = project_near(route.samples, route.step_m, x, y, s, 5.0)
        assert s == pytest.approx(station, abs=1.0)
        assert d == pytest.approx(offset, abs=0.06)


@pytest.mark.parametrize(
    ("station", "offset"), [(-20.0, 3.0), (0.3, -2.0), (57.3, 40.0), (245.0, -3.0), (118.0, 1.0)]
)
def test_projection_from_a_guess_inverts_the_pose_also_beyond_the_ends(station: float, offset: float) -> None:
    route = _hairpin()
    x, y, _ = pose_at(route.samples, route.step_m, station, offset)
    found = project_near(route.samples, route.step_m, x, y, station + 4.0, 10.0)
    assert found == pytest.approx((station, offset), abs=0.02)


def test_routes_of_different_length_share_one_array(junction_map: MapBuilder) -> None:
    road_map, lane = junction_map()
    routes = tuple(
        route_along(road_map, find_route(road_map, lane["in_south"], lane[f"out_{arm}"])) for arm in ARMS[1:]
    )
    paths = stack_routes(routes)
    assert paths.samples.shape == (3, rows.NUM_ROWS, max(paths.num_samples))
    for route, samples, num in zip(routes, paths.samples, paths.num_samples, strict=True):
        assert np.array_equal(samples[:, :num], route.samples)
        assert np.all(samples[:, num:] == route.samples[:, -1:])
    assert stack_routes(routes) is paths


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (
            lambda m, lane: find_route(m, lane["out_south"], lane["out_west"]),
            r"'made': lane 16/-1 cannot be reached from lane 1/-1; reachable \(road/lane\): 1/-1\.",
        ),
        (
            lambda m, lane: route_along(m, (lane["in_south"], lane["out_west"])),
            r"lane 0/-1 does not lead to lane \d+/-1; it leads to: 2/-1, 3/-1, 4/-1",
        ),
    ],
)
def test_ways_that_do_not_exist_are_refused(
    junction_map: MapBuilder, attempt: Callable[[RoadMap, dict[str, int]], object], message: str
) -> None:
    road_map, lane = junction_map()
    with pytest.raises(ConfigurationError, match=message):
        attempt(road_map, lane)


def test_a_shoulder_is_no_goal_and_a_lane_change_needs_room() -> None:
    track = load_map("straight_track")
    lane = track.lane_index(1, -3)
    with pytest.raises(ConfigurationError, match=r"Lane 1/-5 of map 'straight_track' is not a driving lane"):
        find_route(track, lane, track.lane_index(1, -5))
    with pytest.raises(ConfigurationError, match=r"have 4\.0 m each from station 2995 m on, .* from 10 m"):
        route_along(track, (lane, track.lane_index(1, -2)), from_m=2995.0)


def test_a_lane_change_takes_four_seconds_at_the_speed_limit() -> None:
    road_map = load_map("merge")
    route = route_along(
        road_map, find_route(road_map, road_map.lane_index(11, -1), road_map.lane_index(3, -4))
    )
    on_road = np.flatnonzero(
        np.isin(route.path_lanes, [road_map.lane_index(2, -5), road_map.lane_index(2, -4)])
    )
    curvature = route.samples[rows.CURVATURE_PER_M, on_road]
    limit_mps = route.samples[rows.SPEED_LIMIT_MPS, on_road].min()
    assert limit_mps == pytest.approx(120.0 / 3.6)
    assert np.abs(curvature).max() * limit_mps**2 == pytest.approx(3.5 * 5.7735 / 4.0**2, rel=0.05)


def test_a_lane_change_from_a_lane_that_closes_happens_while_it_is_wide() -> None:
    road_map = load_map("merge")
    ramp, road = road_map.lane_index(2, -5), road_map.lane_index(2, -4)
    path = find_route(road_map, road_map.lane_index(11, -1), road_map.lane_index(3, -4))
    assert {ramp, road} <= set(path)
    for ratio in (0.0, 0.5, 1.0):
        route = route_along(road_map, path, change_at_ratio=ratio)
        is_before = route.path_lanes == ramp
        assert route.samples[rows.WIDTH_M][is_before].min() > 2.5
        _check_smooth(route, 0.01)
    early = route_along(road_map, path, change_at_ratio=0.0)
    assert np.count_nonzero(early.path_lanes == ramp) < np.count_nonzero(route.path_lanes == ramp)


def test_a_stop_line_that_a_route_passes_twice_is_there_twice() -> None:
    road_map = load_map("town")
    start = road_map.lane_index(212, -1)
    round_the_block = [road_map.lane_index(road, lane) for road, lane in ((121, 1), (202, 1), (111, -1))]
    path = find_route(road_map, start, start, via=round_the_block)
    assert path.count(start) == 2
    route = route_along(road_map, path)
    (stop,) = np.flatnonzero(road_map.stop_lane == start)
    signal = road_map.stop_signal[stop]
    passes = route.stops[route.stops[:, rows.STOP_SIGNAL] == signal, rows.STOP_S_M]
    assert len(passes) == 2
    assert passes[1] - passes[0] == pytest.approx(4 * 150.0, abs=30.0)


def test_lanes_that_lie_apart_do_not_join() -> None:
    lines = {"one": curve(0.0, 0.0, 0.0, 50.0, 0.0), "two": curve(70.0, 0.0, 0.0, 50.0, 0.0)}
    road_map, lane = made_map(lines, [("one", "two")])
    with pytest.raises(ConfigurationError, match=r"lane 1/-1 begins 20\.0 m from the end of the lane"):
        route_along(road_map, (lane["one"], lane["two"]))


def test_a_detour_over_a_lane_between_is_taken_when_asked_for(junction_map: MapBuilder) -> None:
    road_map, lane = junction_map()
    path = find_route(road_map, lane["in_south"], lane["out_north"], via=[lane["south_north"]])
    assert path == (lane["in_south"], lane["south_north"], lane["out_north"])
