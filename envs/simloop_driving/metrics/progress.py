"""Distance that the ego made good."""

from __future__ import annotations

import numpy as np

from simloop.metrics.metric import MetricValue
from simloop_driving.metrics.traffic_grid import TABLE, Traffic, TrafficMetric


class Progress(TrafficMetric):
    """Distance that the ego drove along its heading; reversing and sliding back subtract.

    Each tick's displacement is projected on the mean heading of its two ends, which is exact for the chord of
    a circular arc.
    """

    name = "progress_m"
    unit = "m"
    description = "Distance that the ego drove along its heading."
    higher_is_better = True

    def value_of(self, traffic: Traffic) -> float | MetricValue:
        """Returns the sum of the projected displacements."""
        pose = traffic.grid.pose[:, 0]
        if len(pose) < 2:
            return MetricValue.invalid(f"{TABLE} has fewer than two rows of the ego (actor 0)")
        turn_rad = np.diff(pose[:, 2])
        turn_rad = (turn_rad + np.pi) % (2.0 * np.pi) - np.pi
        heading_rad = pose[:-1, 2] + 0.5 * turn_rad
        step_m = np.diff(pose[:, :2], axis=0)
        return float(np.sum(step_m[:, 0] * np.cos(heading_rad) + step_m[:, 1] * np.sin(heading_rad)))
