"""Lidar, radar and the noisy object list against closed forms and the statistics that their options state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.spec import Scenario
from simloop_driving.scenario.actor_state import EGO, HEIGHT_M, LENGTH_M, NUM_ROWS, WIDTH_M, X_M, Y_M, YAW_RAD
from simloop_driving.sensors.noisy_objects import EYE_HEIGHT_M, visible_ratio
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

EXACT_RADAR = {"range_noise_m": 0, "azimuth_noise_deg": 0, "speed_noise_mps": 0, "drop_out_ratio": 0}
EXACT_OBJECTS = {
    "drop_out_ratio": 0, "position_noise_m": 0, "heading_noise_rad": 0, "speed_noise_mps": 0,
    "acceleration_noise_mps2": 0, "size_noise_m": 0,
}  # fmt: skip
NUM_CAPTURES = 400


def started(extra: Any, actors: dict[str, Any], ego_speed_mps: float = 20.0) -> DrivingWorld:
    """The ego at x = 500 on the middle lane of a straight motorway along x."""
    ego = {"lane": -3, "station_m": 500.0, "initial_speed_mps": ego_speed_mps}
    scene = {
        "map": "straight_track",
        "ego": ego,
        "actors": actors,
        "criteria": {"goal_time_s": 10.0, "min_progress_ratio": 0.0},
    }
    world = DrivingWorld(extra_sensors=extra)
    world.reset(Scenario(family="own", world="driving", parameters={}, scene=scene), 0)
    return world


def array(world: DrivingWorld, sensor: str) -> npt.NDArray[np.float64]:
    return np.asarray(world.capture(sensor, 0).array, dtype=np.float64)


def captures(world: DrivingWorld, sensor: str, num: int = NUM_CAPTURES) -> npt.NDArray[np.float64]:
    return np.stack(
        [np.asarray(world.capture(sensor, index).array, dtype=np.float64) for index in range(num)]
    )


# --- lidar -----------------------------------------------------------------------------------------------------


def test_lidar_ranges_of_flat_ground_are_height_over_sine() -> None:
    world = started(
        {"lidar": {"noise_m": 0, "min_elevation_deg": -30, "max_elevation_deg": 5, "channels": 36}}, {}
    )
    scan = array(world, "lidar")
    elevation = np.radians(np.linspace(5.0, -30.0, 36))
    expected = np.where(elevation < 0.0, 1.75 / np.maximum(-np.sin(elevation), 1e-9), np.inf)
    expected[expected > 100.0] = 0.0
    is_flat = (
        np.abs(scan[..., 0] - expected[:, None])
        <= 0.02 / np.maximum(np.abs(np.sin(elevation)), 1e-9)[:, None]
    )
    # Posts beside the road stand in the way of a few rays; markings are 15 mm high.
    assert is_flat.mean() > 0.98
    assert np.all(scan[: np.flatnonzero(elevation < 0)[0], :, 0] < 60.0)
    assert np.all((scan[..., 1] >= 0.0) & (scan[..., 1] <= 1.0))


def test_lidar_meets_the_rear_of_the_car_ahead() -> None:
    world = started(
        {
            "lidar": {
                "noise_m": 0,
                "min_elevation_deg": -4,
                "max_elevation_deg": -2,
                "channels": 3,
                "azimuths": 1440,
            }
        },
        {"lead": {"lane": "ego", "gap_m": 17.0, "relative_speed_mps": 0.0, "length_m": 4.3, "width_m": 1.9}},
    )
    scan = array(world, "lidar")
    objects = array(world, "objects")
    rear_m = objects[0, 1] - 0.5 * objects[0, 6]
    rays = scan[1]  # 3 degrees down: 0.75 m above the ground at 19 m, the car's body
    azimuth = np.arange(1440) * 2.0 * math.pi / 1440
    along = rays[:, 0] * math.cos(math.radians(3.0)) * np.cos(azimuth)
    ahead = np.flatnonzero(np.abs(np.sin(azimuth) * rear_m) < 0.8)
    ahead = ahead[np.cos(azimuth[ahead]) > 0.0]
    assert len(ahead) > 15
    # The body's rear leans by 2 % of the length; lamps and bumper stand out by 1.5 %.
    assert along[ahead] == pytest.approx(np.full(len(ahead), rear_m), abs=0.025 * 4.3)
    behind = np.flatnonzero(np.cos(azimuth) < -0.9)
    assert np.median(rays[behind, 0]) == pytest.approx(1.75 / math.sin(math.radians(3.0)), rel=1e-3)


def test_lidar_noise_and_drop_out_are_those_stated() -> None:
    small = {"channels": 4, "azimuths": 90, "min_elevation_deg": -20, "max_elevation_deg": -5}
    exact = array(started({"lidar": {**small, "noise_m": 0}}, {}), "lidar")[..., 0]
    noisy = captures(started({"lidar": {**small, "noise_m": 0.1, "drop_out_ratio": 0.2}}, {}), "lidar", 100)[
        ..., 0
    ]
    is_there = noisy > 0.0
    assert np.mean(~is_there) == pytest.approx(0.2, abs=4.0 * math.sqrt(0.2 * 0.8 / noisy.size))
    errors = (noisy - exact)[is_there]
    assert errors.std() == pytest.approx(0.1, rel=4.0 / math.sqrt(2.0 * len(errors)))
    assert abs(errors.mean()) < 4.0 * 0.1 / math.sqrt(len(errors))


# --- radar -----------------------------------------------------------------------------------------------------


def test_radar_gives_range_azimuth_and_radial_speed() -> None:
    world = started(
        {"radar": EXACT_RADAR},
        {
            "lead": {"lane": "ego", "gap_m": 30.0, "relative_speed_mps": -6.0},
            "beside": {"lane": "left", "gap_m": 12.0, "relative_speed_mps": 4.0},
        },
    )
    rows = array(world, "radar")
    assert list(rows[:, 0]) == [1.0, 1.0] + [0.0] * 30
    beside, lead = rows[:2]
    assert lead[1] == pytest.approx(30.0, abs=0.1)
    assert lead[2] == pytest.approx(0.0, abs=0.005)
    assert lead[3] == pytest.approx(-6.0, abs=1e-3)
    objects = array(world, "objects")
    _, x_m, y_m, *_, length_m, width_m = objects[objects[:, 2] > 3.0][0]
    rear = x_m - 0.5 * length_m - 0.5 * _ego_length_m()
    nearest_m = math.hypot(rear, y_m - 0.5 * width_m)
    assert beside[1] == pytest.approx(nearest_m, abs=0.25)
    low, high = math.atan2(y_m - 0.5 * width_m, rear + length_m), math.atan2(y_m + 0.5 * width_m, rear)
    assert low < beside[2] < high
    assert beside[3] == pytest.approx(4.0 * math.cos(beside[2]), abs=1e-6)


def test_radar_sees_neither_beyond_its_range_nor_beside_its_field_of_view() -> None:
    near = {"lane": "left", "gap_m": 8.0, "relative_speed_mps": 0.0}
    far = {"lane": "ego", "gap_m": 80.0, "relative_speed_mps": 0.0}
    for change, expected in (({}, [8.0, 80.0]), ({"fov_deg": 20}, [80.0]), ({"range_m": 60}, [8.0])):
        world = started({"radar": {**EXACT_RADAR, **change}}, {"near": near, "far": far})
        rows = array(world, "radar")
        assert rows[rows[:, 0] > 0.0, 1] == pytest.approx(expected, abs=0.7)


def _ego_length_m() -> float:
    history = array(started({"history": None}, {}), "history")
    return float(history[0, 0, 5])


def test_radar_does_not_see_past_a_car_but_under_a_truck() -> None:
    hidden = {"lane": "ego", "gap_m": 60.0, "relative_speed_mps": 0.0}
    ranges = {}
    for occluder in ("car", "truck"):
        first = {"lane": "ego", "gap_m": 20.0, "relative_speed_mps": 0.0, "class": occluder}
        rows = array(started({"radar": EXACT_RADAR}, {"first": first, "hidden": hidden}), "radar")
        ranges[occluder] = rows[rows[:, 0] > 0.0, 1]
    assert ranges["car"] == pytest.approx([20.0], abs=0.2)  # lamps stand out
    assert ranges["truck"] == pytest.approx([20.0, 60.0], abs=0.2)
    assert array(started({"radar": EXACT_RADAR}, {"hidden": hidden}), "radar")[0, 1] == pytest.approx(
        60.0, abs=0.2
    )


def test_radar_noise_and_drop_out_are_those_stated() -> None:
    options = {"range_noise_m": 0.3, "azimuth_noise_deg": 0.5, "speed_noise_mps": 0.2, "drop_out_ratio": 0.1}
    world = started({"radar": options}, {"lead": {"lane": "ego", "gap_m": 30.0, "relative_speed_mps": -6.0}})
    rows = captures(world, "radar", 200)[:, 0]
    is_there = rows[:, 0] > 0.0
    assert np.mean(~is_there) == pytest.approx(0.1, abs=4.0 * math.sqrt(0.09 / 200))
    found = rows[is_there]
    tolerance = 4.0 / math.sqrt(2.0 * len(found))
    for column, mean, deviation in ((1, 30.0, 0.3), (2, 0.0, math.radians(0.5)), (3, -6.0, 0.2)):
        assert found[:, column].std() == pytest.approx(deviation, rel=tolerance)
        assert found[:, column].mean() == pytest.approx(
            mean, abs=0.1 * (column == 1) + 5 * deviation / math.sqrt(150)
        )


# --- noisy objects ---------------------------------------------------------------------------------------------

TRAFFIC: dict[str, Any] = {
    "lead": {"lane": "ego", "gap_m": 25.0, "relative_speed_mps": -3.0},
    "beside": {"lane": "left", "gap_m": 5.0, "relative_speed_mps": 2.0, "class": "motorcycle"},
    "right": {"lane": "right", "gap_m": 40.0, "relative_speed_mps": 0.0},
}


def test_without_noise_and_occlusion_the_objects_are_the_true_ones() -> None:
    world = started({"noisy_objects": {**EXACT_OBJECTS, "min_visible_ratio": 0}}, TRAFFIC)
    world.advance(20 * CONTROL_PERIOD_NS)
    assert array(world, "noisy_objects") == pytest.approx(array(world, "objects"))


def test_objects_noise_and_misses_are_those_stated() -> None:
    options = {
        "drop_out_ratio": 0.15, "position_noise_m": 0.4, "heading_noise_rad": 0.05, "speed_noise_mps": 0.5,
        "acceleration_noise_mps2": 0.3, "size_noise_m": 0.1,
    }  # fmt: skip
    world = started({"noisy_objects": options}, {"lead": TRAFFIC["lead"]})
    truth = array(world, "objects")[0]
    rows = captures(world, "noisy_objects")[:, 0]
    is_there = rows[:, 0] > 0.0
    assert np.mean(~is_there) == pytest.approx(0.15, abs=4.0 * math.sqrt(0.15 * 0.85 / NUM_CAPTURES))
    errors = rows[is_there] - truth
    for column, deviation in enumerate((0.4, 0.4, 0.05, 0.5, 0.3, 0.1, 0.1), start=1):
        assert errors[:, column].std() == pytest.approx(deviation, rel=4.0 / math.sqrt(2.0 * len(errors)))
        assert abs(errors[:, column].mean()) < 4.5 * deviation / math.sqrt(len(errors))
    correlation = np.corrcoef(errors[:, 1:].T) - np.eye(7)
    assert np.abs(correlation).max() < 4.5 / math.sqrt(len(errors))


def test_who_is_behind_a_truck_or_too_far_is_not_in_the_list() -> None:
    truck = {"lane": "ego", "gap_m": 15.0, "relative_speed_mps": 0.0, "class": "truck"}
    hidden = {"lane": "ego", "gap_m": 50.0, "relative_speed_mps": 0.0}
    far = {"lane": "left", "gap_m": 150.0, "relative_speed_mps": 0.0}
    actors = {"truck": truck, "hidden": hidden, "far": far}
    rows = array(started({"noisy_objects": EXACT_OBJECTS}, actors), "noisy_objects")
    assert rows[:, 0].sum() == 1.0 and rows[0, 6] == pytest.approx(12.0)
    through = {**EXACT_OBJECTS, "min_visible_ratio": 0, "range_m": 200}
    assert array(started({"noisy_objects": through}, actors), "noisy_objects")[:, 0].sum() == 3.0


def _actor(x: float, y: float, size: tuple[float, float, float], yaw: float = 0.0) -> npt.NDArray[np.float64]:
    column = np.zeros(NUM_ROWS)
    column[[X_M, Y_M, YAW_RAD, LENGTH_M, WIDTH_M, HEIGHT_M]] = (x, y, yaw, *size)
    return column


@pytest.mark.parametrize(
    ("wall_height_m", "seen"),
    [
        # Eye at 1.5 m, wall at 10 m, pole at 20 m whose points are at 0.1, 1.0 and 1.9 m: the lines pass the wall at
        # 0.8, 1.25 and 1.7 m.
        (0.7, 1.0),
        (1.0, 5.0 / 9.0),
        (1.5, 4.0 / 9.0),
        (2.0, 0.0),
    ],
)
def test_a_low_wall_hides_what_lines_of_sight_say(wall_height_m: float, seen: float) -> None:
    assert EYE_HEIGHT_M == 1.5
    ego = _actor(0.0, 0.0, (4.5, 1.8, 1.5))
    wall = _actor(10.0, 0.0, (0.01, 30.0, wall_height_m))
    pole = _actor(20.0, 0.0, (0.01, 0.01, 2.0))
    ratio = visible_ratio(np.stack([ego, wall, pole], axis=1))
    assert ratio[EGO] == 0.0 and ratio[1] == 1.0
    assert ratio[2] == pytest.approx(seen)


@pytest.mark.parametrize("yaw", [0.0, 0.6, -2.0])
def test_half_of_what_stands_half_behind_a_wall_is_seen(yaw: float) -> None:
    """The whole scene turned about the ego: the same share."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    place = [(x * cos - y * sin, x * sin + y * cos) for x, y in ((10.0, 5.0), (20.0, 0.0))]
    columns = [
        _actor(0.0, 0.0, (4.5, 1.8, 1.5)),
        _actor(*place[0], (0.01, 10.0, 5.0), yaw),
        _actor(*place[1], (2.0, 2.0, 2.0), yaw + 0.01),
    ]
    ratio = visible_ratio(np.stack(columns, axis=1))
    assert 4.0 / 9.0 <= ratio[2] <= 5.0 / 9.0
