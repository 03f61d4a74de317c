"""A ``simloop carla-server`` of one's own, for worlds that are given no server."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import IO

from simloop.errors import WorldError
from simloop_carla.world.link.vacant_ports import keep_vacant

_LOG = logging.getLogger(__name__)
_READY = re.compile(r"on [^ ]+:(\d+), streams on (\d+)")
START_PATIENCE_S = 600.0
"""The first start on a machine compiles."""
SILENT_START_S = 3.0
"""A start that takes longer is spoken of."""
STOP_PATIENCE_S = 5.0
END_PATIENCE_S = 2.0
"""How long a process takes to be gone once its connections are; its last words come in that time, too."""
KEPT_LINES = 20


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
            errors="replace",
            start_new_session=True,
        )
        self._speech = _Speech(self._process.stdout)
        self._finalizer = weakref.finalize(self, _end, self._process, self._speech)
        self.port = self._read_port()
        self.num_episodes = 0

    def _read_port(self) -> int:
        if not self._speech.is_ready.wait(SILENT_START_S):
            _LOG.warning(
                "Starting a CARLA server (simloop carla-server); the first start on a machine compiles, which can take "
                "minutes."
            )
        if self._speech.is_ready.wait(START_PATIENCE_S) and self._speech.port is not None:
            return self._speech.port
        has_ended = self._speech.is_ready.is_set()
        how = self._how_it_ended() if has_ended else f"did not start within {START_PATIENCE_S:g} s"
        said = self._speech.last_words() or "(nothing)"
        self.close()
        raise WorldError(
            f"simloop carla-server {how}; it said: {said}. Run 'simloop carla-server --port 0' by itself to see why "
            "(its first start on a machine compiles), or start one and name its port with world.port."
        )

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return "hung up, but runs"
        self._speech.thread.join(END_PATIENCE_S)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def obituary(self) -> str:
        """Returns how the process ended and what it said last, for an error message."""
        how, said = self._how_it_ended(), self._speech.last_words()
        return f"{how}; its last words: {said}" if said else how

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


class _Speech:
    """Reads what a process says, so that it never waits for a reader.

    Args:
        pipe: Its output.

    Attributes:
        thread: Ends when the process does.
        port: The port it listens at, once ``is_ready``.
        stream_port: The one of its streams.
        is_ready: Whether it listens, or has ended.
    """

    def __init__(self, pipe: IO[str] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.port: int | None = None
        self.stream_port: int | None = None
        self.is_ready = threading.Event()
        self.thread = threading.Thread(target=self._read, name="carla-server's words", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self._pipe:
            for line in self._pipe:
                found = _READY.search(line)
                if self.port is None and found is not None:
                    self.port, self.stream_port = int(found[1]), int(found[2])
                    self.is_ready.set()
                else:
                    self._lines.append(line)
        self.is_ready.set()

    def last_words(self) -> str:
        """Returns the last lines, without the one that says that it is ready."""
        return "".join(list(self._lines)).strip()


def _end(process: subprocess.Popen[str], speech: _Speech) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin is not None:
        process.stdin.close()
    if speech.stream_port is not None:
        keep_vacant(speech.stream_port)
