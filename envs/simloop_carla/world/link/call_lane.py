"""Calls that end when the server does, although the client library would wait until its patience is over.

The library's calls cannot be interrupted, and it does not look whether its connection is still there. So they run in a
thread of their own, and the caller waits for the result or for the end of a second connection that nobody uses: the
system closes that one when the server's process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class ServerGoneError(RuntimeError):
    """The server closed its connections during a call, or before it."""


class _Task:
    """A call, and what came of it once ``is_done``."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._function, self._arguments = function, arguments
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_done = False

    def run(self) -> None:
        try:
            self.result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the call was made
            self.error = error
        self.is_done = True


class CallLane:
    """A thread that makes calls, one after the other.

    Args:
        watched: A connection to the server that nothing is sent on; it belongs to the lane from now on.
    """

    def __init__(self, watched: socket.socket) -> None:
        self._watched = watched
        self._done, done = socket.socketpair()
        for one in (watched, self._done):
            one.setblocking(False)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._selector.register(watched, selectors.EVENT_READ)
        self._selector.register(self._done, selectors.EVENT_READ)
        self._thread = threading.Thread(
            target=_work, args=(self._tasks, done), name="calls to CARLA", daemon=True
        )
        self._thread.start()
        self._finalizer = weakref.finalize(self, _close, self._tasks, self._selector, watched, self._done)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function and returns its result; what the function calls through this lane runs at once.

        Raises:
            ServerGoneError: The server is gone; a call that was made goes on by itself until it fails.
        """
        if threading.current_thread() is self._thread:
            return function(*arguments)
        if self.is_gone():
            raise ServerGoneError("the connection was lost")
        task = _Task(function, arguments)
        self._tasks.put(task)
        while not task.is_done:
            self._selector.select()
            if not self._take_notes() and self.is_gone():
                raise ServerGoneError("the connection was lost")
        if task.error is not None:
            raise task.error
        result: T = task.result
        return result

    def _take_notes(self) -> bool:
        """Returns whether the thread has said that something is done; that may be a call before the one waited for."""
        with contextlib.suppress(BlockingIOError):
            return bool(self._done.recv(64))
        return False

    def is_gone(self) -> bool:
        """Whether the server closed the connection."""
        try:
            return not self._watched.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Ends the thread once its last call is over, and closes the connection."""
        self._finalizer()


def _work(tasks: queue.SimpleQueue[_Task | None], done: socket.socket) -> None:
    with done, contextlib.suppress(OSError):  # the other end is closed when nobody waits any more
        while (task := tasks.get()) is not None:
            task.run()
            del task  # it holds what it called
            done.send(b"\0")


def _close(
    tasks: queue.SimpleQueue[_Task | None],
    selector: selectors.BaseSelector,
    watched: socket.socket,
    done: socket.socket,
) -> None:
    tasks.put(None)
    selector.close()
    watched.close()
    done.close()
