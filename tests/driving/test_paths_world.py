"""The world with several paths, through its public seam: rules, goals, traffic on paths of its own, and its log."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ConfigurationError
from simloop.log import EpisodeLog
from simloop.spec import Scenario
from simloop.world import OutcomeState
from simloop_driving.recording import TABLES
from simloop_driving.roads.road_map import load_map
from simloop_driving.roads.routing import find_route, route_along
from simloop_driving.scenario.actor_state import ACTOR_DIMENSIONS_M
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

FloatArray = npt.NDArray[np.float64]
TICK_S = CONTROL_PERIOD_NS / 1e9
TOWN = load_map("town")
STRAIGHT_ON = {"road": 112, "lane": -1}
EGO_HALF_M = 0.5 * 4.70


def _scenario(limit_s: float = 40.0, **changes: Any) -> Scenario:
    """A town street that leads straight over a junction with lights; phase 0, the ego's, turns green at t = 0."""
    scene: dict[str, Any] = {
        "map": "town",
        "ego": {"road": 111, "lane": -1, "station_m": 60.0, "initial_speed_mps": 10.0, "to": STRAIGHT_ON},
        "signals": {"green_s": 20.0, "amber_s": 3.0, "all_red_s": 2.0, "offset_s": 0.0},
        "criteria": {"goal_distance_m": 120.0},
    }
    return Scenario(
        family="own", world="driving", parameters={}, scene=scene | changes, time_limit_ns=int(limit_s * 1e9)
    )


def _play(
    scenario: Scenario, acceleration_mps2: float = 0.0, *, limit_s: float = 40.0, on_after: bool = False
) -> tuple[DrivingWorld, EpisodeLog]:
    """Plays with one acceleration to the verdict, or ``on_after`` it to the limit."""
    world = DrivingWorld(action="acceleration")
    world.reset(scenario, 0)
    world.actuate(np.array([acceleration_mps2, 0.0]))
    tick = 0
    while tick * TICK_S < limit_s and (on_after or world.outcome().state is OutcomeState.RUNNING):
        tick += 1
        world.advance(tick * CONTROL_PERIOD_NS)
    return world, EpisodeLog.from_columns(TABLES, world.drain())


def _of(log: EpisodeLog, actor: int, column: str) -> FloatArray:
    return np.asarray(log.column("actors", column))[np.asarray(log.column("actors", "actor")) == actor]


def test_the_goal_is_reached_by_place() -> None:
    world, log = _play(_scenario())
    assert (world.outcome().state, world.outcome().reason) == (OutcomeState.SUCCESS, "goal")
    assert _of(log, 0, "station_m")[-1] == pytest.approx(180.0, abs=0.5)
    assert log.num_rows("infractions") == 0


@pytest.mark.parametrize(("may_run_red", "reason"), [(False, "red_light"), (True, "goal")])
def test_running_a_red_light_is_an_infraction_and_a_verdict(may_run_red: bool, reason: str) -> None:
    changes = {
        "signals": {"green_s": 20.0, "amber_s": 3.0, "all_red_s": 2.0, "offset_s": 25.0},
        "criteria": {"goal_distance_m": 120.0, "may_run_red": may_run_red},
    }
    world, log = _play(_scenario(**changes))
    assert world.outcome().reason == reason
    assert list(log.column("infractions", "kind")) == ["red_light"]
    line_m = float(log.column("infractions", "station_m")[0])
    tick = int(log.column("infractions", "t_ns")[0]) // CONTROL_PERIOD_NS
    front_m = _of(log, 0, "station_m") + EGO_HALF_M
    assert front_m[tick - 1] <= line_m < front_m[tick]


def test_passing_an_amber_light_is_none() -> None:
    offset_s = 20.0 - 4.0  # the front is 58.6 m before the line, which it passes at 5.9 s
    world, log = _play(_scenario(signals={"amber_s": 3.0, "offset_s": offset_s}))
    states = [
        int(s)
        for s, t in zip(log.column("signals", "state"), log.column("signals", "t_ns"), strict=True)
        if t > 0
    ]
    assert 1 in states
    assert world.outcome().reason == "goal"


def _stop_scenario(**ego: Any) -> Scenario:
    start = {"road": 212, "lane": -1, "station_m": 90.0, "initial_speed_mps": 8.0, "set_speed_mps": 8.0}
    return _scenario(ego=start | {"to": {"road": 213, "lane": -1}} | ego, criteria={"goal_distance_m": 60.0})


