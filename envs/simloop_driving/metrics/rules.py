"""Rules of the road: what the ego was not allowed to do."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics.traffic_grid import Traffic, TrafficMetric

INFRACTIONS_TABLE = "world.infractions"


def _count(log: EpisodeLog, kind: str) -> MetricValue:
    kinds = log.column(INFRACTIONS_TABLE, "kind")
    return MetricValue(value=float(np.count_nonzero(kinds == kind)))


class NumRedLightInfractions(Metric):
    """How often the ego drove over a stop line whose signal was red."""

    name = "num_red_light_infractions"
    description = "Number of stop lines that the ego crossed at a red light."
    tables = (INFRACTIONS_TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the rows of that kind."""
        return _count(log, "red_light")


class NumStopSignInfractions(Metric):
    """How often the ego drove over the line of a stop sign without having stood before it."""

    name = "num_stop_sign_infractions"
    description = "Number of lines of stop signs that the ego crossed without standing before them."
    tables = (INFRACTIONS_TABLE,)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the rows of that kind."""
        return _count(log, "stop_sign")


class TimeInOppositeLane(TrafficMetric):
    """Time with the ego's centre in a lane of the opposite direction; junctions do not count."""

    name = "time_in_opposite_lane_s"
    unit = "s"
    description = "Time with the ego's centre in a lane of the opposite direction, outside junctions."
    higher_is_better = False

    def value_of(self, traffic: Traffic) -> float:
        """Returns the time."""
        return float(np.count_nonzero(traffic.grid.is_ego_opposite)) * traffic.grid.period_s
