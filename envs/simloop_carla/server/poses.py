"""Poses: between CARLA's left-handed frame in degrees and the embedded world's right-handed one in radians."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simloop_carla.wire.structs import Rotation, Transform, Vector3

FloatArray = npt.NDArray[np.float64]


def rotation_matrix(rotation: Rotation) -> FloatArray:
    """Returns the (3, 3) matrix that ``carla.Transform.get_matrix`` has for a rotation; columns: x, y, z axes."""
    cp, sp = math.cos(math.radians(rotation.pitch)), math.sin(math.radians(rotation.pitch))
    cy, sy = math.cos(math.radians(rotation.yaw)), math.sin(math.radians(rotation.yaw))
    cr, sr = math.cos(math.radians(rotation.roll)), math.sin(math.radians(rotation.roll))
    return np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr],
            [sp, -cp * sr, cp * cr],
        ]
    )


def rotation_of(matrix: FloatArray) -> Rotation:
    """Returns the rotation of a matrix; the inverse of ``rotation_matrix``."""
    return Rotation(
        math.degrees(math.asin(min(max(matrix[2, 0], -1.0), 1.0))),
        math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])),
        math.degrees(math.atan2(-matrix[2, 1], matrix[2, 2])),
    )


def compose(parent: Transform, relative: Transform) -> Transform:
    """Returns the world pose of something attached to ``parent``."""
    if relative.rotation == (0.0, 0.0, 0.0) and parent.rotation.pitch == 0.0 and parent.rotation.roll == 0.0:
        yaw = math.radians(parent.rotation.yaw)
        cos, sin = math.cos(yaw), math.sin(yaw)
        x, y, z = relative.location
        base = parent.location
        return Transform(
            Vector3(base.x + x * cos - y * sin, base.y + x * sin + y * cos, base.z + z), parent.rotation
        )
    matrix = rotation_matrix(parent.rotation)
    x, y, z = (float(v) for v in matrix @ np.array(relative.location))
    base = parent.location
    return Transform(
        Vector3(base.x + x, base.y + y, base.z + z), rotation_of(matrix @ rotation_matrix(relative.rotation))
    )


def from_embedded(x_m: float, y_m: float, yaw_rad: float, z_m: float = 0.0) -> Transform:
    """Returns CARLA's pose of a pose on the ground of the embedded world."""
    return Transform(Vector3(x_m, -y_m, z_m), Rotation(0.0, -math.degrees(yaw_rad), 0.0))


def to_embedded(pose: Transform) -> tuple[float, float, float]:
    """Returns x_m, y_m and yaw_rad of a CARLA pose in the embedded world."""
    return pose.location.x, -pose.location.y, -math.radians(pose.rotation.yaw)
