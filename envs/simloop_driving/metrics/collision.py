"""Whether the ego collided."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

TABLE = "world.contacts"


class Collision(Metric):
    """1 if the ego touched anything that it must not touch, else 0."""

    name = "collision"
    description = "1 if the ego collided, else 0."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns whether any contact is a collision."""
        return MetricValue(value=float(np.any(np.asarray(log.column(TABLE, "is_collision"), dtype=bool))))
