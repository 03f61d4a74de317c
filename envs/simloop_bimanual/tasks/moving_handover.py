"""TwoArmMovingHandover: the left arm hands a bar to the right one, whose base drifts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.log import Column, TableSchema
from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.scenes.base_drift import BASE_JOINTS, base_drift
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task, in_base

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

TABLE_Y_M = -0.12
"""Where the table's centre is: under the bar, before the left arm."""
BAR_HALF_SIZE_M = (0.015, 0.16, 0.02)
GRASP_M = 0.09
"""Where each arm takes the bar: this far from its middle."""
LIFT_M = 0.10
"""Clearance over the table top that counts as lifted (as in robosuite's handover)."""
LOST_M = -0.05
"""Clearance from which the bar lies below the table top."""
REACH_M = 0.05
"""The receiver is at the bar when its grip site is this near to its end of it."""
ARM_OBJECT_SIZE = 9


class MovingHandoverTask(Task):
    """The right arm ends up with the bar in the air, and the left arm has let go: none of its finger pads touches it.

    The right arm stands on a cart that keeps changing its velocity, across the line between the arms and, half as far
    and fast, along it. Nothing observed says when the next change comes or what it is.
    """

    name = "two_arm_moving_handover"
    stock_name = "TwoArmMovingHandover"
    stock_module = "simloop_bimanual.scenes.moving_handover"
    is_driven = True
    base_joints = ((), BASE_JOINTS)
    free_bodies: ClassVar[Mapping[str, str]] = {"bar": "bar_root"}
    object_prefixes: ClassVar[Mapping[str, str]] = {"bar_": "bar"}
    allowed_contacts = frozenset(
        frozenset({"bar", other}) for other in ("left_fingers", "right_fingers", "table")
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "bar_x_m": (-0.1, 0.1),
        "bar_y_m": (-0.03, 0.03),
        "bar_yaw_rad": (-0.5, 0.5),
        "drift_range_m": (0.0, 0.2),
        "drift_speed_mps": (0.0, 0.3),
        "drift_course_id": (0.0, 1e6),
    }
    defaults: ClassVar[Mapping[str, float]] = {"drift_range_m": 0.1, "drift_speed_mps": 0.08}
    stages = ("approach", "left holds", "left lifted", "both hold", "right alone holds it up")
    table = TableSchema(
        description="One row a control period, from t = 0: how far the handover is.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(name="left_to_bar_m", description="left grip site to its end of the bar"),
            Column(name="right_to_bar_m", description="right grip site to its end of the bar"),
            Column(name="is_left_grasped", dtype="bool", description="both left finger pads touch the bar"),
            Column(name="is_right_grasped", dtype="bool", description="both right finger pads touch the bar"),
            Column(name="bar_clearance_m", description="lowest point of the bar over the table top"),
            Column(name="base_across_m", description="drift of the right arm's base along world +x"),
            Column(name="base_forward_m", description="drift of the right arm's base towards the left arm"),
            Column(name="base_speed_mps", description="speed of the right arm's base"),
            Column(
                name="stage",
                dtype="int64",
                description="0 approach, 1 left holds, 2 left lifted, 3 both hold, 4 right alone holds it up",
            ),
        ),
    )
    camera_subject = "the bar"
    object_state_size = 13 + 2 * ARM_OBJECT_SIZE + 4
    object_state_layout = (
        "bar in the world frame: position (3, m), quaternion w x y z (4), linear velocity (3, m/s), angular velocity "
        "(3, rad/s); then for the left and the right arm, in the frame of the arm's base as it is now: position of the "
        "arm's place on the bar (3, m), unit vectors along the bar towards the receiver's end (3) and out of its upper "
        "side (3); then the drift of the right arm's base from its first place, in its own frame: forward and to the "
        "left (2, m), and its velocity (2, m/s)"
    )

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._bar = model.objects["bar"]
        self._touches = Touches(model.geom_names, ["bar_giver_half", "bar_receiver_half"])
        joints = [model.mj_model.joint(name) for name in self.base_joints[1]]
        self._slide_qpos = [int(joint.qposadr[0]) for joint in joints]
        self._slide_dof = [int(joint.dofadr[0]) for joint in joints]
        self._drift = base_drift(model.mj_model)

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Lays the bar on the table and draws the course of the base."""
        half = values["bar_yaw_rad"] / 2.0
        first = self._bar.qpos
        qpos[first : first + 3] = (
            values["bar_x_m"],
            TABLE_Y_M + values["bar_y_m"],
            TABLE_TOP_M + BAR_HALF_SIZE_M[2],
        )
        qpos[first + 3 : first + 7] = (math.cos(half), 0.0, 0.0, math.sin(half))
        self._drift.start(
            range_m=values["drift_range_m"],
            speed_mps=values["drift_speed_mps"],
            course_id=values["drift_course_id"],
        )

    def drive(self, data: Any, now_ns: int) -> None:
        """Moves the right arm's base."""
        self._drift.apply(data, now_ns)

    def _grasps(self, data: Any) -> FloatArray:
        """Returns the (2, 3) places at which the arms take the bar, world frame."""
        along = data.xmat[self._bar.body].reshape(3, 3)[:, 1]
        places: FloatArray = data.xpos[self._bar.body] + np.outer((-GRASP_M, GRASP_M), along)
        return places

    def measure(self, data: Any) -> Judgement:
        """Asks who holds the bar and how high it is."""
        model, body = self._model, self._bar.body
        self._touches.update(data)
        left, right = self._touches.is_grasped(0, 0), self._touches.is_grasped(1, 0)
        axes = data.xmat[body].reshape(3, 3)
        clearance = float(data.xpos[body, 2] - np.abs(axes[2]) @ BAR_HALF_SIZE_M) - TABLE_TOP_M
        is_lifted = clearance > LIFT_M
        is_goal_met = right and is_lifted and not self._touches.is_touched(0, 0)
        stage = 0
        if is_goal_met:
            stage = 4
        elif left:
            stage = 3 if right else 2 if is_lifted else 1
        places = self._grasps(data)
        distances = [
            float(np.linalg.norm(data.site_xpos[model.grip_sites[arm]] - places[arm])) for arm in (0, 1)
        ]
        drift = data.qpos[self._slide_qpos]
        speed = float(np.linalg.norm(data.qvel[self._slide_dof]))
        is_lost = float(data.xpos[body, 2]) - TABLE_TOP_M < LOST_M
        return Judgement(
            row=(*distances, left, right, clearance, float(drift[0]), float(drift[1]), speed, stage),
            stage=stage,
            is_goal_met=is_goal_met,
            failure="bar_dropped" if is_lost else "",
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns the bar in the world and in the frame of each arm's base, and how that base drifts."""
        out = np.empty(self.object_state_size)
        model, body, dof = self._model, self._bar.body, self._bar.dof
        rotation = data.xmat[body].reshape(3, 3)
        out[0:3], out[3:7] = data.xpos[body], data.xquat[body]
        out[7:10], out[10:13] = data.qvel[dof : dof + 3], rotation @ data.qvel[dof + 3 : dof + 6]
        places = self._grasps(data)
        for arm in range(2):
            position, turned = in_base(model, data, arm, places[arm], rotation)
            part = out[13 + ARM_OBJECT_SIZE * arm :]
            part[0:3], part[3:6], part[6:9] = position, turned[:, 1], turned[:, 2]
        out[31:33] = data.qpos[self._slide_qpos[::-1]]
        out[33:35] = data.qvel[self._slide_dof[::-1]]
        return out
