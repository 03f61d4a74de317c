"""What sensors dropped and links lost."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.inference_counts import count_states
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction

_UPLINK, _DOWNLINK = frozenset({"uplink_lost"}), frozenset({"downlink_lost"})


def _num_dropped_captures(log: EpisodeLog) -> float:
    return float(np.count_nonzero(log.column("captures", "is_dropped")))


def _num_lost_captures(log: EpisodeLog) -> float:
    return float(np.count_nonzero(log.column("captures", "is_lost")))


def _num_uplink_lost(log: EpisodeLog) -> float:
    return float(count_states(log, _UPLINK))


def _num_downlink_lost(log: EpisodeLog) -> float:
    return float(count_states(log, _DOWNLINK))


def link_loss_ratio(log: EpisodeLog) -> float | MetricValue:
    """Returns the share of the sent requests whose request or reply a link lost."""
    num_sent = np.count_nonzero(log.column("inferences", "sent_ns") >= 0)
    if not num_sent:
        return MetricValue.invalid("no request was sent")
    return count_states(log, _UPLINK | _DOWNLINK) / num_sent


LOSSES = (
    Reduction(
        name="num_dropped_captures",
        description="Number of captures that a sensor never delivered.",
        read=_num_dropped_captures,
        tables=("captures",),
        higher_is_better=False,
    ),
    Reduction(
        name="num_lost_captures",
        description="Number of captures that were lost between sensor and assembly.",
        read=_num_lost_captures,
        tables=("captures",),
        higher_is_better=False,
    ),
    Reduction(
        name="num_uplink_lost",
        description="Number of requests that the uplink lost.",
        read=_num_uplink_lost,
        tables=("inferences",),
        higher_is_better=False,
    ),
    Reduction(
        name="num_downlink_lost",
        description="Number of replies that the downlink lost.",
        read=_num_downlink_lost,
        tables=("inferences",),
        higher_is_better=False,
    ),
    Reduction(
        name="link_loss_ratio",
        description="Share of the sent requests whose request or reply was lost.",
        read=link_loss_ratio,
        tables=("inferences",),
        higher_is_better=False,
    ),
)
