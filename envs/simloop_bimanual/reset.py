"""The start of an episode: robosuite's hard reset without compiling anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simloop_bimanual.kernel import NUM_ARMS, arm_inertias
from simloop_bimanual.model import JOINT_NOISE_RAD, POT_HALF_HEIGHT_M, TABLE_TOP_M, TwoArmModel
from simloop_bimanual.robosuite_import import load_mujoco


class StartState:
    """Puts a MjData and a controller record at the start of an episode.

    The state equals the one that robosuite's ``TwoArmLift`` has after a hard reset with ``env.rng`` at
    ``numpy.random.default_rng(seed)`` and the same pot placement, bit for bit.

    Args:
        model: The physics model.
    """

    def __init__(self, model: TwoArmModel) -> None:
        self._model = model
        self._mujoco = load_mujoco()

    def apply(self, data: Any, record: Any, *, seed: int, placement: tuple[float, float, float]) -> None:
        """Writes the start state.

        Args:
            data: MjData of the model.
            record: (1,) controller record; its state is reset.
            seed: Seed of the joint noise.
            placement: Pot offset x, y (m) and turn (rad) from the pose in which the handles face the arms.
        """
        model, mujoco, c = self._model, self._mujoco, record[0]
        mj_model = model.mj_model
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(mj_model, data)
        for arm in range(NUM_ARMS):
            noise = rng.standard_normal(len(model.arm_rest_qpos[arm])) * JOINT_NOISE_RAD
            c["rest_qpos"][arm] = model.arm_rest_qpos[arm] + noise
            data.qpos[c["arm_qpos"][arm]] = c["rest_qpos"][arm]
        # robosuite's controllers take their first inertia matrix here, with the fingers at zero.
        mujoco.mj_forward(mj_model, data)
        arm_inertias(c, data.qM, c["first_inertia"])
        c["is_first"] = 1
        c["gripper_command"] = 0.0
        for arm in range(NUM_ARMS):
            data.qpos[c["finger_qpos"][arm]] = model.finger_rest_qpos[arm]
        x_m, y_m, turn_rad = placement
        half = (math.pi + turn_rad) / 2.0
        pot = model.pot_qpos
        data.qpos[pot : pot + 3] = (x_m, y_m, TABLE_TOP_M + POT_HALF_HEIGHT_M)
        data.qpos[pot + 3 : pot + 7] = (math.cos(half), 0.0, 0.0, math.sin(half))
        mujoco.mj_forward(mj_model, data)
        for arm in range(NUM_ARMS):
            site = model.grip_sites[arm]
            c["goal_position"][arm] = data.site_xpos[site]
            c["goal_rotation"][arm] = data.site_xmat[site].reshape(3, 3)
