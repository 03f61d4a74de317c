"""TwoArmLift: take a pot by its two handles and lift it level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numba
import numpy as np

from simloop.errors import ParameterError
from simloop.log import Column, TableSchema
from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

POT_HALF_HEIGHT_M = 0.07
"""Half the pot's height (robosuite ``PotWithHandlesObject.body_half_size``)."""
REACH_M = 0.04
"""A gripper is at its handle when its grip site is this near to the handle's site."""
LIFT_M = 0.10
"""Clearance over the table that counts as lifted (robosuite ``TwoArmLift._check_success``)."""
TIPPED_RAD = math.radians(75.0)
"""Tilt from which two top-down grippers cannot take the pot any more."""
LOST_M = -0.05
"""Clearance (negative: below the table top) from which the pot has left the table."""

ARM_OBJECT_SIZE = 9


class LiftTask(Task):
    """Both arms lift the pot by its handles.

    The bounds of the placement are those of robosuite's own sampler: offset from the table's centre, and turn from the
    pose in which each handle faces its arm. Scene key ``tilt_limit_rad`` is the largest tilt of the pot that counts as
    lifted; robosuite's own reward asks for 30 degrees.
    """

    name = "two_arm_lift"
    stock_name = "TwoArmLift"
    takes_two_arm_robots = True
    has_shipped_meshes = True
    free_bodies: ClassVar[Mapping[str, str]] = {"pot": "pot_root"}
    object_prefixes: ClassVar[Mapping[str, str]] = {"pot_": "pot"}
    allowed_contacts = frozenset(
        frozenset({"pot", other}) for other in ("left_fingers", "right_fingers", "table")
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "pot_x_m": (-0.03, 0.03),
        "pot_y_m": (-0.03, 0.03),
        "pot_yaw_rad": (-math.pi / 3, math.pi / 3),
    }
    stages = ("approach", "at the handles", "grasped", "lifted")
    table = TableSchema(
        description="One row a control period, from t = 0: how far the lift is.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(name="left_handle_distance_m", description="left grip site to its handle"),
            Column(name="right_handle_distance_m", description="right grip site to its handle"),
            Column(name="is_left_grasped", dtype="bool", description="both finger pads touch the handle"),
            Column(name="is_right_grasped", dtype="bool", description="both finger pads touch the handle"),
            Column(name="pot_clearance_m", description="pot bottom over the table top"),
            Column(name="pot_tilt_rad", description="angle between the pot's axis and the vertical"),
            Column(
                name="stage", dtype="int64", description="0 approach, 1 at the handles, 2 grasped, 3 lifted"
            ),
        ),
    )
    front_camera_position_m = (0.85, 0.0, 1.55)
    front_camera_target_m = (0.0, 0.0, 0.94)
    camera_subject = "the pot"
    object_state_size = 14 + 2 * ARM_OBJECT_SIZE
    object_state_layout = (
        "pot in the world frame: position (3, m), quaternion w x y z (4), linear velocity (3, m/s), angular velocity "
        "(3, rad/s), clearance of its bottom over the table (1, m); then for the left and the right arm, in the frame "
        "of the arm's base: position of its handle (3, m), unit vector along the handle's bar (3), pot axis (3)"
    )
    scene_keys = ("tilt_limit_rad",)
    support_height_m: ClassVar[float] = TABLE_TOP_M

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._tilt_limit_rad = math.pi / 6
        self._pot = model.objects["pot"]
        self._handles = tuple(int(model.mj_model.site(f"pot_handle{arm}").id) for arm in range(2))
        names = model.geom_names
        self._touches = Touches(
            names, *([name for name in names if name.startswith(f"pot_handle{arm}_")] for arm in range(2))
        )

    def _read_scene(self, scene: Mapping[str, Any], where: str) -> None:
        super()._read_scene(scene, where)
        tilt = scene.get("tilt_limit_rad", math.pi / 6)
        if isinstance(tilt, (bool, str)) or not 0.0 < float(tilt) <= TIPPED_RAD:
            raise ParameterError(
                f"{where}: scene key 'tilt_limit_rad' is {tilt!r}; allowed: above 0 and up to {TIPPED_RAD:.3f} rad."
            )
        self._tilt_limit_rad = float(tilt)

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Puts the pot on the table."""
        half = (math.pi + values["pot_yaw_rad"]) / 2.0
        pot = self._pot.qpos
        qpos[pot : pot + 3] = (
            values["pot_x_m"],
            values["pot_y_m"],
            self.support_height_m + POT_HALF_HEIGHT_M,
        )
        qpos[pot + 3 : pot + 7] = (math.cos(half), 0.0, 0.0, math.sin(half))

    def measure(self, data: Any) -> Judgement:
        """Compares the grip sites with the handles, and the pot with the table and the vertical."""
        model, pot = self._model, self._pot.body
        sites = data.site_xpos
        offsets = [
            sites[grip] - sites[handle] for grip, handle in zip(model.grip_sites, self._handles, strict=True)
        ]
        distances = [math.sqrt(offset.dot(offset)) for offset in offsets]
        self._touches.update(data)
        grasped = [self._touches.is_grasped(arm, arm) for arm in range(2)]
        clearance = float(data.xpos[pot, 2]) - POT_HALF_HEIGHT_M - self.support_height_m
        tilt = math.acos(min(max(float(data.xmat[pot, 8]), -1.0), 1.0))
        is_goal_met = clearance > LIFT_M and tilt <= self._tilt_limit_rad
        stage = 0
        if max(distances) <= REACH_M:
            stage = 1
            if all(grasped):
                stage = 3 if is_goal_met else 2
        failure = "pot_dropped" if clearance < LOST_M else "pot_tipped" if tilt > TIPPED_RAD else ""
        return Judgement(
            row=(*distances, *grasped, clearance, tilt, stage),
            stage=stage,
            is_goal_met=is_goal_met,
            failure=failure,
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns the pot in the world, and its handles in the frame of each arm's base."""
        out = np.empty(self.object_state_size)
        model, pot, dof = self._model, self._pot.body, self._pot.dof
        rotation = data.xmat[pot].reshape(3, 3)
        out[0:3], out[3:7] = data.xpos[pot], data.xquat[pot]
        out[7:10] = data.qvel[dof : dof + 3]
        out[10:13] = rotation @ data.qvel[dof + 3 : dof + 6]
        out[13] = data.xpos[pot][2] - POT_HALF_HEIGHT_M - self.support_height_m
        _write_handles(out[14:], model.base_sites, self._handles, data.site_xpos, data.site_xmat, rotation)
        return out


@numba.njit(cache=True, error_model="numpy")
def _write_handles(out: Any, bases: Any, handles: Any, site_xpos: Any, site_xmat: Any, rotation: Any) -> None:
    """Writes each handle's place, the pot's x axis (along the bars) and its z axis in the frame of the arm's base."""
    for arm in range(2):
        base, handle, first = bases[arm], handles[arm], ARM_OBJECT_SIZE * arm
        for i in range(3):
            place, along, upward = 0.0, 0.0, 0.0
            for k in range(3):
                axis = site_xmat[base, 3 * k + i]
                place += axis * (site_xpos[handle, k] - site_xpos[base, k])
                along += axis * rotation[k, 0]
                upward += axis * rotation[k, 2]
            out[first + i], out[first + 3 + i], out[first + 6 + i] = place, along, upward
