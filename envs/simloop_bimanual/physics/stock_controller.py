"""robosuite's own controllers, in Python, on the world's model: the reference that the compiled ones are held to."""

from __future__ import annotations

import importlib
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop_bimanual.models.two_arm_model import TwoArmModel, make_stock_env
from simloop_bimanual.physics.kernel import NUM_ARMS

FloatArray = npt.NDArray[np.float64]


class StockController:
    """Runs the controllers of robosuite's two robots on a MjData of the physics model.

    Its robots come from a robosuite environment of the task, whose own simulation is put away.

    Args:
        model: The physics model.
        data: The world's MjData.
        is_absolute: Whether actions are absolute poses.
    """

    def __init__(self, model: TwoArmModel, data: Any, *, is_absolute: bool = False) -> None:
        env = make_stock_env(seed=0, task=model.task, robots=model.robots)
        binding = importlib.import_module("robosuite.utils.binding_utils")
        simulation = binding.MjSim(model.mj_model)
        simulation.data._data = data
        self._simulation = simulation
        self._robots = list(env.robots)
        self._is_absolute = is_absolute
        for robot in self._robots:
            robot.reset_sim(simulation)

    def reset(self, rng: np.random.Generator) -> None:
        """Builds the controllers anew at the start that ``rng`` draws; the state has to be written again after it.

        Args:
            rng: At the point at which robosuite draws the noise on the arms' positions.
        """
        self._simulation.reset()  # robosuite builds them while the fingers are still at zero
        for robot in self._robots:
            robot.reset(deterministic=False, rng=rng)
            for part in robot.arms if self._is_absolute else ():
                robot.part_controllers[part].input_type = "absolute"

    def write_torques(self, action: FloatArray, *, is_new_action: bool) -> None:
        """Writes ``ctrl`` for one substep, between ``mj_step1`` and ``mj_step2``.

        It is ``robot.control`` without the sensors of forces at the wrists, which the physics model does not have.
        """
        model, data = self._simulation.model, self._simulation.data
        per_arm = iter(action.reshape(NUM_ARMS, -1))
        for robot in self._robots:
            robot.composite_controller.update_state()
            if is_new_action:
                robot.composite_controller.set_goal(
                    _in_stock_order(robot, list(islice(per_arm, len(robot.arms))))
                )
            for part, values in robot.composite_controller.run_controller(robot._enabled_parts).items():
                actuators = robot._ref_actuators_indexes_dict[part]
                limits = model.actuator_ctrlrange[actuators]
                data.ctrl[actuators] = np.clip(values, limits[:, 0], limits[:, 1])


def _in_stock_order(robot: Any, actions: list[FloatArray]) -> FloatArray:
    """Returns a robot's action as robosuite orders it: all of its arms, then all of their grippers."""
    parts = {}
    for part, action in zip(robot.arms, actions, strict=True):
        parts[part], parts[f"{part}_gripper"] = action[:6], action[6:]
    ordered: FloatArray = robot.composite_controller.create_action_vector(parts)
    return ordered
