"""Strategy ``rtc``: real-time chunking, the new chunk is inpainted so that it continues the old one."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.agent import Capability
from simloop.errors import ParameterError
from simloop.strategies.strategy import Strategy

FloatArray = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=4096)
def soft_mask(
    predicted_delay_ticks: int, execution_horizon: int, horizon: int, num_planned: int
) -> FloatArray:
    """Returns the weights W of Black et al. 2025 (arXiv 2506.07339, equation 5), (n,) read-only, the last above 0.

    W_i = 1 for i < d-hat, c (e^c - 1) / (e - 1) with c = (E - i) / (E - d-hat + 1) for d-hat <= i < E, 0 from there on.
    E is H - s; if the old chunk ends before, because more than s ticks passed since it was asked for, its end.

    Args:
        predicted_delay_ticks: d-hat.
        execution_horizon: s.
        horizon: H.
        num_planned: Actions that the old plan still has.
    """
    num_known = min(num_planned, horizon)
    frozen = min(predicted_delay_ticks, num_known)
    end = min(horizon - execution_horizon, num_known)
    weights = np.ones(max(frozen, end, 0))
    if end > frozen:
        c = (end - np.arange(frozen, end)) / (end - frozen + 1.0)
        weights[frozen:] = c * np.expm1(c) / math.expm1(1.0)
    weights.flags.writeable = False
    return weights


class RealTimeChunking(Strategy):
    """As ``naive_async``, but the agent's denoiser is guided towards the old chunk while it makes the new one.

    The first d-hat actions, which will be played anyway, weigh 1; the rest of the overlap weighs less and less. Needs a
    gradient through the denoiser. Meant for d <= s <= H - d.

    Args:
        execution_horizon: s, control ticks between two requests.
        max_guidance: beta, upper bound of the guidance weight.
        rules: Plain values of the rules, see ``ChunkRules``.

    Raises:
        ParameterError: A value is out of range.
    """

    name = "rtc"
    description = "Inpaint the new chunk: freeze the next d-hat actions, pull the rest towards the old chunk."
    source = "Black et al. 2025, real-time chunking, arXiv 2506.07339"
    needs = frozenset({Capability.GUIDANCE})
    is_guided = True

    def __init__(
        self,
        *,
        execution_horizon: int = 8,
        max_guidance: float = 5.0,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(execution_horizon=execution_horizon, rules=rules)
        if type(max_guidance) not in (int, float) or not 0.0 < max_guidance < math.inf:
            raise ParameterError(f"strategy.max_guidance is {max_guidance!r}; allowed: a number above 0.")
        self.max_guidance = float(max_guidance)

    def weights(self, predicted_delay_ticks: int, num_planned: int, horizon: int) -> FloatArray | None:
        """Returns the soft mask over what the old chunk still plans."""
        length = predicted_delay_ticks + self.rules.prefix_margin_ticks
        return soft_mask(length, self.execution_horizon, horizon, num_planned)
