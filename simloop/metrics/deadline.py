"""Deadline misses: chunks that arrive after the plan before them has run dry.

A chunk's deadline is the first control tick for which nothing is planned. There is no deadline before anything was
planned, so the wait for an episode's first chunk is no miss (``stale_unplanned_ratio`` counts it). Runs of misses
matter to weakly hard requirements "at most m of k" (Bernat, Burns, Llamosi, IEEE Trans. Computers 50:308, 2001).
"""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.delay import NONE_DELIVERED, is_delivered
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction
from simloop.metrics.starvation import BoolArray, longest_streak, unplanned_ticks


def deadline_misses(log: EpisodeLog) -> BoolArray | MetricValue:
    """Returns for each delivered chunk, in order of delivery, whether the last control tick before it was starved."""
    delivered_ns = np.sort(log.column("inferences", "deliver_ns")[is_delivered(log)])
    if not len(delivered_ns):
        return MetricValue.invalid(NONE_DELIVERED)
    is_hold = log.column("ticks", "is_hold")
    if not len(is_hold):
        return MetricValue.invalid("no control tick")
    before = np.searchsorted(log.column("ticks", "t_ns"), delivered_ns, side="left") - 1
    missed: BoolArray = is_hold[before] & (before >= unplanned_ticks(is_hold))
    return missed


def _ratio(missed: BoolArray) -> float:
    return np.count_nonzero(missed) / len(missed)


def _longest(missed: BoolArray) -> float:
    return float(longest_streak(missed))


DEADLINE = (
    Reduction(
        name="deadline_miss_ratio",
        description="Share of the delivered chunks that came after the plan before them had run dry.",
        read=deadline_misses,
        reduce=_ratio,
        tables=("inferences", "ticks"),
        higher_is_better=False,
    ),
    Reduction(
        name="deadline_miss_longest",
        description="Longest run of delivered chunks that came after the plan before them had run dry.",
        read=deadline_misses,
        reduce=_longest,
        tables=("inferences", "ticks"),
        higher_is_better=False,
    ),
)
