"""How far the task came, by its stages."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

TABLE = "world.task"
_NO_PERIOD = "no control period"


class MaxStage(Metric):
    """Furthest stage of the task; the log attribute ``stages`` says what each stage means."""

    name = "max_stage"
    description = "Furthest stage of the two-arm task, from 0 (lift: 1 at the handles, 2 grasped, 3 lifted)."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Takes the maximum of ``world.task.stage``."""
        stages = log.column(TABLE, "stage")
        return MetricValue(value=float(stages.max())) if len(stages) else MetricValue.invalid(_NO_PERIOD)


class StageAtEnd(Metric):
    """Stage of the task when the episode ended."""

    name = "stage_at_end"
    description = "Stage of the two-arm task when the episode ended; below max_stage if progress was lost."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads the last row of ``world.task.stage``."""
        stages = log.column(TABLE, "stage")
        return MetricValue(value=float(stages[-1])) if len(stages) else MetricValue.invalid(_NO_PERIOD)


class StageProgress(Metric):
    """Furthest stage as a share of all stages: comparable between tasks."""

    name = "stage_progress_ratio"
    description = "Furthest stage of the two-arm task over its last one."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Divides ``max_stage`` by the number of stages after the first (RoboEval's ``subtask_progress``)."""
        stages, last = log.column(TABLE, "stage"), len(log.attributes.get("stages", ())) - 1
        if last < 1:
            return MetricValue.invalid("the log has no attribute stages")
        return (
            MetricValue(value=float(stages.max()) / last) if len(stages) else MetricValue.invalid(_NO_PERIOD)
        )
