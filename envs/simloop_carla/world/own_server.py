"""A ``simloop carla-server`` of one's own, for worlds that are given no server."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import subprocess
import sys
import weakref
from pathlib import Path

from simloop.errors import WorldError

_READY = re.compile(r"on [^ ]+:(\d+), streams on \d+")
START_PATIENCE_S = 600.0
"""The first start on a machine compiles."""
STOP_PATIENCE_S = 5.0


class OwnServer:
    """A server process that ends with this process, or when it is closed.

    Attributes:
        port: Port of remote calls.
        num_episodes: Episodes played on it.

    Raises:
        WorldError: It does not start; the message has what it printed.
    """

    def __init__(self) -> None:
        script = Path(sys.executable).with_name("simloop")
        command = [str(script)] if script.exists() else [sys.executable, "-m", "simloop.cli.main"]
        self._process = subprocess.Popen(
            [*command, "carla-server", "--port", "0", "--map", "straight_track", "--until-stdin-closes"],
            stdin=subprocess.PIPE,  # its end ends the server, however this process ends
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._finalizer = weakref.finalize(self, _end, self._process)
        self.port = self._read_port()
        self.num_episodes = 0

    def _read_port(self) -> int:
        pipe = self._process.stdout
        assert pipe is not None
        said = []
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(START_PATIENCE_S):
                line = pipe.readline()
                if not line:
                    break
                said.append(line)
                if (found := _READY.search(line)) is not None:
                    return int(found[1])
        self.close()
        raise WorldError(
            f"simloop carla-server did not start within {START_PATIENCE_S:g} s; it said: "
            f"{''.join(said).strip() or '(nothing)'}. Run 'simloop carla-server --port 0' by itself to see why (its "
            "first start on a machine compiles), or start one and name its port with world.port."
        )

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def resident_mb(self) -> float:
        """Returns the resident memory, 0 where the system does not tell."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1]
            return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
        return 0.0

    def close(self) -> None:
        """Ends the process."""
        self._finalizer()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
