"""Least time to collision of an episode."""

from __future__ import annotations

import math

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics.actor_rows import TABLE, ActorRows
from simloop_driving.metrics.first_overlap import min_first_overlap_s

HORIZON_S = 10.0
"""Longer times to collision count as this; a conflict farther off says nothing about an episode's risk."""


class MinTtc(Metric):
    """Least 2-D time to collision between the ego and any other actor, at most ``HORIZON_S``.

    At every control tick all actors keep heading and speed; the time to collision is the instant at which the
    ego's oriented footprint first overlaps another one (Hayward 1972 in two dimensions). On bends the straight
    projection can see conflicts that the road's curvature solves. ``HORIZON_S`` itself means that no conflict
    came nearer than that; 0 means contact.
    """

    name = "min_ttc_s"
    unit = "s"
    description = f"Least 2-D constant-velocity time to collision with any actor, capped at {HORIZON_S:g} s."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the least time to collision over all ticks and actors."""
        rows = ActorRows.from_log(log)
        if not rows.is_ego.any():
            return MetricValue.invalid("world.actors has no row of the ego (actor 0)")
        least = min_first_overlap_s(rows.t_ns, rows.actor, rows.pose, rows.speed_mps, rows.size_m)
        return MetricValue(value=HORIZON_S if math.isinf(least) else min(float(least), HORIZON_S))
