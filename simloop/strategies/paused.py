"""Strategy ``paused``: the world waits for the agent."""

from __future__ import annotations

from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.strategy import Strategy, install_by_tick
from simloop.world import ActionSpec


class Paused(Strategy):
    """The classic benchmark: inference takes no virtual time, so latency is hidden."""

    name = "paused"
    description = "The world is frozen during inference (the classic benchmark)."
    source = "every simulation benchmark that steps the world after inference"
    freezes_world = True
    is_asynchronous = False

    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Replaces the plan by the chunk."""
        install_by_tick(buffer, chunk)
