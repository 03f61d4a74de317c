"""Leaves a server as it was found when the world's process ends without doing so: killed, crashed or out of memory.

A small process waits on a pipe. Where the pipe ends before the word that all is done, it connects to the server,
destroys what was spawned, and restores settings, weather and the lights' own cycles. It is nobody's child, because
Ray kills the children of a worker that it ends.
``python -m simloop_carla.world.link.caretaker`` is that process.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

from simloop import wall_clock
from simloop_carla.world.link.plain_values import values_of, with_values

_DONE = "done"
_CLEAR = "clear"
_LIGHTS = "lights "
PATIENCE_S = 10.0
STOP_PATIENCE_S = 5.0


class Caretaker:
    """The process that waits.

    Args:
        host: Where the server is.
        port: Its port.
        settings: ``carla.WorldSettings`` that were found.
        weather: ``carla.WeatherParameters`` that were found.
    """

    def __init__(self, host: str, port: int, settings: Any, weather: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "simloop_carla.world.link.caretaker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # ends when the process does
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._address = host, port
        found = {"settings": values_of(settings), "weather": values_of(weather)}
        self._tell(json.dumps({"host": host, "port": port, **found}))

    def spawned(self, actor_id: int) -> None:
        """Notes an actor that is to be destroyed."""
        self._tell(str(actor_id))

    def lights(self, found: dict[str, Any]) -> None:
        """Notes lights that are to be restored.

        Args:
            found: ``world``, the number of the world that has them; their ``states`` by actor; ``is_frozen``.
        """
        self._tell(_LIGHTS + json.dumps(found))

    def clear(self) -> None:
        """Forgets all actors: they are gone."""
        self._tell(_CLEAR)

    def dismiss(self, *, is_done: bool) -> None:
        """Ends the process.

        Args:
            is_done: It leaves the server alone; otherwise it restores the server, while this process goes on.
        """
        if is_done:
            self._tell(_DONE)
        else:
            _RESTORING[self._address] = self
        pipe = self._process.stdin
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
        if is_done:
            self.await_end(STOP_PATIENCE_S)

    def await_end(self, patience_s: float) -> None:
        """Waits until the process, which has been dismissed, has ended."""
        pipe = self._process.stdout
        if pipe is not None and not pipe.closed:
            with pipe, selectors.DefaultSelector() as selector:
                selector.register(pipe, selectors.EVENT_READ)
                selector.select(patience_s)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_PATIENCE_S)

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # without a caretaker a session goes on as well
            if pipe is not None:
                pipe.write(line + "\n")
                pipe.flush()


_RESTORING: dict[tuple[str, int], Caretaker] = {}
"""By server: the one of an earlier session of this process that could not do it itself."""


def await_restoring(host: str, port: int) -> None:
    """Waits for what an earlier session of this process left to its caretaker: the next one finds it undisturbed."""
    earlier = _RESTORING.pop((host, port), None)
    if earlier is not None:
        earlier.await_end(len(_STEPS) * PATIENCE_S)


def _settings(client: Any, found: dict[str, Any], actors: Iterable[int]) -> None:
    world = client.get_world()
    world.apply_settings(with_values(world.get_settings(), found["settings"]))


def _actors(client: Any, found: dict[str, Any], actors: Iterable[int]) -> None:
    import carla

    client.apply_batch_sync([carla.command.DestroyActor(one) for one in sorted(actors, reverse=True)], False)


def _weather(client: Any, found: dict[str, Any], actors: Iterable[int]) -> None:
    world = client.get_world()
    world.set_weather(with_values(world.get_weather(), found["weather"]))


def _lights(client: Any, found: dict[str, Any], actors: Iterable[int]) -> None:
    import carla

    world = client.get_world()
    until_s = wall_clock.monotonic_s() + PATIENCE_S
    while world.get_snapshot().frame == 0 and wall_clock.monotonic_s() < until_s:
        wall_clock.sleep_s(0.01)  # a new client knows of no light before its first snapshot
    lights: Any = world.get_actors().filter("traffic.traffic_light*")
    noted = found.get("lights", {})
    of_this_world = noted if noted.get("world") == world.id else {}
    states = of_this_world.get("states", {})
    for light in lights:
        if str(light.id) in states:
            light.set_state(carla.TrafficLightState.values[states[str(light.id)]])
    if len(lights):
        lights[0].freeze(of_this_world.get("is_frozen", False))  # all of them


_STEPS: tuple[Callable[[Any, dict[str, Any], Iterable[int]], None], ...] = (
    _settings,
    _actors,
    _weather,
    _lights,
)
"""What is restored, most important first; one that fails does not keep the others."""


def _restore(found: dict[str, Any], actors: Iterable[int]) -> None:
    import carla

    client = carla.Client(found["host"], found["port"])
    client.set_timeout(PATIENCE_S)
    for step in _STEPS:
        try:
            socket.create_connection((found["host"], found["port"]), PATIENCE_S).close()
        except OSError:  # the server is gone as well
            return
        with contextlib.suppress(RuntimeError):  # it is slow or refuses this one; the others matter as well
            step(client, found, actors)


def main() -> None:
    """Waits until the standard input ends."""
    if hasattr(os, "fork") and os.fork():
        os._exit(0)
    lines = iter(sys.stdin)
    found = json.loads(next(lines))
    actors: set[int] = set()
    for line in lines:
        word = line.strip()
        if word == _DONE:
            return
        if word == _CLEAR:
            actors.clear()
        elif word.startswith(_LIGHTS):
            found["lights"] = json.loads(word.removeprefix(_LIGHTS))
        else:
            actors.add(int(word))
    _restore(found, actors)


if __name__ == "__main__":
    main()
