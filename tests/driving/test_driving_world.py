"""The embedded driving world through its public seam."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.log import EpisodeLog
from simloop.scenario_files import load_family
from simloop.spec import Scenario
from simloop.world import Anchor, OutcomeState
from simloop_driving.actions import ACTION_SPECS
from simloop_driving.gym_ids import FAMILY_BY_ID
from simloop_driving.recording import TABLES
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.scenario import criteria
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

TICK_S = CONTROL_PERIOD_NS / 1e9

NO_LINKS_AND_SIGNALS = (
    "successor",
    "signal_kind",
    "signal_id",
    "signal_controller",
    "signal_phase",
    "stop_lane",
    "stop_signal",
)


def _straight(num_lanes: int = 3, length_m: int = 3000) -> RoadMap:
    """Builds a straight road along x; the middle lane's centre is y = 0."""
    lanes = np.arange(num_lanes)
    s = np.tile(np.arange(length_m, dtype=np.float64), num_lanes)
    return RoadMap(
        name="straight",
        step_m=1.0,
        lane_start=np.arange(num_lanes + 1, dtype=np.int64) * length_m,
        x_m=s.copy(),
        y_m=np.repeat((num_lanes // 2 - lanes) * 3.5, length_m).astype(np.float64),
        yaw_rad=np.zeros(len(s)),
        curvature_per_m=np.zeros(len(s)),
        s_m=s,
        width_m=np.full(len(s), 3.5),
        lane_road_id=np.ones(num_lanes, dtype=np.int64),
        lane_opendrive_id=-(lanes + 1).astype(np.int64),
        lane_kind=np.zeros(num_lanes, dtype=np.int64),
        lane_speed_limit_mps=np.full(num_lanes, 36.0),
        lane_left=np.where(lanes > 0, lanes - 1, -1).astype(np.int64),
        lane_right=np.where(lanes < num_lanes - 1, lanes + 1, -1).astype(np.int64),
        lane_junction_id=np.full(num_lanes, -1, dtype=np.int64),
        lane_opposite=np.full(num_lanes, -1, dtype=np.int64),
        successor_start=np.zeros(num_lanes + 1, dtype=np.int64),
        **{name: np.zeros(0, dtype=np.int64) for name in NO_LINKS_AND_SIGNALS},
        **{
            name: np.zeros(0)
            for name in ("signal_x_m", "signal_y_m", "signal_z_m", "signal_yaw_rad", "stop_s_m")
        },
    )


STRAIGHT = _straight()


def _scenario(**changes: Any) -> Scenario:
    scene: dict[str, Any] = {
        "map": "straight",
        "ego": {"lane": -2, "station_m": 100.0, "initial_speed_mps": 20.0},
        "criteria": {"goal_time_s": 10.0, "min_progress_ratio": 0.8},
    }
    return Scenario(
        family="own", world="driving", parameters={}, scene=scene | changes, time_limit_ns=12 * 10**9
    )


def _world(action: str = "waypoints") -> DrivingWorld:
    return DrivingWorld(action=action, maps={"straight": STRAIGHT})


def _hold(world: DrivingWorld, scenario: Scenario, action: tuple[float, ...], seed: int = 0) -> EpisodeLog:
    """Plays a scenario to its end with one constant action."""
    world.reset(scenario, seed)
    world.actuate(np.array(action))
    tick = 0
    while world.outcome().state is OutcomeState.RUNNING:
        tick += 1
        world.advance(tick * CONTROL_PERIOD_NS)
    return EpisodeLog.from_columns(TABLES, world.drain())


def test_impact_speed_into_a_standing_car_is_the_closed_form() -> None:
    gap_m, brake_mps2, speed_mps = 30.0, 4.0, 20.0
    actors = {"block": {"lane": "ego", "gap_m": gap_m, "relative_speed_mps": -speed_mps}}
    log = _hold(_world("acceleration"), _scenario(actors=actors), (-brake_mps2, 0.0))
    lag_m = 0.12 * speed_mps  # a first-order lag of the brake delays the whole course by its time constant
    expected = math.sqrt(speed_mps**2 - 2.0 * brake_mps2 * (gap_m - lag_m))
    assert log.column("contacts", "impact_speed_mps") == pytest.approx([expected], rel=0.01)
    assert list(log.column("collisions", "kind")) == ["stopped_track"]
    assert list(log.column("contacts", "is_at_fault")) == [True]


@pytest.mark.parametrize(
    ("action", "kind", "reason"),
    [
        ((0.0, 0.0), "acceleration", "goal"),
        ((-9.0, 0.0), "acceleration", "no_progress"),
        ((0.0, 0.02), "acceleration", "off_road"),
        ((0.0, 0.0, 1.0), "control", "no_progress"),
    ],
)
def test_verdicts(action: tuple[float, ...], kind: str, reason: str) -> None:
    world = _world(kind)
    _hold(world, _scenario(), action)
    assert world.outcome().reason == reason
    assert (world.outcome().state is OutcomeState.SUCCESS) == (reason == "goal")


@pytest.mark.parametrize(
    ("gap_m", "leader_mps", "allowed_mps"),
    [
        (24.0, 0.0, 0.0),
        (60.0, 0.0, math.sqrt(2.0 * 1.5 * (60.0 - 25.0))),
        (101.0, 0.0, 20.0),
        (30.0, 10.0, 10.0),
        (90.0, 20.0, 20.0),
    ],
)
def test_the_way_that_a_leader_allows(gap_m: float, leader_mps: float, allowed_mps: float) -> None:
    """A standing ego with a set speed of 20 m/s, for one second: docs/traffic.md, Verdicts."""
    ego = {"lane": -2, "station_m": 100.0, "initial_speed_mps": 0.0, "set_speed_mps": 20.0}
    world = _world("acceleration")
    world.reset(
        _scenario(ego=ego, actors={"lead": {"lane": "ego", "gap_m": gap_m, "speed_mps": leader_mps}}), 0
    )
    world.actuate(np.array((-1.0, 0.0)))
    world.advance(20 * CONTROL_PERIOD_NS)
    assert world._started().criteria[criteria.REFERENCE_M] == pytest.approx(allowed_mps, rel=1e-6)


WHERE_STOPPING_PASSES = {"r157_cut_in", "r157_cut_out", "r157_deceleration"}
"""Studies of one conflict: whoever brakes to a stop in time passes, as docs/driving-families.md says."""


@pytest.mark.parametrize("family", sorted(set(FAMILY_BY_ID.values()) - WHERE_STOPPING_PASSES))
def test_standing_still_fails(family: str) -> None:
    world = DrivingWorld(action="acceleration")
    for seed in range(6):
        _hold(world, load_family(family).scenario(seed), (-9.0, 0.0), seed)
        assert world.outcome().state is OutcomeState.FAIL


def _sine(t_s: float) -> tuple[float, float, float, float]:
    y = 0.8 * math.sin(0.6 * t_s)
    slope = 0.8 * 0.6 * math.cos(0.6 * t_s) / 20.0
    return 100.0 + 20.0 * t_s, y, math.atan(slope), 20.0 * math.sqrt(1.0 + slope * slope)


def test_waypoints_along_a_sine_are_tracked_closely() -> None:
    world = _world()
    world.reset(_scenario(), 0)
    errors = []
    for tick in range(1, 181):
        target = np.array(_sine(tick * TICK_S))
        world.actuate(target)
        world.advance(tick * CONTROL_PERIOD_NS)
        errors.append(world.anchor().pose[:2] - target[:2])
    assert np.abs(np.array(errors)[40:]).max() < 0.25


@pytest.mark.parametrize("yaw_rad", [-3.0, 0.0, 0.4, 7.0])
def test_waypoint_frames_are_inverse_to_each_other(yaw_rad: float) -> None:
    spec = ACTION_SPECS["waypoints"]
    anchor = Anchor(captured_at_ns=0, pose=np.array([4000.0, -1200.0, yaw_rad, 20.0]))
    actions = np.random.default_rng(1).uniform(-3.0, 3.0, size=(32, 4))
    assert spec.from_world(spec.to_world(actions, anchor), anchor) == pytest.approx(actions, abs=1e-9)
    ahead = spec.to_world(np.array([[10.0, 0.0, 0.0, 5.0]]), anchor)[0]
    expected = [4000.0 + 10.0 * math.cos(yaw_rad), -1200.0 + 10.0 * math.sin(yaw_rad), yaw_rad, 5.0]
    assert ahead == pytest.approx(expected)
    np.testing.assert_array_equal(spec.start_action(anchor), anchor.pose)


@pytest.mark.parametrize("steps_ns", [(CONTROL_PERIOD_NS,), (10_000_000,), (20_000_000, 30_000_000)])
def test_same_seed_gives_the_same_bytes_however_time_is_cut(steps_ns: tuple[int, ...]) -> None:
    scenario = load_family("cut_in").scenario(5)
    hashes = []
    for cut in ((CONTROL_PERIOD_NS,), steps_ns):
        world = DrivingWorld(action="acceleration")
        world.reset(load_family("lead_deceleration").scenario(1), 1)  # what came before leaves no trace
        world.reset(scenario, 5)
        world.actuate(np.array([-0.5, 0.0]))
        now_ns = 0
        while now_ns < 3 * 10**9:
            for step_ns in cut:
                now_ns += step_ns
                world.advance(now_ns)
        hashes.append(EpisodeLog.from_columns(TABLES, world.drain()).episode_hash)
    assert hashes[0] == hashes[1]


def test_another_seed_moves_the_background_traffic() -> None:
    scenario = load_family("cut_in").scenario(5)
    world = DrivingWorld()
    frames = []
    for seed in (5, 6):
        world.reset(scenario, seed)
        frames.append(np.array(world.capture("objects", 0).array))
    assert not np.array_equal(frames[0], frames[1])


def _cut_in_log(side: str, sign: float) -> EpisodeLog:
    actors = {"challenger": {"lane": side, "gap_m": 25.0, "relative_speed_mps": -3.0}}
    change = {
        "actor": "challenger",
        "trigger": {"distance_m": 22.0},
        "change_lane": {"to": "ego", "lateral_speed_mps": 1.2},
    }
    ego = {
        "lane": -2,
        "station_m": 100.0,
        "initial_speed_mps": 20.0,
        "lateral_offset_m": 0.2 * sign,
        "heading_offset_rad": 0.01 * sign,
    }
    return _hold(
        _world("acceleration"), _scenario(ego=ego, actors=actors, manoeuvres=[change]), (-1.0, 0.0005 * sign)
    )


def test_mirrored_scenario_gives_the_mirrored_episode() -> None:
    left, right = _cut_in_log("left", 1.0), _cut_in_log("right", -1.0)
    assert left.num_rows("manoeuvres") == 1
    for name, sign in (
        ("x_m", 1.0),
        ("y_m", -1.0),
        ("yaw_rad", -1.0),
        ("speed_mps", 1.0),
        ("station_m", 1.0),
    ):
        np.testing.assert_allclose(
            left.column("actors", name), sign * right.column("actors", name), atol=1e-9
        )
    challenger = left.column("actors", "actor") == 1
    assert left.column("actors", "y_m")[challenger][[0, -1]] == pytest.approx([3.5, 0.0], abs=1e-6)


def test_objects_are_in_the_ego_frame_nearest_first() -> None:
    actors = {
        "far": {"lane": "ego", "gap_m": 60.0, "relative_speed_mps": -5.0},
        "near": {"lane": "left", "gap_m": 20.0},
    }
    world = _world()
    world.reset(_scenario(actors=actors), 0)
    seen = world.capture("objects", 0).array
    half = 0.5 * (4.70 + 4.50)
    assert seen[0] == pytest.approx([1.0, 20.0 + half, 3.5, 0.0, 20.0, 0.0, 4.5, 1.82])
    assert seen[1] == pytest.approx([1.0, 60.0 + half, 0.0, 0.0, 15.0, 0.0, 4.5, 1.82])
    assert not seen[2:].any()


def test_a_frame_keeps_the_state_of_its_capture() -> None:
    world = _world()
    world.reset(_scenario(), 0)
    frame = world.capture("ego_state", 0)
    world.actuate(np.array([100.0, 0.0, 0.0, 0.0]))
    world.advance(20 * CONTROL_PERIOD_NS)
    assert frame.array[0] == 20.0
    assert world.capture("ego_state", 1).array[0] < 20.0


def test_past_camera_is_the_camera_of_eight_captures_ago() -> None:
    world = DrivingWorld()
    world.reset(load_family("lead_deceleration").scenario(2), 2)
    now: list[npt.NDArray[np.generic]] = []
    past: list[npt.NDArray[np.generic]] = []
    for tick in range(11):
        world.advance(tick * CONTROL_PERIOD_NS)
        past.append(world.capture("front_camera_past", tick).array)
        now.append(world.capture("front_camera", tick).array)
    assert not np.array_equal(now[10], now[2])
    np.testing.assert_array_equal(past[10], now[2])
    np.testing.assert_array_equal(past[5], now[0])


def test_reset_of_a_cached_scenario_is_quick() -> None:
    world = DrivingWorld()
    scenario = load_family("cut_in").scenario(0)
    world.reset(scenario, 0)
    started_s = time.thread_time()
    for seed in range(50):
        world.reset(scenario, seed)
    assert (time.thread_time() - started_s) / 50 <= 0.005


def _ego(**changes: Any) -> Mapping[str, Any]:
    return {"lane": -2, "station_m": 100.0, "initial_speed_mps": 20.0} | changes


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"ego": _ego(initial_speed_kmh=70)},
            UnknownNameError,
            r"key 'initial_speed_kmh' in own: scene\.ego",
        ),
        (
            {"ego": _ego(initial_speed_mps=200.0)},
            ParameterError,
            r"scene\.ego\.initial_speed_mps is 200\.0; allowed",
        ),
        (
            {"ego": _ego(initial_speed_mps="fast")},
            ParameterError,
            r"is 'fast'; allowed: a number from 0 to 70",
        ),
        ({"ego": _ego(initial_speed_mps=math.nan)}, ParameterError, r"is nan; allowed: a number"),
        ({"ego": _ego(station_m=9e4)}, ConfigurationError, r"station_m is 90000; lane -2 .* is 2999 m long"),
        ({"ego": _ego(station_m="$strat")}, UnknownNameError, r"Unknown parameter 'strat'"),
        ({"ego": _ego(lane=-7)}, ConfigurationError, r"no lane 1/-7; driving lanes"),
        ({"map": "moon"}, UnknownNameError, r"Unknown map 'moon'.*highway"),
        (
            {"actors": {"a": {"lane": "ego"}}},
            ConfigurationError,
            r"has none of gap_m, headway_s, behind_m, beside_m; allowed: exactly one",
        ),
        (
            {"actors": {"a": {"lane": "up", "gap_m": 9.0}}},
            UnknownNameError,
            r"Unknown lane 'up'.*ego, kerb, left, ",
        ),
        (
            {"criteria": {"goal_time_s": 60.0, "min_progress_ratio": 0.8}},
            ParameterError,
            r"allowed: .* from 1 to 12",
        ),
    ],
)
def test_scene_errors_name_key_value_and_what_is_allowed(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _world().reset(_scenario(**changes), 0)


def test_parameters_that_nothing_uses_and_foreign_scenarios_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"does not use the parameters gap_m"):
        _world().reset(dataclasses.replace(_scenario(), parameters={"gap_m": 3.0}), 0)
    with pytest.raises(ConfigurationError, match=r"for the world 'bimanual'; this is the world 'driving'"):
        _world().reset(dataclasses.replace(_scenario(), world="bimanual"), 0)
    with pytest.raises(UnknownNameError, match=r"Unknown driving action space 'waypoint'.*waypoints"):
        DrivingWorld(action="waypoint")


