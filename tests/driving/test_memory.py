"""Resident memory over many episodes in one process: reset, expert, loop, log and all metrics leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simloop.log import EpisodeLog

ALLOWED_MB = 20.0
QUICK_ALLOWED_MB = 5.0
"""Of 120 short episodes, whose logs together have about twice as much."""

MemoryOverEpisodes = Callable[..., list[float]]


def test_memory_is_flat(memory_over_episodes: MemoryOverEpisodes) -> None:
    """The same episodes once more with every log kept show that the check sees what an episode leaves behind."""
    flat_mb = memory_over_episodes(40, 120, time_limit_s=1.5)
    assert max(flat_mb) - flat_mb[0] <= QUICK_ALLOWED_MB, flat_mb
    kept: list[EpisodeLog] = []
    leaking_mb = memory_over_episodes(40, 120, time_limit_s=1.5, keep=kept.append)
    assert max(leaking_mb) - leaking_mb[0] > QUICK_ALLOWED_MB, leaking_mb
    assert len(kept) == 160


@pytest.mark.nightly
def test_memory_is_flat_over_ten_thousand_episodes(memory_over_episodes: MemoryOverEpisodes) -> None:
    readings_mb = memory_over_episodes(500, 9500)
    assert max(abs(mb - readings_mb[0]) for mb in readings_mb) <= ALLOWED_MB, readings_mb
