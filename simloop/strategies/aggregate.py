"""Strategy ``aggregate``: where an old and a new chunk overlap, f(old, new) is played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simloop.errors import ParameterError
from simloop.strategies.alignment import angle_entries, place
from simloop.strategies.blending import blend
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.strategy import Strategy
from simloop.world import ActionSpec

NEW_SHARES = {"weighted_average": 0.7, "latest_only": 1.0, "average": 0.5, "conservative": 0.3}
"""Share of the new action by the name that lerobot gives the function."""


class Aggregate(Strategy):
    """As ``naive_async``, but what is planned for a tick and what arrives for it are mixed.

    Asynchronous inference of SmolVLA (arXiv 2506.01844) in lerobot.

    Args:
        execution_horizon: s, control ticks between two requests.
        function: ``weighted_average`` (0.3 old + 0.7 new), ``latest_only``, ``average`` or ``conservative`` (0.7 old +
            0.3 new).
        rules: Plain values of the rules, see ``ChunkRules``.

    Raises:
        ParameterError: A value is out of range.
    """

    name = "aggregate"
    description = "Where chunks overlap, play f(old, new): 0.3 old + 0.7 new unless another f is named."
    source = "SmolVLA, arXiv 2506.01844; lerobot, async_inference (github.com/huggingface/lerobot)"

    def __init__(
        self,
        *,
        execution_horizon: int = 8,
        function: str = "weighted_average",
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(execution_horizon=execution_horizon, rules=rules)
        if function not in NEW_SHARES:
            raise ParameterError(f"strategy.function is {function!r}; allowed: {', '.join(NEW_SHARES)}.")
        self._new_share = NEW_SHARES[function]

    def install(self, buffer: ActionBuffer, chunk: ArrivedChunk, action: ActionSpec) -> None:
        """Mixes the chunk with what is planned, tick by tick."""
        placed = place(chunk, self.rules.align, action)
        if not len(placed.actions):
            return
        if self._new_share == 1.0:
            buffer.write(chunk.request, placed)
        else:
            blend(buffer, chunk.request, placed, new_share=self._new_share, angles=angle_entries(action))
