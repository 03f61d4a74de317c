"""What sensors measure: each module turns the state of an episode into the bodies of stream messages."""

from __future__ import annotations

from collections.abc import Callable

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.sensors import cameras, changes, motion, ranging, touch
from simloop_carla.server.sensors.view import View

Measure = Callable[[View, ServerActor], list[bytes]]

MEASURES: dict[str, tuple[str, Measure]] = {
    "sensor.camera.rgb": ("rgb", cameras.rgb),
    "sensor.camera.depth": ("depth", cameras.depth),
    "sensor.camera.semantic_segmentation": ("semantic_segmentation", cameras.semantic),
    "sensor.camera.instance_segmentation": ("instance_segmentation", cameras.instance),
    "sensor.camera.normals": ("normals", cameras.normals),
    "sensor.camera.dvs": ("dvs", changes.dvs),
    "sensor.camera.optical_flow": ("optical_flow", changes.optical_flow),
    "sensor.lidar.ray_cast": ("lidar", ranging.lidar),
    "sensor.lidar.ray_cast_semantic": ("semantic_lidar", ranging.semantic_lidar),
    "sensor.other.radar": ("radar", ranging.radar),
    "sensor.other.collision": ("collision", touch.collision),
    "sensor.other.obstacle": ("obstacle", touch.obstacle),
    "sensor.other.imu": ("imu", motion.imu),
    "sensor.other.gnss": ("gnss", motion.gnss),
}
"""Kind of message and measurement of each sensor, by blueprint; ``lane_invasion`` is computed in the client."""
