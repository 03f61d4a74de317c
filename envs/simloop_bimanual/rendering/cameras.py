"""Where the cameras of the two-arm world are; the same for every renderer."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from simloop.rendering.camera_frames import look_at
from simloop_bimanual.models.two_arm_model import TwoArmModel
from simloop_bimanual.rendering.looks import Look
from simloop_bimanual.tasks import TASKS

FloatArray = npt.NDArray[np.float64]

FRONT_CAMERA_FOV_RAD = 0.75


def camera_pose(
    model: TwoArmModel, camera: str, xpos: FloatArray, xmat: FloatArray, look: Look
) -> tuple[FloatArray, FloatArray, float]:
    """Returns position (3,) in the world, rotation (3, 3) world from camera, and vertical field of view.

    Args:
        model: The physics model.
        camera: ``"front_camera"``, ``"left_wrist_camera"`` or ``"right_wrist_camera"``.
        xpos: (num_bodies, 3) positions of the bodies.
        xmat: (num_bodies, 9) rotations of the bodies.
        look: May shift and turn the camera.
    """
    if camera == "front_camera":
        task = TASKS[model.task]
        rotation = _pointed(task.front_camera_position_m, task.front_camera_target_m)
        position = np.array(task.front_camera_position_m)
        fov_rad = FRONT_CAMERA_FOV_RAD
    else:
        wrist = model.wrist_cameras[("left_wrist_camera", "right_wrist_camera").index(camera)]
        hand = xmat[wrist.body].reshape(3, 3)
        position = xpos[wrist.body] + hand @ wrist.position_camera_in_body_m
        rotation, fov_rad = hand @ wrist.rotation_camera_in_body, wrist.vertical_fov_rad
    return *look.moved_camera(camera, position, rotation), fov_rad


@functools.cache
def _pointed(position_m: tuple[float, ...], target_m: tuple[float, ...]) -> FloatArray:
    rotation = look_at(position_m, target_m)
    rotation.setflags(write=False)
    return rotation
