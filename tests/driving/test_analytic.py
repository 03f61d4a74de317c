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
def test_an_actor_goes_round_a_circle_at_its_speed(speed_mps: float) -> None:
    """The ring of the roundabout has a centre line of 20.25 m."""
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


def test_energy_never_grows_without_drive() -> None:
    """Translation and rotation together, from any state, whatever the wheel and the brake do."""
    draws = np.random.default_rng(11)
    inertia = PACKED[YAW_RADIUS_SQUARED_M2]
    num_dynamic = 0
    for _ in range(60):
        ego = np.zeros(NUM_EGO_ENTRIES)
        ego[single_track.VX_MPS] = draws.uniform(2.5, 40.0)
        ego[single_track.VY_MPS] = draws.uniform(-1.5, 1.5)
        ego[single_track.YAW_RATE_RADPS] = draws.uniform(-0.4, 0.4)
        steer, brake = draws.uniform(-0.3, 0.3), draws.choice([0.0, 0.0, 3.0, 8.0])
        rhythm = draws.uniform(0.0, 6.0)
        energy = []
        for step in range(400):
            step_single_track(ego, PACKED, steer * math.cos(rhythm * step * STEP_S), 0.0, brake, STEP_S)
            vx, vy, rate = ego[[single_track.VX_MPS, single_track.VY_MPS, single_track.YAW_RATE_RADPS]]
            energy.append(0.5 * (vx * vx + vy * vy + inertia * rate * rate))
        dynamic = np.array(energy)[np.array(energy) > 0.5 * 2.3**2]
        num_dynamic += len(dynamic)
        assert np.diff(dynamic).max(initial=0.0) <= 1e-6 * dynamic[0]
        assert energy[-1] < energy[0]
    assert num_dynamic > 5000
