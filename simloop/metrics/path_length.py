"""Distance that the motion points travelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simloop.metrics.kinematics import FloatArray, MotionMetric, PointMotion
from simloop.metrics.metric import MetricValue


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
