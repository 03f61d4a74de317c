"""Motion against closed forms: lane change, braking, circles, mirrored manoeuvres, energy."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from scipy.special import j0

from simloop.log import EpisodeLog
from simloop.spec import Scenario
from simloop_driving.dynamics import single_track
from simloop_driving.dynamics.single_track import NUM_EGO_ENTRIES, step_single_track
from simloop_driving.dynamics.vehicle import YAW_RADIUS_SQUARED_M2, load_vehicle
from simloop_driving.recording import TABLES
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

TICK_S = CONTROL_PERIOD_NS / 1e9
VEHICLE = load_vehicle("midsize_saloon")
STEP_S = 0.01
PACKED = VEHICLE.packed(STEP_S)
STRAIGHT: dict[str, Any] = {
    "map": "straight_track",
    "ego": {"lane": -3, "station_m": 100.0, "initial_speed_mps": 20.0},
    "criteria": {"goal_time_s": 50.0, "min_progress_ratio": 0.0},
}


def _scenario(scene: dict[str, Any]) -> Scenario:
    return Scenario(family="own", world="driving", parameters={}, scene=scene, time_limit_ns=60 * 10**9)


def _play(world: DrivingWorld, scene: dict[str, Any], actions: Any) -> EpisodeLog:
    """Plays the world-frame actions, one a tick, and returns the log's tables."""
    world.reset(_scenario(scene), 0)
    for tick, action in enumerate(actions):
        world.actuate(np.asarray(action, dtype=np.float64))
        world.advance((tick + 1) * CONTROL_PERIOD_NS)
    return EpisodeLog.from_columns(TABLES, world.drain())


def _of(log: EpisodeLog, actor: int, name: str) -> np.ndarray:
    return np.asarray(log.column("actors", name))[np.asarray(log.column("actors", "actor")) == actor]


@pytest.mark.parametrize("way", [1.0, -1.0])
@pytest.mark.parametrize(("speed_mps", "duration_s"), [(1.5, 24.0), (1.9, 20.0)])
def test_a_slow_lane_change_is_the_closed_form(speed_mps: float, duration_s: float, way: float) -> None:
    """One period of a sine of curvature K at constant speed v, kinematic below 2 m/s.

    The heading is a (1 - cos(2 pi t / T)) with a = v K T / 2 pi, so the way across is v T sin(a) J0(a) and along
    v T cos(a) J0(a). A first-order lag of the steering moves the course by its time constant and changes neither: the
    integral and the first moment of a curvature with no mean are those of the filtered one.
    """
    turn = 0.1
    curvature = way * turn * 2.0 * math.pi / (speed_mps * duration_s)
    scene = copy.deepcopy(STRAIGHT)
    scene["ego"]["initial_speed_mps"] = speed_mps
    t_s = (np.arange(round(duration_s / TICK_S)) + 0.5) * TICK_S
    held = np.zeros(round(2.0 / TICK_S))
    curvatures = np.concatenate([curvature * np.sin(2.0 * math.pi * t_s / duration_s), held])
    log = _play(DrivingWorld(action="acceleration"), scene, [(0.0, c) for c in curvatures])
    speeds = _of(log, 0, "speed_mps")
    assert speeds == pytest.approx(np.full(len(speeds), speed_mps), rel=5e-3)
    across_m = _of(log, 0, "lateral_offset_m")[-1]
    along_m = _of(log, 0, "station_m")[-1] - 100.0 - speeds[-1] * 2.0
    assert across_m == pytest.approx(way * speed_mps * duration_s * math.sin(turn) * j0(turn), rel=0.01)
    assert along_m == pytest.approx(speed_mps * duration_s * math.cos(turn) * j0(turn), rel=0.01)
    assert _of(log, 0, "yaw_rad")[-1] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("speed_mps", "braking_mps2"), [(8.0, 3.0), (20.0, 2.0), (20.0, 6.0), (33.0, 7.0)])
def test_braking_distance_is_the_closed_form(speed_mps: float, braking_mps2: float) -> None:
    """v^2 / 2 b, and v tau - b tau^2 / 2 for the first-order lag tau of the brake."""
    scene = copy.deepcopy(STRAIGHT)
    scene["ego"]["initial_speed_mps"] = speed_mps
    num_ticks = round((speed_mps / braking_mps2 + 3.0) / TICK_S)
    log = _play(DrivingWorld(action="acceleration"), scene, [(-braking_mps2, 0.0)] * num_ticks)
    assert _of(log, 0, "speed_mps")[-1] == 0.0
    lag_s = VEHICLE.brake_lag_s
    expected_m = speed_mps**2 / (2.0 * braking_mps2) + speed_mps * lag_s - 0.5 * braking_mps2 * lag_s**2
    assert _of(log, 0, "station_m")[-1] - 100.0 == pytest.approx(expected_m, rel=0.01)


