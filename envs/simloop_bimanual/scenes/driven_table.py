"""A robosuite environment in which two arms face each other over a table, and parts of the scene move by themselves."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from robosuite.models.arenas import TableArena
from robosuite.models.objects import CompositeObject
from robosuite.models.tasks import ManipulationTask
from robosuite.utils.transform_utils import euler2mat

from simloop_bimanual.conventions import TABLE_TOP_M
from simloop_bimanual.scenes.driven import DrivenTwoArmEnv

TABLE_SIZE_M = (0.8, 0.8, 0.05)


def make_block(name: str, kind: str, size_m: Any, at_m: Any, rgba: Any, joints: Any) -> Any:
    """Returns a box or a cylinder as a robosuite object.

    Args:
        name: Of the object; its geom is ``<name>_surface``.
        kind: ``"box"`` with three half sizes, or ``"cylinder"`` with radius and half height.
        size_m: Sizes as MuJoCo takes them.
        at_m: (3,) where its body stands, world frame.
        rgba: Colour.
        joints: List of attributes of joints, or None for something that stands still.
    """
    block = CompositeObject(
        name=name,
        total_size=(size_m[0], size_m[-2], size_m[-1]),
        geom_types=[kind],
        geom_sizes=[size_m],
        geom_locations=[(0.0, 0.0, 0.0)],
        geom_names=["surface"],
        geom_rgbas=[rgba],
        locations_relative_to_center=True,
        joints=joints,
    )
    block.get_obj().set("pos", " ".join(map(str, at_m)))
    return block


class DrivenTable(DrivenTwoArmEnv):
    """What robosuite's hard reset does in our scenes on a table. The task judges an episode, not the environment.

    Attributes:
        table_size_m: Full size of the table top.
        table_centre_m: Centre of its upper side.
        arms_table_length_m: The arms stand where robosuite puts them at a table of this length.
    """

    table_size_m: ClassVar[tuple[float, float, float]] = TABLE_SIZE_M
    table_centre_m: ClassVar[tuple[float, float, float]] = (0.0, 0.0, TABLE_TOP_M)
    arms_table_length_m: ClassVar[float] = TABLE_SIZE_M[0]

    @abstractmethod
    def make_objects(self) -> list[Any]:
        """Returns the objects on the table; draws from ``self.rng`` what their geometry needs."""

    def reward(self, action: Any = None) -> float:
        """Returns 0: the task's verdict (``simloop_bimanual.tasks``) is the only one that there is."""
        return 0.0

    def _check_success(self) -> bool:
        """Returns False: the task's verdict (``simloop_bimanual.tasks``) is the only one that there is."""
        return False

    def _load_model(self) -> None:
        super()._load_model()
        robots = [robot.robot_model for robot in self.robots]
        if self.env_configuration == "single-robot":
            robots[0].set_base_xpos(robots[0].base_xpos_offset["table"](self.arms_table_length_m))
        else:
            for number, model in enumerate(robots):
                at = np.array(model.base_xpos_offset["table"](self.arms_table_length_m))
                if self.env_configuration == "opposed":
                    turn = np.array((0.0, 0.0, np.pi / 2 if number == 0 else -np.pi / 2))
                    model.set_base_xpos(euler2mat(turn) @ at)
                    model.set_base_ori(turn)
                else:
                    model.set_base_xpos(at + np.array((0.0, -0.25 if number == 0 else 0.25, 0.0)))
        arena = TableArena(table_full_size=self.table_size_m, table_offset=np.array(self.table_centre_m))
        arena.set_origin([0, 0, 0])
        self.model = ManipulationTask(
            mujoco_arena=arena, mujoco_robots=robots, mujoco_objects=self.make_objects()
        )