def test_time_and_actions_are_checked() -> None:
    world = _world()
    with pytest.raises(ValueError, match="call reset first"):
        world.advance(0)
    world.reset(_scenario(), 0)
    for until_ns in (5, -10_000_000):
        with pytest.raises(ValueError, match="allowed are multiples of 10000000 ns"):
            world.advance(until_ns)
    for action in (np.zeros(3), np.array([0.0, 0.0, np.nan, 1.0])):
        with pytest.raises(ValueError, match="allowed are 4 finite numbers"):
            world.actuate(action)


def _play_to_end(world: DrivingWorld, scenario: Scenario) -> int:
    world.reset(scenario, 0)
    world.actuate(np.zeros(2))
    tick = 0
    while world.outcome().state is OutcomeState.RUNNING:
        tick += 1
        world.advance(tick * CONTROL_PERIOD_NS)
    return tick


def _drifting(heading: str) -> Scenario:
    """A car 60 m ahead on the left, as fast as the ego, comes over at 1.2 m/s; everything settles after that."""
    actor = {
        "lane": "left",
        "gap_m": 60.0,
        "speed_ratio": 0.9,
        "length_m": 4.3,
        "width_m": 1.9,
        "heading": heading,
        "gap_at_lateral_speed_mps": 1.2,
    }
    change = {"actor": "other", "trigger": {"time_s": 0.0}}
    change["change_lane"] = {"to": "ego", "lateral_speed_mps": 1.2}
    return _scenario(actors={"other": actor}, manoeuvres=[change])


