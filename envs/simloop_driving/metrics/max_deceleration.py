"""Hardest braking of the ego."""

from __future__ import annotations

from simloop_driving.metrics.traffic_grid import Traffic, TrafficMetric


class MaxDeceleration(TrafficMetric):
    """Largest deceleration of the ego over all control ticks; 0 if it never slowed down."""

    name = "max_deceleration_mps2"
    unit = "m/s^2"
    description = "Largest deceleration of the ego."
    higher_is_better = False

    def value_of(self, traffic: Traffic) -> float:
        """Returns the largest value of minus the ego's longitudinal acceleration."""
        return float(max(0.0, -traffic.grid.acceleration_mps2[:, 0].min()))
