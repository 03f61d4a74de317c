"""How hard the ego collided."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics.collision import TABLE


class ImpactSpeed(Metric):
    """Largest closing speed at the onset of a collision; what Euro NCAP grades. Not valid without a collision."""

    name = "impact_speed_mps"
    unit = "m/s"
    description = "Largest closing speed at the onset of a collision."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the largest impact speed of all collisions."""
        is_collision = np.asarray(log.column(TABLE, "is_collision"), dtype=bool)
        if not is_collision.any():
            return MetricValue.invalid("no collision")
        speed_mps = np.asarray(log.column(TABLE, "impact_speed_mps"), dtype=np.float64)
        return MetricValue(value=float(speed_mps[is_collision].max()))
