"""TwoArmConveyorLift: take a pot by its two handles from a running belt, lift it level and hold it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.log import Column, TableSchema
from simloop_bimanual.scenes.drives import BELT_TOP_M, BeltDrive
from simloop_bimanual.tasks.lift import POT_HALF_HEIGHT_M, LiftTask
from simloop_bimanual.tasks.task import FloatArray, Judgement

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

BELT_END_M = 0.30
"""World x at which a pot that is still on the belt is lost: the arms do not reach further."""
ON_BELT_M = 0.02
"""Clearance below which a pot counts as on the belt."""


class ConveyorLiftTask(LiftTask):
    """Both arms lift the pot off a belt that runs towards +x, faster and slower as it likes.

    Success is the lift's (clearance, tilt limit, held), with heights over the belt. A pot that reaches the end of the
    belt is lost (``pot_missed``). The belt's course is that of ``belt_course_id``: every 0.3 to 0.9 s it takes another
    speed within ``belt_speed_change_ratio`` of its mean.
    """

    name = "two_arm_conveyor_lift"
    stock_name = "TwoArmConveyorLift"
    stock_module = "simloop_bimanual.scenes.conveyor_lift"
    has_shipped_meshes = False
    is_driven = True
    support_height_m = BELT_TOP_M
    object_prefixes: ClassVar[Mapping[str, str]] = {"pot_": "pot", "belt_": "belt"}
    allowed_contacts = frozenset(
        frozenset({"pot", other}) for other in ("left_fingers", "right_fingers", "belt")
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "pot_x_m": (-0.28, 0.0),
        "pot_y_m": (-0.03, 0.03),
        "pot_yaw_rad": (-math.pi / 3, math.pi / 3),
        "belt_speed_mps": (0.0, 0.3),
        "belt_speed_change_ratio": (0.0, 1.0),
        "belt_course_id": (0.0, 1e6),
    }
    defaults: ClassVar[Mapping[str, float]] = {"pot_x_m": -0.24, "belt_speed_mps": 0.1}
    table = TableSchema(
        description="One row a control period, from t = 0: how far the lift is.",
        columns=(
            *LiftTask.table.columns[:-1],
            Column(
                name="belt_speed_mps", dtype="float64", description="speed of the belt's surface along +x"
            ),
            Column(name="way_left_m", dtype="float64", description="pot's way to the end of the belt"),
            LiftTask.table.columns[-1],
        ),
    )
    front_camera_position_m = (1.0, 0.0, 1.6)
    camera_subject = "the pot on the belt"
    object_state_size = LiftTask.object_state_size + 5
    object_state_layout = (
        LiftTask.object_state_layout.replace("over the table", "over the belt")
        + "; then the pot's way to the end of the belt (1, m), and for the left and the right arm the velocity of the "
        "belt's surface in the frame of the arm's base (x, y; m/s)"
    )

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        joint = model.mj_model.joint("belt_slide")
        self._belt = BeltDrive(int(joint.qposadr[0]), int(joint.dofadr[0]))
        self._belt_dof = int(joint.dofadr[0])

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Puts the pot on the belt, and draws the belt's course."""
        super().place(values, qpos)
        self._belt.start(
            speed_mps=values["belt_speed_mps"],
            change_ratio=values["belt_speed_change_ratio"],
            course_id=values["belt_course_id"],
        )

    def drive(self, data: Any, now_ns: int) -> None:
        """Moves the belt."""
        self._belt.apply(data, now_ns)

    def measure(self, data: Any) -> Judgement:
        """Judges the lift, and whether the belt has taken the pot away."""
        seen = super().measure(data)
        way_left = BELT_END_M - float(data.xpos[self._pot.body, 0])
        clearance = float(data.xpos[self._pot.body, 2]) - POT_HALF_HEIGHT_M - BELT_TOP_M
        failure = seen.failure
        if not failure and way_left < 0.0 and clearance < ON_BELT_M:
            failure = "pot_missed"
        return Judgement(
            row=(*seen.row[:-1], float(data.qvel[self._belt_dof]), way_left, seen.stage),
            stage=seen.stage,
            is_goal_met=seen.is_goal_met,
            failure=failure,
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns the pot as the lift does, its way to the belt's end, and how the belt runs."""
        out = super().object_state(data)
        first = LiftTask.object_state_size
        out[first] = BELT_END_M - data.xpos[self._pot.body, 0]
        for arm in range(2):
            to_base = data.site_xmat[self._model.base_sites[arm]].reshape(3, 3).T
            velocity = to_base @ np.array([data.qvel[self._belt_dof], 0.0, 0.0])
            out[first + 1 + 2 * arm : first + 3 + 2 * arm] = velocity[:2]
        return out
