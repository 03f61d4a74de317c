"""The start of an episode: robosuite's hard reset without compiling anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simloop_bimanual.models.two_arm_model import JOINT_NOISE_RAD, TwoArmModel
from simloop_bimanual.models.variation import Variation
from simloop_bimanual.physics.kernel import NUM_ARMS, arm_inertias
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.tasks import Task


class StartState:
    """Puts a MjData and a controller record at the start of an episode.

    The state equals the one that robosuite's environment has after a hard reset with ``env.rng`` at
    ``numpy.random.default_rng(seed)`` and the same geometry and placements, bit for bit.

    Args:
        model: The physics model.
        task: What stands on the table.
        variation: Varies the physics, in a model of the world's own; None leaves it.
    """

    def __init__(self, model: TwoArmModel, task: Task, variation: Variation | None = None) -> None:
        self._model = model
        self._variation = variation
        self._task = task
        self._mujoco = load_mujoco()

    def noise_generator(self, seed: int) -> np.random.Generator:
        """Returns robosuite's generator of a seed, at the point at which it draws the arms' noise."""
        rng = np.random.default_rng(seed)
        rng.random(self._task.num_geometry_draws)
        return rng

    def apply(self, data: Any, record: Any, *, seed: int, values: Mapping[str, float], where: str) -> None:
        """Writes the start state.

        Args:
            data: MjData of the model.
            record: (1,) controller record; its state is reset.
            seed: Seed of the joint noise.
            values: A value for each of the task's parameters and of ``variation.SHARED``.
            where: What to name in messages.

        Raises:
            ConfigurationError: The parameters do not go with the scene.
        """
        model, mujoco, c = self._model, self._mujoco, record[0]
        mj_model = model.mj_model
        if self._variation is not None:
            self._variation.restore()
        self._task.shape(values)
        if self._variation is not None:
            self._variation.apply(values, where)
        rng = self.noise_generator(seed)
        mujoco.mj_resetData(mj_model, data)
        for number, joints in enumerate(model.arms):
            noise = rng.standard_normal(len(joints.rest_qpos)) * JOINT_NOISE_RAD
            c["rest_qpos"][number, : len(noise)] = data.qpos[joints.qpos] = joints.rest_qpos + noise
        # robosuite's controllers take their first inertia matrix here, with the fingers at zero.
        mujoco.mj_forward(mj_model, data)
        arm_inertias(c, data.qM, c["first_inertia"])
        c["is_first"] = 1
        c["gripper_command"] = 0.0
        for gripper in (arm.gripper for arm in model.arms):
            if gripper is not None:
                data.qpos[gripper.qpos] = gripper.rest_qpos
        self._task.place(values, data.qpos)
        if self._task.is_driven:
            self._task.drive(data, 0)
        mujoco.mj_forward(mj_model, data)
        for arm in range(NUM_ARMS):
            site = model.grip_sites[arm]
            c["goal_position"][arm] = data.site_xpos[site]
            c["goal_rotation"][arm] = data.site_xmat[site].reshape(3, 3)
            base = model.base_sites[arm]
            to_base = data.site_xmat[base].reshape(3, 3).T
            c["goal_in_base"][arm] = to_base @ (data.site_xpos[site] - data.site_xpos[base])
            c["turn_in_base"][arm] = to_base @ c["goal_rotation"][arm]
