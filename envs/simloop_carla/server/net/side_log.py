"""Logging that never holds the server up: lines are written by a thread, and left out while nobody takes them.

A parent that reads nothing fills its pipe after 64 KiB; a write in the server's own thread would then stop the server
for every client.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from logging.handlers import QueueHandler

MAX_WAITING_LINES = 1000
LAST_LINES_FOR_S = 0.5
"""How long the process waits at its end for somebody to take the last lines."""


class SideLog(QueueHandler):
    """Writes lines to a file descriptor from a thread of its own.

    Args:
        descriptor: Where to write; standard error if left out.

    Attributes:
        num_dropped: Lines that were left out so far.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(MAX_WAITING_LINES)
        super().__init__(self._lines)
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self._descriptor = descriptor
        self.num_dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def enqueue(self, record: logging.LogRecord) -> None:
        """Hands a line to the thread, or counts it as dropped."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.num_dropped += 1

    def _write(self) -> None:
        told = 0
        while (record := self._lines.get()) is not None:
            # Not through sys.stderr: its lock would be held by a thread that is stuck when the interpreter ends.
            text = record.getMessage() + "\n"
            if self.num_dropped > told:
                told = self.num_dropped
                text += f"WARNING {told} lines were left out so far: nobody took them.\n"
            content = text.encode("utf-8", "replace")
            try:
                while content:
                    content = content[os.write(self._descriptor, content) :]
            except OSError:  # nobody will ever read it
                return

    def close(self) -> None:
        """Ends the thread once it has written what waits, if somebody takes it."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            pass
        else:
            self._thread.join(LAST_LINES_FOR_S)
        super().close()
