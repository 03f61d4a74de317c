"""The seam of an execution strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from simloop.agent import Capability
from simloop.errors import ParameterError
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.world import ActionSpec


class ExecutionState(NamedTuple):
    """What a strategy sees when it decides whether the coming tick asks for a chunk.

    Attributes:
        tick: The coming control tick.
        last_armed_tick: Tick that the last request was armed for; -1 before the first.
        remaining: Actions planned without a gap from ``tick`` on.
        num_in_flight: Requests whose chunk has not arrived.
    """

    tick: int
    last_armed_tick: int
    remaining: int
    num_in_flight: int


class Strategy(ABC):
    """When to ask for a chunk, what conditioning to hand over, how to install what arrives.

    It keeps nothing between calls: one object serves many episodes at once.

    Args:
        execution_horizon: s, control ticks between two requests.

    Attributes:
        name: Name in ``conf/strategy``.
        needs: What the agent must support.
        freezes_world: Whether the world waits for the agent (stages take no time).
        is_asynchronous: Whether the old chunk goes on while a new one is computed.

    Raises:
        ParameterError: The execution horizon is not positive.
    """

    name: str
    description: str
    needs: frozenset[Capability] = frozenset()
    freezes_world: bool = False
    is_asynchronous: bool = True

    def __init__(self, *, execution_horizon: int = 8) -> None:
        if execution_horizon < 1:
            raise ParameterError(
                f"strategy.execution_horizon is {execution_horizon}; allowed: a whole number >= 1 and at most the "
                "agent's chunk length."
            )
        self.execution_horizon = execution_horizon

    def wants_request(self, state: ExecutionState) -> bool:
        """Whether ``state.tick`` asks for a chunk: by default every ``execution_horizon`` ticks."""
        return state.tick - state.last_armed_tick >= self.execution_horizon

    def num_committed(self, predicted_delay_ticks: int) -> int:
        """How many leading actions of the next chunk are handed over as committed; none by default."""
        return 0

    @abstractmethod
    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Writes an arrived chunk into the buffer."""


def install_by_tick(buffer: ActionBuffer, chunk: ArrivedChunk) -> None:
    """Installs a chunk at the ticks that it was planned for: its first d rows are skipped."""
    rows = len(chunk.actions) - chunk.delay_ticks
    if rows > 0:
        buffer.write(chunk, first_tick=chunk.install_tick, first_row=chunk.delay_ticks, num_rows=rows)
