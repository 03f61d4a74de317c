"""TwoArmDisassemble: pull two bricks apart that are snapped together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.log import Column, TableSchema
from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.scenes.snap_fit import SnapFit
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task, in_base

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

BRICK_HALF_SIZE_M = (0.018, 0.07, 0.02)
"""Of the block without stud; its length is along the stud."""
STUD_HALF_SIZE_M = (0.009, 0.008, 0.01)
GAP_M = 0.0005
"""Between the faces of two bricks that are snapped together."""
APART_M = 0.05
"""Gap between the bricks' faces from which they count as apart."""
LOST_M = -0.05
"""Height over the table top, of a brick's centre, from which it has left the table."""

ARM_OBJECT_SIZE = 9
_BRICKS = ("stud_brick", "socket_brick")


def gap_m(positions_m: FloatArray, rotation: FloatArray) -> float:
    """Returns how far apart the bricks' faces are along the stud.

    Args:
        positions_m: (2, 3) centres of the two bricks.
        rotation: (9,) or (3, 3) rotation of the brick with the stud.
    """
    along = np.reshape(rotation, (3, 3))[:, 1]
    return float(along @ (positions_m[1] - positions_m[0])) - 2 * BRICK_HALF_SIZE_M[1]


class DisassembleTask(Task):
    """Both bricks end up apart, each in its arm's gripper or back on the table.

    The two bricks lie in a row, the stud of the left one in the socket of the right one, held by a snap fit that opens
    when it is pulled with more than ``retention_force_n`` along the stud; it is looked at every 2 ms. The pair lies
    loosely: one arm alone drags it along, with the little force of its friction on the table. Two arms have to pull
    against each other.
    """

    name = "two_arm_disassemble"
    stock_name = "TwoArmDisassemble"
    stock_module = "simloop_bimanual.scenes.disassemble"
    is_driven = True
    free_bodies: ClassVar[Mapping[str, str]] = {brick: f"{brick}_root" for brick in _BRICKS}
    object_prefixes: ClassVar[Mapping[str, str]] = {f"{brick}_": brick for brick in _BRICKS}
    allowed_contacts = frozenset(
        frozenset(pair)
        for pair in (
            ("stud_brick", "left_fingers"),
            ("socket_brick", "right_fingers"),
            ("stud_brick", "socket_brick"),
            ("stud_brick", "table"),
            ("socket_brick", "table"),
        )
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "stack_x_m": (-0.12, 0.12),
        "stack_y_m": (-0.08, 0.08),
        "stack_yaw_rad": (-0.7, 0.7),
        "retention_force_n": (0.5, 60.0),
    }
    defaults: ClassVar[Mapping[str, float]] = {"retention_force_n": 20.0}
    stages = ("approach", "one held", "both held", "parted", "apart")
    table = TableSchema(
        description="One row a control period, from t = 0: how far the disassembly is.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(name="left_to_brick_m", description="left grip site to the brick with the stud"),
            Column(name="right_to_brick_m", description="right grip site to the brick with the socket"),
            Column(
                name="is_left_grasped", dtype="bool", description="both left finger pads touch their brick"
            ),
            Column(
                name="is_right_grasped", dtype="bool", description="both right finger pads touch their brick"
            ),
            Column(name="is_closed", dtype="bool", description="the snap fit holds"),
            Column(
                name="pull_n", description="pull along the stud in the last physics step; negative: pressed"
            ),
            Column(name="gap_m", description="between the bricks' faces, along the stud"),
            Column(
                name="stage",
                dtype="int64",
                description="0 approach, 1 one held, 2 both held, 3 parted, 4 apart",
            ),
        ),
    )
    camera_subject = "the bricks"
    object_state_size = 2 * 13 + 2 * ARM_OBJECT_SIZE + 1
    object_state_layout = (
        "brick with the stud, then brick with the socket, in the world frame: position (3, m), quaternion w x y z (4), "
        "linear velocity (3, m/s), angular velocity (3, rad/s); then for the left and the right arm, in the frame of "
        "the arm's base: centre of its brick (3, m), unit vectors along the stud towards the right brick (3) and out "
        "of the brick's upper side (3); then 1 while the snap fit holds, else 0"
    )

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._bricks = [model.objects[brick] for brick in _BRICKS]
        self._bodies = [brick.body for brick in self._bricks]
        self._snap = SnapFit(model.mj_model)
        names = model.geom_names
        self._touches = Touches(
            names,
            *([name for name in names if name.startswith(f"{brick}_")] for brick in _BRICKS),
            [name for name in names if name.startswith("table")],
        )

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Lays the two bricks on the table, snapped together."""
        yaw = values["stack_yaw_rad"]
        away = BRICK_HALF_SIZE_M[1] + GAP_M / 2
        for brick, side in zip(self._bricks, (-1.0, 1.0), strict=True):
            first = brick.qpos
            qpos[first : first + 3] = (
                values["stack_x_m"] - side * away * np.sin(yaw),
                values["stack_y_m"] + side * away * np.cos(yaw),
                TABLE_TOP_M + BRICK_HALF_SIZE_M[2],
            )
            qpos[first + 3 : first + 7] = (math.cos(yaw / 2.0), 0.0, 0.0, math.sin(yaw / 2.0))
        self._snap.start(retention_force_n=values["retention_force_n"])

    def drive(self, data: Any, now_ns: int) -> None:
        """Opens the snap fit where it was pulled hard enough."""
        self._snap.apply(data, now_ns)

    def measure(self, data: Any) -> Judgement:
        """Asks who holds which brick, and how far apart they are."""
        self._touches.update(data)
        grasped = [self._touches.is_grasped(arm, arm) for arm in (0, 1)]
        lying = [self._touches.between(arm, 2) for arm in (0, 1)]
        is_closed = self._snap.is_closed(data)
        gap = gap_m(data.xpos[self._bodies], data.xmat[self._bodies[0]])
        is_settled = all(held or down for held, down in zip(grasped, lying, strict=True))
        is_goal_met = not is_closed and gap > APART_M and is_settled
        stage = 4 if is_goal_met else sum(grasped) if is_closed else 3
        distances = [
            float(np.linalg.norm(data.site_xpos[site] - data.xpos[body]))
            for site, body in zip(self._model.grip_sites, self._bodies, strict=True)
        ]
        is_lost = min(float(data.xpos[body, 2]) for body in self._bodies) - TABLE_TOP_M < LOST_M
        return Judgement(
            row=(*distances, *grasped, is_closed, self._snap.pull_n, gap, stage),
            stage=stage,
            is_goal_met=is_goal_met,
            failure="brick_dropped" if is_lost else "",
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns both bricks in the world, each in the frame of its arm's base, and whether the fit holds."""
        out = np.empty(self.object_state_size)
        for number, brick in enumerate(self._bricks):
            rotation = data.xmat[brick.body].reshape(3, 3)
            part, dof = out[13 * number :], brick.dof
            part[0:3], part[3:7] = data.xpos[brick.body], data.xquat[brick.body]
            part[7:10], part[10:13] = data.qvel[dof : dof + 3], rotation @ data.qvel[dof + 3 : dof + 6]
            position, turned = in_base(self._model, data, number, data.xpos[brick.body], rotation)
            part = out[26 + ARM_OBJECT_SIZE * number :]
            part[0:3], part[3:6], part[6:9] = position, turned[:, 1], turned[:, 2]
        out[44] = self._snap.is_closed(data)
        return out
