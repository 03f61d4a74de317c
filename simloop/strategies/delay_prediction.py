"""Predictors of the delay d-hat that is told to the agent; the realised d is counted, never computed."""

from __future__ import annotations

import math
from collections import deque

from simloop.errors import ParameterError


class MaxOfWindow:
    """The largest of the last ``window`` realised delays (Black et al. 2025, arXiv 2506.07339, algorithm 1).

    Args:
        nominal_ns: Mean end-to-end latency; its ceiling in ticks is predicted until a delay was seen.
        control_period_ns: Control period.
        window: How many realised delays are remembered.

    Raises:
        ParameterError: The window is not positive.
    """

    def __init__(self, *, nominal_ns: float, control_period_ns: int, window: int = 10) -> None:
        if window < 1:
            raise ParameterError(f"strategy.delay_window is {window}; allowed: a whole number >= 1.")
        self._initial = math.ceil(nominal_ns / control_period_ns - 1e-9)
        self._seen: deque[int] = deque(maxlen=window)

    def predict(self) -> int:
        """Returns d-hat in control ticks."""
        return max(self._seen, default=self._initial)

    def observe(self, realised_ticks: int) -> None:
        """Remembers a realised delay."""
        self._seen.append(realised_ticks)
