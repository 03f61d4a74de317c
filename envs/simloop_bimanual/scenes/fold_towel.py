"""The scene of TwoArmFoldTowel: a towel on a board that is narrower than the towel."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from typing import Any

from simloop_bimanual.scenes.cloth import add_cloth
from simloop_bimanual.scenes.driven_table import DrivenTable
from simloop_bimanual.scenes.towel import BOARD, BOARD_HALF_SIZE_M, BOARD_TOP_M, TOWEL, board_pose


class TwoArmFoldTowel(DrivenTable):
    """robosuite's environment of the task; its draws are those of the family's ranges.

    The arms stand further from the middle than at robosuite's own tables: at the board's sides they have to lean their
    hands outwards.
    """

    table_size_m = (1.0, 1.0, 0.05)
    arms_table_length_m = 1.16

    def make_objects(self) -> list[Any]:
        """Returns nothing: board and towel are not objects of robosuite's kind."""
        return []

    def _load_model(self) -> None:
        super()._load_model()
        worldbody = self.model.worldbody
        self._board = (
            self.rng.uniform(-0.03, 0.03),
            self.rng.uniform(-0.03, 0.03),
            self.rng.uniform(-0.15, 0.15),
        )
        position, quaternion = (" ".join(str(value) for value in part) for part in board_pose(*self._board))
        board = ElementTree.SubElement(worldbody, "body", name=BOARD, pos=position, quat=quaternion)
        size = " ".join(str(half) for half in BOARD_HALF_SIZE_M)
        look = {"type": "box", "size": size, "rgba": "0.72 0.6 0.42 1"}
        ElementTree.SubElement(board, "geom", {**look, "name": f"{BOARD}_body", "group": "0"})
        seen = {"name": f"{BOARD}_visual", "group": "1", "contype": "0", "conaffinity": "0"}
        ElementTree.SubElement(board, "geom", {**look, **seen})
        cloth = dataclasses.replace(
            TOWEL,
            young_modulus_npm2=TOWEL.young_modulus_npm2 * self.rng.uniform(0.8, 1.3),
            sliding_friction=TOWEL.sliding_friction * self.rng.uniform(0.7, 1.3),
        )
        add_cloth(self.model.root, worldbody, cloth, height_m=BOARD_TOP_M + TOWEL.radius_m)

    def _place_objects(self) -> None:
        sim: Any = self.sim
        x_m, y_m = self.rng.uniform(-0.02, 0.02), self.rng.uniform(-0.004, 0.004)
        offsets = TOWEL.offsets_m((x_m, y_m, self.rng.uniform(-0.025, 0.025)), self._board)
        for body, offset in zip(TOWEL.bodies(), offsets, strict=True):
            for axis, value in zip("xy", offset, strict=True):
                sim.data.set_joint_qpos(f"{body}_{axis}", value)

    def drive(self, data: Any, now_ns: int) -> None:
        """Does nothing: nothing in this scene moves by itself."""
