"""Control ticks at which no action was there and the hold acted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue


def longest_streak(flags: npt.NDArray[np.bool_]) -> int:
    """Returns the length of the longest run of True in (N,) flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _control_period_s(log: EpisodeLog) -> float | None:
    period_ns = log.attributes.get("control_period_ns")
    return None if period_ns is None else int(period_ns) * 1e-9


class Starvation(Metric):
    """Time without a fresh action, the wait for the first chunk included."""

    name = "starvation_s"
    unit = "s"
    description = "Time during which the hold acted because no action was there, the first wait included."
    tables = ("ticks",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the hold ticks of ``ticks``."""
        period_s = _control_period_s(log)
        if period_s is None:
            return MetricValue.invalid("the log does not say its control period")
        return MetricValue(value=float(log.column("ticks", "is_hold").sum()) * period_s)


class StarvationLongest(Metric):
    """Longest uninterrupted time without a fresh action."""

    name = "starvation_longest_s"
    unit = "s"
    description = "Longest uninterrupted time during which the hold acted."
    tables = ("ticks",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Measures the longest streak of hold ticks."""
        period_s = _control_period_s(log)
        if period_s is None:
            return MetricValue.invalid("the log does not say its control period")
        return MetricValue(value=longest_streak(log.column("ticks", "is_hold")) * period_s)
