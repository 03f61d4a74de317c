"""Age of the slow model's context when the fast expert uses it."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.reduction import FloatArray, statistics


def context_ages_ms(log: EpisodeLog) -> FloatArray:
    """Returns trigger instant minus capture of the context's anchor item, of each request with one, (N,) ms."""
    age_ns = log.column("inferences", "context_age_ns")
    ages: FloatArray = age_ns[age_ns >= 0] * 1e-6
    return ages


CONTEXT_AGE = statistics(
    "context_age",
    unit="ms",
    of="the age of the context that a request carries",
    read=context_ages_ms,
    kinds=("mean", "p95", "max"),
    empty="no request carried a context",
    tables=("inferences",),
)
