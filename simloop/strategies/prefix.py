"""Strategy ``prefix``: the committed actions are handed over as a clean prefix of the new chunk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.agent import Capability
from simloop.strategies.strategy import Strategy, ones

FloatArray = npt.NDArray[np.float64]


class Prefix(Strategy):
    """As ``naive_async``, but the agent continues the actions that will be played until its chunk arrives.

    Training-time action-prefix conditioning: arXiv 2512.05964; Xiaomi-Robotics-0: arXiv 2602.12684.
    """

    name = "prefix"
    description = "The d-hat committed actions are a clean prefix of the new chunk, which continues them."
    source = "training-time RTC, arXiv 2512.05964; Xiaomi-Robotics-0, arXiv 2602.12684"
    needs = frozenset({Capability.PREFIX})

    def weights(self, predicted_delay_ticks: int, num_planned: int, horizon: int) -> FloatArray | None:
        """Hands over the actions that are expected to be played before the chunk arrives."""
        length = predicted_delay_ticks + self.rules.prefix_margin_ticks
        return ones(min(length, num_planned, horizon))
