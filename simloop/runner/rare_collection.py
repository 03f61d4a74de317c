"""Keeps Python's cycle collector out of the way of many interleaved episodes.

Hundreds of episodes at once hold millions of small objects, and a collector that starts whenever many were made goes
through all of them again and again; that took a third of a sweep's time. Here it runs every few seconds.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator

from simloop import wall_clock

_EVERY_S = 5.0


@contextlib.contextmanager
def rare_collection() -> Iterator[Callable[[], None]]:
    """Switches automatic collection off inside; yields what to call now and then, which collects if it is due."""
    was_enabled = gc.isenabled()
    last_s = wall_clock.now_s()

    def collect_if_due() -> None:
        nonlocal last_s
        if wall_clock.now_s() - last_s > _EVERY_S:
            gc.collect()
            last_s = wall_clock.now_s()

    gc.disable()
    try:
        yield collect_if_due
    finally:
        if was_enabled:
            gc.enable()
