"""Inertial unit and satellite receiver against closed forms, a published position and their stated statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.spec import Scenario
from simloop_driving.roads.geodesy import geographic_position
from simloop_driving.roads.road_map import load_map
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

EXACT_IMU = {"force_noise_mps2": 0, "force_bias_mps2": 0, "rate_noise_radps": 0, "rate_bias_radps": 0}
EXACT_GNSS = {"noise_m": 0, "bias_m": 0, "velocity_noise_mps": 0}
PRESENT, TIME, X, Y, Z, ROLL, PITCH, YAW = range(8)


def scenario(speed_mps: float = 20.0) -> Scenario:
    """The ego on the middle lane of a straight motorway along x."""
    scene = {
        "map": "straight_track",
        "ego": {"lane": -3, "station_m": 500.0, "initial_speed_mps": speed_mps},
        "criteria": {"goal_time_s": 10.0, "min_progress_ratio": 0.0},
    }
    return Scenario(family="own", world="driving", parameters={}, scene=scene)


def started(extra: Any, speed_mps: float = 20.0) -> DrivingWorld:
    world = DrivingWorld(action="acceleration", extra_sensors=extra)
    world.reset(scenario(speed_mps), 0)
    return world


def array(world: DrivingWorld, sensor: str, index: int = 0) -> npt.NDArray[np.float64]:
    return np.asarray(world.capture(sensor, index).array, dtype=np.float64)


def advance(world: DrivingWorld, tick: int, action: tuple[float, float]) -> None:
    world.actuate(np.array(action))
    world.advance(tick * CONTROL_PERIOD_NS)


def test_an_imu_at_the_start_feels_gravity_alone() -> None:
    rows = array(started({"imu": EXACT_IMU}), "imu")
    assert rows[:, TIME] == pytest.approx([-0.04, -0.03, -0.02, -0.01, 0.0])
    assert rows[:, Z] == pytest.approx(np.full(5, 9.81))
    assert np.all(rows[:, [X, Y, ROLL, PITCH, YAW]] == 0.0) and np.all(rows[:, PRESENT] == 1.0)


def test_an_imu_on_a_circle_feels_speed_times_yaw_rate() -> None:
    world = started({"imu": EXACT_IMU, "gnss": EXACT_GNSS}, 10.0)
    curvature_per_m = 1.0 / 50.0
    advance(world, 100, (0.0, curvature_per_m))
    before = array(world, "ego_state")
    rows = array(world, "imu")
    assert before[2] == pytest.approx(10.0 * curvature_per_m, rel=0.02)
    assert rows[:, YAW] == pytest.approx(np.full(5, before[2]), rel=1e-3)
    assert rows[:, Y] == pytest.approx(before[0] * rows[:, YAW], rel=5e-3)
    # The nose points inwards, so that a part of the centripetal force is felt backwards.
    yaw_rad, fix = world.anchor().pose[2], array(world, "gnss")
    sideways_mps = fix[6] * math.cos(yaw_rad) - fix[5] * math.sin(yaw_rad)
    assert sideways_mps > 0.1
    assert rows[:, X] == pytest.approx(np.full(5, before[1] - sideways_mps * before[2]), abs=0.01)


def test_summed_up_the_imu_gives_speed_and_heading() -> None:
    """No row is lost or doubled: strapdown integration of all captures follows the ego."""
    world = started({"imu": EXACT_IMU}, 15.0)
    velocity, yaw_rad, mean_rate = np.array([15.0, 0.0]), 0.0, 0.0
    place = np.array(world.anchor().pose[:2])
    for tick in range(1, 101):
        advance(world, tick, (1.5 * math.sin(0.1 * tick), 0.01 * math.cos(0.05 * tick)))
        for row in array(world, "imu", tick):
            turn = 0.01 * 0.5 * (mean_rate + row[YAW])
            mean_rate = row[YAW]
            middle = yaw_rad + 0.5 * turn
            yaw_rad += turn
            cos, sin = math.cos(middle), math.sin(middle)
            change = 0.01 * np.array([row[X] * cos - row[Y] * sin, row[X] * sin + row[Y] * cos])
            place += 0.01 * (velocity + 0.5 * change)
            velocity = velocity + change
    pose = world.anchor().pose
    assert yaw_rad == pytest.approx(pose[2], abs=1e-3)
    assert place == pytest.approx(pose[:2], abs=0.05)
    assert math.hypot(*velocity) == pytest.approx(pose[3], abs=0.05)


def test_an_imu_feels_the_brake() -> None:
    world = started({"imu": EXACT_IMU})
    advance(world, 30, (-4.0, 0.0))
    assert array(world, "imu")[:, X] == pytest.approx(np.full(5, -4.0), abs=0.05)


def test_imu_noise_and_drop_out_are_those_stated() -> None:
    options = {
        "force_noise_mps2": 0.3, "force_bias_mps2": 0, "rate_noise_radps": 0.02, "rate_bias_radps": 0,
        "drop_out_ratio": 0.1,
    }  # fmt: skip
    world = started({"imu": options})
    rows = np.concatenate([array(world, "imu", index) for index in range(300)])
    is_there = rows[:, PRESENT] > 0.0
    assert np.mean(~is_there) == pytest.approx(0.1, abs=4.0 * math.sqrt(0.09 / len(rows)))
    assert np.all(rows[~is_there][:, 2:] == 0.0)
    found = rows[is_there][:, 2:] - [0.0, 0.0, 9.81, 0.0, 0.0, 0.0]
    tolerance = 4.0 / math.sqrt(2.0 * len(found))
    for column, deviation in enumerate((0.3, 0.3, 0.3, 0.02, 0.02, 0.02)):
        assert found[:, column].std() == pytest.approx(deviation, rel=tolerance)
        assert abs(found[:, column].mean()) < 4.0 * deviation / math.sqrt(len(found))


def test_biases_hold_for_an_episode_and_spread_over_episodes_as_stated() -> None:
    options = {
        "imu": {**EXACT_IMU, "force_bias_mps2": 0.5, "rate_bias_radps": 0.1},
        "gnss": {**EXACT_GNSS, "bias_m": 2},
    }
    world = started(options)
    biases = []
    for seed in range(150):
        world.reset(scenario(), seed)
        imu, gnss = array(world, "imu"), array(world, "gnss")
        assert np.array_equal(array(world, "imu", 7), imu) and np.array_equal(array(world, "gnss", 7), gnss)
        assert np.all(imu[:, 2:] == imu[0, 2:])
        biases.append(
            [*(imu[0, 2:] - [0.0, 0.0, 9.81, 0.0, 0.0, 0.0]), *(gnss[1:3] - world.anchor().pose[:2])]
        )
    spread = np.std(biases, axis=0)
    assert spread == pytest.approx([0.5] * 3 + [0.1] * 3 + [2.0] * 2, rel=4.0 / math.sqrt(2 * 150))


def test_gnss_gives_place_and_velocity() -> None:
    world = started({"gnss": EXACT_GNSS})
    advance(world, 40, (0.0, 0.01))
    fix, pose = array(world, "gnss"), world.anchor().pose
    assert fix[0] == 1.0
    assert fix[1:3] == pytest.approx(pose[:2])
    road_map = load_map("straight_track")
    expected = geographic_position(pose[0], pose[1], road_map.latitude_deg, road_map.longitude_deg)
    assert fix[3:5] == pytest.approx(expected, abs=1e-12)
    assert math.hypot(fix[5], fix[6]) == pytest.approx(20.0, abs=0.3)
    assert math.atan2(fix[6], fix[5]) == pytest.approx(pose[2], abs=0.03)


def test_gnss_noise_and_drop_out_are_those_stated() -> None:
    world = started(
        {"gnss": {"noise_m": 3.0, "bias_m": 0, "velocity_noise_mps": 0.2, "drop_out_ratio": 0.25}}
    )
    fixes = np.stack([array(world, "gnss", index) for index in range(600)])
    is_there = fixes[:, 0] > 0.0
    assert np.mean(~is_there) == pytest.approx(0.25, abs=4.0 * math.sqrt(0.25 * 0.75 / 600))
    assert np.all(fixes[~is_there] == 0.0)
    errors = fixes[is_there] - [1.0, *world.anchor().pose[:2], 0.0, 0.0, 20.0, 0.0]
    tolerance = 4.0 / math.sqrt(2.0 * len(errors))
    for column, deviation in ((1, 3.0), (2, 3.0), (5, 0.2), (6, 0.2)):
        assert errors[:, column].std() == pytest.approx(deviation, rel=tolerance)
        assert abs(errors[:, column].mean()) < 4.0 * deviation / math.sqrt(len(errors))


def test_a_published_position_comes_out() -> None:
    """CN Tower, UTM zone 17T: 630084 m east, 4833438 m north (Wikipedia), 43.642567 N, 79.387139 W."""
    latitude_deg, longitude_deg = geographic_position(
        (630_084.0 - 500_000.0) / 0.9996, 4_833_438.0 / 0.9996, 0.0, -81.0
    )
    metre_deg = 1.0 / 111_000.0
    assert latitude_deg == pytest.approx(43.642567, abs=metre_deg)
    assert longitude_deg == pytest.approx(-79.387139, abs=1.5 * metre_deg)


@pytest.mark.parametrize("latitude_deg", [0.0, 48.2, -33.9, 70.0])
def test_small_steps_are_radii_of_curvature_times_angles(latitude_deg: float) -> None:
    """Meridian and prime-vertical radii of the WGS 84 ellipsoid, in closed form."""
    semi_major_m, eccentricity2 = 6_378_137.0, 0.00669437999014
    sine2 = math.sin(math.radians(latitude_deg)) ** 2
    prime_m = semi_major_m / math.sqrt(1.0 - eccentricity2 * sine2)
    meridian_m = semi_major_m * (1.0 - eccentricity2) / (1.0 - eccentricity2 * sine2) ** 1.5
    assert geographic_position(0.0, 0.0, latitude_deg, 11.5) == pytest.approx((latitude_deg, 11.5), abs=1e-9)
    north = geographic_position(0.0, 100.0, latitude_deg, 11.5)
    assert math.radians(north[0] - latitude_deg) * meridian_m == pytest.approx(100.0, abs=2e-3)
    east = geographic_position(100.0, 0.0, latitude_deg, 11.5)
    assert math.radians(east[1] - 11.5) * prime_m * math.cos(math.radians(latitude_deg)) == pytest.approx(
        100.0, abs=2e-3
    )
