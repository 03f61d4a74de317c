"""Distance that the motion points travelled, and how direct their ways were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simloop.metrics.kinematics import FloatArray, MotionMetric, PointMotion
from simloop.metrics.metric import MetricValue

MIN_CHORD_M = 1e-6
"""Distance between start and end below which a path has no ratio to it."""


def path_length_m(position_m: FloatArray) -> float:
    """Returns the length of the polyline through (N, D) positions."""
    return float(np.linalg.norm(np.diff(position_m, axis=0), axis=1).sum())


class PathLength(MotionMetric):
    """Path length, averaged over the motion points: the distance driven by a car, the mean reach of two grippers."""

    name = "path_length_m"
    unit = "m"
    description = "Length of the travelled path, averaged over the motion points."
    min_samples = 2

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Takes the mean over the points."""
        return MetricValue(value=float(np.mean([path_length_m(m.position_m) for m in motions])))


class PathRatio(MotionMetric):
    """Path length over the distance of its ends, averaged over the points that move and end elsewhere."""

    name = "path_ratio"
    description = (
        "Length of the travelled path over the distance of its ends, averaged over the points that moved."
    )
    min_samples = 2
    higher_is_better = False

    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Takes the mean over the points whose path has a ratio."""
        ratios = []
        for motion in motions:
            chord_m = float(np.linalg.norm(motion.position_m[-1] - motion.position_m[0]))
            if motion.is_moving and chord_m >= MIN_CHORD_M:
                ratios.append(path_length_m(motion.position_m) / chord_m)
        if not ratios:
            return MetricValue.invalid("no motion point moved and ended elsewhere than it began")
        return MetricValue(value=float(np.mean(ratios)))
