"""Realised delay d of the delivered chunks, counted in control ticks, and how far its prediction was off.

Every chunk that arrived counts, also one that was too late to be of use: leaving those out would report the least
delay where there is the most. The free first chunk does not count: it costs nothing whatever the timing. Neither do
contexts and corrections, which are not played.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import FloatArray, Reduction, statistics

NONE_DELIVERED = "no chunk was delivered, the free first one aside"


def is_played(log: EpisodeLog) -> npt.NDArray[np.bool_]:
    """Returns which rows of ``inferences`` ask for a chunk that is played: policy or expert; shape (requests,)."""
    call = log.column("inferences", "call")
    played: npt.NDArray[np.bool_] = (call == "policy") | (call == "expert")
    return played


def is_delivered(log: EpisodeLog) -> npt.NDArray[np.bool_]:
    """Returns which rows of ``inferences`` are chunks that arrived, the free first one aside; shape (requests,)."""
    delivered: npt.NDArray[np.bool_] = (
        (log.column("inferences", "deliver_ns") >= 0) & ~log.column("inferences", "is_free") & is_played(log)
    )
    return delivered


def realised_delay_ticks(log: EpisodeLog) -> FloatArray:
    """Returns d of each delivered chunk, (N,) ticks; reads ``inferences.realised_delay_ticks``."""
    delay: FloatArray = log.column("inferences", "realised_delay_ticks")[is_delivered(log)].astype(np.float64)
    return delay


def delay_error_ticks(log: EpisodeLog) -> FloatArray:
    """Returns d - d-hat of each delivered chunk, (N,) ticks."""
    error = log.column("inferences", "realised_delay_ticks") - log.column(
        "inferences", "predicted_delay_ticks"
    )
    delivered: FloatArray = error[is_delivered(log)].astype(np.float64)
    return delivered


def overrun_ratio(error_ticks: FloatArray) -> float | MetricValue:
    """Returns P(d > d-hat), the share of positive errors."""
    if not len(error_ticks):
        return MetricValue.invalid(NONE_DELIVERED)
    return np.count_nonzero(error_ticks > 0.0) / len(error_ticks)


REALISED_DELAY = statistics(
    "realised_delay",
    unit="ticks",
    of="the realised delay d of the delivered chunks, control ticks from observation to install",
    read=realised_delay_ticks,
    kinds=("mean", "p50", "p95", "max"),
    empty=NONE_DELIVERED,
    tables=("inferences",),
    version=2,
)
DELAY_ERROR = (
    *statistics(
        "delay_error",
        unit="ticks",
        of="realised minus predicted delay of the delivered chunks",
        read=delay_error_ticks,
        kinds=("mean", "p95"),
        empty=NONE_DELIVERED,
        tables=("inferences",),
        higher_is_better=None,
        version=2,
    ),
    Reduction(
        name="delay_overrun_ratio",
        description="Share of delivered chunks that came later than predicted.",
        read=delay_error_ticks,
        reduce=overrun_ratio,
        tables=("inferences",),
        higher_is_better=False,
        version=2,
    ),
)