@pytest.mark.parametrize("heading", ["of_travel", "along_lane"])
def test_history_holds_what_happened_and_the_nominal_start(heading: str) -> None:
    world = DrivingWorld(action="acceleration", maps={"straight": STRAIGHT}, extra_sensors=["history"])
    world.reset(_drifting(heading), 0)
    world.actuate(np.zeros(2))
    world.advance(30 * CONTROL_PERIOD_NS)
    logged = EpisodeLog.from_columns(TABLES, world.drain())
    yaw_rad = logged.column("actors", "yaw_rad")
    assert (yaw_rad[-1] == 0.0) == (heading == "along_lane")
    assert np.asarray(world.capture("objects", 0).array)[0, 3] == pytest.approx(math.atan2(-1.2, 18.0))
    history = np.asarray(world.capture("history", 0).array)
    assert np.count_nonzero(history[:, 0, 5]) == 31
    assert history[:31, 0, 2] == pytest.approx(20.0, abs=0.05)
    assert history[:31, 1, 2] == pytest.approx(18.0)
    assert history[0, 1, 5:] == pytest.approx([4.3, 1.9])
    assert np.all(history[:, 2:] == 0.0)
    # 0.8 s after the start the lateral speed has built up: gap and lane hold for that instant.
    assert history[16, 1, 3] == pytest.approx(-1.2)
    assert history[16, 1, 1] == pytest.approx(3.5, abs=0.01)
    gap_m = history[16, 1, 0] - history[16, 0, 0] - 0.5 * (history[16, 0, 5] + history[16, 1, 5])
    assert gap_m == pytest.approx(60.0, abs=0.05)
    ego_station_m = np.asarray(logged.column("actors", "station_m"))[::2]
    assert history[:31, 0, 0] == pytest.approx(ego_station_m)


