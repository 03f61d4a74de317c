"""Gymnasium ids of the driving scenario families."""

from __future__ import annotations

from typing import Any

import gymnasium

FAMILY_BY_ID = {
    "simloop/CutIn-v0": "cut_in",
    "simloop/LeadDeceleration-v0": "lead_deceleration",
}


def register_ids() -> None:
    """Registers every id that is not registered yet."""
    for env_id, family in FAMILY_BY_ID.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                id=env_id, entry_point="simloop_driving.gym_ids:make_env", kwargs={"family": family}
            )


def make_env(family: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Makes the Gymnasium view of a family; ``options`` are those of ``simloop.gym_env.WorldEnv``."""
    from simloop.gym_env import WorldEnv  # importing the package must not load numba
    from simloop_driving.world import DrivingWorld

    return WorldEnv(DrivingWorld, family, **options)
