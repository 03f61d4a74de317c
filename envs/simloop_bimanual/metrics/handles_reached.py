"""Whether both grippers were at the handles at once."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import MISSING_TABLE, Metric, MetricValue

TABLE = "world.task"
REACH_M = 0.04


class HandlesReached(Metric):
    """1 if both grippers were within 4 cm of their handles at the same control period, else 0."""

    name = "handles_reached"
    description = "Both grippers were within 4 cm of their handles at the same time."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Compares the two columns of handle distances of ``world.task`` with 4 cm."""
        if "left_handle_distance_m" not in log.tables[TABLE]:
            return MetricValue.invalid(f"{MISSING_TABLE} {TABLE} of a lift")
        left, right = (log.column(TABLE, f"{side}_handle_distance_m") for side in ("left", "right"))
        if not len(left):
            return MetricValue.invalid("no control period")
        return MetricValue(value=float(np.any(np.maximum(left, right) <= REACH_M)))
