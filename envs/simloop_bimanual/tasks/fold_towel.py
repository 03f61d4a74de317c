"""TwoArmFoldTowel: fold a towel in half, edge onto edge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.errors import ParameterError
from simloop.log import Column, TableSchema
from simloop.spec import Scenario
from simloop_bimanual.models.sampled_cloth import SampledCloth
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.scenes.towel import BOARD, BOARD_TOP_M, TOWEL, board_pose
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task, in_base

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

REACH_M = 0.03
"""A gripper is at its corner when its grip site is this near to the corner."""
LIFT_M = 0.05
"""Clearance of both carried corners over the board that counts as lifted."""
FLAT_M = 0.05
"""Height over the board below which the folded towel has to lie."""
HALF_RATIO = 0.8
"""Share of half the towel's length that has to be left between the fold and the two edges."""
LOST_M = -0.04
"""Clearance of the towel's middle from which it has slid off the board."""

_LAST = TOWEL.num_side - 1
_MIDDLE = TOWEL.num_side // 2
_POINTS = tuple((row, column) for row in (0, _MIDDLE, _LAST) for column in (0, _MIDDLE, _LAST))
"""Row and column of the vertices in ``object_state``."""
_NUM_POINTS = len(_POINTS)
_NUM_VERTICES = TOWEL.num_vertices
ARM_OBJECT_SIZE = 12


