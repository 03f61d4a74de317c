"""How far the pot was tilted."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import MISSING_TABLE, Metric, MetricValue

TABLE = "world.task"


class MaxPotTilt(Metric):
    """Largest angle between the pot's axis and the vertical."""

    name = "max_pot_tilt_rad"
    unit = "rad"
    description = "Largest angle between the pot's axis and the vertical."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Takes the maximum of ``world.task.pot_tilt_rad``."""
        if "pot_tilt_rad" not in log.tables[TABLE]:
            return MetricValue.invalid(f"{MISSING_TABLE} {TABLE} of a lift")
        tilts = log.column(TABLE, "pot_tilt_rad")
        return (
            MetricValue(value=float(tilts.max())) if len(tilts) else MetricValue.invalid("no control period")
        )
