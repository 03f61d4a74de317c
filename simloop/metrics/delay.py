"""Realised delay d of the delivered chunks, counted in control ticks, and how far its prediction was off.

Every chunk that arrived counts, also one that was too late to be of use: leaving those out would report the least
delay where there is the most. The free first chunk does not count: it costs nothing whatever the timing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.kinematics import FloatArray
from simloop.metrics.metric import Metric, MetricValue

NONE_DELIVERED = MetricValue.invalid("no chunk was delivered, the free first one aside")


def is_delivered(log: EpisodeLog) -> npt.NDArray[np.bool_]:
    """Returns which rows of ``inferences`` are chunks that arrived, the free first one aside; shape (requests,)."""
    delivered: npt.NDArray[np.bool_] = (log.column("inferences", "deliver_ns") >= 0) & ~log.column(
        "inferences", "is_free"
    )
    return delivered


def _delivered(log: EpisodeLog, column: str) -> FloatArray:
    values: FloatArray = log.column("inferences", column)[is_delivered(log)]
    return values.astype(np.float64)


def _errors(log: EpisodeLog) -> FloatArray:
    return _delivered(log, "realised_delay_ticks") - _delivered(log, "predicted_delay_ticks")


class RealisedDelayMean(Metric):
    """Mean realised delay of the delivered chunks."""

    name = "realised_delay_mean_ticks"
    unit = "ticks"
    description = "Mean realised delay d of the delivered chunks, control ticks from observation to install."
    version = 2
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.realised_delay_ticks``."""
        delay = _delivered(log, "realised_delay_ticks")
        return MetricValue(value=float(delay.mean())) if len(delay) else NONE_DELIVERED


class RealisedDelayP95(Metric):
    """95th percentile of the realised delay of the delivered chunks."""

    name = "realised_delay_p95_ticks"
    unit = "ticks"
    description = "95th percentile of the realised delay d of the delivered chunks."
    version = 2
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.realised_delay_ticks``; linear interpolation between ranks."""
        delay = _delivered(log, "realised_delay_ticks")
        return MetricValue(value=float(np.percentile(delay, 95.0))) if len(delay) else NONE_DELIVERED


class RealisedDelayMax(Metric):
    """Largest realised delay of a delivered chunk."""

    name = "realised_delay_max_ticks"
    unit = "ticks"
    description = "Largest realised delay d of a delivered chunk."
    version = 2
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.realised_delay_ticks``."""
        delay = _delivered(log, "realised_delay_ticks")
        return MetricValue(value=float(delay.max())) if len(delay) else NONE_DELIVERED


class DelayErrorMean(Metric):
    """Mean of realised minus predicted delay: the bias of the prediction."""

    name = "delay_error_mean_ticks"
    unit = "ticks"
    description = "Mean of realised minus predicted delay."
    version = 2
    tables = ("inferences",)

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Compares the two delay columns of ``inferences``."""
        errors = _errors(log)
        return MetricValue(value=float(errors.mean())) if len(errors) else NONE_DELIVERED


class DelayErrorP95(Metric):
    """95th percentile of realised minus predicted delay."""

    name = "delay_error_p95_ticks"
    unit = "ticks"
    description = "95th percentile of realised minus predicted delay."
    version = 2
    tables = ("inferences",)

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Compares the two delay columns of ``inferences``; linear interpolation between ranks."""
        errors = _errors(log)
        return MetricValue(value=float(np.percentile(errors, 95.0))) if len(errors) else NONE_DELIVERED


class DelayOverrunRatio(Metric):
    """Share of the delivered chunks that came later than predicted."""

    name = "delay_overrun_ratio"
    description = "Share of delivered chunks that came later than predicted."
    version = 2
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the chunks with a positive delay error."""
        errors = _errors(log)
        return MetricValue(value=float((errors > 0.0).mean())) if len(errors) else NONE_DELIVERED