@pytest.mark.parametrize("speed_mps", [5.0, 8.0])
def test_a_path_round_the_ring_has_its_radius_and_length(speed_mps: float) -> None:
    """The ring of the roundabout has a centre line of 20.25 m.

    An actor keeps to its path by construction: what is checked is the path and the speed along it, not dynamics.
    """
    scene = {
        "map": "roundabout",
        "ego": {
            "road": 4,
            "lane": -1,
            "station_m": 5.0,
            "initial_speed_mps": 0.0,
            "to": {"road": 2, "lane": 1},
        },
        "actors": {
            "other": {
                "path": {"road": 1, "lane": -1, "station_m": 170.0, "to": {"road": 4, "lane": 1}},
                "speed_mps": speed_mps,
            }
        },
        "criteria": {"goal_time_s": 50.0, "min_progress_ratio": 0.0},
    }
    log = _play(DrivingWorld(action="acceleration"), scene, [(-1.0, 0.0)] * round(18.0 / TICK_S))
    x_m, y_m, yaw = (_of(log, 1, name) for name in ("x_m", "y_m", "yaw_rad"))
    is_on_ring = np.abs(np.hypot(x_m, y_m) - 20.25) < 0.02
    assert is_on_ring.sum() * TICK_S * speed_mps > 20.0
    first, last = np.flatnonzero(is_on_ring)[[0, -1]]
    assert is_on_ring[first : last + 1].all()
    turned = np.unwrap(np.arctan2(y_m, x_m))[first : last + 1]
    assert np.diff(turned) == pytest.approx(np.full(last - first, speed_mps * TICK_S / 20.25), rel=0.01)
    across = (
        np.unwrap(yaw)[first : last + 1] - turned
    )  # a quarter turn ahead of the radius, counter-clockwise
    assert np.cos(across - 0.5 * math.pi) == pytest.approx(np.ones(len(across)), abs=1e-3)


@pytest.mark.parametrize(
    ("speed_mps", "curvature_per_m"), [(1.8, 0.1), (6.0, 0.05), (12.0, -0.02), (20.0, 0.008)]
)
def test_the_ego_goes_round_the_circle_that_it_is_asked_for(speed_mps: float, curvature_per_m: float) -> None:
    """Held curvature, no drive: positions on one circle of radius 1/K, and a heading that turns by K a metre."""
    scene = copy.deepcopy(STRAIGHT)
    scene["ego"]["initial_speed_mps"] = speed_mps
    turn_s = 2.0 * math.pi / (abs(curvature_per_m) * speed_mps)
    actions = [(0.0, curvature_per_m)] * round((2.0 + turn_s) / TICK_S)
    log = _play(DrivingWorld(action="acceleration"), scene, actions)
    steady = slice(round(2.0 / TICK_S), None)  # the steering has settled
    x_m, y_m, yaw, speeds = (_of(log, 0, n)[steady] for n in ("x_m", "y_m", "yaw_rad", "speed_mps"))
    # Least squares of x^2 + y^2 = 2 x0 x + 2 y0 y + c (Kasa 1976).
    points = np.column_stack([2.0 * x_m, 2.0 * y_m, np.ones(len(x_m))])
    x0_m, y0_m, constant = np.linalg.lstsq(points, x_m**2 + y_m**2, rcond=None)[0]
    radius_m = math.sqrt(constant + x0_m**2 + y0_m**2)
    assert radius_m == pytest.approx(1.0 / abs(curvature_per_m), rel=0.05)
    assert np.abs(np.hypot(x_m - x0_m, y_m - y0_m) - radius_m).max() < 0.02 * radius_m
    along_m = np.sum(0.5 * (speeds[1:] + speeds[:-1])) * TICK_S
    turned = np.unwrap(yaw)[-1] - yaw[0]
    assert turned == pytest.approx(math.copysign(along_m / radius_m, curvature_per_m), rel=0.02)
    assert np.diff(speeds).max() < 1e-3  # nothing makes up for what the front wheels' slip takes
    assert speeds.min() > 0.9 * speed_mps