def test_only_a_world_that_was_asked_for_it_has_a_history() -> None:
    assert "history" not in {sensor.name for sensor in _world().spec.sensors}
    world = _world()
    world.reset(_scenario(), 0)
    with pytest.raises(KeyError, match="history"):
        world.capture("history", 0)


def test_an_episode_ends_when_its_conflict_has_been_over_for_a_while() -> None:
    # The car ahead is 2 m/s faster and stays in its lane: no conflict from the start on.
    away = {"other": {"lane": "ego", "gap_m": 20.0, "relative_speed_mps": 2.0}}
    criteria = {"goal_time_s": 10.0, "min_progress_ratio": 0.0, "conflict_over_s": 3.0}
    world = _world("acceleration")
    assert _play_to_end(world, _scenario(actors=away, criteria=criteria)) == 60
    assert world.outcome().reason == "goal"
    # 10 m/s slower, beside: the ego has passed it when its rear is past its front, (20 + 2 x 4.6) / 10 s later.
    beside = {"other": {"lane": "left", "gap_m": 20.0, "relative_speed_mps": -10.0}}
    num_ticks = _play_to_end(world, _scenario(actors=beside, criteria=criteria))
    assert num_ticks * TICK_S == pytest.approx((20.0 + 2.0 * 4.6) / 10.0 + 3.0, abs=0.15)
    # A manoeuvre that has not begun keeps the conflict open.
    brake = [
        {
            "actor": "other",
            "trigger": {"time_s": 5.0},
            "change_speed": {"rate_mps2": 1.0, "end_speed_ratio": 0.9},
        }
    ]
    num_ticks = _play_to_end(world, _scenario(actors=away, criteria=criteria, manoeuvres=brake))
    assert num_ticks * TICK_S > 8.0


