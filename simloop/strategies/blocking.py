"""Strategy ``blocking``: the world goes on, the hold acts until the chunk arrives."""

from __future__ import annotations

from simloop.agent import Call
from simloop.strategies.alignment import place
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.rules import Align
from simloop.strategies.strategy import ExecutionState, Strategy
from simloop.world import ActionSpec, Hold


class Blocking(Strategy):
    """Plays s actions of a chunk, then asks for the next one and holds until it arrives.

    A chunk of deltas starts with its row 0 when it arrives, for nothing moved meanwhile (openpi's
    ``ActionChunkBroker``). Targets that belong to an instant (waypoints, absolute poses) start with the row of the
    tick at which they arrive.
    """

    name = "blocking"
    description = "The world runs on and the hold acts until the chunk arrives (openpi's ActionChunkBroker)."
    source = "openpi, ActionChunkBroker (github.com/Physical-Intelligence/openpi)"
    is_asynchronous = False

    def wants_request(self, call: Call, state: ExecutionState) -> bool:
        """Asks when everything that was installed has been played and nothing is under way."""
        return state.remaining == 0 and state.num_in_flight == 0

    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Installs the s rows that will be played."""
        align = self.rules.align
        if action.hold is Hold.NULL and align is Align.BY_TICK:
            align = Align.RESTART
        placed = place(chunk, align, action)
        if len(placed.actions):
            count = self.execution_horizon
            played = placed._replace(actions=placed.actions[:count], rows=placed.rows[:count])
            buffer.write(chunk.request, played)
