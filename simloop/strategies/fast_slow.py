"""Strategy ``fast_slow``: a slow backbone leaves a context behind, a fast expert acts on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simloop.agent import Call
from simloop.errors import ParameterError
from simloop.strategies.strategy import ExecutionState, Strategy


class FastSlow(Strategy):
    """Asks for a context again and again, and every s ticks for a chunk made from the newest context there is.

    "Think at 5 Hz, act at 20 Hz" (arXiv 2607.15621); DuoCore-FS (arXiv 2512.20188). Until the first context is there
    the expert is not asked and the hold acts.

    Args:
        execution_horizon: s, control ticks between two requests to the expert.
        context_ticks: Control ticks between two requests for a context; 0 asks as soon as the last one is there.
        rules: Plain values of the rules, see ``ChunkRules``; the trigger is the expert's.

    Raises:
        ParameterError: A value is out of range.
    """

    name = "fast_slow"
    description = "A slow model leaves a context, which ages; a fast expert makes chunks from it."
    source = "Think at 5 Hz, act at 20 Hz, arXiv 2607.15621; DuoCore-FS, arXiv 2512.20188"
    calls = (Call.EXPERT, Call.CONTEXT)

    def __init__(
        self,
        *,
        execution_horizon: int = 1,
        context_ticks: int = 0,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(execution_horizon=execution_horizon, rules=rules)
        if type(context_ticks) is not int or context_ticks < 0:
            raise ParameterError(
                f"strategy.context_ticks is {context_ticks!r}; allowed: a whole number >= 0 (0 = as soon as free)."
            )
        self._context_ticks = context_ticks

    def wants_request(self, call: Call, state: ExecutionState) -> bool:
        """Asks for a context by ``context_ticks``, for a chunk by the trigger."""
        if call is not Call.CONTEXT:
            return super().wants_request(call, state)
        if state.last_armed_tick < 0:
            return True
        if self._context_ticks:
            return state.tick - state.last_armed_tick >= self._context_ticks
        return not state.num_in_flight
