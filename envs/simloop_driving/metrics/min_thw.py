"""Least time headway of an episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from simloop.metrics.metric import MetricValue
from simloop_driving.metrics import criticality
from simloop_driving.metrics.traffic_grid import Traffic, TrafficMetric

MIN_SPEED_MPS = 1.0
"""Below this the headway of a car that is about to stop says nothing."""


class MinThw(TrafficMetric):
    """Least time headway: bumper-to-bumper gap to the leader over ego speed, along the ego's route.

    Ticks at which the ego is slower than ``MIN_SPEED_MPS`` do not count. Not valid when nobody ever was ahead in
    the ego's path.
    """

    name = "min_thw_s"
    unit = "s"
    description = "Least time headway (bumper-to-bumper gap over ego speed) to the leader in the ego's path."
    version = 2
    higher_is_better = True
    thresholds: ClassVar[Mapping[str, float]] = {
        "following at 10 km/h (UN R157)": 1.1,
        "following at 60 km/h (UN R157)": 1.6,
    }

    def value_of(self, traffic: Traffic) -> float | MetricValue:
        """Returns the least headway over all ticks."""
        counts = traffic.grid.route_speed_mps[:, 0] >= MIN_SPEED_MPS
        least = float(np.min(traffic.leader[counts, criticality.THW_S], initial=np.inf))
        if np.isinf(least):
            return MetricValue.invalid(
                f"no actor ahead in the ego's path while it drove {MIN_SPEED_MPS:g} m/s or more"
            )
        return least
