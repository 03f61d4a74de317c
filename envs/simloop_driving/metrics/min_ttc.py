"""Least time to collision of an episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simloop_driving.metrics.traffic_grid import TTC_HORIZON_S, Traffic, TrafficMetric


class MinTtc(TrafficMetric):
    """Least 2-D time to collision between the ego and any other actor, at most ``TTC_HORIZON_S``.

    At every control tick all actors keep heading and speed; the time to collision is the instant at which the
    ego's oriented footprint first overlaps another one (Hayward 1972 in two dimensions). On bends the straight
    projection can see conflicts that the road's curvature solves. ``TTC_HORIZON_S`` itself means that no conflict
    came nearer than that; 0 means contact.
    """

    name = "min_ttc_s"
    unit = "s"
    description = (
        f"Least 2-D constant-velocity time to collision with any actor, capped at {TTC_HORIZON_S:g} s."
    )
    higher_is_better = True
    thresholds: ClassVar[Mapping[str, float]] = {"serious conflict": 1.5, "careful driver (UN R157)": 2.0}

    def value_of(self, traffic: Traffic) -> float:
        """Returns the least time to collision over all ticks and actors."""
        return min(float(traffic.time_to_overlap_s.min()), TTC_HORIZON_S)
