"""The seam of an execution strategy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.agent import Call, Capability
from simloop.errors import ParameterError
from simloop.strategies.alignment import place
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.rules import ChunkRules, Trigger, rules_from_config
from simloop.world import ActionSpec

FloatArray = npt.NDArray[np.float64]


class ExecutionState(NamedTuple):
    """What a strategy sees when it decides whether the coming tick asks for a call's answer.

    Attributes:
        tick: The coming control tick.
        last_armed_tick: Tick that the last request of this call was armed for; -1 before the first.
        remaining: Actions planned without a gap from ``tick`` on.
        num_in_flight: Requests of this call that may still be answered.
        horizon: Rows H of the agent's chunk.
        last_delivered_tick: Install tick of the last answer to this call; -1 before the first.
    """

    tick: int
    last_armed_tick: int
    remaining: int
    num_in_flight: int
    horizon: int
    last_delivered_tick: int


class Strategy:
    """When to ask, what conditioning to hand over, how to install what arrives.

    It keeps nothing between calls: one object serves many episodes at once.

    Args:
        execution_horizon: s, control ticks between two requests.
        rules: Plain values of the rules, see ``ChunkRules``.

    Attributes:
        name: Name in ``conf/strategy``.
        description: What it does, in one line.
        source: Where it comes from, in one line.
        needs: What the agent must support.
        calls: The calls that it makes; the chunks of the first one are played.
        freezes_world: Whether the world waits for the agent (stages take no time).
        is_asynchronous: Whether the old chunk goes on while a new one is computed.
        rolls_state: Whether the agent is handed the committed actions to roll its state over.
        is_guided: Whether the conditioning guides the denoiser, instead of being held clean in it.
        max_guidance: Upper bound of the guidance weight.

    Raises:
        ParameterError: A value is out of range.
    """

    name: str
    description: str
    source: str
    needs: frozenset[Capability] = frozenset()
    calls: tuple[Call, ...] = (Call.POLICY,)
    freezes_world: bool = False
    is_asynchronous: bool = True
    rolls_state: bool = False
    is_guided: bool = False
    max_guidance: float = 5.0

    def __init__(self, *, execution_horizon: int = 8, rules: Mapping[str, Any] | None = None) -> None:
        if type(execution_horizon) is not int or execution_horizon < 1:
            raise ParameterError(
                f"strategy.execution_horizon is {execution_horizon!r}; allowed: a whole number >= 1 and at most the "
                "agent's chunk length."
            )
        self.execution_horizon = execution_horizon
        self.rules: ChunkRules = rules_from_config(rules)
        if not self.is_asynchronous and self.rules.trigger is not Trigger.EVERY:
            raise ParameterError(
                f"strategy.rules.trigger is {self.rules.trigger.value!r}; allowed with strategy {self.name!r}: every. "
                "It asks when its chunk is played."
            )

    def wants_request(self, call: Call, state: ExecutionState) -> bool:
        """Whether ``state.tick`` asks for an answer to ``call``: by default as ``rules.trigger`` says."""
        if state.last_armed_tick < 0:
            return True
        trigger = self.rules.trigger
        if trigger is Trigger.EVERY:
            return state.tick - state.last_armed_tick >= self.execution_horizon
        if state.num_in_flight:
            return False
        if trigger is Trigger.REMAINING_BELOW:
            return state.remaining < self.rules.trigger_ticks
        if trigger is Trigger.QUEUE_BELOW:
            return state.remaining < self.rules.trigger_fraction * state.horizon
        return True

    def weights(self, predicted_delay_ticks: int, num_planned: int, horizon: int) -> FloatArray | None:
        """Returns the conditioning weights of the actions that are planned from the observation tick on.

        Args:
            predicted_delay_ticks: d-hat.
            num_planned: How many actions are planned without a gap.
            horizon: Rows H of a chunk.

        Returns:
            (n,) float64 in 0..1, n <= min(num_planned, horizon), 1 for committed actions; it may be empty. None if the
            strategy never conditions.
        """
        return None

    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Writes an arrived chunk into the buffer: by default it replaces what is planned from its first tick on."""
        placed = place(chunk, self.rules.align, action)
        if len(placed.actions):
            buffer.write(chunk.request, placed)


@functools.cache
def ones(count: int) -> FloatArray:
    """Returns (count,) read-only ones."""
    weights = np.ones(count)
    weights.flags.writeable = False
    return weights
