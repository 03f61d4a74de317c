"""Smoothness of single reaches: the measures are made for discrete movements, an episode holds several and pauses."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from simloop.metrics.jerk import MIN_SAMPLES, log_dimensionless_jerk
from simloop.metrics.kinematics import MIN_PEAK_MPS, FloatArray, MotionMetric, PointMotion
from simloop.metrics.metric import MetricValue
from simloop.metrics.sparc import spectral_arc_length

ONSET_RATIO = 0.05
"""Share of the point's peak speed in the episode above which it is under way."""
MIN_REACH_S = 0.2
"""Shorter motions are no reaches."""


def reaches(speed_mps: FloatArray, sample_period_s: float) -> list[slice]:
    """Returns the stretches of an (N,) speed that lie above 5 % of its peak for 0.2 s or longer."""
    threshold = max(ONSET_RATIO * float(speed_mps.max(initial=0.0)), MIN_PEAK_MPS)
    is_under_way = np.concatenate([[False], speed_mps > threshold, [False]])
    edges = np.flatnonzero(is_under_way[1:] != is_under_way[:-1])
    least = max(MIN_SAMPLES, math.ceil(MIN_REACH_S / sample_period_s - 1e-9))
    return [slice(a, b) for a, b in list(pairwise(edges.tolist()))[::2] if b - a >= least]


class _ReachMetric(MotionMetric):
    """The mean over the reaches of a point, of the worst point."""

    min_samples = MIN_SAMPLES
    higher_is_better = True

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Takes the minimum over the points that reach for something."""
        means = []
        for motion in motions:
            found = [
                self.smoothness(motion, part) for part in reaches(motion.speed_mps, motion.sample_period_s)
            ]
            finite = [value for value in found if math.isfinite(value)]
            if finite:
                means.append(float(np.mean(finite)))
        return (
            MetricValue(value=min(means))
            if means
            else MetricValue.invalid("no motion point reaches anywhere")
        )

    @abstractmethod
    def smoothness(self, motion: PointMotion, part: slice) -> float:
        """Returns the smoothness of one reach."""


class ReachLogDimensionlessJerk(_ReachMetric):
    """Log dimensionless jerk of single reaches."""

    name = "ldlj_reach"
    description = (
        "Log dimensionless jerk, mean over the reaches of the least smooth point; nearer to zero is smoother."
    )

    def smoothness(self, motion: PointMotion, part: slice) -> float:
        """Returns LDLJ of a reach."""
        return log_dimensionless_jerk(motion.velocity_mps[part], motion.sample_period_s)


class ReachSparc(_ReachMetric):
    """Spectral arc length of single reaches."""

    name = "sparc_reach"
    description = (
        "Spectral arc length, mean over the reaches of the least smooth point; nearer to zero is smoother."
    )

    def smoothness(self, motion: PointMotion, part: slice) -> float:
        """Returns SPARC of a reach."""
        return spectral_arc_length(motion.speed_mps[part], 1.0 / motion.sample_period_s)
