"""Leaves a server as it was found when the world's process ends without doing so: killed, crashed or out of memory.

A small process waits on a pipe. Where the pipe ends before the word that all is done, it connects to the server,
destroys what was spawned, and restores settings, weather and the lights' own cycles.
``python -m simloop_carla.world.caretaker`` is that process.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from simloop import wall_clock

_DONE = "done"
_CLEAR = "clear"
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
            [sys.executable, "-P", "-m", "simloop_carla.world.caretaker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        found = {"settings": _plain(settings), "weather": _plain(weather)}
        self._tell(json.dumps({"host": host, "port": port, **found}))

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def spawned(self, actor_id: int) -> None:
        """Notes an actor that is to be destroyed."""
        self._tell(str(actor_id))

    def clear(self) -> None:
        """Forgets all actors: they are gone."""
        self._tell(_CLEAR)

    def dismiss(self) -> None:
        """Ends the process, which then leaves the server alone."""
        self._tell(_DONE)
        pipe = self._process.stdin
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # without a caretaker a session goes on as well
            if pipe is not None:
                pipe.write(line + "\n")
                pipe.flush()


def _plain(values: Any) -> dict[str, Any]:
    """Returns the properties of an object of the client library."""
    names = [name for name, value in vars(type(values)).items() if isinstance(value, property)]
    return {name: getattr(values, name) for name in names}


def _restore(found: dict[str, Any], actors: Iterable[int]) -> None:
    import carla

    client = carla.Client(found["host"], found["port"])
    client.set_timeout(PATIENCE_S)
    commands = [carla.command.DestroyActor(number) for number in sorted(actors, reverse=True)]
    client.apply_batch_sync(commands, False)
    world = client.get_world()
    settings, weather = world.get_settings(), world.get_weather()
    for target, values in ((settings, found["settings"]), (weather, found["weather"])):
        for name, value in values.items():
            setattr(target, name, value)
    world.set_weather(weather)
    world.apply_settings(settings)
    until_s = wall_clock.monotonic_s() + PATIENCE_S
    while world.get_snapshot().frame == 0 and wall_clock.monotonic_s() < until_s:
        wall_clock.sleep_s(0.01)  # a new client knows of no light before its first snapshot
    lights: Any = world.get_actors().filter("traffic.traffic_light*")
    if len(lights):
        lights[0].freeze(False)  # all of them


def main() -> None:
    """Waits until the standard input ends."""
    lines = iter(sys.stdin)
    found = json.loads(next(lines))
    actors: set[int] = set()
    for line in lines:
        word = line.strip()
        if word == _DONE:
            return
        if word == _CLEAR:
            actors.clear()
        else:
            actors.add(int(word))
    with contextlib.suppress(RuntimeError):  # the server is gone as well
        _restore(found, actors)


if __name__ == "__main__":
    main()
