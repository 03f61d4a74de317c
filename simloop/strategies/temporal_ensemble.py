"""Strategy ``temporal_ensemble``: the weighted mean of all chunks that say something about a tick."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError
from simloop.strategies.alignment import angle_entries, place
from simloop.strategies.blending import blend
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk, PlacedRows
from simloop.strategies.strategy import Strategy
from simloop.world import ActionSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


LONGEST_CHUNK = 4096
"""No action can be the mean of more chunks than a chunk has rows; this bounds both."""


def newest_share(num_older: IntArray, decay: float) -> FloatArray:
    """Returns the share of the newest of 1 + ``num_older`` chunks under weights exp(-decay rank), oldest rank 0.

    exp(-m c) / (1 + exp(-m) + ... + exp(-m c)) in closed form. Folding chunks in one by one with these shares gives
    the weighted mean, for weights of ranks that are shifted when old chunks end keep their ratios.

    Args:
        num_older: (n,) numbers c of older chunks.
        decay: m >= 0; 0 is the plain mean.
    """
    if decay == 0.0:
        return 1.0 / (num_older + 1.0)
    shares: FloatArray = np.exp(-decay * num_older) * (
        math.expm1(-decay) / np.expm1(-decay * (num_older + 1.0))
    )
    return shares


@functools.cache
def _share_table(decay: float) -> FloatArray:
    return newest_share(np.arange(LONGEST_CHUNK), decay)


class TemporalEnsemble(Strategy):
    """Asks every tick and plays the mean of all arrived chunks, weighted by exp(-m rank), rank 0 the oldest.

    Zhao et al. 2023 (ACT, arXiv 2304.13705). A chunk counts from its arrival on. It takes an inference every tick, so
    an accelerator that is slower than one tick drops or delays most of them, unless it is pipelined.

    Args:
        execution_horizon: Control ticks between two requests.
        decay: m; the smaller, the more the newest chunk counts.
        rules: Plain values of the rules, see ``ChunkRules``.

    Raises:
        ParameterError: A value is out of range.
    """

    name = "temporal_ensemble"
    description = "Ask every tick, play the mean of all live chunks, weighted by exp(-m rank), oldest first."
    source = "Zhao et al. 2023, ACT, arXiv 2304.13705"

    def __init__(
        self,
        *,
        execution_horizon: int = 1,
        decay: float = 0.01,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(execution_horizon=execution_horizon, rules=rules)
        if type(decay) not in (int, float) or not 0.0 <= decay < math.inf:
            raise ParameterError(f"strategy.decay is {decay!r}; allowed: a number >= 0.")
        self._new_share = _share_table(float(decay)).take

    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Folds the chunk into the mean of every tick that it reaches."""
        if self.rules.drop_older:
            self._fold_in(buffer, chunk, action)
            return
        known = [*buffer.live, chunk]
        now = [dataclasses.replace(c, install_tick=chunk.install_tick) for c in known]
        live = [c for c in now if len(place(c, self.rules.align, action).actions)]
        is_newest = all(c.observation_tick <= chunk.observation_tick for c in live)
        buffer.live[:] = sorted(live, key=lambda c: c.observation_tick)
        if is_newest:
            self._fold_in(buffer, chunk, action)
            return
        # It arrived late: ranks have shifted, so the mean is made anew, from the oldest chunk on.
        buffer.write(chunk.request, PlacedRows(chunk.install_tick, chunk.actions[:0], ()))
        for old in buffer.live:
            self._fold_in(buffer, old, action)

    def _fold_in(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        placed = place(chunk, self.rules.align, action)
        if len(placed.actions):
            blend(buffer, chunk.request, placed, new_share=self._new_share, angles=angle_entries(action))
