"""Every public call of the client's Python API is driven, or stands in a table of what is not offered.

A call that is in neither makes ``test_no_call_is_forgotten`` fail, so that a new client library shows what is new.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import carla
import pytest

from tests.carla import api_actors, api_data, api_lights, api_world
from tests.carla.api_not_offered import REFUSED, WITHOUT_EFFECT
from tests.carla.stage import Stage

Check = Callable[[Any], object]
TRAFFIC = "driven by test_traffic"


def _of(owner: str, table: dict[str, Check]) -> dict[str, Check]:
    return {f"{owner}.{name}": check for name, check in table.items()}


DRIVEN: dict[str, Check] = {
    **_of("Client", api_world.CLIENT),
    **_of("World", api_world.WORLD),
    **_of("Map", api_world.MAP),
    **api_world.BLUEPRINTS,
    **_of("Actor", api_actors.ACTOR),
    **_of("Vehicle", api_actors.VEHICLE),
    **_of("Walker", api_actors.WALKER),
    **_of("WalkerAIController", api_actors.LEADER),
    **_of("TrafficLight", api_lights.LIGHT),
    **_of("TrafficSign", api_lights.SIGN),
    **api_data.DRIVEN,
}

LOADING = _of("Client", api_world.LOADING)
ELSEWHERE = {"Client.get_trafficmanager": TRAFFIC, **api_data.ELSEWHERE}
"""Calls that need what the town has not, or that other tests drive."""


def test_no_call_is_forgotten() -> None:
    own = {
        f"{name}.{call}"
        for name in api_data.CLASSES
        for call in vars(getattr(carla, name))
        if not call.startswith("_") and call not in ("names", "values")
    }
    own |= {f"command.{name}" for name in vars(carla.command) if not name.startswith("_")}
    tables = (DRIVEN, REFUSED, WITHOUT_EFFECT, LOADING, ELSEWHERE)
    listed = [call for table in tables for call in table]
    assert sorted(own - set(listed)) == []
    assert sorted(set(listed) - own) == []
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("call", DRIVEN)
def test_a_call_does_what_it_says(stage: Stage, call: str) -> None:
    assert DRIVEN[call](stage)


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_not_offered_says_so(stage: Stage, call: str) -> None:
    act, reason = REFUSED[call]
    with pytest.raises(RuntimeError, match=reason):
        act(stage)


@pytest.mark.parametrize("call", WITHOUT_EFFECT)
def test_what_has_no_effect_does_no_harm(stage: Stage, call: str) -> None:
    before = stage.car.get_transform()
    assert WITHOUT_EFFECT[call](stage) is None
    frame = stage.tick()
    assert stage.tick() == frame + 1
    assert stage.car.get_transform() == before


def test_worlds_load(server: Any) -> None:
    """In a process of its own: a client that has lost its world is no company for the others."""
    script = (
        "import os, sys, carla; from tests.carla.api_world import LOADING; "
        "client = carla.Client('127.0.0.1', int(sys.argv[1])); client.set_timeout(60.0); "
        "print([call for call, check in LOADING.items() if not check(client)], flush=True); os._exit(0)"
    )
    command = [sys.executable, "-c", script, str(server.port)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=root)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr
