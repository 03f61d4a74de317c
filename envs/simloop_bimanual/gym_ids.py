"""Gymnasium ids of the two-arm tasks."""

from __future__ import annotations

from typing import Any

import gymnasium

IDS = {
    "simloop/TwoArmLift-v0": "two_arm_lift",
    "simloop/TwoArmLiftVaried-v0": "two_arm_lift_varied",
    "simloop/TwoArmHandover-v0": "two_arm_handover",
    "simloop/TwoArmPegInHole-v0": "two_arm_peg_in_hole",
    "simloop/TwoArmTransport-v0": "two_arm_transport",
    "simloop/TwoArmTrayBalance-v0": "two_arm_tray_balance",
    "simloop/TwoArmConveyorLift-v0": "two_arm_conveyor_lift",
    "simloop/TwoArmMovingHandover-v0": "two_arm_moving_handover",
    "simloop/TwoArmDisassemble-v0": "two_arm_disassemble",
    "simloop/TwoArmFoldTowel-v0": "two_arm_fold_towel",
}
"""Scenario family by Gymnasium id."""


def register_ids() -> None:
    """Registers every id of this package that is not registered yet; called on import."""
    for env_id, family in IDS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                id=env_id, entry_point="simloop_bimanual.gym_ids:make", kwargs={"family": family}
            )


def make(family: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Makes the Gymnasium view of a family.

    Args:
        family: Name of the family.
        options: Those of ``simloop.gym_env.WorldEnv`` and, beside them, the world's own.

    Raises:
        UnknownNameError: There is no such option.
    """
    from simloop.gym_env import WorldEnv  # importing the package must not load numba
    from simloop.gym_options import env_options
    from simloop_bimanual.world import BimanualWorld

    return WorldEnv(BimanualWorld, family, **env_options(BimanualWorld, options, "gymnasium.make"))
