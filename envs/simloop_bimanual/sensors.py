"""Sensors of the two-arm world: their specs, and the arrays of the ones that are not cameras.

Each arm's quantities are in the frame of its own base, which is also the frame of its actions: z up, x from the base
towards the table. World frame: origin on the floor under the table's centre, z up; the left arm stands at y < 0 and
faces +y, the right arm stands at y > 0 and faces -y.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_bimanual.physics.kernel import gripper_opening
from simloop_bimanual.tasks import Task

FloatArray = npt.NDArray[np.float64]

CAMERAS = ("front_camera", "left_wrist_camera", "right_wrist_camera")

ARM_STATE_SIZE = 16
ROBOT_STATE_SIZE = 2 * ARM_STATE_SIZE
ROBOT_STATE_LAYOUT = (
    "left arm, then right arm, 16 entries each, in the frame of the arm's base: grip site position (3, m), first two "
    "columns of its rotation matrix (6), linear velocity (3, m/s), angular velocity (3, rad/s), "
    "gripper opening (1, m, 0..0.08 of the Panda; of hinged fingers the distance of their pads' middles)"
)


def sensor_specs(
    task: type[Task], *, camera_height_px: int, camera_width_px: int, period_ns: int
) -> tuple[SensorSpec, ...]:
    """Returns the specs of all sensors."""
    meanings = (
        f"both arms and {task.camera_subject}, seen from +x",
        "from the left wrist",
        "from the right wrist",
    )
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
            shape=(task.object_state_size,),
            dtype="float64",
            period_ns=period_ns,
            payload_bytes=8 * task.object_state_size,
            is_privileged=True,
            description=task.object_state_layout,
        ),
    )


def robot_state(record: npt.NDArray[Any], data: Any) -> FloatArray:
    """Returns the ``robot_state`` array; positions and velocities in ``data`` and the record are fresh.

    Args:
        record: (1,) array of ``kernel.state_dtype``.
        data: MjData.
    """
    out = np.empty((2, ARM_STATE_SIZE))
    _write_arms(record, data.qpos, data.site_xpos, data.site_xmat, data.geom_xpos, out)
    return out.reshape(-1)


@numba.njit(cache=True, error_model="numpy")
def _write_arms(record: Any, qpos: Any, site_xpos: Any, site_xmat: Any, geom_xpos: Any, out: Any) -> None:
    c = record[0]
    for arm in range(2):
        base, site = c.base_site[arm], c.grip_site[arm]
        for i in range(3):
            position, first, second, linear, angular = 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(3):
                axis = site_xmat[base, 3 * k + i]
                position += axis * (site_xpos[site, k] - site_xpos[base, k])
                first += axis * site_xmat[site, 3 * k]
                second += axis * site_xmat[site, 3 * k + 1]
                linear += axis * c.velocity[arm, k]
                angular += axis * c.velocity[arm, 3 + k]
            out[arm, i], out[arm, 3 + i], out[arm, 6 + i] = position, first, second
            out[arm, 9 + i], out[arm, 12 + i] = linear, angular
        out[arm, 15] = gripper_opening(c, arm, qpos, geom_xpos)
