"""End-to-end latency of an episode's chunks: from the anchor item's capture to the chunk's arrival.

Unlike the realised delay d it is not rounded to control ticks, and unlike the action age it leaves out the wait for an
action's turn.
"""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.delay import NONE_DELIVERED, is_delivered
from simloop.metrics.reduction import FloatArray, statistics


def latencies_ms(log: EpisodeLog) -> FloatArray:
    """Returns the latency of each delivered chunk, (N,) ms."""
    latency_ns = log.column("inferences", "deliver_ns") - log.column("inferences", "anchor_captured_at_ns")
    latency: FloatArray = latency_ns[is_delivered(log)] * 1e-6
    return latency


LATENCY = statistics(
    "latency",
    unit="ms",
    of="the latency of the delivered chunks, from the anchor item's capture to the arrival",
    read=latencies_ms,
    kinds=("p50", "p95", "p99"),
    empty=NONE_DELIVERED,
    tables=("inferences",),
)
