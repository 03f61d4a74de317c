"""Zones as each path sees them, times, bends and where everybody is on every path, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simloop.spec import Scenario
from simloop_driving.actor_motion import AXLE_RATIO, place_actor
from simloop_driving.roads.conflicts import CROSSING, MERGING, NUM_ZONE_COLUMNS
from simloop_driving.roads.road_map import load_map
from simloop_driving.roads.route import CURVATURE_PER_M, Route, stack_routes
from simloop_driving.roads.routing import find_route, route_along
from simloop_driving.scenario import actor_state
from simloop_driving.scenario.on_paths import (
    FAR_M,
    IN_THE_WAY_M,
    ON_OFFSET_M,
    ON_STATION_M,
    ON_WAY,
)
from simloop_driving.scenario.right_of_way import (
    GROUP_OUT_M,
    OWN_IN_M,
    PRIORITY,
    WAIT_AT_M,
    WAIT_BEFORE_M,
    build_crossings,
    swing_m,
    travel_time,
)
from simloop_driving.scenario.traffic import (
    BEND_ACCELERATION_MPS2,
    BEND_BRAKING_MPS2,
    FASTEST_MPS,
    speed_profiles,
)
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

TOWN = load_map("town")


def _route(start: tuple[int, int], goal: tuple[int, int]) -> Route:
    lanes = find_route(TOWN, TOWN.lane_index(*start), TOWN.lane_index(*goal))
    return route_along(TOWN, lanes)


EAST, NORTH, LEFT = (
    _route((111, -1), (112, -1)),
    _route((211, -1), (212, -1)),
    _route((111, -1), (212, -1)),
)


@pytest.mark.parametrize(
    ("way_m", "speed_mps", "top_mps"),
    [(30.0, 0.0, 10.0), (5.0, 2.0, 10.0), (100.0, 8.0, 8.0), (40.0, 12.0, 9.0)],
)
def test_travel_time_is_that_of_a_motion_stepped_finely(
    way_m: float, speed_mps: float, top_mps: float
) -> None:
    time_s, done_m, speed, step_s = 0.0, 0.0, speed_mps, 1e-4
    while done_m < way_m:
        new = min(speed + 0.8 * step_s, max(top_mps, speed_mps))
        done_m += 0.5 * (speed + new) * step_s
        speed, time_s = new, time_s + step_s
    assert travel_time(way_m, speed_mps, 0.8, top_mps) == pytest.approx(time_s, abs=1e-3)
    assert travel_time(-1.0, speed_mps, 0.8, top_mps) == 0.0


def _zones(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, NUM_ZONE_COLUMNS)


def test_zones_with_no_room_between_are_one_group_and_are_waited_for_at_the_line() -> None:
    line_m = float(EAST.stops[0, 0])
    zones = _zones(
        (0, line_m + 8.0, line_m + 12.0, 1, 130.0, 134.0, CROSSING),
        (0, line_m + 16.0, line_m + 20.0, 1, 140.0, 144.0, CROSSING),
        (0, line_m + 60.0, line_m + 64.0, 1, 190.0, 194.0, CROSSING),
    )
    crossings, start = build_crossings((EAST, NORTH), zones, np.array([1, -1, 1]), (4.5, 4.5))
    assert list(start) == [0, 3, 6]
    own = crossings[:3]
    assert own[:, OWN_IN_M] == pytest.approx(line_m + np.array([8.0, 16.0, 60.0]), abs=0.2)
    assert own[0, GROUP_OUT_M] == own[1, GROUP_OUT_M] == pytest.approx(line_m + 20.0, abs=0.2)
    assert own[:2, WAIT_AT_M] == pytest.approx([line_m, line_m])
    assert own[2, WAIT_AT_M] == pytest.approx(own[2, OWN_IN_M] - WAIT_BEFORE_M)  # no line near
    assert list(own[:, PRIORITY]) == [1.0, -1.0, 1.0]
    assert list(crossings[3:, PRIORITY]) == [-1.0, 1.0, -1.0]


def test_zones_grow_with_the_swing_of_long_vehicles_in_bends_only() -> None:
    bend = np.argmax(np.abs(LEFT.samples[CURVATURE_PER_M])) * LEFT.step_m
    radius_m = 1.0 / float(np.abs(LEFT.samples[CURVATURE_PER_M]).max())
    chord_m = AXLE_RATIO * 12.0
    assert swing_m(LEFT, bend - 1.0, bend + 1.0, 12.0) == pytest.approx(
        radius_m - math.sqrt(radius_m**2 - chord_m**2), rel=1e-6
    )
    assert swing_m(LEFT, 20.0, 60.0, 12.0) == 0.0
    assert swing_m(LEFT, bend - 1.0, bend + 1.0, 4.5) < 0.3
    zone = _zones((0, bend - 2.0, bend + 2.0, 1, 130.0, 134.0, MERGING))
    cars, _ = build_crossings((LEFT, NORTH), zone, np.array([0]), (4.5, 4.5))
    trucks, _ = build_crossings((LEFT, NORTH), zone, np.array([0]), (12.0, 4.5))
    assert trucks[0, OWN_IN_M] < cars[0, OWN_IN_M] - 0.5


def test_bends_are_taken_at_the_speed_of_their_radius_and_braked_for_before() -> None:
    profile = speed_profiles(stack_routes((LEFT,)))[0]
    curvature = np.abs(LEFT.samples[CURVATURE_PER_M])
    tightest = int(np.argmax(curvature))
    assert profile[tightest] == pytest.approx(
        math.sqrt(BEND_ACCELERATION_MPS2 / curvature[tightest]), rel=1e-6
    )
    assert profile.max() <= FASTEST_MPS
    gain = np.diff(profile**2)
    assert gain.min() >= -2.0 * BEND_BRAKING_MPS2 * LEFT.step_m - 1e-9
    assert profile[tightest - 60] ** 2 == pytest.approx(
        profile[tightest - 40] ** 2 + 2.0 * BEND_BRAKING_MPS2 * 20.0 * LEFT.step_m, rel=0.1
    )


def test_a_truck_has_both_axles_on_a_tight_bend_and_a_car_its_centre() -> None:
    table = np.zeros((actor_state.NUM_ROWS, 2))
    table[actor_state.LENGTH_M] = (12.0, 4.5)
    table[actor_state.PATH_S_M] = float(np.argmax(np.abs(LEFT.samples[CURVATURE_PER_M]))) * LEFT.step_m
    x_m, y_m = LEFT.samples[0], LEFT.samples[1]

    def away_m(x: float, y: float) -> float:
        return float(np.hypot(x_m - x, y_m - y).min())

    for actor, length_m in ((0, 12.0), (1, 4.5)):
        place_actor(table, actor, LEFT.samples, LEFT.step_m)
        x, y, yaw = table[[actor_state.X_M, actor_state.Y_M, actor_state.YAW_RAD], actor]
        ends = [
            away_m(
                x + side * AXLE_RATIO * length_m * math.cos(yaw),
                y + side * AXLE_RATIO * length_m * math.sin(yaw),
            )
            for side in (1.0, -1.0)
        ]
        if actor == 0:
            assert max(ends) < 0.65  # samples are 1 m apart
            assert away_m(x, y) > 0.8
        else:
            assert away_m(x, y) < 0.01


def test_the_table_of_all_on_all_paths_is_where_they_are() -> None:
    """Compared with the nearest of all samples, at every tenth tick of busy traffic."""

    def flow(road: int, lane: int, to_road: int, to_lane: int) -> dict[str, object]:
        path = {"road": road, "lane": lane, "station_m": 5.0, "to": {"road": to_road, "lane": to_lane}}
        return {
            "path": path,
            "num_actors": 3,
            "headway_range_s": [3.0, 6.0],
            "speed_range_mps": [8.0, 12.0],
            "behaviour": "idm",
        }

    scene = {
        "map": "town",
        "ego": {
            "road": 111,
            "lane": -1,
            "station_m": 20.0,
            "initial_speed_mps": 8.0,
            "to": {"road": 112, "lane": -1},
        },
        "background": [
            flow(112, 1, 111, 1),
            flow(211, -1, 111, 1),
            flow(212, 1, 112, -1),
            flow(112, 1, 211, 1),
        ],
        "criteria": {"goal_time_s": 39.0, "min_progress_ratio": 0.0},
    }
    scenario = Scenario(family="own", world="driving", parameters={}, scene=scene, time_limit_ns=40 * 10**9)
    world = DrivingWorld(action="acceleration")
    world.reset(scenario, 1)
    world.actuate(np.array([-0.5, 0.0]))
    state = world._state
    assert state is not None
    on_paths = world._kernel_arrays.on_paths
    num_near = 0
    for tick in range(10, 700, 10):
        world.advance(tick * CONTROL_PERIOD_NS)
        for path, route in enumerate(state.paths.routes):
            for actor in range(state.actors.shape[1]):
                if state.actors[actor_state.IS_ABSENT, actor]:
                    assert on_paths[path, ON_OFFSET_M, actor] == math.inf
                    continue
                x, y, yaw = state.actors[[actor_state.X_M, actor_state.Y_M, actor_state.YAW_RAD], actor]
                distance = np.hypot(route.samples[0] - x, route.samples[1] - y)
                nearest = int(np.argmin(distance))
                is_inside = 2 < nearest < len(distance) - 3
                offset = abs(on_paths[path, ON_OFFSET_M, actor])
                if distance[nearest] < IN_THE_WAY_M - 0.6 and is_inside:
                    num_near += 1
                    assert offset == pytest.approx(distance[nearest], abs=0.6)
                    assert on_paths[path, ON_STATION_M, actor] == pytest.approx(
                        nearest * route.step_m, abs=1.0
                    )
                    way = math.cos(yaw - route.samples[2, nearest])
                    assert on_paths[path, ON_WAY, actor] == pytest.approx(way, abs=0.2)
                elif distance[nearest] > FAR_M + 1.0 and int(state.actors[actor_state.PATH, actor]) != path:
                    assert offset == math.inf
    assert num_near > 500
