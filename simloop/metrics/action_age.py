"""Age of the applied actions: from the capture that a chunk was computed from to the instant its action took effect."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.reduction import FloatArray, statistics


def action_ages_ms(log: EpisodeLog) -> FloatArray:
    """Returns the age of each action that took effect and was not a hold, (N,) ms; reads ``ticks.action_age_ns``."""
    age_ns = log.column("ticks", "action_age_ns")
    ages: FloatArray = age_ns[age_ns >= 0] * 1e-6
    return ages


ACTION_AGE = statistics(
    "action_age",
    unit="ms",
    of="the age of the applied actions",
    read=action_ages_ms,
    kinds=("mean", "p95", "max"),
    empty="no action was applied",
    tables=("ticks",),
)
