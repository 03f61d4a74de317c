"""robosuite's own controllers, in Python, on the world's model: the reference that the compiled ones are held to."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop_bimanual.kernel import NUM_ARMS
from simloop_bimanual.model import TwoArmModel, make_stock_env

FloatArray = npt.NDArray[np.float64]


class StockController:
    """Runs the controllers of robosuite's two robots on a MjData of the physics model.

    Its robots come from a robosuite environment of the task, whose own simulation is put away.

    Args:
        model: The physics model.
        data: The world's MjData.
    """

    def __init__(self, model: TwoArmModel, data: Any) -> None:
        env = make_stock_env(seed=0, task=model.task)
        binding = importlib.import_module("robosuite.utils.binding_utils")
        simulation = binding.MjSim(model.mj_model)
        simulation.data._data = data
        self._simulation = simulation
        self._robots = list(env.robots)
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

    def write_torques(self, action: FloatArray, *, is_new_action: bool) -> None:
        """Writes ``ctrl`` for one substep, between ``mj_step1`` and ``mj_step2``.

        It is ``robot.control`` without the sensors of forces at the wrists, which the physics model does not have.
        """
        model, data = self._simulation.model, self._simulation.data
        size = len(action) // NUM_ARMS
        for arm, robot in enumerate(self._robots):
            robot.composite_controller.update_state()
            if is_new_action:
                robot.composite_controller.set_goal(action[arm * size : (arm + 1) * size])
            for part, values in robot.composite_controller.run_controller(robot._enabled_parts).items():
                actuators = robot._ref_actuators_indexes_dict[part]
                limits = model.actuator_ctrlrange[actuators]
                data.ctrl[actuators] = np.clip(values, limits[:, 0], limits[:, 1])
