"""Resident memory over many episodes in one process: reset, expert, loop, log and all metrics leave nothing behind."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import pytest

from simloop.log import EpisodeLog

ALLOWED_MB = 20.0
QUICK_ALLOWED_MB = 5.0
"""Of 120 short episodes, whose logs together have about twice as much."""
LEAK_BYTES = 2**19

MemoryOverEpisodes = Callable[..., list[float]]


def test_memory_is_flat(memory_over_episodes: MemoryOverEpisodes) -> None:
    """Some of the same episodes once more, each leaving half a megabyte behind, show that the check sees a leak.

    What is left lies in pages of its own: in a process that has been large, a small leak would fill what is free.
    """
    flat_mb = memory_over_episodes(40, 120, time_limit_s=1.5)
    assert max(flat_mb) - flat_mb[0] <= QUICK_ALLOWED_MB, flat_mb
    left: list[mmap.mmap] = []

    def leave(log: EpisodeLog) -> None:
        assert log.num_rows("ticks")
        left.append(mmap.mmap(-1, LEAK_BYTES))
        left[-1].write(b"x" * LEAK_BYTES)

    leaking_mb = memory_over_episodes(6, 30, time_limit_s=1.5, keep=leave)
    grown_mb = leaking_mb[-1] - leaking_mb[0]
    assert grown_mb > max(0.8e-6 * 30 * LEAK_BYTES, 2.0 * QUICK_ALLOWED_MB), leaking_mb
    assert len(left) == 36


@pytest.mark.nightly
def test_memory_is_flat_over_ten_thousand_episodes(memory_over_episodes: MemoryOverEpisodes) -> None:
    readings_mb = memory_over_episodes(500, 9500)
    assert max(abs(mb - readings_mb[0]) for mb in readings_mb) <= ALLOWED_MB, readings_mb
