"""Strategy ``future_state``: the agent plans from where the committed actions will have brought it."""

from __future__ import annotations

from simloop.agent import Capability
from simloop.strategies.strategy import Strategy


class FutureState(Strategy):
    """As ``naive_async``, but the agent rolls its state over the next d-hat committed actions first.

    Its chunk begins at tick k + d-hat (VLASH, arXiv 2512.01031). If the chunk comes earlier, the old one is played up
    to there; if it comes later, its first rows are skipped.
    """

    name = "future_state"
    description = "Roll the state forward over the d-hat committed actions; the chunk begins at k + d-hat."
    source = "VLASH, arXiv 2512.01031"
    needs = frozenset({Capability.ROLLED_STATE})
    rolls_state = True
