"""The scene of TwoArmTrayBalance: a tray with two handles on a stand, a ball on it, and a mark where it is to go."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from robosuite.models.objects import CompositeObject

from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.scenes.driven_table import DrivenTable, make_block
from simloop_bimanual.scenes.drives import BALL_RADIUS_M, PLATE_HALF_SIZE_M, STAND_TOP_M, TrayDrive

BAR_HALF_LENGTH_M, BAR_HALF_WIDTH_M = 0.055, 0.01
BAR_OFFSET_M = 0.07
"""From the plate's edge to the middle of a handle's bar."""
BAR_RISE_M = 0.03
"""The bars stand on posts outside of the plate, so that no hand hangs over the ball."""
ARM_DROP_M = 0.005
"""What carries the posts is level with the plate's upper side, and so no rim."""
HANDLE_SITE_INSET_M = 0.005
"""As in robosuite's pot, a handle's site lies a little inside of its bar."""
TRAY_DENSITY_KGPM3, BALL_DENSITY_KGPM3 = 500.0, 2000.0
STAND_HALF_WIDTH_M = 0.07
MARK_RADIUS_M, MARK_HALF_HEIGHT_M = 0.05, 0.001

_TRAY_RGBA, _BALL_RGBA = (0.55, 0.38, 0.22, 1.0), (0.85, 0.15, 0.1, 1.0)
_HANDLE_RGBA = ((0.2, 0.6, 0.25, 1.0), (0.15, 0.3, 0.75, 1.0))
_STAND_RGBA, _MARK_RGBA = (0.35, 0.35, 0.38, 1.0), (0.1, 0.65, 0.25, 1.0)


def make_tray() -> Any:
    """Returns the tray: a plate and, at -y and +y of it, two handles as wide as those of robosuite's pot.

    ``handle0`` is at +y as in the pot; the tray starts turned by half a turn, so that it is before the left arm.
    """
    half_x, half_y, half_z = PLATE_HALF_SIZE_M
    wide = BAR_HALF_WIDTH_M
    parts: list[tuple[str, Any, Any, Any]] = [
        ("plate", (half_x, half_y, half_z), (0.0, 0.0, 0.0), _TRAY_RGBA)
    ]
    sites = []
    for number, side in enumerate((1.0, -1.0)):
        y_m = side * (half_y + BAR_OFFSET_M)
        bar = (f"handle{number}_c", (BAR_HALF_LENGTH_M, wide, wide), (0.0, y_m, BAR_RISE_M))
        parts.append((*bar, _HANDLE_RGBA[number]))
        arm = (wide, BAR_OFFSET_M / 2 + wide / 2, wide)
        post = (wide, wide, (BAR_RISE_M + ARM_DROP_M) / 2 - wide)
        for end, suffix in ((-1.0, "-"), (1.0, "+")):
            x_m = end * (BAR_HALF_LENGTH_M - wide)
            arm_at = (x_m, side * (half_y + BAR_OFFSET_M / 2 + wide / 2), -ARM_DROP_M)
            post_at = (x_m, y_m, (BAR_RISE_M - ARM_DROP_M) / 2)
            parts.append((f"handle{number}_arm{suffix}", arm, arm_at, _TRAY_RGBA))
            parts.append((f"handle{number}_post{suffix}", post, post_at, _HANDLE_RGBA[number]))
        site = (0.0, y_m - side * HANDLE_SITE_INSET_M, BAR_RISE_M)
        sites.append(
            {"name": f"handle{number}", "pos": " ".join(map(str, site)), "size": "0.005", "rgba": "0 0 0 0"}
        )
    return CompositeObject(
        name="tray",
        total_size=(half_x, half_y + BAR_OFFSET_M + wide, wide),
        geom_types=["box"] * len(parts),
        geom_names=[name for name, *_ in parts],
        geom_sizes=[size for _, size, _, _ in parts],
        geom_locations=[at for _, _, at, _ in parts],
        geom_rgbas=[rgba for *_, rgba in parts],
        # The ball brings the rolling friction: MuJoCo takes the larger of two.
        geom_frictions=[(1.0, 0.005, 1e-6)] * len(parts),
        density=TRAY_DENSITY_KGPM3,
        locations_relative_to_center=True,
        sites=sites,
    )


