"""Strategy ``prefix``: the committed actions are handed over as a clean prefix of the new chunk."""

from __future__ import annotations

from simloop.agent import Capability
from simloop.strategies.naive_async import NaiveAsync


class Prefix(NaiveAsync):
    """As ``naive_async``, but the agent continues the actions that will be played until its chunk arrives.

    Training-time action-prefix conditioning: arXiv 2512.05964; Xiaomi-Robotics-0: arXiv 2602.12684.
    """

    name = "prefix"
    description = "The d-hat committed actions are a clean prefix of the new chunk (2512.05964, 2602.12684)."
    needs = frozenset({Capability.PREFIX})

    def num_committed(self, predicted_delay_ticks: int) -> int:
        """Hands over the actions that are expected to be played before the chunk arrives."""
        return predicted_delay_ticks
