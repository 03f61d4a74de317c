"""Sensors on demand: which there are, what they take, and that a capture is a function of its place alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from simloop.errors import ConfigurationError, UnknownNameError
from simloop.spec import Scenario
from simloop_driving import sensors
from simloop_driving.scenery.semantics import SEMANTIC_CLASSES
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

TICK_NS = CONTROL_PERIOD_NS
RANDOM = (
    "noisy_objects",
    "lidar",
    "radar",
    "imu",
    "gnss",
    "birds_eye",
    "rgb_camera",
    "semantic_camera",
    "depth_camera",
)
NOISE: dict[str, dict[str, float]] = {
    "lidar": {"drop_out_ratio": 0.1, "channels": 8, "azimuths": 90},
    "birds_eye": {"noise_m": 0.5},
    "rgb_camera": {"noise_levels": 5.0},
    "semantic_camera": {"noise_ratio": 0.1},
    "depth_camera": {"noise_ratio": 0.1},
}


def scenario(**changes: Any) -> Scenario:
    scene: dict[str, Any] = {
        "map": "town",
        "ego": {
            "road": 111,
            "lane": -1,
            "station_m": 60.0,
            "initial_speed_mps": 10.0,
            "to": {"road": 212, "lane": -1},
        },
        "actors": {
            "lead": {"lane": "ego", "gap_m": 15.0, "speed_mps": 8.0},
            "oncoming": {
                "path": {"road": 112, "lane": 1, "station_m": 60.0, "to": {"road": 111, "lane": 1}},
                "speed_mps": 10.0,
                "behaviour": "idm",
            },
        },
        "signals": {"green_s": 20.0, "amber_s": 3.0, "all_red_s": 2.0, "offset_s": 0.0},
        "criteria": {"goal_distance_m": 100.0},
    }
    return Scenario(family="own", world="driving", parameters={}, scene=scene | changes)


def started(extra: Any, seed: int = 0, **config: Any) -> DrivingWorld:
    world = DrivingWorld(extra_sensors=extra, **config)
    world.reset(scenario(), seed)
    return world


@pytest.mark.parametrize("name", sensors.EXTRA_SENSORS)
def test_every_sensor_keeps_its_layout(name: str) -> None:
    world = started([name])
    spec = world.spec.sensor(name)
    for tick in range(3):
        array = world.capture(name, tick).array
        assert array.shape == spec.shape
        assert str(array.dtype) == spec.dtype
        assert spec.payload_bytes == array.nbytes
        assert np.all(np.isfinite(array))
        world.advance((tick + 1) * TICK_NS)
    assert spec.description


@pytest.mark.parametrize("name", RANDOM)
def test_a_capture_depends_on_seed_sensor_and_index_alone(name: str) -> None:
    """Two worlds that differ in who else is read, when and in what order give the same bytes."""
    extra = {name: NOISE.get(name, {}), "other": {"type": name, **NOISE.get(name, {})}}
    plain, busy = started(extra), started({**extra, "gnss" if name != "gnss" else "imu": None})
    for world in (plain, busy):
        world.advance(4 * TICK_NS)
    for sensor in busy.spec.sensors:
        assert busy.capture(sensor.name, 0).array.shape == sensor.shape
    late = busy.capture(name, 7)
    busy.advance(10 * TICK_NS)
    assert np.array_equal(plain.capture(name, 7).array, late.array)
    other_index = np.asarray(plain.capture(name, 8).array)
    assert not np.array_equal(other_index, late.array)
    assert not np.array_equal(plain.capture("other", 7).array, late.array)
    elsewhere = started(extra, seed=1)
    elsewhere.advance(4 * TICK_NS)
    assert not np.array_equal(elsewhere.capture(name, 7).array, late.array)


@pytest.mark.parametrize("name", ["noisy_objects", "lidar", "gnss", "semantic_camera"])
def test_an_aged_sensor_shows_what_a_fresh_one_saw_before(name: str) -> None:
    fresh, aged = started({name: None}), started({name: {"age_ms": 120, "period_ms": 50}})
    seen = {}
    for step in range(60):
        for world in (fresh, aged):
            world.advance(step * 10_000_000)
        seen[step] = fresh.capture(name, 3).array
        if step % 5:
            continue
        frame = aged.capture(name, 3)
        expected = max(step - 12, 0)
        assert frame.captured_at_ns == expected * 10_000_000
        assert np.array_equal(frame.array, seen[expected])
    assert not np.array_equal(seen[0], seen[40])


def test_an_age_does_not_depend_on_how_time_is_cut() -> None:
    one, other = started({"objects_200": {"type": "noisy_objects", "age_ms": 200}}), None
    other = started({"objects_200": {"type": "noisy_objects", "age_ms": 200}})
    one.advance(20 * TICK_NS)
    for tick in range(1, 21):
        other.advance(tick * TICK_NS)
    frames = [world.capture("objects_200", 0) for world in (one, other)]
    assert frames[0].captured_at_ns == frames[1].captured_at_ns == 16 * TICK_NS
    assert np.array_equal(frames[0].array, frames[1].array)
    assert np.array_equal(one.anchor().pose, other.anchor().pose)


def test_periods_are_those_asked_for() -> None:
    world = DrivingWorld(extra_sensors={"imu": {"period_ms": 20}, "lidar": None})
    assert world.spec.sensor("imu").period_ns == 20_000_000
    assert world.spec.sensor("imu").shape == (2, 8)
    assert world.spec.sensor("lidar").period_ns == 100_000_000


def test_several_sensors_of_one_type_have_names_of_their_own() -> None:
    world = started(
        {"left": {"type": "rgb_camera", "yaw_deg": 90}, "right": {"type": "rgb_camera", "yaw_deg": -90.0}}
    )
    assert [sensor.name for sensor in world.spec.sensors[-2:]] == ["left", "right"]
    assert not np.array_equal(world.capture("left", 0).array, world.capture("right", 0).array)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("lidar", "a list of types, or a mapping"),
        (["lidar", "lidar"], "names a sensor twice: lidar, lidar"),
        ({"route": {"type": "lidar"}}, "'route' is a sensor that every world has"),
        ({"lidar": 3}, "extra_sensors.lidar is 3; allowed: a mapping"),
        (
            {"lidar": {"chanels": 3}},
            "extra_sensors.lidar has no option 'chanels'; there are: type, age_ms, azimuths",
        ),
        (
            {"lidar": {"channels": 0}},
            "extra_sensors.lidar.channels is 0; allowed: whole numbers from 1 to 128",
        ),
        ({"lidar": {"channels": 3.5}}, "channels is 3.5; allowed: whole numbers from 1 to 128"),
        ({"lidar": {"channels": True}}, "channels is True; allowed: whole numbers"),
        ({"lidar": {"noise_m": -0.1}}, "noise_m is -0.1; allowed: numbers from 0 to 10"),
        ({"lidar": {"noise_m": float("nan")}}, "noise_m is nan; allowed: numbers from 0 to 10"),
        ({"lidar": {"noise_m": "1"}}, "noise_m is '1'; allowed: numbers from 0 to 10"),
        ({"lidar": {"period_ms": 55}}, "period_ms is 55; allowed: multiples of 10 from 10 to 10000"),
        ({"gnss": {"age_ms": -10}}, "age_ms is -10; allowed: multiples of 10 from 0 to 10000"),
        (
            {"lidar": {"min_elevation_deg": 20}},
            "min_elevation_deg is 20; allowed: below max_elevation_deg, which is 6",
        ),
        ({"birds_eye": {"resolution_m": 0.1, "ahead_m": 200}}, "at most 1024 along each side"),
        (
            {"imu": {"drop_out_ratio": 1.5}},
            "extra_sensors.imu.drop_out_ratio is 1.5; allowed: numbers from 0 to 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(extra: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DrivingWorld(extra_sensors=extra)


def test_an_unknown_type_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"ladar.*lidar"):
        DrivingWorld(extra_sensors=["ladar"])
    with pytest.raises(UnknownNameError, match="sonar"):
        DrivingWorld(extra_sensors={"front": {"type": "sonar"}})


@pytest.mark.parametrize("size", [(15, 100), (100, 1025), (100,), (100.5, 100)])
def test_a_camera_size_that_does_not_fit_is_refused(size: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"camera_size_px is .*; allowed: height and width"):
        DrivingWorld(camera_size_px=size)


def test_the_front_camera_has_the_size_asked_for() -> None:
    world = started([], camera_size_px=[240, 320])
    assert world.spec.sensor("front_camera").shape == (240, 320, 3)
    assert world.capture("front_camera", 0).array.shape == (240, 320, 3)
    assert world.capture("front_camera_past", 0).array.shape == (240, 320, 3)


@pytest.mark.parametrize("name", sensors.EXTRA_SENSORS)
def test_the_docs_state_every_option_with_its_default(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "sensors.md").read_text()
    lines = [line for line in text.splitlines() if f"`{name}`" in line] + text.splitlines()
    assert f"| `{name}` |" in text
    for option in dataclasses.fields(sensors.EXTRA_SENSORS[name]):
        if option.name in ("name", "period_ms", "age_ms"):
            continue
        words = "\n".join(lines).replace("\n", " ")
        assert f"`{option.name}` ({option.default:g})" in words, option.name
    spec = started([name]).spec.sensor(name)
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` | ("))
    assert f"{spec.period_ns // 1_000_000} ms" in row
    assert ("privileged" in row) == spec.is_privileged


def test_the_docs_list_every_semantic_class() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sensors.md").read_text().replace("\n", " ")
    for code, name in enumerate(SEMANTIC_CLASSES):
        assert f"{code} {name}" in text


def test_all_sensors_together_make_a_gymnasium_environment() -> None:
    config = {"extra_sensors": list(sensors.EXTRA_SENSORS)}
    env = gymnasium.make("simloop/CutIn-v0", world_config=config).unwrapped
    check_env(env, skip_render_check=True)
    observation, _ = env.reset(seed=3)
    found = {name for group in observation.values() for name in group}
    assert set(sensors.EXTRA_SENSORS) <= found
