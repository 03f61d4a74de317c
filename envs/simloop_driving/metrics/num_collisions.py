"""How often the ego collided."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics.collision import TABLE


class NumCollisions(Metric):
    """Number of collisions: onsets of contact that the task does not allow."""

    name = "num_collisions"
    description = "Number of collisions."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the number of contact rows that are collisions."""
        return MetricValue(
            value=float(np.count_nonzero(np.asarray(log.column(TABLE, "is_collision"), dtype=bool)))
        )
