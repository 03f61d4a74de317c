"""What the messages of sensors are to give; ``test_api`` drives the table."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable, Mapping
from typing import Any

import carla

from tests.carla.patience import PATIENCE_S, until

Check = Callable[[Any], object]
V = carla.Vector3D

EVENTS = ("sensor.other.collision", "sensor.camera.dvs", "sensor.other.obstacle")
"""Sensors without a message in every tick."""
SMALL = {"image_size_x": 24, "image_size_y": 16}
SWEEP = {"channels": 4, "points_per_second": 8000, "rotation_frequency": 20, "range": 40}


def message(s: Any, name: str, drive_mps: float = 0.0, pose: Any = None, **attributes: object) -> Any:
    """Returns the second message of a sensor on the car, or the first of one that tells events."""
    sensor = s.spawn(name, pose, **attributes)
    s.tick()
    came: queue.Queue[Any] = queue.Queue()
    sensor.listen(came.put)
    if drive_mps > 0.0:
        s.let_go()
        came.queue.clear()
        s.car.set_target_velocity(s.along(drive_mps))
    wanted = 1 if name in EVENTS else 2
    for _ in range(60):
        frame = s.tick()
        if came.qsize() >= wanted:
            break
        if name not in EVENTS and "sensor_tick" not in attributes:
            until(lambda: came.qsize() > 0 and came.queue[-1].frame == frame)  # noqa: B023 - called at once
    outcome = [came.get(timeout=PATIENCE_S) for _ in range(wanted)][-1]
    sensor.stop()
    sensor.destroy()
    s.at_rest(s.car)
    return outcome


_CACHE: dict[str, Any] = {}


def _seen(s: Any, name: str) -> Any:
    """Returns a message of a sensor; the same one for all that look at it."""
    if name not in _CACHE:
        options: Mapping[str, object] = SMALL if ".camera." in name else SWEEP if ".lidar." in name else {}
        if name == "sensor.other.obstacle":
            options = {"distance": 20}
        moving = {"sensor.camera.dvs": 8.0, "sensor.camera.optical_flow": 8.0, "sensor.other.collision": 14.0}
        _CACHE[name] = message(s, name, moving.get(name, 0.0), **options)
    return _CACHE[name]


def _crosses_a_line(s: Any) -> bool:
    sensor = s.spawn("sensor.other.lane_invasion")
    s.tick()
    came: queue.Queue[int] = queue.Queue()
    sensor.listen(lambda event: came.put(len(event.crossed_lane_markings)))
    s.car.apply_control(carla.VehicleControl(throttle=0.8, steer=0.2))
    for _ in range(100):
        s.tick()
        if not came.empty():
            break
    how_many = came.get(timeout=PATIENCE_S)
    sensor.stop()
    sensor.destroy()
    s.at_rest(s.car)
    return how_many >= 1


def listens(s: Any) -> bool:
    camera = s.spawn("sensor.camera.rgb", **SMALL)
    s.tick()
    came: queue.Queue[Any] = queue.Queue()
    before = camera.is_listening()
    camera.listen(came.put)
    during = camera.is_listening()
    frame = s.tick()
    seen = came.get(timeout=PATIENCE_S)
    camera.stop()
    after = camera.is_listening()
    camera.destroy()
    s.tick()
    return (before, during, after, seen.frame) == (False, True, False, frame)


def _data(name: str, sensor: str, checks: dict[str, Callable[[Any], object]]) -> dict[str, Check]:
    return {f"{name}.{call}": lambda s, c=check, of=sensor: c(_seen(s, of)) for call, check in checks.items()}


RGB, DVS, FLOW = "sensor.camera.rgb", "sensor.camera.dvs", "sensor.camera.optical_flow"
LIDAR, SEMANTIC_LIDAR, RADAR = "sensor.lidar.ray_cast", "sensor.lidar.ray_cast_semantic", "sensor.other.radar"

MESSAGES: dict[str, Check] = {
    **_data(
        "SensorData",
        RGB,
        {
            "frame": lambda m: m.frame > 0,
            "frame_number": lambda m: m.frame_number == m.frame,
            "timestamp": lambda m: m.timestamp > 0.0,
            "transform": lambda m: math.isclose(m.transform.location.z, 0.8, abs_tol=0.01),
        },
    ),
    **_data(
        "Image",
        RGB,
        {
            "convert": lambda m: m.convert(carla.ColorConverter.Raw) is None,
            "fov": lambda m: m.fov == 90.0,
            "height": lambda m: m.height == 16,
            "raw_data": lambda m: len(m.raw_data) == 4 * 24 * 16,
            "width": lambda m: m.width == 24,
        },
    ),
    "Image.save_to_disk": lambda s: _seen(s, RGB).save_to_disk(f"{s.folder}/a.png").endswith("a.png"),
    **_data(
        "DVSEventArray",
        DVS,
        {
            "fov": lambda m: m.fov == 90.0,
            "height": lambda m: m.height == 16,
            "raw_data": lambda m: len(m.raw_data) == 13 * len(m),
            "to_array_pol": lambda m: set(m.to_array_pol()) <= {-1, 1, 0},
            "to_array_t": lambda m: list(m.to_array_t()) == sorted(m.to_array_t()),
            "to_array_x": lambda m: max(m.to_array_x()) < 24,
            "to_array_y": lambda m: max(m.to_array_y()) < 16,
            "to_image": lambda m: len(m.to_image()) == 24 * 16,
            "width": lambda m: m.width == 24,
        },
    ),
    **_data(
        "DVSEvent",
        DVS,
        {name: lambda m, n=name: getattr(m[0], n) is not None for name in ("pol", "t", "x", "y")},
    ),
    **_data(
        "OpticalFlowImage",
        FLOW,
        {
            "fov": lambda m: m.fov == 90.0,
            "get_color_coded_flow": lambda m: m.get_color_coded_flow().width == 24,
            "height": lambda m: m.height == 16,
            "raw_data": lambda m: len(m.raw_data) == 8 * 24 * 16,
            "width": lambda m: m.width == 24,
        },
    ),
    # The road ahead comes nearer: it moves down in the picture, and does not move sideways in the middle.
    **_data(
        "OpticalFlowPixel",
        FLOW,
        {"x": lambda m: m[15 * 24 + 20].x > 0.02, "y": lambda m: m[15 * 24 + 12].y < -0.02},
    ),
    **{
        f"{name}.{call}": lambda s, c=check, of=sensor: c(_seen(s, of))
        for name, sensor, size in (
            ("LidarMeasurement", LIDAR, 16),
            ("SemanticLidarMeasurement", SEMANTIC_LIDAR, 24),
        )
        for call, check in {
            "channels": lambda m: m.channels == 4,
            "get_point_count": lambda m: sum(m.get_point_count(i) for i in range(4)) == len(m),
            "horizontal_angle": lambda m: 0.0 <= m.horizontal_angle < 7.0,
            "raw_data": lambda m, of=size: len(m.raw_data) == of * len(m) > 0,
        }.items()
    },
    "LidarMeasurement.save_to_disk": lambda s: (
        _seen(s, LIDAR).save_to_disk(f"{s.folder}/a.ply").endswith("a.ply")
    ),
    "SemanticLidarMeasurement.save_to_disk": lambda s: (
        _seen(s, SEMANTIC_LIDAR).save_to_disk(f"{s.folder}/b.ply").endswith("b.ply")
    ),
    **_data(
        "LidarDetection",
        LIDAR,
        {"intensity": lambda m: 0.8 < m[0].intensity <= 1.0, "point": lambda m: m[0].point.z < 40.0},
    ),
    **_data(
        "SemanticLidarDetection",
        SEMANTIC_LIDAR,
        {
            "cos_inc_angle": lambda m: all(0.0 <= one.cos_inc_angle <= 1.0 for one in m),
            "object_idx": lambda m: len({one.object_idx for one in m}) >= 2,
            "object_tag": lambda m: {1, 14} <= {one.object_tag for one in m},
            "point": lambda m: min(one.point.z for one in m) > -0.9,
        },
    ),
    **_data(
        "RadarMeasurement",
        RADAR,
        {
            "get_detection_count": lambda m: m.get_detection_count() == len(m) > 0,
            "raw_data": lambda m: len(m.raw_data) == 16 * len(m),
        },
    ),
    **_data(
        "RadarDetection",
        RADAR,
        {
            "altitude": lambda m: all(abs(hit.altitude) < 0.27 for hit in m),
            "azimuth": lambda m: all(abs(hit.azimuth) < 0.27 for hit in m),
            "depth": lambda m: 5.0 < min(hit.depth for hit in m if hit.altitude > -0.02) < 14.0,
            "velocity": lambda m: all(hit.velocity == 0.0 for hit in m),
        },
    ),
    "CollisionEvent.actor": lambda s: _seen(s, "sensor.other.collision").actor.id == s.car.id,
    "CollisionEvent.other_actor": lambda s: _seen(s, "sensor.other.collision").other_actor.id == s.ahead.id,
    "CollisionEvent.normal_impulse": lambda s: (
        _seen(s, "sensor.other.collision").normal_impulse.length() > 1.0
    ),
    "ObstacleDetectionEvent.actor": lambda s: _seen(s, "sensor.other.obstacle").actor.id == s.car.id,
    "ObstacleDetectionEvent.other_actor": lambda s: (
        _seen(s, "sensor.other.obstacle").other_actor.id == s.ahead.id
    ),
    "ObstacleDetectionEvent.distance": lambda s: 5.0 < _seen(s, "sensor.other.obstacle").distance < 14.0,
    "IMUMeasurement.accelerometer": lambda s: math.isclose(
        _seen(s, "sensor.other.imu").accelerometer.z, 9.81, abs_tol=1e-3
    ),
    "IMUMeasurement.compass": lambda s: 0.0 <= _seen(s, "sensor.other.imu").compass < 2.0 * math.pi,
    "IMUMeasurement.gyroscope": lambda s: _seen(s, "sensor.other.imu").gyroscope.length() == 0.0,
    **_data(
        "GnssMeasurement",
        "sensor.other.gnss",
        {
            "altitude": lambda m: math.isclose(m.altitude, 0.8, abs_tol=0.01),
            "latitude": lambda m: abs(m.latitude) < 90.0,
            "longitude": lambda m: abs(m.longitude) <= 180.0,
        },
    ),
    "LaneInvasionEvent.crossed_lane_markings": _crosses_a_line,
}
