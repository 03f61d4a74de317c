"""How far the task came."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

TABLE = "world.task"


class MaxStage(Metric):
    """Furthest stage of the task; the task's table says what each stage means."""

    name = "max_stage"
    description = "Furthest stage of the two-arm task, from 0 (lift: 1 at the handles, 2 grasped, 3 lifted)."
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