def test_nobody_starts_in_somebody_else() -> None:
    lead = {"lane": "ego", "gap_m": 20.0}
    for other in ({"lane": "ego", "gap_m": 22.0}, {"lane": "ego", "gap_m": 16.0, "class": "truck"}):
        with pytest.raises(
            ConfigurationError, match=r"scene\.actors\.other starts in lead: centres .* allowed: from"
        ):
            _world().reset(_scenario(actors={"lead": lead, "other": other}), 0)
    _world().reset(_scenario(actors={"lead": lead, "other": {"lane": "left", "gap_m": 20.0}}), 0)
    _world().reset(
        _scenario(actors={"lead": lead, "other": {"lane": "ego", "gap_m": 0.0, "ahead_of": "lead"}}), 0
    )


def test_somebody_on_foot_points_and_is_seen_to_go_where_he_walks() -> None:
    walker = {"class": "pedestrian", "lane": "right", "gap_m": 60.0, "speed_mps": 0.0}
    change = {"actor": "walker", "trigger": {"time_s": 1.0}}
    change["change_lane"] = {"to": "left", "lateral_speed_mps": 1.5}
    world = _world("acceleration")
    world.reset(_scenario(actors={"walker": walker}, manoeuvres=[change]), 0)
    world.actuate(np.zeros(2))
    world.advance(60 * CONTROL_PERIOD_NS)
    log = EpisodeLog.from_columns(TABLES, world.drain())
    across_m = np.asarray(log.column("actors", "lateral_offset_m"))[1::2]
    # He takes up 1.5 m/s at 1.5 m/s2: 0.75 m in the first second, 1.5 m in the next.
    assert across_m[[20, 40, 60]] == pytest.approx([-3.5, -2.75, -1.25], abs=0.02)
    assert np.asarray(log.column("actors", "yaw_rad"))[-1] == pytest.approx(math.pi / 2.0)
    seen = np.asarray(world.capture("objects", 0).array)[0]
    assert seen[3:5] == pytest.approx([math.pi / 2.0, 1.5])


