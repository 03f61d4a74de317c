"""Distance that the motion points travelled."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.kinematics import MOTION_TABLE, FloatArray, read_motion
from simloop.metrics.metric import Metric, MetricValue


def path_length_m(position_m: FloatArray) -> float:
    """Returns the length of the polyline through (N, D) positions."""
    return float(np.linalg.norm(np.diff(position_m, axis=0), axis=1).sum())


class PathLength(Metric):
    """Path length, averaged over the motion points: the distance driven by a car, the mean reach of two grippers."""

    name = "path_length_m"
    unit = "m"
    description = "Length of the travelled path, averaged over the motion points."
    tables = (MOTION_TABLE,)

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Takes the mean over the points."""
        motions = read_motion(log, 2)
        if isinstance(motions, MetricValue):
            return motions
        return MetricValue(value=float(np.mean([path_length_m(m.position_m) for m in motions])))
