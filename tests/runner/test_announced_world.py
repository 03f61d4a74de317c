"""The wrapper that announces a world's calls hides nothing of the world."""

from __future__ import annotations

import inspect

from simloop.runner.announcement import AnnouncedWorld
from simloop.world import World


def test_every_method_of_a_world_is_passed_on() -> None:
    public = {name for name, _ in inspect.getmembers(World) if not name.startswith("_")}
    inherited = {name for name in public if name not in vars(AnnouncedWorld)}
    assert inherited == set()