def test_a_mirrored_scenario_gives_the_mirrored_trajectory() -> None:
    logs = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        scenario = _drifting("of_travel")
        scenario.scene["actors"]["other"]["lane"] = side  # type: ignore[index]
        scenario.scene["ego"] = {**scenario.scene["ego"], "lateral_offset_m": 0.3 * sign}  # type: ignore[index]
        world = _world("acceleration")
        world.reset(scenario, 0)
        for tick in range(100):
            world.actuate(np.array([-1.0 + 0.02 * tick, sign * 0.004 * math.sin(0.2 * tick)]))
            world.advance((tick + 1) * CONTROL_PERIOD_NS)
        logs.append(EpisodeLog.from_columns(TABLES, world.drain()))
    left, right = logs
    for name, sign in (
        ("x_m", 1.0),
        ("y_m", -1.0),
        ("yaw_rad", -1.0),
        ("speed_mps", 1.0),
        ("lateral_offset_m", -1.0),
    ):
        mirrored = sign * np.asarray(right.column("actors", name))
        assert np.abs(np.asarray(left.column("actors", name)) - mirrored).max() < 1e-9
    assert np.ptp(np.asarray(left.column("actors", "y_m"))[::2]) > 0.05


def test_energy_never_grows_without_drive() -> None:
    world = _world("control")
    world.reset(_scenario(), 0)
    for tick in range(150):
        world.actuate(np.array([0.2 * math.sin(0.3 * tick), 0.0, 0.0]))
        world.advance((tick + 1) * CONTROL_PERIOD_NS)
    velocity = np.asarray(EpisodeLog.from_columns(TABLES, world.drain()).column("motion", "velocity_mps"))
    energy = np.sum(velocity**2, axis=1)[30:]  # the drive that held the speed has run down by then
    assert np.all(np.diff(energy) <= 1e-9)
    assert energy[-1] < 0.9 * energy[0]


def test_a_gap_can_be_ahead_of_another_actor() -> None:
    lead = {"lane": "ego", "gap_m": 20.0, "length_m": 6.0}
    blocker = {"lane": "ego", "gap_m": 15.0, "ahead_of": "lead", "speed_mps": 0.0, "class": "truck"}
    world = _world()
    world.reset(_scenario(actors={"lead": lead, "blocker": blocker}), 0)
    station_m = np.asarray(EpisodeLog.from_columns(TABLES, world.drain()).column("actors", "station_m"))
    assert station_m[1:] - station_m[0] == pytest.approx([20.0 + 5.35, 20.0 + 2.35 + 6.0 + 15.0 + 6.0])
    with pytest.raises(UnknownNameError, match="ahead_of"):
        world.reset(_scenario(actors={"blocker": blocker, "lead": lead}), 0)


@pytest.mark.parametrize(
    ("actor", "message"),
    [
        ({"speed_ratio": 0.5, "speed_mps": 3.0}, "exactly one"),
        ({"speed_mps": -1.0}, r"speed_mps is -1\.0; allowed: a number from 0 to 70"),
        ({"heading": "backwards"}, "along_lane"),
        ({"width_m": 9.0}, r"width_m is 9\.0"),
    ],
)
def test_wrong_actor_keys_are_named(actor: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigurationError, ParameterError, UnknownNameError), match=message):
        _world().reset(_scenario(actors={"other": {"lane": "ego", "gap_m": 20.0} | actor}), 0)
