"""How busy the accelerator was and how long requests waited for it."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.episode_length import episode_length_ns
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import FloatArray, Reduction, statistics


def _busy_intervals_s(log: EpisodeLog) -> tuple[FloatArray, FloatArray, float] | MetricValue:
    """Returns start and end (N,) of each inference in start order, cut at the episode's end, and the latter; s."""
    length_ns = episode_length_ns(log)
    if not length_ns:
        return MetricValue.invalid("no outcome was polled")
    start, done = log.column("inferences", "start_ns"), log.column("inferences", "done_ns")
    started = start >= 0
    start, done = start[started], done[started]
    end = np.minimum(np.where(done < 0, length_ns, done), length_ns)
    order = np.argsort(start, kind="stable")
    return start[order] * 1e-9, end[order] * 1e-9, length_ns * 1e-9


def utilisation(intervals: tuple[FloatArray, FloatArray, float]) -> float:
    """Returns the share of the episode during which at least one of the intervals was open."""
    start_s, end_s, length_s = intervals
    if not len(start_s):
        return 0.0
    covered_until = np.maximum.accumulate(end_s)
    begins = np.maximum(start_s[1:], covered_until[:-1])
    busy = end_s[0] - start_s[0] + np.maximum(end_s[1:] - begins, 0.0).sum()
    return float(busy) / length_s


def mean_running(intervals: tuple[FloatArray, FloatArray, float]) -> float:
    """Returns the time average of the number of open intervals (the carried load, in erlang)."""
    start_s, end_s, length_s = intervals
    return float((end_s - start_s).sum()) / length_s


def queue_waits_ms(log: EpisodeLog) -> FloatArray:
    """Returns the time from arrival at the accelerator to the model's start of each started request, (N,) ms.

    The free first chunk, which passes no accelerator, does not count.
    """
    start, arrived = log.column("inferences", "start_ns"), log.column("inferences", "arrived_ns")
    counts = (start >= 0) & (arrived >= 0) & ~log.column("inferences", "is_free")
    waits: FloatArray = (start - arrived)[counts] * 1e-6
    return waits


ACCELERATOR = (
    Reduction(
        name="accelerator_utilisation",
        description="Share of the episode during which a model was running.",
        read=_busy_intervals_s,
        reduce=utilisation,
        tables=("inferences", "outcomes"),
    ),
    Reduction(
        name="mean_running_inferences",
        description="Time average of the number of inferences that run at once.",
        read=_busy_intervals_s,
        reduce=mean_running,
        tables=("inferences", "outcomes"),
    ),
    *statistics(
        "queue_wait",
        unit="ms",
        of="the time that a started request waited for the accelerator",
        read=queue_waits_ms,
        kinds=("mean", "p95", "max"),
        empty="no request waited for an accelerator, the free first one aside",
        tables=("inferences",),
    ),
)
