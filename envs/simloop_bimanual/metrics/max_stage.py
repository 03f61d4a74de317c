"""How far the lift came."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

TABLE = "world.task"


class MaxStage(Metric):
    """Furthest stage of the lift: 0 approach, 1 both at the handles, 2 both grasped, 3 lifted."""

    name = "max_stage"
    description = "Furthest stage: 0 approach, 1 both grippers at the handles, 2 both grasped, 3 lifted."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Takes the maximum of ``world.task.stage``."""
        stages = log.column(TABLE, "stage")
        return (
            MetricValue(value=float(stages.max()))
            if len(stages)
            else MetricValue.invalid("no control period")
        )