@pytest.mark.parametrize(
    ("actor", "manoeuvre"),
    [
        (
            {"gap_m": 25.0, "relative_speed_mps": -3.0},
            {"trigger": {"distance_m": 22.0}, "change_lane": {"to": "ego", "lateral_speed_mps": 1.2}},
        ),
        (
            {"gap_m": 30.0, "speed_mps": 18.0},
            {"trigger": {"time_s": 0.5}, "swerve": {"amplitude_m": 0.8, "period_s": 4.5, "count": 1}},
        ),
        (
            {"class": "pedestrian", "gap_m": 70.0, "speed_mps": 0.0},
            {"trigger": {"time_to_arrival_s": 4.0}, "cross": {"to_offset_m": 6.0, "speed_mps": 1.6}},
        ),
        (
            {"class": "truck", "gap_m": 40.0, "relative_speed_mps": -2.0, "lateral_offset_m": 0.4},
            {"trigger": {"headway_s": 1.9}, "change_speed": {"rate_mps2": 3.0, "end_speed_mps": 9.0}},
        ),
    ],
    ids=["cut_in", "swerve", "cross", "brake"],
)
def test_a_mirrored_scenario_gives_the_mirrored_trajectory(
    actor: dict[str, Any], manoeuvre: dict[str, Any]
) -> None:
    logs = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        scene = copy.deepcopy(STRAIGHT)
        scene["ego"] |= {"lateral_offset_m": 0.25 * sign, "heading_offset_rad": 0.01 * sign}
        here = {**actor, "lane": side}
        if "lateral_offset_m" in here:
            here["lateral_offset_m"] *= sign
        does = copy.deepcopy(manoeuvre)
        for key in ("amplitude_m", "to_offset_m"):
            for content in does.values():
                if key in content:
                    content[key] *= -sign
        scene["actors"] = {"other": here}
        scene["manoeuvres"] = [{"actor": "other", **does}]
        actions = [(-0.5 + 0.01 * k, sign * 0.003 * math.sin(0.2 * k)) for k in range(140)]
        logs.append(_play(DrivingWorld(action="acceleration"), scene, actions))
    left, right = logs
    assert left.num_rows("manoeuvres") == right.num_rows("manoeuvres") == 1
    middle_m = 0.5 * (_of(left, 1, "y_m")[0] + _of(right, 1, "y_m")[0])  # of the ego's lane
    for name in ("x_m", "yaw_rad", "speed_mps", "acceleration_mps2", "station_m", "lateral_offset_m"):
        sign = -1.0 if name in ("yaw_rad", "lateral_offset_m") else 1.0
        difference = np.asarray(left.column("actors", name)) - sign * np.asarray(right.column("actors", name))
        assert np.abs(difference).max() < 1e-9, name
    mirrored_m = 2.0 * middle_m - np.asarray(right.column("actors", "y_m"))
    assert np.abs(np.asarray(left.column("actors", "y_m")) - mirrored_m).max() < 1e-9
    moved_m = np.ptp(_of(left, 1, "lateral_offset_m"))
    assert moved_m > 0.5 or "change_speed" in manoeuvre


def _bend(sign: float) -> RoadMap:
    """Three lanes round a bend of 400 m radius, to the left for ``sign`` 1; -1 gives its mirror image in the x axis."""
    lanes = [_arc(400.0, -(number - 1) * 3.5, sign) for number in range(3)]
    if sign < 0.0:
        lanes.reverse()
    starts = np.concatenate([[0], np.cumsum([len(lane[0]) for lane in lanes])]).astype(np.int64)
    x_m, y_m, yaw, curvature, s_m = (np.concatenate(column) for column in zip(*lanes, strict=True))
    whole = (
        "successor",
        "signal_kind",
        "signal_id",
        "signal_controller",
        "signal_phase",
        "stop_lane",
        "stop_signal",
    )
    return RoadMap(
        name="bend",
        step_m=1.0,
        lane_start=starts,
        x_m=x_m,
        y_m=y_m,
        yaw_rad=yaw,
        curvature_per_m=curvature,
        s_m=s_m,
        width_m=np.full(len(s_m), 3.5),
        lane_road_id=np.ones(3, dtype=np.int64),
        lane_opendrive_id=np.array([-1, -2, -3], dtype=np.int64),
        lane_kind=np.zeros(3, dtype=np.int64),
        lane_speed_limit_mps=np.full(3, 36.0),
        lane_left=np.array([-1, 0, 1], dtype=np.int64),
        lane_right=np.array([1, 2, -1], dtype=np.int64),
        lane_junction_id=np.full(3, -1, dtype=np.int64),
        lane_opposite=np.full(3, -1, dtype=np.int64),
        successor_start=np.zeros(4, dtype=np.int64),
        **{name: np.zeros(0, dtype=np.int64) for name in whole},
        **{
            name: np.zeros(0)
            for name in ("signal_x_m", "signal_y_m", "signal_z_m", "signal_yaw_rad", "stop_s_m")
        },
    )


