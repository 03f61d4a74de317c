"""The scene of TwoArmMovingHandover: a bar on a narrow table, and a receiver whose base drifts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
from robosuite.models.objects import CompositeObject

from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.scenes.base_drift import BASE_ARMATURE_KG, BASE_BODY, BASE_JOINTS, base_drift
from simloop_bimanual.scenes.driven_table import DrivenTable
from simloop_bimanual.tasks.moving_handover import BAR_HALF_SIZE_M, TABLE_Y_M

BAR_DENSITY_KGPM3 = 300.0


def make_bar() -> Any:
    """Returns the bar: the giver's half, towards -y, and the receiver's."""
    half = (BAR_HALF_SIZE_M[0], BAR_HALF_SIZE_M[1] / 2, BAR_HALF_SIZE_M[2])
    return CompositeObject(
        name="bar",
        total_size=BAR_HALF_SIZE_M,
        geom_types=["box", "box"],
        geom_sizes=[half, half],
        geom_locations=[(0.0, -half[1], 0.0), (0.0, half[1], 0.0)],
        geom_names=["giver_half", "receiver_half"],
        geom_rgbas=[(0.85, 0.45, 0.1, 1.0), (0.1, 0.4, 0.75, 1.0)],
        density=BAR_DENSITY_KGPM3,
        locations_relative_to_center=True,
    )


class TwoArmMovingHandover(DrivenTable):
    """robosuite's environment of the task; its draws are those of the family's ranges."""

    table_size_m = (0.8, 0.4, 0.05)
    table_centre_m = (0.0, TABLE_Y_M, TABLE_TOP_M)

    def make_objects(self) -> list[Any]:
        """Returns the bar."""
        self.bar = make_bar()
        return [self.bar]

    def _load_model(self) -> None:
        super()._load_model()
        base: Any = self.model.worldbody.find(f"./body[@name='{BASE_BODY}']")
        for number, (name, axis) in enumerate(zip(BASE_JOINTS, ("0 1 0", "1 0 0"), strict=True)):
            base.insert(
                number,
                ET.Element("joint", name=name, type="slide", axis=axis, armature=str(BASE_ARMATURE_KG)),
            )

    def _place_objects(self) -> None:
        x_m, y_m = self.rng.uniform(-0.03, 0.03), self.rng.uniform(-0.02, 0.02)
        half = self.rng.uniform(-0.3, 0.3) / 2.0
        at = (x_m, TABLE_Y_M + y_m, TABLE_TOP_M + BAR_HALF_SIZE_M[2])
        self.sim.data.set_joint_qpos(
            self.bar.joints[0], np.array((*at, np.cos(half), 0.0, 0.0, np.sin(half)))
        )
        self._drift = base_drift(self.mj_model)
        self._drift.start(
            range_m=self.rng.uniform(0.08, 0.12),
            speed_mps=self.rng.uniform(0.06, 0.1),
            course_id=self.rng.uniform(0.0, 1e6),
        )

    def drive(self, data: Any, now_ns: int) -> None:
        """Moves the receiver's base."""
        self._drift.apply(data, now_ns)
