"""The metrics that need no knowledge of a domain."""

from __future__ import annotations

from simloop.metrics.accelerator import ACCELERATOR
from simloop.metrics.action_age import ACTION_AGE
from simloop.metrics.boundary_jump import ACTION_VARIATION, BOUNDARY_JUMP
from simloop.metrics.collision import Collision, ImpactSpeed, NumCollisions
from simloop.metrics.context_age import CONTEXT_AGE
from simloop.metrics.control_rate import CONTROL_RATE
from simloop.metrics.deadline import DEADLINE
from simloop.metrics.delay import DELAY_ERROR, REALISED_DELAY
from simloop.metrics.episode_length import EPISODE_LENGTH
from simloop.metrics.inference_counts import INFERENCE_COUNTS
from simloop.metrics.information_age import INFORMATION_AGE
from simloop.metrics.jerk import FilteredJerkRms, JerkRms, LogDimensionlessJerk
from simloop.metrics.latency import LATENCY
from simloop.metrics.losses import LOSSES
from simloop.metrics.metric import Metric
from simloop.metrics.path_length import PathLength, PathRatio
from simloop.metrics.quantisation import QUANTISATION
from simloop.metrics.reaches import ReachLogDimensionlessJerk, ReachSparc
from simloop.metrics.reaction import REACTION
from simloop.metrics.sparc import Sparc
from simloop.metrics.starvation import STARVATION
from simloop.metrics.success import SuccessAtEnd, SuccessHeld, SuccessOnce

_CORE_METRICS: tuple[Metric, ...] = (
    SuccessOnce(),
    SuccessAtEnd(),
    SuccessHeld(),
    Collision(),
    NumCollisions(),
    ImpactSpeed(),
    JerkRms(),
    FilteredJerkRms(),
    LogDimensionlessJerk(),
    Sparc(),
    ReachLogDimensionlessJerk(),
    ReachSparc(),
    PathLength(),
    PathRatio(),
    *BOUNDARY_JUMP,
    *ACTION_VARIATION,
    *STARVATION,
    *ACTION_AGE,
    *REACTION,
    *INFORMATION_AGE,
    *LATENCY,
    *REALISED_DELAY,
    *DELAY_ERROR,
    *DEADLINE,
    *INFERENCE_COUNTS,
    *CONTEXT_AGE,
    *ACCELERATOR,
    *LOSSES,
    *CONTROL_RATE,
    *QUANTISATION,
    EPISODE_LENGTH,
)


def core_metrics() -> tuple[Metric, ...]:
    """Returns every domain-free metric, in the order of the results' columns."""
    return _CORE_METRICS
