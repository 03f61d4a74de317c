"""Options of ``gymnasium.make``: which are the environment's, which its world's, and which nobody's."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from simloop.errors import UnknownNameError
from simloop.gym_env import WorldEnv
from simloop.world import World


def env_options(world: type[World], options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Tells a world's own options from those of ``WorldEnv``.

    Args:
        world: Class of the world, which names its options.
        options: Those of ``WorldEnv`` and, beside them, the world's own.
        where: What was called, for the message.

    Returns:
        The options of ``WorldEnv``; the world's own are in its ``world_config``.

    Raises:
        UnknownNameError: Neither of the two has an option of that name.
    """
    of_env = [name for name in inspect.signature(WorldEnv).parameters if name not in ("make_world", "family")]
    of_world = list(inspect.signature(world).parameters)
    rest = {name: value for name, value in options.items() if name in of_env}
    own = {name: value for name, value in options.items() if name not in of_env}
    for name in own:
        if name not in of_world:
            raise UnknownNameError("option", name, [*of_world, *of_env], where=where)
    config = {**own, **(rest.get("world_config") or {})}
    for name in config:
        if name not in of_world:
            raise UnknownNameError("option", str(name), of_world, where=f"world_config of {where}")
    return {**rest, "world_config": config} if config else rest
