"""The metrics that need no knowledge of a domain."""

from __future__ import annotations

from simloop.metrics.action_age import ActionAgeMax, ActionAgeMean, ActionAgeP95
from simloop.metrics.boundary_jump import BoundaryJump, BoundaryJumpMax, BoundaryJumpRatio
from simloop.metrics.collision import Collision, ImpactSpeed, NumCollisions
from simloop.metrics.delay import (
    DelayErrorMean,
    DelayErrorP95,
    DelayOverrunRatio,
    RealisedDelayMax,
    RealisedDelayMean,
    RealisedDelayP95,
)
from simloop.metrics.episode_length import EpisodeLength
from simloop.metrics.inference_counts import (
    NumDiscardedChunks,
    NumDroppedObservations,
    NumInferences,
    WastedActionRatio,
)
from simloop.metrics.jerk import JerkRms, LogDimensionlessJerk
from simloop.metrics.latency import LatencyP50, LatencyP95, LatencyP99
from simloop.metrics.metric import Metric
from simloop.metrics.path_length import PathLength
from simloop.metrics.sparc import Sparc
from simloop.metrics.starvation import Starvation, StarvationLongest
from simloop.metrics.success import SuccessAtEnd, SuccessHeld, SuccessOnce

CORE_METRIC_TYPES: tuple[type[Metric], ...] = (
    SuccessOnce,
    SuccessAtEnd,
    SuccessHeld,
    Collision,
    NumCollisions,
    ImpactSpeed,
    JerkRms,
    LogDimensionlessJerk,
    Sparc,
    PathLength,
    BoundaryJump,
    BoundaryJumpMax,
    BoundaryJumpRatio,
    Starvation,
    StarvationLongest,
    ActionAgeMean,
    ActionAgeP95,
    ActionAgeMax,
    LatencyP50,
    LatencyP95,
    LatencyP99,
    RealisedDelayMean,
    RealisedDelayP95,
    RealisedDelayMax,
    DelayErrorMean,
    DelayErrorP95,
    DelayOverrunRatio,
    NumInferences,
    NumDroppedObservations,
    NumDiscardedChunks,
    WastedActionRatio,
    EpisodeLength,
)


def core_metrics() -> tuple[Metric, ...]:
    """Returns one instance of every domain-free metric, in the order of the results' columns."""
    return tuple(metric() for metric in CORE_METRIC_TYPES)
