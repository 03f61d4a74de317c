"""How often a fresh action takes effect, and how late the control ticks come."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.episode_length import episode_length_ns
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import FloatArray, Reduction, statistics


def effective_control_hz(log: EpisodeLog) -> float | MetricValue:
    """Returns how many actions a second took effect that were neither holds nor overtaken by a later one."""
    length_ns = episode_length_ns(log)
    if not length_ns:
        return MetricValue.invalid("no outcome was polled")
    return np.count_nonzero(log.column("ticks", "action_age_ns") >= 0) / (length_ns * 1e-9)


def control_lateness_ms(log: EpisodeLog) -> FloatArray:
    """Returns how much later than its nominal instant each control tick came, (K,) ms; reads ``ticks.late_ns``."""
    late: FloatArray = log.column("ticks", "late_ns") * 1e-6
    return late


CONTROL_RATE = (
    Reduction(
        name="effective_control_hz",
        description="Fresh actions that took effect a second; holds and overtaken actions do not count.",
        read=effective_control_hz,
        unit="Hz",
        tables=("ticks", "outcomes"),
        higher_is_better=True,
    ),
    *statistics(
        "control_lateness",
        unit="ms",
        of="the time by which a control tick came later than its nominal instant",
        read=control_lateness_ms,
        kinds=("mean", "max"),
        empty="no control tick",
        tables=("ticks",),
    ),
)
