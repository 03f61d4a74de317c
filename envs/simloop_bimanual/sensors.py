"""Sensors of the two-arm world: their specs, and the arrays of the ones that are not cameras.

Each arm's quantities are in the frame of its own base, which is also the frame of its actions: z up, x from the base
towards the table. World frame: origin on the floor under the table's centre, z up; the left arm stands at y < 0 and
faces +y, the right arm stands at y > 0 and faces -y.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_bimanual.model import POT_HALF_HEIGHT_M, TABLE_TOP_M, TwoArmModel

FloatArray = npt.NDArray[np.float64]

CAMERAS = ("front_camera", "left_wrist_camera", "right_wrist_camera")

ARM_STATE_SIZE = 16
ROBOT_STATE_SIZE = 2 * ARM_STATE_SIZE
ROBOT_STATE_LAYOUT = (
    "left arm, then right arm, 16 entries each, in the frame of the arm's base: grip site position (3, m), first two "
    "columns of its rotation matrix (6), linear velocity (3, m/s), angular velocity (3, rad/s), "
    "gripper opening (1, m, 0..0.08)"
)

ARM_OBJECT_SIZE = 9
OBJECT_STATE_SIZE = 14 + 2 * ARM_OBJECT_SIZE
OBJECT_STATE_LAYOUT = (
    "pot in the world frame: position (3, m), quaternion w x y z (4), linear velocity (3, m/s), angular velocity "
    "(3, rad/s), clearance of its bottom over the table (1, m); then for the left and the right arm, in the frame "
    "of the arm's base: position of its handle (3, m), unit vector along the handle's bar (3), pot axis (3)"
)


def sensor_specs(*, camera_height_px: int, camera_width_px: int, period_ns: int) -> tuple[SensorSpec, ...]:
    """Returns the specs of all sensors."""
    meanings = ("both arms and the pot, seen from +x", "from the left wrist", "from the right wrist")
    cameras = tuple(
        SensorSpec(
            name=name,
            kind=SensorKind.CAMERA,
            shape=(camera_height_px, camera_width_px, 3),
            dtype="uint8",
            period_ns=period_ns,
            payload_bytes=camera_height_px * camera_width_px * 3,
            description=f"RGB, top row first: {meaning}",
        )
        for name, meaning in zip(CAMERAS, meanings, strict=True)
    )
    return (
        *cameras,
        SensorSpec(
            name="robot_state",
            kind=SensorKind.PROPRIOCEPTION,
            shape=(ROBOT_STATE_SIZE,),
            dtype="float64",
            period_ns=period_ns,
            payload_bytes=8 * ROBOT_STATE_SIZE,
            description=ROBOT_STATE_LAYOUT,
        ),
        SensorSpec(
            name="object_state",
            kind=SensorKind.OBJECTS,
            shape=(OBJECT_STATE_SIZE,),
            dtype="float64",
            period_ns=period_ns,
            payload_bytes=8 * OBJECT_STATE_SIZE,
            is_privileged=True,
            description=OBJECT_STATE_LAYOUT,
        ),
    )


def robot_state(model: TwoArmModel, data: Any, velocities: FloatArray) -> FloatArray:
    """Returns the ``robot_state`` array; ``velocities`` is (2, 6), linear and angular, world frame."""
    out = np.empty((2, ARM_STATE_SIZE))
    fingers = model.controller[0]["finger_qpos"]
    for arm in range(2):
        base, site = model.base_sites[arm], model.grip_sites[arm]
        to_base = data.site_xmat[base].reshape(3, 3).T
        rotation = to_base @ data.site_xmat[site].reshape(3, 3)
        out[arm, 0:3] = to_base @ (data.site_xpos[site] - data.site_xpos[base])
        out[arm, 3:6], out[arm, 6:9] = rotation[:, 0], rotation[:, 1]
        out[arm, 9:12] = to_base @ velocities[arm, :3]
        out[arm, 12:15] = to_base @ velocities[arm, 3:]
        out[arm, 15] = data.qpos[fingers[arm, 0]] - data.qpos[fingers[arm, 1]]
    return out.reshape(-1)


def object_state(model: TwoArmModel, data: Any) -> FloatArray:
    """Returns the ``object_state`` array."""
    out = np.empty(OBJECT_STATE_SIZE)
    pot, dof = model.pot_body, int(model.controller[0]["pot_dof"])
    rotation = data.xmat[pot].reshape(3, 3)
    out[0:3], out[3:7] = data.xpos[pot], data.xquat[pot]
    out[7:10] = data.qvel[dof : dof + 3]
    out[10:13] = rotation @ data.qvel[dof + 3 : dof + 6]
    out[13] = data.xpos[pot][2] - POT_HALF_HEIGHT_M - TABLE_TOP_M
    for arm in range(2):
        base = model.base_sites[arm]
        to_base = data.site_xmat[base].reshape(3, 3).T
        part = out[14 + ARM_OBJECT_SIZE * arm :]
        part[0:3] = to_base @ (data.site_xpos[model.handle_sites[arm]] - data.site_xpos[base])
        part[3:6], part[6:9] = to_base @ rotation[:, 0], to_base @ rotation[:, 2]
    return out