def test_a_stop_sign_asks_for_a_standstill_close_before_the_line() -> None:
    world, log = _play(_stop_scenario())
    assert world.outcome().reason == "stop_sign"
    line_m = float(log.column("infractions", "station_m")[0])
    for stands_before_m, reason in ((2.0, "goal"), (7.0, "stop_sign")):
        world = DrivingWorld(action="acceleration")
        world.reset(_stop_scenario(station_m=line_m - EGO_HALF_M - stands_before_m, initial_speed_mps=0.0), 0)
        for tick in range(300):
            world.actuate(np.array([-5.0 if tick < 10 else 2.0, 0.0]))
            world.advance((tick + 1) * CONTROL_PERIOD_NS)
            if world.outcome().state is not OutcomeState.RUNNING:
                break
        assert world.outcome().reason == reason


def test_light_changes_are_logged_as_the_cycle_says() -> None:
    _, log = _play(_scenario(limit_s=61.0), -6.0, limit_s=60.0, on_after=True)
    signal = np.asarray(log.column("signals", "signal"))
    t_s = np.asarray(log.column("signals", "t_ns")) / 1e9
    state = np.asarray(log.column("signals", "state"))
    of_ego = signal == signal[t_s == 0.0][state[t_s == 0.0] == 0][0]
    assert t_s[of_ego] == pytest.approx([0.0, 20.0, 23.0, 50.0])
    assert list(state[of_ego]) == [0, 1, 2, 0]


def test_attributes_tell_what_a_picture_shows() -> None:
    cross = {"path": {"road": 211, "lane": -1, "station_m": 20.0, "to": {"road": 212, "lane": -1}}}
    world, _ = _play(_scenario(actors={"other": cross | {"speed_mps": 5.0}}), limit_s=0.1)
    attributes = world.log_attributes()
    assert len(attributes["paths"]) == 2
    assert attributes["paths"][0][0] == pytest.approx([14.0, 148.25], abs=0.3)
    kinds = {item["kind"] for item in attributes["signals"]}
    assert "traffic_light" in kinds
    for one, other, signal in attributes["stop_lines"]:
        assert math.dist(one, other) == pytest.approx(3.5, abs=0.3)
        assert 0 <= signal < len(attributes["signals"])


def _crossing(speed_mps: float = 6.0, **changes: Any) -> dict[str, Any]:
    path = {"road": 211, "lane": -1, "station_m": 20.0, "to": {"road": 212, "lane": -1}}
    return {"other": {"path": path, "speed_mps": speed_mps} | changes}


def test_an_actor_follows_its_own_path_and_is_projected_on_the_route() -> None:
    _, log = _play(_scenario(actors=_crossing()), -6.0, limit_s=25.0, on_after=True)
    lanes = find_route(TOWN, TOWN.lane_index(211, -1), TOWN.lane_index(212, -1))
    path = route_along(TOWN, lanes).samples
    x_m, y_m = _of(log, 1, "x_m"), _of(log, 1, "y_m")
    nearest_m = [np.hypot(path[0] - x, path[1] - y).min() for x, y in zip(x_m, y_m, strict=True)]
    assert max(nearest_m) < 0.51  # samples are 1 m apart
    assert np.hypot(np.diff(x_m), np.diff(y_m)) == pytest.approx(6.0 * TICK_S, abs=1e-6)
    route = route_along(TOWN, find_route(TOWN, TOWN.lane_index(111, -1), TOWN.lane_index(112, -1))).samples
    d_m, s_m = _of(log, 1, "lateral_offset_m"), _of(log, 1, "station_m")
    distance_m = np.array([np.hypot(route[0] - x, route[1] - y).min() for x, y in zip(x_m, y_m, strict=True)])
    is_near = distance_m < 15.0
    assert np.count_nonzero(is_near) > 50
    assert np.abs(d_m)[is_near] == pytest.approx(distance_m[is_near], abs=0.51)
    # The street runs north, the route east: across it from right to left, at no speed along it.
    assert np.all(np.diff(d_m[is_near]) > 0.0)
    assert np.abs(_of(log, 1, "route_speed_mps")[is_near]).max() < 0.1
    assert np.ptp(s_m[is_near]) < 0.1
    lane = _of(log, 1, "lane")
    assert lane[0] == TOWN.lane_index(211, -1)
    assert lane[-1] == TOWN.lane_index(212, -1)


