"""An event loop whose clock stands still while there is work, so that its delays do not depend on the machine."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

QUIET_S = 0.02
"""Sockets of this process that have been silent for so long, by the wall clock, have nothing under way."""


class _Selector(selectors.DefaultSelector):
    """Where the loop would wait for its next timer, makes it that time instead."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns what is ready, or nothing once time has been let pass."""
        if timeout is None or timeout <= 0.0:
            return super().select(timeout)
        ready = super().select(QUIET_S)
        if not ready:
            self.passed_s += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Returns the seconds that have been let pass."""
        return self._virtual.passed_s

    def spend(self, seconds: float) -> None:
        """Lets time pass within a callback, as one that works for so long would."""
        self._virtual.passed_s += seconds


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Runs what talks to itself through sockets; nothing outside of this process may be waited for."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def now_s() -> float:
    """Returns the running loop's time."""
    return asyncio.get_running_loop().time()


def spend(seconds: float) -> None:
    """Has the running callback take a time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    loop.spend(seconds)
