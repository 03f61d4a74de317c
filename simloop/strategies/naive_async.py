"""Strategy ``naive_async``: keep the old chunk, switch on arrival."""

from __future__ import annotations

from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.strategy import Strategy, install_by_tick
from simloop.world import ActionSpec


class NaiveAsync(Strategy):
    """Asks every s ticks, plays the old chunk on, and switches to the new one on arrival, skipping its first d rows."""

    name = "naive_async"
    description = "Keep the old chunk, switch when the new one arrives, skip its first d actions."
    source = "the usual asynchronous executor; baseline of Black et al. 2025, arXiv 2506.07339"

    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Replaces the plan from the arrival on."""
        install_by_tick(buffer, chunk)
