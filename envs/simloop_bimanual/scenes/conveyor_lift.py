"""The scene of TwoArmConveyorLift: robosuite's pot on a belt that runs over the table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from robosuite.models.objects import PotWithHandlesObject

from simloop_bimanual.scenes.driven_table import DrivenTable, make_block
from simloop_bimanual.scenes.drives import BELT_INERTIA_KG, BELT_TOP_M, BeltDrive

BELT_HALF_SIZE_M = (0.42, 0.13, 0.01)
"""Its lower side is 3 mm over the table top."""
BELT_RGBA = (0.15, 0.16, 0.18, 1.0)
POT_HALF_HEIGHT_M = 0.07


class TwoArmConveyorLift(DrivenTable):
    """robosuite's environment of the task; its draws are those of the family's ranges."""

    def make_objects(self) -> list[Any]:
        """Returns pot and belt."""
        self.pot = PotWithHandlesObject(name="pot")
        slide = {"name": "slide", "type": "slide", "axis": "1 0 0", "armature": str(BELT_INERTIA_KG)}
        at_m = (0.0, 0.0, BELT_TOP_M - BELT_HALF_SIZE_M[2])
        self.belt = make_block("belt", "box", BELT_HALF_SIZE_M, at_m, BELT_RGBA, [slide])
        return [self.pot, self.belt]

    def _place_objects(self) -> None:
        """Puts the pot on the belt, and draws the belt's course."""
        model = self.sim.model
        joint = self.belt.joints[0]
        self._belt = BeltDrive(model.get_joint_qpos_addr(joint), model.get_joint_qvel_addr(joint))
        x_m, y_m = self.rng.uniform(-0.26, -0.22), self.rng.uniform(-0.02, 0.02)
        half = (math.pi + self.rng.uniform(-0.35, 0.35)) / 2.0
        pose = (x_m, y_m, BELT_TOP_M + POT_HALF_HEIGHT_M, math.cos(half), 0.0, 0.0, math.sin(half))
        self.sim.data.set_joint_qpos(self.pot.joints[0], np.array(pose))
        self._belt.start(
            speed_mps=self.rng.uniform(0.06, 0.14),
            change_ratio=self.rng.uniform(0.5, 0.9),
            course_id=self.rng.uniform(0.0, 1e6),
        )

    def drive(self, data: Any, now_ns: int) -> None:
        """Moves the belt."""
        self._belt.apply(data, now_ns)
