"""The link to the process that has the TrafficManager."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import weakref
from typing import IO, Any

from simloop.errors import WorldError
from simloop_carla.world.link.client import Address

START_PATIENCE_S = 120.0
"""The manager reads the whole map when it starts."""
STOP_PATIENCE_S = 5.0
SHOWN_CHARACTERS = 300


class TrafficLink:
    """A process with a TrafficManager, which ends when this one does, or when it is closed.

    Args:
        address: The server.
        port: Port of the manager, None for a free one.

    Attributes:
        port: Port of the manager.

    Raises:
        WorldError: The port is in use, or the process does not start; the message has what it printed.
    """

    def __init__(self, address: Address, port: int | None) -> None:
        self._address = address
        self.port = _checked_port(port)
        words = [address.host, str(address.port), str(self.port), str(address.patience_s)]
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "simloop_carla.world.background.traffic_process", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            start_new_session=True,
        )
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._finalizer = weakref.finalize(self, _end, self._process, self._selector, self._said)
        self._answer("starting", START_PATIENCE_S)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, name: str, *words: object) -> Any:
        """Calls a method of ``traffic_process.Traffic`` and returns its result.

        Raises:
            WorldError: It fails, or the process is gone.
        """
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(json.dumps([name, *words]) + "\n")
            pipe.flush()
        except (OSError, ValueError) as error:
            raise self._failure(name, f"the process is gone ({error})") from error
        patience_s = STOP_PATIENCE_S if name == "release" else self._address.patience_s + STOP_PATIENCE_S
        return self._answer(name, patience_s)

    def _answer(self, name: str, patience_s: float) -> Any:
        pipe = self._process.stdout
        assert pipe is not None
        if not self._selector.select(patience_s):
            raise self._failure(name, f"no answer within {patience_s:g} s")
        line = pipe.readline()
        if not line:
            raise self._failure(name, "the process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failure(name, str(answer["error"]))
        return answer["result"]

    def _failure(self, name: str, reason: str) -> WorldError:
        self.kill()
        self._said.seek(0)
        said = self._said.read().strip()[-SHOWN_CHARACTERS:]
        return WorldError(
            f"The TrafficManager (port {self.port}) on the CARLA server at {self._address} failed at {name!r}: {reason}"
            f"{'; it said: ' + said if said else ''}."
        )

    def kill(self) -> None:
        """Ends the process at once, as when the server is gone and no call of it will come back."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends the manager and its process."""
        self._finalizer()


def _checked_port(port: int | None) -> int:
    try:
        with socket.create_server(("127.0.0.1", port or 0)) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise WorldError(
            f"The TrafficManager cannot have the port {port} (world.traffic_manager_port): {error.strerror or error}. "
            "Leave it out for a free one, or end the manager that has it."
        ) from error


def _end(process: subprocess.Popen[str], selector: selectors.BaseSelector, said: IO[str]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    selector.close()
    if process.stdout is not None:
        process.stdout.close()
    said.close()
