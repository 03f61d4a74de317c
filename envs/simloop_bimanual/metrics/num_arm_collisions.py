"""How often the arms hit each other."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

TABLE = "world.contacts"


class NumArmCollisions(Metric):
    """Number of onsets of contact between a part of the left arm and a part of the right one."""

    name = "num_arm_collisions"
    description = "Number of times the two arms (or their grippers) hit each other."
    tables = (TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the rows of ``world.contacts`` whose classes belong to different arms."""
        pairs = [str(pair).split("-") for pair in log.column(TABLE, "class_pair")]
        sides = [{name.split("_")[0] for name in pair} for pair in pairs]
        return MetricValue(value=float(sum(side == {"left", "right"} for side in sides)))
