"""The client library's TrafficManager in a process of its own, which ticks the server: run by ``background.traffic``.

The manager's threads end the whole process when a call of theirs fails, as when a server dies, and in synchronous mode
it moves its vehicles in the process that ticks. Requests come as lines of JSON on the standard input, answers go as
lines to the standard output; when the input ends, so do the manager and the process.

``python -m simloop_carla.world.background.traffic_process HOST PORT TRAFFIC_MANAGER_PORT PATIENCE_S``
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import IO, Any


class Traffic:
    """The manager and its vehicles.

    Args:
        host: Where the server is.
        port: Its port.
        traffic_manager_port: The manager's own port.
        patience_s: How long a call may take.
    """

    def __init__(self, host: str, port: int, traffic_manager_port: int, patience_s: float) -> None:
        import carla

        self._carla = carla
        self._client = carla.Client(host, port)
        self._client.set_timeout(patience_s)
        self._patience_s = patience_s
        self._world = self._client.get_world()
        self._manager = self._client.get_trafficmanager(traffic_manager_port)
        self._port = traffic_manager_port
        self._manager.set_synchronous_mode(True)
        self._manager.set_hybrid_physics_mode(False)
        self._driven: list[int] = []

    def drive(self, ids: list[int], seed: int) -> list[int]:
        """Hands vehicles over to the manager; returns those that it took."""
        self._manager.set_random_device_seed(seed)
        self._driven = self._set_autopilot(ids, is_on=True)
        return self._driven

    def release(self) -> list[int]:
        """Takes the vehicles from the manager, which must be before they are destroyed; returns those."""
        released = self._set_autopilot(self._driven, is_on=False)
        self._driven = []
        return released

    def tick(self) -> int:
        """Ticks the server and lets the manager decide on the next controls; returns the tick's frame."""
        return int(self._world.tick(self._patience_s))

    def shut_down(self) -> None:
        """Ends the manager, and destroys the vehicles that it still has: whoever handed them over is gone."""
        left = self.release()
        if left:
            self._client.apply_batch_sync(
                [self._carla.command.DestroyActor(number) for number in left], False
            )
        self._manager.set_synchronous_mode(False)
        self._manager.shut_down()

    def _set_autopilot(self, ids: list[int], *, is_on: bool) -> list[int]:
        if not ids:
            return []
        commands = [self._carla.command.SetAutopilot(number, is_on, self._port) for number in ids]
        answers = self._client.apply_batch_sync(commands, False)
        return [number for number, answer in zip(ids, answers, strict=True) if not answer.error]


def _serve(requests: IO[str], answers: IO[str], traffic: Traffic) -> None:
    calls: dict[str, Callable[..., Any]] = {
        "drive": traffic.drive,
        "release": traffic.release,
        "tick": traffic.tick,
    }
    for line in requests:
        name, *words = json.loads(line)
        try:
            answer = {"result": calls[name](*words)}
        except RuntimeError as error:
            answer = {"error": str(error).strip()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serves until the standard input ends."""
    host, port, traffic_manager_port, patience_s = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the library prints is no answer
    try:
        traffic = Traffic(host, int(port), int(traffic_manager_port), float(patience_s))
    except RuntimeError as error:
        answers.write(json.dumps({"error": str(error).strip()}) + "\n")
        answers.flush()
        os._exit(1)
    answers.write(json.dumps({"result": "ready"}) + "\n")
    answers.flush()
    _serve(sys.stdin, answers, traffic)
    try:
        traffic.shut_down()
    finally:
        os._exit(0)  # the manager's threads do not end in an orderly way


if __name__ == "__main__":
    main()