class FoldTowelTask(Task):
    """Both arms take the edge on the +x side by its corners and lay it onto the opposite edge.

    The goal's condition: each corner of the carried edge, and its middle, lies within ``edge_tolerance_m`` of its
    partner on the other edge (seen from above), the towel is flat and folded at its middle, and no finger pad touches
    it.
    """

    name = "two_arm_fold_towel"
    stock_name = "TwoArmFoldTowel"
    stock_module = "simloop_bimanual.scenes.fold_towel"
    free_bodies: ClassVar[Mapping[str, str]] = {
        "towel_left_corner": TOWEL.body(_LAST, 0),
        "towel_right_corner": TOWEL.body(_LAST, _LAST),
        "towel_left_target": TOWEL.body(0, 0),
        "towel_right_target": TOWEL.body(0, _LAST),
    }
    object_prefixes: ClassVar[Mapping[str, str]] = {"towel": "towel"}
    sampled_bodies = (TOWEL.body(0, 0),)
    allowed_contacts = frozenset(
        frozenset({"towel", other}) for other in ("left_fingers", "right_fingers", "table", "towel")
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "board_x_m": (-0.05, 0.05),
        "board_y_m": (-0.05, 0.05),
        "board_yaw_rad": (-0.3, 0.3),
        "towel_x_m": (-0.03, 0.03),
        "towel_y_m": (-0.01, 0.01),
        "towel_yaw_rad": (-0.06, 0.06),
        "towel_stiffness_ratio": (0.5, 1.5),
        "towel_friction_ratio": (0.5, 1.5),
    }
    defaults: ClassVar[Mapping[str, float]] = {"towel_stiffness_ratio": 1.0, "towel_friction_ratio": 1.0}
    stages = ("approach", "corners grasped", "lifted", "laid over", "aligned")
    table = TableSchema(
        description="One row a control period, from t = 0: how far the fold is.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(name="left_corner_distance_m", description="left grip site to its corner"),
            Column(name="right_corner_distance_m", description="right grip site to its corner"),
            Column(name="is_left_grasped", dtype="bool", description="both left finger pads touch the towel"),
            Column(
                name="is_right_grasped", dtype="bool", description="both right finger pads touch the towel"
            ),
            Column(
                name="edge_error_m", description="largest distance of carried edge and other edge, from above"
            ),
            Column(name="towel_height_m", description="highest point of the towel over the board"),
            Column(
                name="stage",
                dtype="int64",
                description="0 approach, 1 corners grasped, 2 lifted, 3 laid over, 4 aligned",
            ),
        ),
    )
    front_camera_position_m = (0.95, 0.0, 1.62)
    front_camera_target_m = (-0.02, 0.0, 0.95)
    camera_subject = "the towel on its board"
    object_state_size = 3 * _NUM_POINTS + 2 * ARM_OBJECT_SIZE
    object_state_layout = (
        "towel in the world frame: positions (9 x 3, m) of a 3 x 3 grid of its vertices, from the edge that stays to "
        "the carried edge, each from left to right: corners, edge middles, centre; then for the left and the right "
        "arm, in the frame of the arm's base: its corner of the carried edge (3, m), unit vector from there to the "
        "edge's other corner (3), the corner that it belongs on (3, m), its velocity (3, m/s)"
    )
    num_geometry_draws = 5
    scene_keys = ("edge_tolerance_m",)

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._edge_tolerance_m = 0.03
        mj_model = model.mj_model
        bodies = [mj_model.body(name) for name in TOWEL.bodies()]
        self._bodies = np.array([body.id for body in bodies])
        joints = [int(body.jntadr[0]) for body in bodies]
        self._qpos = np.array([int(mj_model.jnt_qposadr[joint]) for joint in joints])
        self._dofs = np.array([int(mj_model.jnt_dofadr[joint]) for joint in joints])
        self._points = np.array([row * TOWEL.num_side + column for row, column in _POINTS])
        self._touches = Touches(model.geom_names, [TOWEL.geom(body) for body in TOWEL.bodies()])
        self._board = mj_model.body(BOARD)
        self._sampled = SampledCloth(mj_model, TOWEL)

    def read(self, scenario: Scenario) -> dict[str, float]:
        """See ``Task.read``; refuses cloth that is too stiff for its mass to be stepped (``cloth.Cloth``)."""
        values = super().read(scenario)
        lowest, highest = self.parameters["towel_stiffness_ratio"]
        stiffness, mass = values["towel_stiffness_ratio"], values["object_mass_ratio"]
        stiffest = highest * mass
        if stiffness > stiffest + 1e-9:
            # Rounded so that what is advised is allowed.
            lightest, stiffest = math.ceil(stiffness / highest * 1e4) / 1e4, math.floor(stiffest * 1e4) / 1e4
            default = "" if "towel_stiffness_ratio" in scenario.parameters else ", its default"
            advice = f"Set object_mass_ratio to {lightest:g} or more"
            if stiffest >= lowest:
                advice += f", or towel_stiffness_ratio to a number from {lowest:g} to {stiffest:g}"
            raise ParameterError(
                f"scenario {scenario.family!r}: parameter 'object_mass_ratio' is {mass:.4g} and parameter "
                f"'towel_stiffness_ratio' is {stiffness:.4g}{default}; allowed: a stiffness of at most {highest:g} "
                f"times the mass, as stiffer cloth that light diverges. {advice}."
            )
        return values

    def _read_scene(self, scene: Mapping[str, Any], where: str) -> None:
        super()._read_scene(scene, where)
        tolerance = scene.get("edge_tolerance_m", 0.03)
        if isinstance(tolerance, (bool, str)) or not 0.0 < float(tolerance) <= 0.1:
            raise ParameterError(
                f"{where}: scene key 'edge_tolerance_m' is {tolerance!r}; allowed: above 0 and up to 0.1 m."
            )
        self._edge_tolerance_m = float(tolerance)

    def shape(self, values: Mapping[str, float]) -> None:
        """Puts the board down, and gives the towel its stiffness and friction."""
        position, quaternion = board_pose(values["board_x_m"], values["board_y_m"], values["board_yaw_rad"])
        self._board.pos[:], self._board.quat[:] = position, quaternion
        load_mujoco().mju_normalize4(self._board.quat)  # as MuJoCo's compiler does
        self._sampled.write(
            stiffness_ratio=values["towel_stiffness_ratio"], friction_ratio=values["towel_friction_ratio"]
        )

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Lays the towel flat on the board."""
        offsets = TOWEL.offsets_m(
            (values["towel_x_m"], values["towel_y_m"], values["towel_yaw_rad"]),
            (values["board_x_m"], values["board_y_m"], values["board_yaw_rad"]),
        )
        qpos[self._qpos], qpos[self._qpos + 1] = offsets[:, 0], offsets[:, 1]

    def measure(self, data: Any) -> Judgement:
        """Compares the carried edge with the one that it belongs on."""
        vertices = data.xpos[self._bodies].reshape(TOWEL.num_side, TOWEL.num_side, 3)
        carried, fold, kept = vertices[-1], vertices[_MIDDLE], vertices[0]
        which = [0, _MIDDLE, _LAST]
        error = float(np.linalg.norm(carried[which, :2] - kept[which, :2], axis=1).max())
        height = float(vertices[:, :, 2].max()) - BOARD_TOP_M
        length = float(np.linalg.norm(fold[which, :2] - kept[which, :2], axis=1).min())
        self._touches.update(data)
        grasped = [self._touches.is_grasped(arm, 0) for arm in range(2)]
        grips = [data.site_xpos[site] for site in self._model.grip_sites]
        distances = [
            float(np.linalg.norm(grip - carried[column]))
            for grip, column in zip(grips, (0, _LAST), strict=True)
        ]
        is_over = error <= self._edge_tolerance_m and length >= HALF_RATIO * _MIDDLE * TOWEL.spacing_m
        is_goal_met = (
            is_over and height <= FLAT_M and not any(self._touches.is_touched(arm, 0) for arm in range(2))
        )
        stage = 0
        if is_over:
            stage = 4 if is_goal_met else 3
        elif all(grasped) and max(distances) <= REACH_M:
            stage = 2 if float(carried[[0, _LAST], 2].min()) - BOARD_TOP_M > LIFT_M else 1
        is_lost = float(vertices[_MIDDLE, _MIDDLE, 2]) - BOARD_TOP_M < LOST_M
        return Judgement(
            row=(*distances, *grasped, error, height, stage),
            stage=stage,
            is_goal_met=is_goal_met,
            failure="towel_dropped" if is_lost else "",
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns points of the towel in the world, and its corners in the frame of each arm's base."""
        out = np.empty(self.object_state_size)
        out[: 3 * _NUM_POINTS] = data.xpos[self._bodies[self._points]].reshape(-1)
        for arm, column in enumerate((0, _LAST)):
            corner = _LAST * TOWEL.num_side + column
            here, other, target = data.xpos[self._bodies[[corner, _NUM_VERTICES - 1 - column, column]]]
            along, dof = (other - here) / np.linalg.norm(other - here), self._dofs[corner]
            part = out[3 * _NUM_POINTS + ARM_OBJECT_SIZE * arm :]
            part[0:3], part[3:6] = in_base(self._model, data, arm, here, along)
            part[6:9], part[9:12] = in_base(self._model, data, arm, target, data.qvel[dof : dof + 3])
        return out
