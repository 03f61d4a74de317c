"""Strategy ``correction``: a small second model corrects the delayed chunk at every tick."""

from __future__ import annotations

from simloop.agent import Call
from simloop.strategies.alignment import place
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.strategy import ExecutionState, Strategy
from simloop.world import ActionSpec


class Correction(Strategy):
    """Chunks as in ``naive_async``; the agent's corrector is asked every tick and its actions lie over the chunk.

    A2C2 (arXiv 2509.23224). A correction acts only where the plan still comes from the chunk that it corrects; until it
    is there, the chunk acts.
    """

    name = "correction"
    description = "A small corrector, asked every tick, adjusts the actions of the delayed chunk."
    source = "A2C2, arXiv 2509.23224"
    calls = (Call.POLICY, Call.CORRECTOR)

    def wants_request(self, call: Call, state: ExecutionState) -> bool:
        """Asks the corrector at every tick that has something to correct."""
        if call is Call.CORRECTOR:
            return state.remaining > 0
        return super().wants_request(call, state)

    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Replaces the plan by a chunk, or lays corrections over it."""
        if chunk.call is not Call.CORRECTOR:
            super().install(buffer, chunk, action)
            return
        placed = place(chunk, self.rules.align, action)
        if len(placed.actions):
            buffer.correct(chunk.request, placed, chunk.base_request)
