"""The one module that may read the wall clock: progress, limits, and columns whose name ends in ``_wall``.

Nothing that enters an episode's hash comes from here.
"""

from __future__ import annotations

import datetime
import resource
import time


def now_s() -> float:
    """Returns seconds on a clock that never goes back; only differences mean anything."""
    return time.perf_counter()


def now_ns() -> int:
    """Returns nanoseconds on the clock of ``now_s``, for the time that an inference takes."""
    return time.perf_counter_ns()


def monotonic_s() -> float:
    """Returns seconds on the clock that all processes of this machine share."""
    return time.monotonic()


def sleep_s(seconds: float) -> None:
    """Waits; for pollers of the runner, never for a simulated world."""
    time.sleep(seconds)


def cpu_s() -> float:
    """Returns the CPU seconds (user + system) of this process and of its finished children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def utc_now() -> datetime.datetime:
    """Returns the present date and time in UTC, for manifests and run names."""
    return datetime.datetime.now(datetime.UTC)
