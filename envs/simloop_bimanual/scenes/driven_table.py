"""A robosuite environment in which two arms face each other over a table, and parts of the scene move by themselves."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from robosuite.models.arenas import TableArena
from robosuite.models.tasks import ManipulationTask
from robosuite.utils.transform_utils import euler2mat

from simloop_bimanual.scenes.driven import DrivenTwoArmEnv

TABLE_SIZE_M = (0.8, 0.8, 0.05)
TABLE_TOP_M = 0.8
"""Table and arms stand as in robosuite's TwoArmLift."""


class DrivenTable(DrivenTwoArmEnv):
    """What robosuite's hard reset does in our scenes on a table; the reward is 1 where the goal is met.

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
        """Returns 1 where the goal's condition holds, else 0."""
        return float(self._check_success())

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