@pytest.mark.parametrize("after_s", [-1.5, 0.0, 2.0])
def test_an_actor_arrives_at_the_conflict_when_it_is_told_to(after_s: float) -> None:
    actors = _crossing(arrives_with_ego_s=after_s)
    del actors["other"]["path"]["station_m"]
    _, log = _play(
        _scenario(actors=actors, criteria={"goal_distance_m": 120.0, "may_run_red": True}),
        on_after=True,
        limit_s=12.0,
    )
    # Both strips are 2.5 m to either side of the other's centre line; both ways are straight there.
    ego_line_m, actor_line_m = 151.75, 148.25
    ego_at_s = np.interp(ego_line_m - 2.5 - EGO_HALF_M, _of(log, 0, "x_m"), np.arange(241) * TICK_S)
    half_m = 0.5 * ACTOR_DIMENSIONS_M["car"][0]
    actor_at_s = np.interp(actor_line_m - 2.5 - half_m, _of(log, 1, "y_m"), np.arange(241) * TICK_S)
    assert actor_at_s - ego_at_s == pytest.approx(after_s, abs=0.15)


def test_who_comes_towards_the_ego_drives_on_its_own_lane() -> None:
    actors = {"oncoming": {"lane": "opposite", "gap_m": 80.0, "speed_mps": 9.0}}
    _, log = _play(_scenario(actors=actors), 0.0, limit_s=3.0)
    assert _of(log, 1, "lateral_offset_m") == pytest.approx(3.5, abs=0.05)
    assert _of(log, 1, "route_speed_mps") == pytest.approx(-9.0, abs=0.05)
    gap_m = _of(log, 1, "station_m")[0] - _of(log, 0, "station_m")[0]
    assert gap_m == pytest.approx(80.0 + EGO_HALF_M + 2.25, abs=3.5)
    assert not _of(log, 0, "is_in_opposite_lane").any()


def test_traffic_stops_behind_an_ego_in_its_way() -> None:
    behind = {"path": {"road": 111, "lane": -1, "station_m": 8.0, "to": {"road": 212, "lane": -1}}}
    actors = {"follower": behind | {"speed_mps": 10.0, "behaviour": "idm"}}
    world, log = _play(_scenario(actors=actors, limit_s=21.0), -5.0, limit_s=20.0, on_after=True)
    assert log.num_rows("contacts") == 0
    gap_m = _of(log, 0, "station_m")[-1] - _of(log, 1, "station_m")[-1] - EGO_HALF_M - 2.25
    assert gap_m == pytest.approx(2.0, abs=0.3)
    assert _of(log, 1, "speed_mps")[-1] < 0.1
    assert world.progress_ratio < 0.5


def test_contacts_of_others_are_logged_and_no_collision_of_the_ego() -> None:
    path = {"road": 112, "lane": 1, "station_m": 30.0, "to": {"road": 111, "lane": 1}}
    actors = _crossing() | {"second": {"path": path, "speed_mps": 6.0}}
    actors["other"]["path"]["station_m"] = 28.0
    _, log = _play(_scenario(actors=actors), -6.0, limit_s=25.0, on_after=True)
    assert list(log.column("actor_contacts", "actor")) == [1]
    assert list(log.column("actor_contacts", "other_actor")) == [2]
    assert log.num_rows("contacts") == 0
    tick = int(log.column("actor_contacts", "t_ns")[0]) // CONTROL_PERIOD_NS
    centres_m = [
        math.dist(*((_of(log, i, "x_m")[t], _of(log, i, "y_m")[t]) for i in (1, 2))) for t in (tick, tick - 1)
    ]
    assert centres_m[0] < 4.6 < centres_m[1] + 1.0


@pytest.mark.parametrize(
    ("after_s", "kind", "is_at_fault"), [(-0.5, "active_front", True), (0.3, "active_lateral", False)]
)
def test_fault_in_a_crash_with_crossing_traffic(after_s: float, kind: str, is_at_fault: bool) -> None:
    """Whose front hits is to blame: the ego's, or that of the other into the ego's side within its lane."""
    actors = _crossing(arrives_with_ego_s=after_s)
    del actors["other"]["path"]["station_m"]
    world, log = _play(_scenario(actors=actors))
    assert world.outcome().reason == "collision"
    assert list(log.column("collisions", "kind")) == [kind]
    assert list(log.column("collisions", "is_at_fault")) == [is_at_fault]
    expected_mps = 10.0 if is_at_fault else 6.0
    assert log.column("collisions", "impact_speed_mps")[0] == pytest.approx(expected_mps, abs=0.1)


