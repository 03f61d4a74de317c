"""The scene of TwoArmDisassemble: two bricks in a row that are snapped together, lying loosely on a table."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
from robosuite.models.objects import CompositeObject

from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.scenes.driven_table import DrivenTable
from simloop_bimanual.scenes.snap_fit import SNAP_FIT, SnapFit
from simloop_bimanual.tasks.disassemble import (
    BRICK_HALF_SIZE_M,
    GAP_M,
    STUD_HALF_SIZE_M,
)

BRICK_DENSITY_KGPM3 = 400.0
CLEARANCE_M = 0.001
"""Between the stud and each wall of its socket."""


def make_stud_brick() -> Any:
    """Returns the left brick, whose stud points towards +y."""
    x, y, z = BRICK_HALF_SIZE_M
    sx, sy, sz = STUD_HALF_SIZE_M
    return CompositeObject(
        name="stud_brick",
        total_size=(x, y + sy, z),
        geom_types=["box", "box"],
        geom_sizes=[(x, y, z), (sx, sy, sz)],
        geom_locations=[(0.0, 0.0, 0.0), (0.0, y + sy, 0.0)],
        geom_names=["body", "stud"],
        geom_rgbas=[(0.8, 0.15, 0.1, 1.0), (0.95, 0.75, 0.1, 1.0)],
        density=BRICK_DENSITY_KGPM3,
        locations_relative_to_center=True,
    )


def make_socket_brick() -> Any:
    """Returns the right brick: a block with four walls around the stud's place, open towards -y."""
    x, y, z = BRICK_HALF_SIZE_M
    sx, sy, sz = STUD_HALF_SIZE_M
    depth = sy + CLEARANCE_M / 2
    side, lid = (x - sx - CLEARANCE_M) / 2, (z - sz - CLEARANCE_M) / 2
    front = -y + depth
    return CompositeObject(
        name="socket_brick",
        total_size=BRICK_HALF_SIZE_M,
        geom_types=["box"] * 5,
        geom_sizes=[
            (x, y - depth, z),
            (side, depth, z),
            (side, depth, z),
            (sx + CLEARANCE_M, depth, lid),
            (sx + CLEARANCE_M, depth, lid),
        ],
        geom_locations=[
            (0.0, depth, 0.0),
            (-x + side, front, 0.0),
            (x - side, front, 0.0),
            (0.0, front, -z + lid),
            (0.0, front, z - lid),
        ],
        geom_names=["body", "wall_left", "wall_right", "wall_below", "wall_above"],
        geom_rgbas=[(0.1, 0.3, 0.75, 1.0)] * 5,
        density=BRICK_DENSITY_KGPM3,
        locations_relative_to_center=True,
    )


class TwoArmDisassemble(DrivenTable):
    """robosuite's environment of the task; its draws are those of the family's ranges."""

    def make_objects(self) -> list[Any]:
        """Returns both bricks."""
        self.bricks = [make_stud_brick(), make_socket_brick()]
        return self.bricks

    def _load_model(self) -> None:
        super()._load_model()
        self.model.equality.append(
            ET.Element(
                "weld",
                name=SNAP_FIT,
                body1="stud_brick_root",
                body2="socket_brick_root",
                solref="0.004 1",
                solimp="0.99 0.99 0.001",
                relpose=f"0 {2 * BRICK_HALF_SIZE_M[1] + GAP_M} 0 1 0 0 0",
            )
        )

    def _place_objects(self) -> None:
        x_m, y_m = self.rng.uniform(-0.05, 0.05), self.rng.uniform(-0.03, 0.03)
        yaw = self.rng.uniform(-0.4, 0.4)
        away = BRICK_HALF_SIZE_M[1] + GAP_M / 2
        for brick, side in zip(self.bricks, (-1.0, 1.0), strict=True):
            at = (
                x_m - side * away * np.sin(yaw),
                y_m + side * away * np.cos(yaw),
                TABLE_TOP_M + BRICK_HALF_SIZE_M[2],
            )
            pose = np.array((*at, np.cos(yaw / 2.0), 0.0, 0.0, np.sin(yaw / 2.0)))
            self.sim.data.set_joint_qpos(brick.joints[0], pose)
        self._snap = SnapFit(self.mj_model)
        self._snap.start(retention_force_n=self.rng.uniform(10.0, 40.0))

    def drive(self, data: Any, now_ns: int) -> None:
        """Lets go of the stud where it was pulled hard enough."""
        self._snap.apply(data, now_ns)
