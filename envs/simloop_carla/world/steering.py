"""From road-wheel angles to the steer control of a CARLA vehicle, as its physics control tells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

FRONT_WHEELS = slice(0, 2)
KMH_PER_MPS = 3.6


class Steering:
    """What a vehicle makes of its steer control: a share of the largest angle, less the faster it drives.

    Source: CARLA's Python API reference, ``VehiclePhysicsControl.steering_curve`` (speed in km/h, share) and
    ``WheelPhysicsControl.max_steer_angle`` (degrees). What the wheels then do is the server's.

    Args:
        physics: The vehicle's ``carla.VehiclePhysicsControl``.
    """

    def __init__(self, physics: Any) -> None:
        angles_deg = [float(wheel.max_steer_angle) for wheel in physics.wheels[FRONT_WHEELS]]
        curve = sorted((float(point.x), float(point.y)) for point in physics.steering_curve) or [(0.0, 1.0)]
        self._largest_rad = math.radians(max(angles_deg, default=0.0))
        self._speeds_kmh = np.array([point[0] for point in curve])
        self._shares = np.array([point[1] for point in curve])

    def control(self, angle_rad: float, speed_mps: float) -> float:
        """Returns the control, -1 to 1, whose road-wheel angle at that speed is ``angle_rad``, of the same sign."""
        share = float(np.interp(speed_mps * KMH_PER_MPS, self._speeds_kmh, self._shares))
        reach_rad = self._largest_rad * share
        return min(max(angle_rad / reach_rad, -1.0), 1.0) if reach_rad > 0.0 else 0.0
