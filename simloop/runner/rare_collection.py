"""Keeps Python's cycle collector out of the way of many interleaved episodes.

Hundreds of episodes at once hold millions of small objects, and a collector that starts whenever many were made goes
through all of them again and again; that took a third of a sweep's time. Here it runs seldom enough to take next to
nothing, and often enough that garbage in cycles does not pile up.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator

from simloop import wall_clock

_EVERY_S = 5.0
_SHARE = 0.02
"""Share of the time that collecting may take."""


@contextlib.contextmanager
def rare_collection() -> Iterator[Callable[[], None]]:
    """Switches automatic collection off inside; yields what to call now and then, which collects if it is due."""
    was_enabled = gc.isenabled()
    due_s = wall_clock.now_s() + _EVERY_S

    def collect_if_due() -> None:
        nonlocal due_s
        start_s = wall_clock.now_s()
        if start_s > due_s:
            gc.collect()
            end_s = wall_clock.now_s()
            due_s = end_s + max(_EVERY_S, (end_s - start_s) / _SHARE)

    gc.disable()
    try:
        yield collect_if_due
    finally:
        if was_enabled:
            gc.enable()
