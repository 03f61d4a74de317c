"""What the arms do at the control rate, for metrics: grippers, what they hold, how near they came, and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import Columns
from simloop_bimanual.arm_distance import ArmDistance
from simloop_bimanual.contacts import ContactRecorder
from simloop_bimanual.model import ARM_NAMES, TwoArmModel
from simloop_bimanual.recording import Rows

JOINT_VELOCITY_LIMITS_RADPS: Mapping[str, tuple[float, ...]] = {
    "Panda": (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
}
"""Velocity limits of robots' joints, which MuJoCo's models lack; Panda: Franka Control Interface, "Robot and interface
specifications", joint velocity limits."""


class ArmRecorder:
    """Collects the rows of the ``arms`` table of one episode.

    Args:
        model: The physics model.
        contacts: Knows what each gripper holds.
        stages: What each stage of the task means.
    """

    def __init__(self, model: TwoArmModel, contacts: ContactRecorder, stages: tuple[str, ...]) -> None:
        self._model, self._contacts, self._stages = model, contacts, stages
        self._distance = ArmDistance(model)
        c = model.controller[0]
        self._fingers = c["finger_qpos"].copy() if c["num_fingers"] else None
        self._rows = Rows((6,), 256)

    def clear(self) -> None:
        """Forgets all rows, for the next episode."""
        self._rows.take()
        self._distance.clear()

    def record(self, data: Any, now_ns: int, substep: int) -> None:
        """Adds the row of one instant; positions in ``data`` are fresh.

        Args:
            data: The world's MjData.
            now_ns: The instant.
            substep: Number of the physics step that comes next.
        """
        row = self._rows.reserve(1)[self._rows.count]
        row[0] = now_ns
        if self._fingers is not None:
            ends = data.qpos[self._fingers]
            row[1:3] = ends[:, 0] - ends[:, 1]
        row[3:5] = self._contacts.holders(substep)
        row[5] = self._distance.measure(data)
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
        m, c = self._model.mj_model, self._model.controller[0]
        joints = m.dof_jntid[c["arm_dof"].reshape(-1)]
        limits: npt.NDArray[np.float64] = m.jnt_range[joints]
        num_joints = c["arm_dof"].shape[1]
        facts = {
            "robots": list(self._model.robots),
            "joint_arms": [arm for arm in ARM_NAMES for _ in range(num_joints)],
            "joint_low_rad": limits[:, 0].tolist(),
            "joint_high_rad": limits[:, 1].tolist(),
            "torque_limit_nm": c["arm_high"].reshape(-1).tolist(),
            "object_classes": list(self._contacts.object_names),
            "stages": list(self._stages),
        }
        known = [JOINT_VELOCITY_LIMITS_RADPS.get(robot, ()) for robot in self._model.robots]
        if all(len(limit) == num_joints for limit in known) and len(known) == len(ARM_NAMES):
            facts["joint_velocity_limit_radps"] = [value for limit in known for value in limit]
        return facts
