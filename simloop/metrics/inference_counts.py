"""How many inferences an episode took, what of them went unused, and what got lost on the way."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.delay import is_played
from simloop.metrics.episode_length import episode_length_ns
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction

DISCARDED_STATES = frozenset({"stale_dropped", "elapsed", "overrun_discarded", "too_old"})
"""States of chunks that arrived and were of no use."""


def count_states(log: EpisodeLog, states: frozenset[str]) -> int:
    """Returns how many rows of ``inferences`` are in one of ``states``."""
    return sum(map(states.__contains__, log.column("inferences", "state").tolist()))


def _num_inferences(log: EpisodeLog) -> float:
    return float(np.count_nonzero(log.column("inferences", "start_ns") >= 0))


def _inference_hz(log: EpisodeLog) -> float | MetricValue:
    length_ns = episode_length_ns(log)
    if not length_ns:
        return MetricValue.invalid("no outcome was polled")
    return np.count_nonzero(log.column("inferences", "done_ns") >= 0) / (length_ns * 1e-9)


def _num_dropped_observations(log: EpisodeLog) -> float:
    return float(count_states(log, frozenset({"queue_dropped"})))


def _num_discarded_chunks(log: EpisodeLog) -> float:
    return float(count_states(log, DISCARDED_STATES))


def wasted_action_ratio(log: EpisodeLog) -> float | MetricValue:
    """Returns the share of predicted actions that never took effect.

    A finished chunk that never reached the strategy (lost, discarded or still under way) has predicted ``horizon``
    actions for nothing; the rows of all others are in ``chunks``.
    """
    executed = log.column("chunks", "is_executed")
    finished = log.column("inferences", "request")[
        (log.column("inferences", "done_ns") >= 0) & is_played(log)
    ]
    num_unseen = len(finished) - int(np.isin(finished, log.column("chunks", "request")).sum())
    num_predicted = len(executed) + num_unseen * int(log.attributes.get("horizon", 0))
    if not num_predicted:
        return MetricValue.invalid("no chunk was predicted")
    return 1.0 - np.count_nonzero(executed) / num_predicted


INFERENCE_COUNTS = (
    Reduction(
        name="num_inferences",
        description="Number of inferences that were started.",
        read=_num_inferences,
        tables=("inferences",),
    ),
    Reduction(
        name="inference_hz",
        description="Finished inferences a second.",
        read=_inference_hz,
        unit="Hz",
        tables=("inferences", "outcomes"),
    ),
    Reduction(
        name="num_dropped_observations",
        description="Number of observations dropped in the queue before an inference.",
        read=_num_dropped_observations,
        tables=("inferences",),
        higher_is_better=False,
    ),
    Reduction(
        name="num_discarded_chunks",
        description="Number of chunks that arrived and were discarded: too late, too old, over-run.",
        read=_num_discarded_chunks,
        tables=("inferences",),
        higher_is_better=False,
        version=2,
    ),
    Reduction(
        name="wasted_action_ratio",
        description="Share of the predicted actions that were never executed.",
        read=wasted_action_ratio,
        tables=("chunks", "inferences"),
        higher_is_better=False,
        version=3,
    ),
)
