"""Gymnasium ids of the driving scenario families: one a family, and one that plays any of them."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Any

import gymnasium

from simloop.errors import ConfigurationError

if TYPE_CHECKING:
    from simloop.world import World

ANY_SCENARIO_ID = "simloop/Driving-v0"
"""Plays the scenario that ``reset(options={"scenario": ...})`` names."""


def _ids() -> dict[str, str]:
    folder = importlib.resources.files("simloop_scenarios") / "driving"
    families = sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
    return {f"simloop/{family.title().replace('_', '')}-v0": family for family in families}


FAMILY_BY_ID = _ids()
"""Scenario family by Gymnasium id; every shipped file of the folder ``driving`` has one."""


def register_ids() -> None:
    """Registers every id that is not registered yet."""
    for env_id, family in FAMILY_BY_ID.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                id=env_id, entry_point="simloop_driving.gym_ids:make_env", kwargs={"family": family}
            )
    if ANY_SCENARIO_ID not in gymnasium.registry:
        gymnasium.register(
            id=ANY_SCENARIO_ID,
            entry_point="simloop_driving.gym_ids:make_any_scenario_env",
            kwargs={"family": "cut_in"},
        )


def make_env(family: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Makes the Gymnasium view of a family.

    Args:
        family: Name of the family.
        options: Those of ``simloop.gym_env.WorldEnv``; ``world``, the name of a world that plays driving families, and
            that world's own options, for example ``world="carla", port=2000``.
    """
    from simloop.gym_env import WorldEnv  # importing the package must not load numba

    world, rest = _split_options(options)
    return WorldEnv(world, family, **rest)


def make_any_scenario_env(family: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Makes the view of any driving family; it plays ``family`` until ``reset`` names another.

    The world, and with it actions and observations, are those of the family that it is made with, changed by
    ``world_config``; ``reset(options={"scenario": name_or_path, "parameters": {...}})`` chooses what is played in it.
    """
    from simloop.gym_env import AnyScenarioEnv

    world, rest = _split_options(options)
    return AnyScenarioEnv(world, family, **rest)


def _split_options(options: dict[str, Any]) -> tuple[type[World], dict[str, Any]]:
    """Returns the world's class and the environment's options, with the world's own ones in ``world_config``.

    Raises:
        ConfigurationError: The world does not play driving families, or there is no such option.
    """
    from simloop.gym_options import env_options
    from simloop.plugins import world_class
    from simloop_driving.world import DrivingWorld

    rest = dict(options)
    name = rest.pop("world", "driving")
    world = world_class(name)
    if not issubclass(world, DrivingWorld):
        raise ConfigurationError(
            f"world is {name!r}, which does not play driving families; allowed: driving, carla."
        )
    return world, env_options(world, rest, f"gymnasium.make(..., world={name!r})")
