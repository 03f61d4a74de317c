"""Mixing a new chunk into what is planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from simloop.strategies.alignment import shortest_change
from simloop.strategies.buffer import ActionBuffer, PlacedRows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def blend(
    buffer: ActionBuffer,
    request: int,
    placed: PlacedRows,
    *,
    new_share: Callable[[IntArray], FloatArray] | float,
    angles: Sequence[int],
) -> None:
    """Writes old + share (new - old) where something is planned, the new actions behind it.

    Args:
        buffer: What is planned.
        request: Request of the new chunk.
        placed: Its actions.
        new_share: Share of the new action; or, from (n,) numbers of chunks in the old ones, (n,) shares.
        angles: Entries that are angles; the mean is taken the short way round.
    """
    old = buffer.base(placed.first_tick, len(placed.actions))
    overlap = len(old)
    if not overlap:
        buffer.write(request, placed)
        return
    num_blended = np.ones(len(placed.actions), dtype=np.int64)
    counts = buffer.blended_counts(placed.first_tick, overlap)
    num_blended[:overlap] += counts
    mixed = placed.actions.copy()
    change = shortest_change(mixed[:overlap] - old, angles)
    change *= new_share(counts)[:, None] if callable(new_share) else new_share
    np.add(old, change, out=mixed[:overlap])
    buffer.write(request, placed._replace(actions=mixed), num_blended=num_blended)
