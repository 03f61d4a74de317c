"""TwoArmTrayBalance: carry a tray with a rolling ball to a goal without losing the ball."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.log import Column, TableSchema
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.scenes.drives import BALL_RADIUS_M, PLATE_HALF_SIZE_M, STAND_TOP_M, TrayDrive
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task, in_base

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

START_HEIGHT_M = STAND_TOP_M + PLATE_HALF_SIZE_M[2]
"""Height of the tray's centre over the floor on the stand."""
GOAL_HEIGHT_M = START_HEIGHT_M + 0.12
NEAR_M = 0.03
"""Largest distance of the tray's centre from the goal."""
LEVEL_RAD = 0.2
"""Largest tilt of a tray that has arrived."""
REACH_M = 0.04
"""A gripper is at its handle when its grip site is this near to the handle's site."""
LIFTED_M = 0.02
LOST_M = 0.85
"""Height of a tray that lies on the table."""
OVER_EDGE_M = 0.03

ARM_OBJECT_SIZE = 9


class TrayBalanceTask(Task):
    """Both arms bring the tray over the mark, at 12 cm over its stand, and keep it there with the ball on it.

    The plate has no rim. As long as the tray is on its stand nothing but its first roll moves the ball; from
    ``gust_start_s`` after the lift gusts push it, each of them 0.1 s long and strong enough to give a ball that slides
    up to ``gust_mps``. When they come and where they push is the course ``gust_course_id``.
    ``ball_rolling_friction_m`` is MuJoCo's coefficient, a length: divided by the ball's radius of 2 cm it is the slope
    on which the ball starts to roll.
    """

    name = "two_arm_tray_balance"
    stock_name = "TwoArmTrayBalance"
    stock_module = "simloop_bimanual.scenes.tray_balance"
    is_driven = True
    free_bodies: ClassVar[Mapping[str, str]] = {"tray": "tray_root", "ball": "ball_root"}
    object_prefixes: ClassVar[Mapping[str, str]] = {
        "tray_": "tray",
        "ball_": "ball",
        "stand_": "stand",
        "goal_": "goal",
    }
    sampled_bodies = ("ball_root",)
    allowed_contacts = frozenset(
        frozenset({"tray", other}) for other in ("left_fingers", "right_fingers", "stand", "ball")
    )
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "goal_distance_m": (0.05, 0.2),
        "goal_bearing_rad": (-math.pi, math.pi),
        "ball_rolling_friction_m": (1e-5, 2e-3),
        "ball_x_m": (-0.05, 0.05),
        "ball_y_m": (-0.05, 0.05),
        "ball_speed_mps": (0.0, 0.2),
        "ball_heading_rad": (-math.pi, math.pi),
        "gust_mps": (0.0, 0.5),
        "gust_start_s": (0.0, 10.0),
        "gust_course_id": (0.0, 1e6),
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "goal_distance_m": 0.14,
        "ball_rolling_friction_m": 4e-4,
        "gust_start_s": 0.5,
    }
    num_geometry_draws = 1
    stages = ("approach", "at the handles", "grasped", "carried", "at the goal")
    table = TableSchema(
        description="One row a control period, from t = 0: how far the tray is, and where the ball is on it.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(name="left_handle_distance_m", description="left grip site to its handle"),
            Column(name="right_handle_distance_m", description="right grip site to its handle"),
            Column(name="is_left_grasped", dtype="bool", description="both finger pads touch the handle"),
            Column(name="is_right_grasped", dtype="bool", description="both finger pads touch the handle"),
            Column(name="goal_distance_m", description="tray's centre to the goal"),
            Column(name="tray_tilt_rad", description="angle between the tray's normal and the vertical"),
            Column(
                name="ball_x_m", description="ball's centre along the tray's handles, from the tray's centre"
            ),
            Column(name="ball_y_m", description="ball's centre across, towards the left arm's handle"),
            Column(
                name="edge_distance_m", description="ball's centre to the nearest edge, negative beyond it"
            ),
            Column(
                name="stage",
                dtype="int64",
                description="0 approach, 1 at the handles, 2 grasped, 3 carried, 4 at the goal",
            ),
        ),
    )
    front_camera_position_m = (1.1, 0.0, 1.7)
    front_camera_target_m = (0.0, 0.0, 0.95)
    camera_subject = "tray, ball and mark"
    object_state_size = 24 + 2 * ARM_OBJECT_SIZE
    object_state_layout = (
        "tray in the world frame: position (3, m), quaternion w x y z (4), linear velocity (3, m/s), angular velocity "
        "(3, rad/s); ball in the tray's frame: position (3, m), velocity relative to the tray (3, m/s); goal minus "
        "tray's centre in the world frame (3, m); rolling friction of the ball (1, m); height of the tray over its "
        "place on the stand (1, m); then for the left and the right arm, in the frame of the arm's base: position of "
        "its handle (3, m), unit vector along the handle's bar (3), normal of the tray (3)"
    )

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._tray, self._ball = model.objects["tray"], model.objects["ball"]
        self._ball_geom = model.geom_names.index("ball_surface")
        self._handles = [model.mj_model.site(f"tray_handle{arm}").id for arm in range(2)]
        names = model.geom_names
        self._touches = Touches(
            names, *([name for name in names if name.startswith(f"tray_handle{arm}_")] for arm in range(2))
        )
        marks = [model.mj_model.joint(f"goal_{axis}") for axis in "xy"]
        self._mark_qpos = [int(joint.qposadr[0]) for joint in marks]
        self._mark_dof = [int(joint.dofadr[0]) for joint in marks]
        self._drive = self._make_drive()
        self._friction_m = 0.0

    def _make_drive(self) -> TrayDrive:
        """Returns what moves by itself, for the ball's mass as the model has it now."""
        return TrayDrive(
            tray_qpos=self._tray.qpos,
            ball_dof=self._ball.dof,
            ball_mass_kg=float(self._model.mj_model.body_mass[self._ball.body]),
            mark_qpos=self._mark_qpos,
            mark_dof=self._mark_dof,
        )

    def shape(self, values: Mapping[str, float]) -> None:
        """Gives the ball its rolling friction."""
        self._friction_m = values["ball_rolling_friction_m"]
        self._model.mj_model.geom_friction[self._ball_geom, 2] = self._friction_m

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Puts the tray on the stand and the ball on the tray, and draws the gusts' course."""
        tray, ball = self._tray.qpos, self._ball.qpos
        qpos[tray : tray + 7] = (0.0, 0.0, START_HEIGHT_M, 0.0, 0.0, 0.0, 1.0)
        top = START_HEIGHT_M + PLATE_HALF_SIZE_M[2] + BALL_RADIUS_M
        qpos[ball : ball + 7] = (values["ball_x_m"], values["ball_y_m"], top, 1.0, 0.0, 0.0, 0.0)
        names = (
            "goal_distance_m",
            "goal_bearing_rad",
            "ball_speed_mps",
            "ball_heading_rad",
            "gust_mps",
            "gust_start_s",
            "gust_course_id",
        )
        self._drive = self._make_drive()  # object_mass_ratio has been applied by now
        self._drive.start(**{name: values[name] for name in names})

    def drive(self, data: Any, now_ns: int) -> None:
        """Blows on the ball, and keeps the mark where it is."""
        self._drive.apply(data, now_ns)

    def _to_goal(self, data: Any) -> FloatArray:
        goal: FloatArray = np.array((*self._drive.goal_m, GOAL_HEIGHT_M))
        return goal - np.asarray(data.xpos[self._tray.body], dtype=np.float64)

    def _ball_on_tray(self, data: Any) -> tuple[FloatArray, FloatArray]:
        """Returns the ball's position and its velocity relative to the tray, (3,) each, in the tray's frame."""
        tray, ball = self._tray, self._ball
        to_tray = data.xmat[tray.body].reshape(3, 3).T
        offset = data.xpos[ball.body] - data.xpos[tray.body]
        spin = to_tray.T @ data.qvel[tray.dof + 3 : tray.dof + 6]
        carried = data.qvel[tray.dof : tray.dof + 3] + np.cross(spin, offset)
        return to_tray @ offset, to_tray @ (data.qvel[ball.dof : ball.dof + 3] - carried)

    def measure(self, data: Any) -> Judgement:
        """Compares the tray with its goal and the ball with the tray's edges."""
        model, tray = self._model, self._tray.body
        distances = [
            float(np.linalg.norm(data.site_xpos[model.grip_sites[arm]] - data.site_xpos[self._handles[arm]]))
            for arm in range(2)
        ]
        self._touches.update(data)
        grasped = [self._touches.is_grasped(arm, arm) for arm in range(2)]
        to_goal = float(np.linalg.norm(self._to_goal(data)))
        tilt = math.acos(min(max(float(data.xmat[tray, 8]), -1.0), 1.0))
        at, _ = self._ball_on_tray(data)
        edge = min(PLATE_HALF_SIZE_M[0] - abs(at[0]), PLATE_HALF_SIZE_M[1] - abs(at[1]))
        height = float(data.xpos[tray, 2])
        is_goal_met = to_goal < NEAR_M and tilt < LEVEL_RAD and edge > 0.0
        stage = 0
        if max(distances) <= REACH_M:
            stage = 1
            if all(grasped):
                stage = 4 if is_goal_met else 3 if height > START_HEIGHT_M + LIFTED_M else 2
        failure = ""
        if edge < -OVER_EDGE_M or at[2] < 0.0:
            failure = "ball_lost"
        elif height < LOST_M:
            failure = "tray_dropped"
        return Judgement(
            row=(*distances, *grasped, to_goal, tilt, float(at[0]), float(at[1]), float(edge), stage),
            stage=stage,
            is_goal_met=is_goal_met,
            failure=failure,
        )

    def object_state(self, data: Any) -> FloatArray:
        """Returns the tray in the world, the ball on it, the goal, and the handles in the frame of each arm's base."""
        out = np.empty(self.object_state_size)
        body, dof = self._tray.body, self._tray.dof
        rotation = data.xmat[body].reshape(3, 3)
        out[0:3], out[3:7] = data.xpos[body], data.xquat[body]
        out[7:10], out[10:13] = data.qvel[dof : dof + 3], rotation @ data.qvel[dof + 3 : dof + 6]
        out[13:16], out[16:19] = self._ball_on_tray(data)
        out[19:22] = self._to_goal(data)
        out[22:24] = self._friction_m, data.xpos[body, 2] - START_HEIGHT_M
        for arm in range(2):
            part = out[24 + ARM_OBJECT_SIZE * arm :]
            part[0:3], turned = in_base(self._model, data, arm, data.site_xpos[self._handles[arm]], rotation)
            part[3:6], part[6:9] = turned[:, 0], turned[:, 2]
        return out