def _arc(radius_m: float, d_m: float, sign: float) -> tuple[np.ndarray, ...]:
    """Samples every metre of a lane ``d_m`` to the left of a left bend's middle, times ``sign`` across."""
    own_m = radius_m - d_m
    s_m = np.arange(round(own_m * 1.8), dtype=np.float64)
    turn = s_m / own_m
    x_m, y_m = own_m * np.sin(turn), radius_m - own_m * np.cos(turn)
    return x_m, sign * y_m, sign * turn, np.full(len(s_m), sign / own_m), s_m


def test_mirrored_traffic_in_a_mirrored_bend_gives_the_mirrored_trajectories() -> None:
    """Two driver models in one outer lane of a bend: MOBIL passes the slower one, mirrored likewise.

    MOBIL looks to the left first: where both sides gain the same, the mirror image would differ. Here only one side
    has a lane.
    """
    logs = []
    for side, sign in (("right", 1.0), ("left", -1.0)):
        scene = {
            "map": "bend",
            "ego": {"lane": -2, "station_m": 60.0, "initial_speed_mps": 14.0},
            "actors": {
                "slow": {"lane": side, "gap_m": 60.0, "speed_mps": 8.0, "behaviour": "idm"},
                "fast": {"lane": side, "gap_m": 15.0, "speed_mps": 17.0, "behaviour": "mobil"},
            },
            "criteria": {"goal_time_s": 50.0, "min_progress_ratio": 0.0},
        }
        world = DrivingWorld(action="acceleration", maps={"bend": _bend(sign)})
        logs.append(_play(world, scene, [(-0.3, sign * 0.0025)] * 240))
    left, right = logs
    for name in ("x_m", "y_m", "yaw_rad", "speed_mps", "station_m", "lateral_offset_m"):
        sign = -1.0 if name in ("y_m", "yaw_rad", "lateral_offset_m") else 1.0
        difference = np.asarray(left.column("actors", name)) - sign * np.asarray(right.column("actors", name))
        assert np.abs(difference).max() < 1e-6, name
    assert np.ptp(_of(left, 2, "lateral_offset_m")) > 3.0  # it changed lanes
    assert np.ptp(_of(left, 1, "lateral_offset_m")) < 0.1
    assert _of(left, 2, "station_m")[-1] > _of(left, 1, "station_m")[-1]


def test_energy_never_grows_without_drive() -> None:
    """Translation and rotation together, from any state, whatever the wheel and the brake do.

    Below 2.3 m/s, where slip is no longer integrated, the speed alone must not grow, nor turn round.
    """
    draws = np.random.default_rng(11)
    inertia = PACKED[YAW_RADIUS_SQUARED_M2]
    num_dynamic, num_slow = 0, 0
    for _ in range(60):
        ego = np.zeros(NUM_EGO_ENTRIES)
        ego[single_track.VX_MPS] = draws.uniform(2.5, 40.0)
        ego[single_track.VY_MPS] = draws.uniform(-1.5, 1.5)
        ego[single_track.YAW_RATE_RADPS] = draws.uniform(-0.4, 0.4)
        steer, brake = draws.uniform(-0.3, 0.3), draws.choice([0.0, 0.0, 3.0, 8.0])
        rhythm = draws.uniform(0.0, 6.0)
        energy, forward_mps = [], []
        for step in range(400):
            step_single_track(ego, PACKED, steer * math.cos(rhythm * step * STEP_S), 0.0, brake, STEP_S)
            vx, vy, rate = ego[[single_track.VX_MPS, single_track.VY_MPS, single_track.YAW_RATE_RADPS]]
            energy.append(0.5 * (vx * vx + vy * vy + inertia * rate * rate))
            forward_mps.append(vx)
        dynamic = np.array(energy)[np.array(energy) > 0.5 * 2.3**2]
        num_dynamic += len(dynamic)
        assert np.diff(dynamic).max(initial=0.0) <= 1e-6 * dynamic[0]
        slow = np.array(forward_mps)[np.array(energy) <= 0.5 * 2.3**2]
        num_slow += len(slow)
        assert (slow >= 0.0).all()
        assert np.diff(slow).max(initial=0.0) <= 1e-9
        assert energy[-1] < energy[0]
    assert num_dynamic > 5000
    assert num_slow > 500
