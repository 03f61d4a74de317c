"""Sensors against closed forms: planes, turns, attenuation and noise that can be computed by hand."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable
from typing import Any

import carla
import numpy as np
import numpy.typing as npt
import pytest

from tests.carla.api_messages import message
from tests.carla.patience import PATIENCE_S, until
from tests.carla.pictures import bgra
from tests.carla.stage import Stage

LIDAR = "sensor.lidar.ray_cast"
FloatArray = npt.NDArray[np.float64]
WIDTH, HEIGHT, FOV_DEG = 64, 48, 90.0
PICTURE = {"image_size_x": WIDTH, "image_size_y": HEIGHT, "fov": FOV_DEG}
FOCAL_PX = 0.5 * WIDTH / math.tan(0.5 * math.radians(FOV_DEG))
EYE_M = 0.8
"""Height of the sensors over the road."""
ROAD_IS_WITHIN_M = 0.03
"""Road and markings are drawn up to so high over the ground, so that each is seen."""


def _mount(**at: float) -> Any:
    turn = carla.Rotation(at.pop("pitch", 0.0), at.pop("yaw", 0.0), at.pop("roll", 0.0))
    return carla.Transform(carla.Location(**{"x": 2.6, "z": EYE_M, **at}), turn)


def _points(scan: Any) -> FloatArray:
    return np.frombuffer(scan.raw_data, dtype=np.float32).reshape(-1, 4).astype(np.float64)


def test_the_road_is_as_deep_as_a_plane(stage: Stage) -> None:
    """A pinhole at height h sees level ground at depth h f / (rows below the horizon)."""
    code = bgra(message(stage, "sensor.camera.depth", pose=_mount(), **PICTURE)).astype(np.float64)
    metres = 1000.0 * (code[..., 2] + 256.0 * code[..., 1] + 65536.0 * code[..., 0]) / (2**24 - 1)
    rows = np.arange(HEIGHT // 2 + 6, HEIGHT)
    expected = EYE_M * FOCAL_PX / (rows + 0.5 - 0.5 * HEIGHT)
    assert (metres[rows, WIDTH // 2] <= expected + 1e-3).all()
    assert metres[rows, WIDTH // 2] == pytest.approx(expected, rel=1.5 * ROAD_IS_WITHIN_M / EYE_M)


def test_classes_have_the_palette_s_colours_and_normals_point_up(stage: Stage) -> None:
    image = message(stage, "sensor.camera.semantic_segmentation", pose=_mount(), **PICTURE)
    image.convert(carla.ColorConverter.CityScapesPalette)
    colours = {tuple(pixel[2::-1].tolist()) for pixel in bgra(image).reshape(-1, 4)}
    assert {(128, 64, 128), (70, 130, 180), (0, 0, 142)} <= colours  # road, sky, car: CARLA's table of tags
    normals = bgra(message(stage, "sensor.camera.normals", pose=_mount(), **PICTURE))
    assert normals[HEIGHT - 3, WIDTH // 2, :3].tolist() == pytest.approx([255, 128, 128], abs=2)


def test_the_road_flows_as_a_plane_does(stage: Stage) -> None:
    """Going ahead by d moves the ground at depth z from h f / (z + d) to h f / z rows below the horizon."""
    speed_mps, row = 8.0, HEIGHT - 6
    image = message(stage, "sensor.camera.optical_flow", speed_mps, pose=_mount(), **PICTURE)
    flow = np.frombuffer(image.raw_data, dtype=np.float32).reshape(HEIGHT, WIDTH, 2)
    depth_m = EYE_M * FOCAL_PX / (row + 0.5 - 0.5 * HEIGHT)
    moved_m = 0.05 * speed_mps
    rows_down = EYE_M * FOCAL_PX * (1.0 / depth_m - 1.0 / (depth_m + moved_m))
    assert flow[row, WIDTH // 2, 1] == pytest.approx(
        -2.0 * rows_down / HEIGHT, rel=0.15
    )  # the car brakes a little
    assert abs(flow[row, WIDTH // 2, 0]) < 0.1 * abs(flow[row, WIDTH // 2, 1])
    assert np.abs(flow[2]).max() < 1e-3  # the sky stands


LEVEL = {
    "channels": 8,
    "points_per_second": 16_000,
    "rotation_frequency": 20.0,
    "upper_fov": -10.0,
    "lower_fov": -40.0,
}
CLEAR = {"dropoff_general_rate": 0.0, "dropoff_intensity_limit": 0.0, "range": 60.0}


def test_a_lidar_measures_rings_on_the_road(stage: Stage) -> None:
    """A laser at elevation e meets level ground at h / sin(-e); its echo fades with exp(-a r)."""
    scan = message(stage, LIDAR, pose=_mount(x=0.0, z=2.5), **LEVEL, **CLEAR)
    points = _points(scan)
    assert [scan.get_point_count(channel) for channel in range(8)] == [
        100
    ] * 8  # 16,000 / s / 8 lasers x 50 ms
    channel = np.repeat(np.arange(8), 100)
    is_ground = np.abs(points[:, 2] + 2.5) < 2.0 * ROAD_IS_WITHIN_M
    range_m = np.linalg.norm(points[:, :3], axis=1)
    expected_m = 2.5 / np.sin(np.radians(np.linspace(10.0, 40.0, 8)))[channel]
    assert is_ground.mean() > 0.5  # the rest is kerbs and the other car
    assert range_m[is_ground] == pytest.approx(expected_m[is_ground], rel=ROAD_IS_WITHIN_M)
    assert points[:, 3] == pytest.approx(np.exp(-0.004 * range_m), rel=1e-5)


def test_a_lidar_s_field_of_view_drops_and_noise_are_as_set(stage: Stage) -> None:
    above = _mount(x=0.0, z=2.5)
    part = _points(message(stage, LIDAR, pose=above, horizontal_fov=90, **LEVEL, **CLEAR))
    angle = np.degrees(np.arctan2(part[:, 1], part[:, 0]))
    assert len(part) == pytest.approx(800, abs=8)  # all points within the field
    assert -45.01 <= angle.min() < -43.0 < 43.0 < angle.max() <= 45.01
    dense = {**LEVEL, "points_per_second": 320_000}
    dropped = message(stage, LIDAR, pose=above, **dense, **{**CLEAR, "dropoff_general_rate": 0.3})
    assert len(dropped) == pytest.approx(0.7 * 16_000, rel=0.03)
    clear, noisy = (
        np.linalg.norm(
            _points(message(stage, LIDAR, pose=above, noise_stddev=noise, **dense, **CLEAR))[:, :3], axis=1
        )
        for noise in (0.0, 0.1)
    )  # a turn a tick: the same rays
    assert np.std(noisy - clear) == pytest.approx(0.1, rel=0.05)
    assert np.mean(noisy - clear) == pytest.approx(0.0, abs=0.005)


def test_a_lidar_that_sends_every_other_tick_has_turned_for_two(stage: Stage) -> None:
    slow = {**LEVEL, "rotation_frequency": 5.0, "sensor_tick": 0.1}
    scan = message(stage, LIDAR, pose=_mount(x=0.0, z=2.5), **slow, **CLEAR)
    assert len(scan) == pytest.approx(1_600, abs=16)


@pytest.mark.parametrize(("speed_mps", "sign"), [(6.0, -1.0), (-3.0, 1.0)])
def test_a_radar_s_velocity_is_positive_away(stage: Stage, speed_mps: float, sign: float) -> None:
    stage.car.enable_constant_velocity(carla.Vector3D(speed_mps, 0.0, 0.0))
    hits = message(stage, "sensor.other.radar", pose=_mount(), points_per_second=20_000)
    stage.car.disable_constant_velocity()
    stage.at_rest(stage.car)
    for hit in hits:  # everything stands: the component of the own speed along the ray
        along = math.cos(hit.azimuth) * math.cos(hit.altitude)
        assert hit.velocity == pytest.approx(sign * abs(speed_mps) * along, abs=0.02)
    assert max(hit.azimuth for hit in hits) <= math.radians(15.1)


def test_an_imu_feels_gravity_through_its_mount_and_turns(stage: Stage) -> None:
    pitched = message(stage, "sensor.other.imu", pose=_mount(pitch=30.0))
    assert pitched.accelerometer.x == pytest.approx(9.81 * math.sin(math.radians(30.0)), abs=1e-3)
    assert pitched.accelerometer.z == pytest.approx(9.81 * math.cos(math.radians(30.0)), abs=1e-3)
    heading_deg = stage.home.rotation.yaw
    turned = message(stage, "sensor.other.imu", pose=_mount(yaw=40.0))
    assert math.remainder(
        turned.compass - math.radians(heading_deg + 40.0 + 90.0), 2.0 * math.pi
    ) == pytest.approx(0.0, abs=1e-4)
    stage.world.set_imui_sensor_gravity(1.62)
    assert message(stage, "sensor.other.imu", pose=_mount()).accelerometer.z == pytest.approx(1.62, abs=1e-3)
    stage.world.set_imui_sensor_gravity(9.81)


def test_an_imu_in_a_turn_feels_what_the_car_does(stage: Stage) -> None:
    sensor = stage.spawn("sensor.other.imu", carla.Transform(carla.Location(z=0.5)))
    stage.tick()
    came: queue.Queue[Any] = queue.Queue()
    sensor.listen(came.put)
    stage.car.set_target_velocity(stage.along(6.0))
    stage.car.apply_control(carla.VehicleControl(throttle=0.4, steer=0.08))
    stage.tick(30)
    until(lambda: came.qsize() >= 30)
    felt = [came.get() for _ in range(30)][-1]
    told, rate = stage.car.get_acceleration(), stage.car.get_angular_velocity()
    pose = stage.car.get_transform()
    assert felt.gyroscope.z == pytest.approx(math.radians(rate.z), abs=1e-5)
    assert felt.gyroscope.z > 0.02  # to the right
    assert felt.accelerometer.x == pytest.approx(told.dot(pose.get_forward_vector()), abs=1e-3)
    assert felt.accelerometer.y == pytest.approx(told.dot(pose.get_right_vector()), abs=1e-3)
    assert felt.accelerometer.y > 0.1  # towards the centre of the turn
    sensor.stop()
    sensor.destroy()
    stage.at_rest(stage.car)


def _altitudes(stage: Stage, seed: int, count: int, **noise: float) -> FloatArray:
    sensor = stage.spawn("sensor.other.gnss", noise_seed=seed, **noise)
    stage.tick()
    came: queue.Queue[Any] = queue.Queue()
    sensor.listen(came.put)
    stage.tick(count)
    until(lambda: came.qsize() >= count)
    sensor.stop()
    sensor.destroy()
    stage.tick()
    return np.array([came.get().altitude for _ in range(count)])


def test_noise_has_its_mean_and_its_deviation(stage: Stage) -> None:
    noisy = _altitudes(stage, 3, 200, noise_alt_bias=5.0, noise_alt_stddev=0.5)
    assert noisy.mean() == pytest.approx(EYE_M + 5.0, abs=4.0 * 0.5 / math.sqrt(200.0))
    assert noisy.std() == pytest.approx(0.5, rel=0.25)
    assert np.std(_altitudes(stage, 3, 20)) == 0.0


def test_noise_of_a_seed_comes_again_and_another_seed_s_differs(stage: Stage) -> None:
    """Whichever the sensor's id is, and whenever it is spawned."""
    first, again, other = (_altitudes(stage, seed, 20, noise_alt_stddev=0.5) for seed in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert len(set(first.tolist())) == 20
    assert not np.isin(first, other).any()


def test_an_event_camera_counts_crossings_of_its_threshold(stage: Stage) -> None:
    """Between two pictures a pixel has as many events as thresholds fit into the change of its logarithm."""
    came: dict[str, queue.Queue[Any]] = {}
    sensors = []
    for name in ("sensor.camera.dvs", "sensor.camera.rgb"):
        sensors.append(stage.spawn(name, _mount(), **PICTURE))
        came[name] = queue.Queue()
    stage.tick()
    for sensor in sensors:
        sensor.listen(came[sensor.type_id].put)
    stage.let_go()
    until(lambda: came["sensor.camera.rgb"].qsize() >= 10)
    assert came["sensor.camera.dvs"].empty()  # nothing moved
    stage.car.set_target_velocity(stage.along(8.0))
    stage.tick()
    until(lambda: came["sensor.camera.rgb"].qsize() >= 11)
    last_two = [came["sensor.camera.rgb"].get() for _ in range(11)][-2:]
    pictures = [bgra(image)[..., 2::-1].astype(np.float64) for image in last_two]
    before, after = (np.log(0.001 + picture @ [0.2989, 0.5870, 0.1140] / 255.0) for picture in pictures)
    expected = np.floor(np.abs(after - before) / 0.3 + 1e-9)
    counted = np.zeros((HEIGHT, WIDTH))
    if expected.any():
        for event in came["sensor.camera.dvs"].get(timeout=PATIENCE_S):
            counted[event.y, event.x] += 1
            assert event.pol == (after[event.y, event.x] > before[event.y, event.x])
    assert expected.sum() > 0
    assert (counted == expected).all()
    for sensor in sensors:
        sensor.stop()
        sensor.destroy()
    stage.at_rest(stage.car)


@pytest.mark.parametrize(
    "kind", [carla.AttachmentType.Rigid, carla.AttachmentType.SpringArm, carla.AttachmentType.SpringArmGhost]
)
def test_a_sensor_is_where_it_is_attached(stage: Stage, kind: Any) -> None:
    blueprint = stage.library.find("sensor.other.gnss")
    mount = carla.Transform(carla.Location(x=1.0, y=0.5, z=2.0), carla.Rotation(yaw=30.0))
    sensor = stage.world.spawn_actor(blueprint, mount, attach_to=stage.car, attachment_type=kind)
    stage.tick()
    place = stage.home.transform(carla.Location(x=1.0, y=0.5, z=2.0 - stage.home.location.z))
    assert sensor.get_location().distance(place) < 1e-3
    assert math.remainder(
        sensor.get_transform().rotation.yaw - stage.home.rotation.yaw - 30.0, 360.0
    ) == pytest.approx(0.0, abs=1e-3)
    sensor.destroy()
    stage.tick()


def test_sensors_end_while_they_are_listened_to(stage: Stage) -> None:
    for _ in range(20):
        camera = stage.spawn("sensor.camera.rgb", image_size_x=16, image_size_y=8)
        stage.tick()
        camera.listen(lambda image: None)
        stage.tick()
        assert camera.destroy()
        stage.tick()


def test_an_obstacle_sensor_keeps_to_its_reach_and_width(stage: Stage) -> None:
    def events(**attributes: object) -> int:
        sensor = stage.spawn("sensor.other.obstacle", **attributes)
        stage.tick()
        came: list[Any] = []
        act: Callable[[Any], None] = came.append
        sensor.listen(act)
        stage.tick(5)
        sensor.stop()
        sensor.destroy()
        stage.tick()
        return len(came)

    gap_m = 15.0 - 2.6 - stage.ahead.bounding_box.extent.x
    assert events(distance=gap_m + 0.3) >= 3
    assert events(distance=gap_m - 0.3) == 0
    stage.ahead.set_transform(
        carla.Transform(stage.place_ahead.location + 3.0 * stage.home.get_right_vector(), stage.home.rotation)
    )
    stage.tick()
    free_m = 3.0 - stage.ahead.bounding_box.extent.y
    assert events(distance=20, hit_radius=free_m - 0.2) == 0
    assert events(distance=20, hit_radius=free_m + 0.2) >= 3
    stage.at_rest(stage.car)
