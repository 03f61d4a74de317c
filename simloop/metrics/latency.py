"""End-to-end latency of an episode's chunks: from the anchor item's capture to the chunk's arrival.

Unlike the realised delay d it is not rounded to control ticks, and unlike the action age it leaves out the wait for an
action's turn.
"""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.delay import NONE_DELIVERED, is_delivered
from simloop.metrics.metric import Metric, MetricValue


def _percentile(log: EpisodeLog, percent: float) -> MetricValue:
    """Returns a percentile of the latency in ms; linear interpolation between ranks."""
    latency_ns = log.column("inferences", "deliver_ns") - log.column("inferences", "anchor_captured_at_ns")
    delivered_ns = latency_ns[is_delivered(log)]
    if not len(delivered_ns):
        return NONE_DELIVERED
    return MetricValue(value=float(np.percentile(delivered_ns, percent)) * 1e-6)


class LatencyP50(Metric):
    """Median end-to-end latency of the delivered chunks."""

    name = "latency_p50_ms"
    unit = "ms"
    description = "Median latency of the delivered chunks, from the anchor item's capture to the arrival."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.deliver_ns`` and ``inferences.anchor_captured_at_ns``."""
        return _percentile(log, 50.0)


class LatencyP95(Metric):
    """95th percentile of the end-to-end latency of the delivered chunks."""

    name = "latency_p95_ms"
    unit = "ms"
    description = "95th percentile of the latency of the delivered chunks."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.deliver_ns`` and ``inferences.anchor_captured_at_ns``."""
        return _percentile(log, 95.0)


class LatencyP99(Metric):
    """99th percentile of the end-to-end latency of the delivered chunks."""

    name = "latency_p99_ms"
    unit = "ms"
    description = "99th percentile of the latency of the delivered chunks."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.deliver_ns`` and ``inferences.anchor_captured_at_ns``."""
        return _percentile(log, 99.0)
