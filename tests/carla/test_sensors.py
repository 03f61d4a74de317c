"""Every sensor through the unmodified client: what arrives, when, and that it is true."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable
from typing import Any

import carla
import numpy as np
import pytest

from tests.carla.patience import PATIENCE_S
from tests.carla.pictures import bgra

MODEL3 = "vehicle.tesla.model3"


@pytest.fixture
def listen(world: Any, spawn: Callable[..., Any]) -> Callable[..., Any]:
    """Spawns a sensor and returns what takes its next message for a new tick."""

    def start(name: str, parent: Any, pose: Any = None, **attributes: object) -> Callable[[], Any]:
        sensor = spawn(name, pose or carla.Transform(), parent=parent, **attributes)
        frames: queue.Queue[Any] = queue.Queue()
        sensor.listen(frames.put)

        def following() -> Any:
            frame = world.tick()
            while (message := frames.get(timeout=PATIENCE_S)).frame < frame:
                pass
            assert message.frame == frame
            return message

        following.sensor = sensor  # type: ignore[attr-defined] - the client stops what is not referred to any more
        return following

    return start


@pytest.fixture
def pair(world: Any, spawn: Callable[..., Any]) -> tuple[Any, Any]:
    """A car, and another one 15 m ahead of it."""
    behind = spawn(MODEL3, 10)
    pose = behind.get_transform()
    ahead = spawn(
        "vehicle.audi.tt", carla.Transform(pose.location + 15.0 * pose.get_forward_vector(), pose.rotation)
    )
    return behind, ahead


SMALL = {"image_size_x": 120, "image_size_y": 80}


def test_colour_depth_and_classes_agree(pair: tuple[Any, Any], listen: Callable[..., Any]) -> None:
    behind, ahead = pair
    mount = carla.Transform(carla.Location(x=2.6, z=0.8))
    colour = bgra(listen("sensor.camera.rgb", behind, mount, **SMALL)())
    classes = bgra(listen("sensor.camera.semantic_segmentation", behind, mount, **SMALL)())
    instances = bgra(listen("sensor.camera.instance_segmentation", behind, mount, **SMALL)())
    depth = bgra(listen("sensor.camera.depth", behind, mount, **SMALL)()).astype(np.float64)
    is_car = classes[..., 2] == 14
    assert is_car[38:41, 58:62].all()  # straight ahead is the other car
    assert set(np.unique(classes[..., 2]).tolist()) >= {1, 11, 14}  # road, sky, car
    seen = instances[is_car]
    assert set((seen[:, 1].astype(int) + 256 * seen[:, 0]).tolist()) == {ahead.id}
    metres = 1000.0 * (depth[..., 2] + 256.0 * depth[..., 1] + 65536.0 * depth[..., 0]) / (2**24 - 1)
    gap_m = 15.0 - 2.6 - ahead.bounding_box.extent.x
    assert np.median(metres[is_car]) == pytest.approx(gap_m, abs=0.8)
    assert metres[5].min() == pytest.approx(1000.0)
    assert colour[5, 60, 0] > colour[5, 60, 2]  # the sky is blue
    assert (colour[..., 3] == 255).all()


def test_the_picture_is_not_mirrored(
    world: Any, spawn: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    car = spawn(MODEL3, 10)
    pose = car.get_transform()
    aside = pose.location + 12.0 * pose.get_forward_vector() + 4.0 * pose.get_right_vector()
    spawn("vehicle.audi.tt", carla.Transform(aside, pose.rotation))
    mount = carla.Transform(carla.Location(x=2.6, z=1.0))
    classes = bgra(listen("sensor.camera.semantic_segmentation", car, mount, **SMALL)())
    columns = np.flatnonzero((classes[..., 2] == 14).any(axis=0))
    assert columns.min() > 60  # what is to the right is in the right half


def test_lidars_measure_the_car_ahead(pair: tuple[Any, Any], listen: Callable[..., Any]) -> None:
    behind, ahead = pair
    mount = carla.Transform(carla.Location(z=1.0))
    options = {"channels": 16, "range": 40.0, "points_per_second": 115200, "rotation_frequency": 20.0}
    scan = listen("sensor.lidar.ray_cast_semantic", behind, mount, **options)()
    points = [point for point in scan if point.object_idx == ahead.id]
    assert len(points) > 10
    nearest = min(point.point.x for point in points)
    assert nearest == pytest.approx(15.0 - ahead.bounding_box.extent.x, abs=0.3)
    assert all(point.object_tag == 14 for point in points)
    plain = listen("sensor.lidar.ray_cast", behind, mount, **options, dropoff_general_rate=0.0)()
    assert sum(plain.get_point_count(channel) for channel in range(plain.channels)) == len(plain)
    ground = [point.point.z for point in plain if abs(point.point.z + 1.0) < 0.05]
    assert len(ground) > 0.3 * len(plain)


def test_radar_sees_speed(world: Any, pair: tuple[Any, Any], listen: Callable[..., Any]) -> None:
    behind, _ = pair
    mount = carla.Transform(carla.Location(x=2.6, z=0.8))
    radar = listen("sensor.other.radar", behind, mount, points_per_second=40_000)
    behind.enable_constant_velocity(carla.Vector3D(5.0, 0.0, 0.0))
    world.tick()
    straight = [
        hit for hit in radar() if abs(hit.azimuth) < 0.05 and abs(hit.altitude) < 0.02 and hit.depth < 13.0
    ]
    assert straight
    assert straight[0].velocity == pytest.approx(-5.0, abs=0.1)


def test_collisions_obstacles_and_lanes(
    world: Any, pair: tuple[Any, Any], spawn: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    behind, ahead = pair
    hits: list[Any] = []
    crossed: list[Any] = []
    touch = spawn("sensor.other.collision", carla.Transform(), parent=behind)
    touch.listen(hits.append)
    lanes = spawn("sensor.other.lane_invasion", carla.Transform(), parent=behind)
    lanes.listen(crossed.append)
    obstacle = listen(
        "sensor.other.obstacle", behind, carla.Transform(carla.Location(x=2.25, z=0.5)), distance=20
    )
    seen = obstacle()
    assert seen.other_actor.id == ahead.id
    assert seen.distance == pytest.approx(15.0 - 2.25 - ahead.bounding_box.extent.x, abs=0.1)
    behind.set_target_velocity(12.0 * behind.get_transform().get_forward_vector())
    for _ in range(40):
        world.tick()
    assert hits
    assert hits[0].other_actor.id == ahead.id
    impulse = hits[0].normal_impulse.length()
    # Central impact of two bodies of known mass with restitution 0.1.
    closing_mps = impulse / 1.1 * 2.0 / behind.get_physics_control().mass
    assert 9.0 < closing_mps < 12.5
    behind.apply_control(carla.VehicleControl(throttle=0.7, steer=0.3))
    for _ in range(60):
        world.tick()
    touch.stop()
    lanes.stop()
    assert crossed


def test_imu_and_gnss(world: Any, spawn: Callable[..., Any], listen: Callable[..., Any]) -> None:
    car = spawn(MODEL3, 10)
    still = listen("sensor.other.imu", car)()
    assert still.accelerometer.z == pytest.approx(9.81, abs=1e-3)
    assert still.compass == pytest.approx(
        math.radians(car.get_transform().rotation.yaw + 90.0) % (2 * math.pi), abs=1e-4
    )
    place = listen("sensor.other.gnss", car)()
    told = world.get_map().transform_to_geolocation(car.get_location())
    assert place.latitude == pytest.approx(told.latitude, abs=1e-8)
    assert place.longitude == pytest.approx(told.longitude, abs=1e-8)


def test_the_first_tick_after_listening_is_never_missed(
    spawn: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    car = spawn(MODEL3, 10)
    for _ in range(30):
        listen("sensor.other.gnss", car)()


def test_sensor_tick_spaces_the_messages(world: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(MODEL3, 10)
    sensor = spawn("sensor.other.gnss", carla.Transform(), parent=car, sensor_tick=0.2)
    stamps: list[float] = []
    sensor.listen(lambda message: stamps.append(message.timestamp))
    for _ in range(41):
        world.tick()
    sensor.stop()
    assert len(stamps) in (10, 11)
    assert np.diff(stamps) == pytest.approx(0.2)


def test_two_hundred_subscriptions(world: Any, spawn: Callable[..., Any]) -> None:
    car = spawn(MODEL3, 10)
    counts = [0] * 200

    def counting(number: int) -> Callable[[Any], None]:
        def count(_: Any) -> None:
            counts[number] += 1

        return count

    library = world.get_blueprint_library()
    sensors = [
        world.spawn_actor(library.find("sensor.other.gnss"), carla.Transform(), attach_to=car) for _ in counts
    ]
    world.tick()
    for number, sensor in enumerate(sensors):
        sensor.listen(counting(number))
    for _ in range(20):
        world.tick()
    for sensor in sensors:
        sensor.stop()
        sensor.destroy()
    world.tick()
    assert min(counts) >= 18  # the last messages may still be under way


DOCUMENTED = {
    "sensor.camera.rgb": "bloom_intensity fov fstop image_size_x image_size_y iso gamma lens_flare_intensity "
    "sensor_tick shutter_speed lens_circle_falloff lens_circle_multiplier lens_k lens_kcube lens_x_size lens_y_size "
    "min_fstop blade_count exposure_mode exposure_compensation exposure_min_bright exposure_max_bright "
    "exposure_speed_up "
    "exposure_speed_down calibration_constant focal_distance blur_amount blur_radius motion_blur_intensity "
    "motion_blur_max_distortion motion_blur_min_object_screen_size slope toe shoulder black_clip white_clip temp tint "
    "chromatic_aberration_intensity chromatic_aberration_offset enable_postprocess_effects",
    "sensor.camera.dvs": "positive_threshold negative_threshold sigma_positive_threshold sigma_negative_threshold "
    "refractory_period_ns use_log log_eps",
    "sensor.camera.depth": "image_size_x image_size_y fov sensor_tick lens_k lens_kcube lens_x_size lens_y_size",
    "sensor.lidar.ray_cast": "channels range points_per_second rotation_frequency upper_fov lower_fov horizontal_fov "
    "atmosphere_attenuation_rate dropoff_general_rate dropoff_intensity_limit dropoff_zero_intensity sensor_tick "
    "noise_stddev",
    "sensor.lidar.ray_cast_semantic": "channels range points_per_second rotation_frequency upper_fov lower_fov "
    "horizontal_fov sensor_tick",
    "sensor.other.radar": "horizontal_fov points_per_second range sensor_tick vertical_fov",
    "sensor.other.obstacle": "distance hit_radius only_dynamics debug_linetrace sensor_tick",
    "sensor.other.imu": "noise_accel_stddev_x noise_accel_stddev_y noise_accel_stddev_z noise_gyro_bias_x "
    "noise_gyro_bias_y noise_gyro_bias_z noise_gyro_stddev_x noise_gyro_stddev_y noise_gyro_stddev_z noise_seed "
    "sensor_tick",
    "sensor.other.gnss": "noise_alt_bias noise_alt_stddev noise_lat_bias noise_lat_stddev noise_lon_bias "
    "noise_lon_stddev noise_seed sensor_tick",
}
"""Attributes of each sensor in carla.readthedocs.io/en/0.9.16/ref_sensors."""


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_sensor_has_the_attributes_that_carla_documents(world: Any, name: str) -> None:
    blueprint = world.get_blueprint_library().find(name)
    assert [one for one in DOCUMENTED[name].split() if not blueprint.has_attribute(one)] == []
    assert all(attribute.is_modifiable for attribute in blueprint)


def test_two_clients_listen_to_one_sensor(world: Any, spawn: Callable[..., Any], server: Any) -> None:
    sensor = spawn("sensor.other.gnss")
    other = server.client()
    theirs = other.get_world().get_actor(sensor.id)
    heard: list[queue.Queue[int]] = [queue.Queue(), queue.Queue()]
    sensor.listen(lambda fix: heard[0].put(fix.frame))
    theirs.listen(lambda fix: heard[1].put(fix.frame))
    frames = [world.tick() for _ in range(20)]
    for one in heard:
        assert [one.get(timeout=PATIENCE_S) for _ in range(20)] == frames
    theirs.stop()
    sensor.stop()