def make_ball(rolling_friction_m: float) -> Any:
    """Returns the ball; condim 6 gives it rolling friction."""
    return CompositeObject(
        name="ball",
        total_size=(BALL_RADIUS_M,) * 3,
        geom_types=["sphere"],
        geom_sizes=[(BALL_RADIUS_M,)],
        geom_locations=[(0.0, 0.0, 0.0)],
        geom_names=["surface"],
        geom_rgbas=[_BALL_RGBA],
        geom_frictions=[(1.0, 0.005, rolling_friction_m)],
        geom_condims=[6],
        density=BALL_DENSITY_KGPM3,
        locations_relative_to_center=True,
    )


class TwoArmTrayBalance(DrivenTable):
    """robosuite's environment of the task; its draws are those of the family's ranges."""

    def make_objects(self) -> list[Any]:
        """Returns tray, ball, stand and mark."""
        self.tray = make_tray()
        self.ball = make_ball(self.rng.uniform(1e-4, 8e-4))
        half_height = (STAND_TOP_M - TABLE_TOP_M) / 2
        stand = make_block(
            "stand",
            "box",
            (STAND_HALF_WIDTH_M, STAND_HALF_WIDTH_M, half_height),
            (0.0, 0.0, TABLE_TOP_M + half_height),
            _STAND_RGBA,
            None,
        )
        slides = [
            {"name": axis, "type": "slide", "axis": direction, "armature": "1"}
            for axis, direction in (("x", "1 0 0"), ("y", "0 1 0"))
        ]
        self.mark = make_block(
            "goal",
            "cylinder",
            (MARK_RADIUS_M, MARK_HALF_HEIGHT_M),
            (0.0, 0.0, TABLE_TOP_M + 2.5 * MARK_HALF_HEIGHT_M),
            _MARK_RGBA,
            slides,
        )
        return [self.tray, self.ball, stand, self.mark]

    def _place_objects(self) -> None:
        data, rng = self.sim.data, self.rng
        plate = STAND_TOP_M + PLATE_HALF_SIZE_M[2]
        data.set_joint_qpos(self.tray.joints[0], np.array((0.0, 0.0, plate, 0.0, 0.0, 0.0, 1.0)))
        at = (
            rng.uniform(-0.02, 0.02),
            rng.uniform(-0.02, 0.02),
            plate + PLATE_HALF_SIZE_M[2] + BALL_RADIUS_M,
        )
        data.set_joint_qpos(self.ball.joints[0], np.array((*at, 1.0, 0.0, 0.0, 0.0)))
        model = self.sim.model
        self._drive = TrayDrive(
            tray_qpos=model.get_joint_qpos_addr(self.tray.joints[0])[0],
            ball_dof=model.get_joint_qvel_addr(self.ball.joints[0])[0],
            ball_mass_kg=float(model.body_mass[model.body_name2id(self.ball.root_body)]),
            mark_qpos=[model.get_joint_qpos_addr(joint) for joint in self.mark.joints],
            mark_dof=[model.get_joint_qvel_addr(joint) for joint in self.mark.joints],
        )
        self._drive.start(
            goal_distance_m=rng.uniform(0.12, 0.16),
            goal_bearing_rad=rng.uniform(-math.pi, math.pi),
            ball_speed_mps=rng.uniform(0.0, 0.04),
            ball_heading_rad=rng.uniform(-math.pi, math.pi),
            gust_mps=rng.uniform(0.08, 0.14),
            gust_start_s=rng.uniform(0.3, 0.8),
            gust_course_id=rng.uniform(0.0, 1e6),
        )

    def drive(self, data: Any, now_ns: int) -> None:
        """Blows on the ball and keeps the mark where it is."""
        self._drive.apply(data, now_ns)