def _flow(road: int, lane: int, to_road: int, to_lane: int, num: int) -> dict[str, Any]:
    path = {"road": road, "lane": lane, "station_m": 5.0, "to": {"road": to_road, "lane": to_lane}}
    return {
        "path": path,
        "num_actors": num,
        "headway_range_s": [3.0, 6.0],
        "speed_range_mps": [9.0, 12.0],
        "behaviour": "idm",
    }


BUSY = [
    _flow(112, 1, 111, 1, 4),
    _flow(211, -1, 212, -1, 4),
    _flow(112, 1, 211, 1, 3),
    _flow(212, 1, 112, -1, 3),
]


def test_a_flow_enters_bit_by_bit_and_leaves_where_its_path_ends() -> None:
    _, log = _play(_scenario(background=BUSY, limit_s=121.0), -6.0, limit_s=120.0, on_after=True)
    is_present = np.asarray(log.column("actors", "is_present")).reshape(-1, 15)
    assert is_present[:, 0].all()
    assert 0 < np.count_nonzero(is_present[0, 1:]) < 14
    assert is_present.any(axis=0).all()
    assert not is_present[-1, 1:].any()
    changes = np.abs(np.diff(is_present[:, 1:].astype(int), axis=0)).sum(axis=0)
    assert changes.max() <= 2


@pytest.mark.parametrize("steps_ns", [(10_000_000,), (20_000_000, 30_000_000)])
def test_traffic_is_the_same_however_time_is_cut(steps_ns: tuple[int, ...]) -> None:
    scenario = _scenario(background=BUSY, limit_s=20.0)
    hashes = []
    for cut in ((CONTROL_PERIOD_NS,), steps_ns):
        world = DrivingWorld(action="acceleration")
        world.reset(scenario, 3)
        world.actuate(np.array([-1.0, 0.0]))
        now_ns = 0
        while now_ns < 8 * 10**9:
            for step_ns in cut:
                now_ns += step_ns
                world.advance(now_ns)
        hashes.append(EpisodeLog.from_columns(TABLES, world.drain()).episode_hash)
    assert hashes[0] == hashes[1]


def test_reset_in_town_traffic_is_quick() -> None:
    world = DrivingWorld()
    scenario = _scenario(background=BUSY)
    world.reset(scenario, 0)
    started_s = time.thread_time()
    for seed in range(20):
        world.reset(scenario, seed)
    assert (time.thread_time() - started_s) / 20 <= 0.005


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "ego": {
                    "road": 111,
                    "lane": -1,
                    "station_m": 900.0,
                    "initial_speed_mps": 5.0,
                    "to": STRAIGHT_ON,
                }
            },
            "900",
        ),
        (
            {
                "ego": {
                    "road": 111,
                    "lane": -1,
                    "station_m": 5.0,
                    "initial_speed_mps": 5.0,
                    "to": {"road": 101, "lane": 7},
                }
            },
            "7",
        ),
        ({"criteria": {"goal_station_m": 4000.0}}, "goal is at station 4000|gets"),
        (
            {"actors": {"a": {"path": {"road": 111, "lane": -1, "station_m": 61.0}, "speed_mps": 3.0}}},
            "a starts in ego",
        ),
        (
            {
                "actors": {
                    "a": {"path": {"road": 101, "lane": -1}, "arrives_with_ego_s": 0.0, "speed_mps": 3.0}
                }
            },
            "does not meet the ego's route",
        ),
        (
            {"actors": _crossing(speed_mps=30.0) | {}},
            "",
        ),
    ],
)
def test_scenes_that_cannot_be_placed_are_refused(changes: dict[str, Any], message: str) -> None:
    world = DrivingWorld()
    if not message:  # the counterpart: what can be placed is
        world.reset(_scenario(**changes), 0)
        return
    with pytest.raises(ConfigurationError, match=message):
        world.reset(_scenario(**changes), 0)
