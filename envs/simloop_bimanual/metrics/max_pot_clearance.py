"""How high the pot was lifted."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import MISSING_TABLE, Metric, MetricValue

TABLE = "world.task"


class MaxPotClearance(Metric):
    """Largest height of the pot's bottom over the table."""

    name = "max_pot_clearance_m"
    unit = "m"
    description = "Largest height of the pot's bottom over the table."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Takes the maximum of ``world.task.pot_clearance_m``."""
        if "pot_clearance_m" not in log.tables[TABLE]:
            return MetricValue.invalid(f"{MISSING_TABLE} {TABLE} of a lift")
        clearances = log.column(TABLE, "pot_clearance_m")
        if not len(clearances):
            return MetricValue.invalid("no control period")
        return MetricValue(value=float(clearances.max()))
