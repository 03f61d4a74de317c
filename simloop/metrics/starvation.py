"""Control ticks at which no action was there and the hold acted.

The hold acts for one of two reasons, told apart by what came before: nothing has been planned yet, or the plan that
was there has elapsed. The terms follow the stale action ratio of the live runner of
https://github.com/allenai/vla-evaluation-harness, which does not tell them apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction

BoolArray = npt.NDArray[np.bool_]


def longest_streak(flags: BoolArray) -> int:
    """Returns the length of the longest run of True in (N,) flags."""
    padded = np.zeros(len(flags) + 2, dtype=bool)
    padded[1:-1] = flags
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _hold_and_period(log: EpisodeLog) -> tuple[BoolArray, float] | MetricValue:
    period_ns = log.attributes.get("control_period_ns")
    if period_ns is None:
        return MetricValue.invalid("the log does not say its control period")
    return log.column("ticks", "is_hold"), int(period_ns) * 1e-9


def _hold(log: EpisodeLog) -> BoolArray | MetricValue:
    is_hold: BoolArray = log.column("ticks", "is_hold")
    return is_hold if len(is_hold) else MetricValue.invalid("no control tick")


def _total_s(reading: tuple[BoolArray, float]) -> float:
    return np.count_nonzero(reading[0]) * reading[1]


def _longest_s(reading: tuple[BoolArray, float]) -> float:
    return longest_streak(reading[0]) * reading[1]


def unplanned_ticks(is_hold: BoolArray) -> int:
    """Returns how many of (K,) ticks were held before the first action of any plan."""
    return int(np.argmin(is_hold)) if not is_hold.all() else len(is_hold)


def _stale_ratio(is_hold: BoolArray) -> float:
    return np.count_nonzero(is_hold) / len(is_hold)


def _unplanned_ratio(is_hold: BoolArray) -> float:
    return unplanned_ticks(is_hold) / len(is_hold)


def _elapsed_ratio(is_hold: BoolArray) -> float:
    return (np.count_nonzero(is_hold) - unplanned_ticks(is_hold)) / len(is_hold)


STARVATION = (
    Reduction(
        name="starvation_s",
        description="Time during which the hold acted because no action was there, the first wait included.",
        read=_hold_and_period,
        reduce=_total_s,
        unit="s",
        tables=("ticks",),
        higher_is_better=False,
    ),
    Reduction(
        name="starvation_longest_s",
        description="Longest uninterrupted time during which the hold acted.",
        read=_hold_and_period,
        reduce=_longest_s,
        unit="s",
        tables=("ticks",),
        higher_is_better=False,
    ),
    Reduction(
        name="stale_action_ratio",
        description="Share of the control ticks at which the hold acted.",
        read=_hold,
        reduce=_stale_ratio,
        tables=("ticks",),
        higher_is_better=False,
    ),
    Reduction(
        name="stale_unplanned_ratio",
        description="Share of the control ticks at which the hold acted because nothing had been planned yet.",
        read=_hold,
        reduce=_unplanned_ratio,
        tables=("ticks",),
        higher_is_better=False,
    ),
    Reduction(
        name="stale_elapsed_ratio",
        description="Share of the control ticks at which the hold acted because the plan had elapsed.",
        read=_hold,
        reduce=_elapsed_ratio,
        tables=("ticks",),
        higher_is_better=False,
    ),
)
