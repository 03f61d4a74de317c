"""TwoArmHandover: the left arm picks a hammer up, the right one takes it by its handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.log import Column, TableSchema
from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.models.sampled_geometry import SampledBody
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.tasks.hammer import (
    FULL_TURN_RAD,
    PARTS,
    hammer_shapes,
    head_half_size_m,
    lying_quaternion,
)
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task, in_base

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

TABLE_Y_M = 1.2 * (-3 / 8)
"""Where the table's centre is (robosuite ``TwoArmHandover.table_offset``): under the left arm."""
HEAD_DENSITY_RATIO = 2.0
LIFT_M = 0.1
"""robosuite ``TwoArmHandover.height_threshold``."""
LOST_M = -0.05
"""Clearance from which the hammer lies below the table top."""


class HandoverTask(Task):
    """The right arm ends up with the hammer in the air, by its handle, and the left arm has let go."""

    name = "two_arm_handover"
    stock_name = "TwoArmHandover"
    free_bodies: ClassVar[Mapping[str, str]] = {"hammer": "hammer_root"}
    object_prefixes: ClassVar[Mapping[str, str]] = {"hammer_": "hammer"}
    sampled_bodies = ("hammer_root",)
    allowed_contacts = frozenset(
        frozenset({"hammer", other}) for other in ("left_fingers", "right_fingers", "table")
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "handle_radius_m": (0.01, 0.025),
        "handle_length_m": (0.1, 0.25),
        "handle_density_kgpm3": (50.0, 500.0),
        "handle_friction_ratio": (0.5, 8.0),
        "head_size_ratio": (0.0, 1.0),
        "hammer_x_m": (-0.3, 0.3),
        "hammer_y_m": (-0.15, 0.15),
        "hammer_turn_rad": (0.0, FULL_TURN_RAD),
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "handle_radius_m": 0.0175,
        "handle_length_m": 0.175,
        "handle_density_kgpm3": 175.0,
        "handle_friction_ratio": 4.0,
        "head_size_ratio": 0.5,
    }
    flags = ("is_hammer_flipped",)
    stages = ("approach", "left holds", "left lifted", "both hold", "right alone holds it up")
    table = TableSchema(
        description="One row a control period, from t = 0: how far the handover is.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(name="left_to_handle_m", description="left grip site to the handle's centre"),
            Column(name="right_to_handle_m", description="right grip site to the handle's centre"),
            Column(
                name="is_left_grasped", dtype="bool", description="both left finger pads touch the hammer"
            ),
            Column(
                name="is_right_grasped", dtype="bool", description="both right finger pads touch the handle"
            ),
            Column(
                name="hammer_clearance_m", description="robosuite's height of the hammer over the table top"
            ),
            Column(
                name="stage",
                dtype="int64",
                description="0 approach, 1 left holds, 2 left lifted, 3 both hold, 4 right alone holds it up",
            ),
        ),
    )
    camera_subject = "the hammer"
    object_state_size = 16 + 2 * 9
    object_state_layout = (
        "hammer in the world frame: position of its handle's centre (3, m), quaternion w x y z (4), linear velocity "
        "(3, m/s), angular velocity (3, rad/s); radius and length of its handle, half size of its head (3, m); then "
        "for the left and the right arm, in the frame of the arm's base: position of the handle's centre (3, m), unit "
        "vectors along the handle towards the head (3) and across the head (3)"
    )
    num_geometry_draws = 5

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._hammer = model.objects["hammer"]
        self._sampled = SampledBody(model.mj_model, model.lone_bodies["hammer_root"], "hammer_root")
        self._touches = Touches(
            model.geom_names, ["hammer_handle"], [f"hammer_{part}" for part in PARTS if part != "handle"]
        )
        self._sizes_m = (0.0, 0.0, 0.0)

    def shape(self, values: Mapping[str, float]) -> None:
        """Gives the hammer its sizes, density and friction."""
        radius, length = values["handle_radius_m"], values["handle_length_m"]
        head = head_half_size_m(radius, values["head_size_ratio"])
        self._sampled.write(
            hammer_shapes(
                "hammer",
                radius_m=radius,
                length_m=length,
                density_kgpm3=values["handle_density_kgpm3"],
                friction=values["handle_friction_ratio"],
                head_half_size_m=head,
                head_density_ratio=HEAD_DENSITY_RATIO,
            )
        )
        self._sizes_m = (radius, length, head)

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Lays the hammer on the table before the left arm."""
        first = self._hammer.qpos
        qpos[first : first + 3] = (
            values["hammer_x_m"],
            values["hammer_y_m"] + TABLE_Y_M,
            TABLE_TOP_M + self._sizes_m[0],
        )
        qpos[first + 3 : first + 7] = lying_quaternion(
            values["hammer_turn_rad"], is_flipped=bool(values["is_hammer_flipped"])
        )

    def measure(self, data: Any) -> Judgement:
        """Asks who holds the hammer and how high it is (robosuite ``TwoArmHandover._get_task_info``)."""
        model, body = self._model, self._hammer.body
        radius, length, head = self._sizes_m
        self._touches.update(data)
        left, right = self._touches.is_grasped(0, 0, 1), self._touches.is_grasped(1, 0)
        position = data.xpos[body]
        clearance = float(position[2] - radius - (length / 2 + 2 * head) * data.xmat[body, 8]) - TABLE_TOP_M
        is_lifted = clearance > LIFT_M
        is_goal_met = right and not left and is_lifted
        stage = 0
        if is_goal_met:
            stage = 4
        elif left:
            stage = 3 if right else 2 if is_lifted else 1
        distances = [float(np.linalg.norm(data.site_xpos[site] - position)) for site in model.grip_sites]
        is_lost = float(position[2]) - TABLE_TOP_M < LOST_M
        return Judgement(
            row=(*distances, left, right, clearance, stage),
            stage=stage,
            is_goal_met=is_goal_met,
            failure="hammer_dropped" if is_lost else "",
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns the hammer in the world, and its handle in the frame of each arm's base."""
        out = np.empty(self.object_state_size)
        model, body, dof = self._model, self._hammer.body, self._hammer.dof
        rotation = data.xmat[body].reshape(3, 3)
        out[0:3], out[3:7] = data.xpos[body], data.xquat[body]
        out[7:10], out[10:13] = data.qvel[dof : dof + 3], rotation @ data.qvel[dof + 3 : dof + 6]
        out[13:16] = self._sizes_m
        for arm in range(2):
            position, turned = in_base(model, data, arm, data.xpos[body], rotation)
            part = out[16 + 9 * arm :]
            part[0:3], part[3:6], part[6:9] = position, turned[:, 2], turned[:, 0]
        return out
