"""What the arms do at the control rate, for metrics: grippers, what they hold, how near they came, and their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simloop.log import Columns
from simloop_bimanual.models.two_arm_model import ARM_NAMES, TwoArmModel
from simloop_bimanual.physics.grasps import NUM_PADS
from simloop_bimanual.physics.kernel import gripper_opening
from simloop_bimanual.physics.native import addresses_of, function_address
from simloop_bimanual.recording.arm_distance import clear_distance, distance_state, least_distance
from simloop_bimanual.recording.contacts import ContactRecorder
from simloop_bimanual.recording.tables import Rows

JOINT_VELOCITY_LIMITS_RADPS: Mapping[str, tuple[float, ...]] = {
    "Panda": (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
    "Sawyer": (1.74, 1.328, 1.957, 1.957, 3.485, 3.485, 4.545),
    "UR5e": (math.pi,) * 6,
}
"""Velocity limits of robots' joints, which MuJoCo's models lack, from the makers' descriptions on GitHub:
frankaemika/franka_ros, RethinkRobotics/sawyer_robot, UniversalRobots/Universal_Robots_ROS2_Description."""


@numba.njit(cache=True, error_model="numpy")
def _write_row(
    row: Any,
    now_ns: int,
    substep: int,
    record: Any,
    touches: Any,
    distance: Any,
    function: int,
    model: int,
    data: int,
    views: Any,
) -> None:
    """Writes a row of the ``arms`` table; arguments as in ``ArmRecorder``."""
    qpos, geom_xpos, geom_xmat = views
    row[0] = now_ns
    for arm in range(2):
        row[1 + arm] = gripper_opening(record[0], arm, qpos, geom_xpos)
        row[3 + arm] = -1.0
        first = NUM_PADS // 2 * arm
        for thing in range(touches.pad_touch.shape[1]):
            latest = min(touches.pad_touch[first, thing], touches.pad_touch[first + 1, thing])
            if substep - latest <= touches.record[0].gap:
                row[3 + arm] = thing
                break
    row[5] = least_distance(distance, function, model, data, geom_xpos, geom_xmat)


class ArmRecorder:
    """Collects the rows of the ``arms`` table of one episode.

    Args:
        model: The physics model.
        data: The world's MjData.
        contacts: Knows what each finger pad has touched.
        stages: What each stage of the task means.
    """

    def __init__(
        self, model: TwoArmModel, data: Any, contacts: ContactRecorder, stages: tuple[str, ...]
    ) -> None:
        self._model, self._contacts, self._stages = model, contacts, stages
        distance = distance_state(model)
        self._distance = distance
        self._arguments = (
            model.controller,
            contacts.state,
            distance,
            function_address("mj_geomDistance"),
            *addresses_of(model.mj_model, data),
            (data.qpos, data.geom_xpos, data.geom_xmat),
        )
        self._rows = Rows((6,), 256)

    def clear(self) -> None:
        """Forgets all rows, for the next episode."""
        self._rows.take()
        clear_distance(self._distance)

    def record(self, now_ns: int, substep: int) -> None:
        """Adds the row of one instant; positions in MjData are fresh.

        Args:
            now_ns: The instant.
            substep: Number of the physics step that comes next.
        """
        row = self._rows.reserve(1)[self._rows.count]
        _write_row(row, now_ns, substep, *self._arguments)
        self._rows.count += 1

    def drain(self) -> Columns:
        """Returns and forgets the rows."""
        rows = self._rows.take()
        return {
            "t_ns": rows[:, 0].astype(np.int64),
            "gripper_opening_m": rows[:, 1:3],
            "held_object": rows[:, 3:5].astype(np.int64),
            "least_arm_distance_m": rows[:, 5],
        }

    def attributes(self) -> Mapping[str, Any]:
        """Returns the log attributes that metrics of the arms need; lists over joints are ordered as ``joints`` is.

        ``joint_arms`` has the arm's name of each joint; ``joint_low_rad``, ``joint_high_rad`` and ``torque_limit_nm``
        are the model's, ``joint_velocity_limit_radps`` is that of the robot and absent where it is not known.
        """
        m, arms = self._model.mj_model, self._model.arms
        limits: npt.NDArray[np.float64] = m.jnt_range[m.dof_jntid[np.concatenate([arm.dofs for arm in arms])]]
        actuators = np.concatenate([arm.actuators for arm in arms])
        facts = {
            "robots": list(self._model.robots),
            "joint_arms": [name for name, arm in zip(ARM_NAMES, arms, strict=True) for _ in arm.dofs],
            "joint_low_rad": limits[:, 0].tolist(),
            "joint_high_rad": limits[:, 1].tolist(),
            "torque_limit_nm": m.actuator_ctrlrange[actuators, 1].tolist(),
            "object_classes": list(self._contacts.object_names),
            "stages": list(self._stages),
        }
        known = [JOINT_VELOCITY_LIMITS_RADPS.get(robot, ()) for robot in self._model.robots]
        if all(known) and len(known) == len(ARM_NAMES):
            facts["joint_velocity_limit_radps"] = [value for limit in known for value in limit]
        return facts
