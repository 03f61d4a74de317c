"""TwoArmPegInHole: one arm carries a peg, the other a plate with a hole; bring them together. No grippers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simloop.log import Column, TableSchema
from simloop_bimanual.models.sampled_geometry import GeomShape, SampledBody
from simloop_bimanual.tasks.task import FloatArray, Judgement, Task

if TYPE_CHECKING:
    from simloop_bimanual.models.two_arm_model import TwoArmModel

PEG_HALF_LENGTH_M = 0.13
PEG_DENSITY_KGPM3 = 1000.0
HOLE_IN_PLATE_M = np.array([0.1, 0.0, 0.0])
"""Centre of the hole in the plate's frame, as robosuite's success condition has it."""
LARGEST_OFFSET_M = 0.06
DEPTH_RANGE_M = (-0.12, 0.14)
LEAST_ALIGNMENT = 0.95
"""robosuite ``TwoArmPegInHole._check_success``."""


class PegInHoleTask(Task):
    """The left arm's peg stands in the hole of the right arm's plate."""

    name = "two_arm_peg_in_hole"
    stock_name = "TwoArmPegInHole"
    has_grippers = False
    free_bodies: ClassVar[Mapping[str, str]] = {}
    object_prefixes: ClassVar[Mapping[str, str]] = {"peg_": "peg", "hole_": "plate"}
    sampled_bodies = ("peg_main",)
    allowed_contacts = frozenset({frozenset({"peg", "plate"})})
    parameters: ClassVar[Mapping[str, tuple[float, float]]] = {"peg_radius_m": (0.005, 0.045)}
    defaults: ClassVar[Mapping[str, float]] = {"peg_radius_m": 0.0225}
    stages = ("apart", "aligned", "inserted")
    table = TableSchema(
        description="One row a control period, from t = 0: how the peg lies to the hole.",
        columns=(
            Column(name="t_ns", dtype="int64", description="virtual instant"),
            Column(name="peg_offset_m", description="distance of the hole's centre from the peg's axis"),
            Column(name="peg_depth_m", description="way along the peg's axis from its centre to the hole's"),
            Column(
                name="peg_alignment", description="cosine between the peg's axis and the plate's normal, 0..1"
            ),
            Column(name="stage", dtype="int64", description="0 apart, 1 aligned, 2 inserted"),
        ),
    )
    camera_subject = "peg and plate"
    object_state_size = 16 + 2 * 12
    object_state_layout = (
        "world frame: position of the peg's centre (3, m), unit vector along the peg (3), position of the hole's "
        "centre (3, m), normal of the plate (3); radius of the peg (1, m); distance of the hole from the peg's axis "
        "(1, m), way along the axis (1, m), cosine between axis and normal (1); then for the left and the right arm, "
        "in the frame of the arm's base: peg's centre (3, m), peg's axis (3), hole's centre (3, m), plate's normal (3)"
    )
    num_geometry_draws = 2
    start_overlap_m = (
        0.05  # the noise on robosuite's arms lets the peg start in the plate with one seed in 80
    )

    def __init__(self, model: TwoArmModel) -> None:
        super().__init__(model)
        self._peg = model.body_names.index("peg_main")
        self._plate = model.body_names.index("hole_main")
        self._sampled = SampledBody(model.mj_model, model.lone_bodies["peg_main"], "peg_main")
        self._radius_m = 0.0

    def shape(self, values: Mapping[str, float]) -> None:
        """Gives the peg its radius."""
        self._radius_m = values["peg_radius_m"]
        self._sampled.write(
            {
                "peg_g0": GeomShape(
                    size_m=(self._radius_m, PEG_HALF_LENGTH_M),
                    position_m=(0.0, 0.0, 0.0),
                    density_kgpm3=PEG_DENSITY_KGPM3,
                )
            }
        )

    def place(self, values: Mapping[str, float], qpos: FloatArray) -> None:
        """Leaves peg and plate where they are: in the arms."""

    def _lie(self, data: Any) -> tuple[FloatArray, FloatArray, FloatArray, float, float, float]:
        """Returns the peg's axis, hole's centre, plate's normal, offset (m), depth (m) and alignment."""
        peg, plate = data.xpos[self._peg], data.xpos[self._plate]
        rotation = data.xmat[self._plate].reshape(3, 3)
        axis = data.xmat[self._peg].reshape(3, 3)[:, 2].copy()
        hole = plate + rotation @ HOLE_IN_PLATE_M
        normal = rotation[:, 2].copy()
        depth = float((hole - peg) @ axis)
        (ax, ay, az), (bx, by, bz) = axis.tolist(), (peg - hole).tolist()
        across = np.array((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx))
        offset = float(np.linalg.norm(across))
        return axis, hole, normal, offset, depth, abs(float(normal @ axis))

    def measure(self, data: Any) -> Judgement:
        """Applies robosuite's condition on offset, depth and alignment."""
        *_, offset, depth, alignment = self._lie(data)
        is_aligned = offset < LARGEST_OFFSET_M and alignment > LEAST_ALIGNMENT
        is_goal_met = is_aligned and DEPTH_RANGE_M[0] <= depth <= DEPTH_RANGE_M[1]
        stage = 2 if is_goal_met else 1 if is_aligned else 0
        return Judgement(row=(offset, depth, alignment, stage), stage=stage, is_goal_met=is_goal_met)

    def object_state(self, data: Any) -> FloatArray:
        """Returns peg and hole in the world and in the frame of each arm's base."""
        out = np.empty(self.object_state_size)
        axis, hole, normal, offset, depth, alignment = self._lie(data)
        peg = data.xpos[self._peg]
        out[0:3], out[3:6], out[6:9], out[9:12] = peg, axis, hole, normal
        out[12:16] = (self._radius_m, offset, depth, alignment)
        seen = np.empty((4, 3))
        seen[0], seen[1], seen[2], seen[3] = peg, axis, hole, normal
        for arm in range(2):
            base = self._model.base_sites[arm]
            origin = data.site_xpos[base]
            seen[0], seen[2] = peg - origin, hole - origin
            out[16 + 12 * arm : 28 + 12 * arm] = (seen @ data.site_xmat[base].reshape(3, 3)).reshape(-1)
        return out
