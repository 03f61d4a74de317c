"""How often the ego collided by its own fault."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

TABLE = "world.contacts"


class NumAtFaultCollisions(Metric):
    """Number of collisions that the log blames on the ego (nuPlan's at-fault rule, applied by the world)."""

    name = "num_at_fault_collisions"
    description = "Number of collisions that the ego is to blame for."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the number of contact rows that are collisions at fault."""
        is_collision = np.asarray(log.column(TABLE, "is_collision"), dtype=bool)
        is_at_fault = np.asarray(log.column(TABLE, "is_at_fault"), dtype=bool)
        return MetricValue(value=float(np.count_nonzero(is_collision & is_at_fault)))
