"""Hardest braking of the ego."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics.actor_rows import TABLE


class MaxDeceleration(Metric):
    """Largest deceleration of the ego over all control ticks; 0 if it never slowed down."""

    name = "max_deceleration_mps2"
    unit = "m/s^2"
    description = "Largest deceleration of the ego."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the largest value of minus the ego's longitudinal acceleration."""
        is_ego = np.asarray(log.column(TABLE, "actor")) == 0
        if not is_ego.any():
            return MetricValue.invalid("world.actors has no row of the ego (actor 0)")
        acceleration_mps2 = np.asarray(log.column(TABLE, "acceleration_mps2"), dtype=np.float64)[is_ego]
        return MetricValue(value=float(max(0.0, -acceleration_mps2.min())))
