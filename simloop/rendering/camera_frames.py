"""Rotations that point a camera: from a target point, or from the body frame it is mounted on.

Every function returns ``rotation_world_from_camera`` (3, 3): its columns are the camera's x (right), y (up) and
z (backward) axes in the world frame, so the camera looks along minus the third column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError

_CAMERA_FROM_FORWARD_LEFT_UP = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])


def look_at(
    position_m: npt.ArrayLike, target_m: npt.ArrayLike, up_world: npt.ArrayLike = (0.0, 0.0, 1.0)
) -> npt.NDArray[np.float64]:
    """Point a camera at a target.

    Args:
        position_m: Camera position in the world, shape (3,).
        target_m: Point that shall appear in the middle of the image, shape (3,).
        up_world: Direction that shall point up in the image, shape (3,), not parallel to the line of sight.

    Returns:
        ``rotation_world_from_camera``, shape (3, 3), float64.

    Raises:
        ParameterError: Position and target coincide, or `up_world` is parallel to the line of sight.
    """
    backward = np.asarray(position_m, dtype=np.float64) - np.asarray(target_m, dtype=np.float64)
    distance_m = float(np.linalg.norm(backward))
    if not distance_m > 0.0:
        msg = f"A camera cannot look at its own position {np.asarray(position_m).tolist()}; move the target."
        raise ParameterError(msg)
    backward /= distance_m
    right = np.cross(np.asarray(up_world, dtype=np.float64), backward)
    length = float(np.linalg.norm(right))
    if not length > 1e-9:
        msg = f"up_world {np.asarray(up_world).tolist()} is parallel to the line of sight; choose another."
        raise ParameterError(msg)
    right /= length
    return np.stack([right, np.cross(backward, right), backward], axis=1)


def camera_rotation_from_forward_left_up(rotation_world_from_body: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Turn a body frame of ISO 8855 (x forward, y left, z up) into a camera that looks along its x axis.

    Args:
        rotation_world_from_body: Orientation of the vehicle or of the camera's mount, shape (3, 3).

    Returns:
        ``rotation_world_from_camera``, shape (3, 3), float64.

    Raises:
        ParameterError: The argument is not a 3 x 3 array.
    """
    rotation = np.asarray(rotation_world_from_body, dtype=np.float64)
    if rotation.shape != (3, 3):
        msg = f"rotation_world_from_body must have shape (3, 3), got {rotation.shape}."
        raise ParameterError(msg)
    return np.asarray(rotation @ _CAMERA_FROM_FORWARD_LEFT_UP.T, dtype=np.float64)
