"""Asks ad-rss for the safe distances of responsibility-sensitive safety; run by ``make oracles``.

Writes tests/golden/criticality_ad_rss.json: versions, the parameters, and rows of two speeds and the safe distance.
tests/driving/test_criticality_oracle.py reads it.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ad_physics
import ad_rss
import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "criticality_ad_rss.json"
NUM_ROWS = 200
# response, own acceleration, own least braking, the leader's hardest braking: the library's defaults
# (ad-rss-lib, parameter discussion), and those of the reference driver of the JRC's study.
PARAMETERS = {"library": (1.0, 3.5, 4.0, 8.0), "reference_driver": (0.75, 3.0, 6.0, 6.0)}


def _state(speed_mps: float, response_s: float, accelerate: float, brake: float, hardest: float) -> Any:
    """Returns a vehicle on a road; what the safe distance along the lane does not use is set to something valid."""
    unit = ad_physics.physics
    state = ad_rss.rss.core.RelativeObjectState()
    state.object_type = ad_rss.rss.world.ObjectType.OtherVehicle
    on_road = state.structured_object_state
    on_road.velocity.speed_lon_min = on_road.velocity.speed_lon_max = unit.Speed(speed_mps)
    on_road.velocity.speed_lat_min = on_road.velocity.speed_lat_max = unit.Speed(0.0)
    on_road.distance_to_enter_intersection = unit.Distance(0.0)
    on_road.distance_to_leave_intersection = unit.Distance(1000.0)
    dynamics = state.dynamics
    dynamics.response_time = unit.Duration(response_s)
    dynamics.min_longitudinal_safety_distance = unit.Distance(0.0)
    dynamics.max_speed_on_acceleration = unit.Speed(100.0)
    dynamics.alpha_lon.accel_max = unit.Acceleration(accelerate)
    dynamics.alpha_lon.brake_min = unit.Acceleration(-brake)
    dynamics.alpha_lon.brake_max = unit.Acceleration(-hardest)
    dynamics.alpha_lon.brake_min_correct = unit.Acceleration(-min(brake, 3.0))
    dynamics.alpha_lat.accel_max = unit.Acceleration(0.2)
    dynamics.alpha_lat.brake_min = unit.Acceleration(-0.8)
    dynamics.lateral_fluctuation_margin = unit.Distance(0.1)
    free = dynamics.unstructured_settings
    free.pedestrian_turning_radius = free.vehicle_min_radius = unit.Distance(3.5)
    free.drive_away_max_angle = unit.Angle(2.4)
    free.vehicle_yaw_rate_change = unit.AngularAcceleration(0.3)
    free.vehicle_trajectory_calculation_step = unit.Duration(0.2)
    pose = state.unstructured_object_state
    pose.yaw = pose.steering_angle = unit.Angle(0.0)
    pose.yaw_rate = unit.AngularVelocity(0.0)
    pose.dimension.length, pose.dimension.width = unit.Distance(4.0), unit.Distance(2.0)
    pose.center_point.x = pose.center_point.y = unit.Distance(0.0)
    pose.speed_range.minimum = pose.speed_range.maximum = unit.Speed(speed_mps)
    return state


def _safe_m(speed_mps: float, leader_mps: float, parameters: tuple[float, float, float, float]) -> float:
    distance = ad_physics.physics.Distance(0.0)
    if not ad_rss.rss.structured.calculateSafeLongitudinalDistanceSameDirection(
        _state(leader_mps, *parameters), _state(speed_mps, *parameters), distance
    ):
        raise ValueError(f"ad-rss refuses speeds {speed_mps}, {leader_mps} with {parameters}.")
    return float(distance.mDistance)


def main() -> None:
    """Writes the golden file."""
    draws = np.random.Generator(np.random.Philox(20260727))
    speeds = np.round(draws.uniform(0.0, 40.0, size=(NUM_ROWS, 2)), 3).tolist()
    content = {
        "script": Path(__file__).name,
        "versions": {"ad-rss": version("ad-rss")},
        "parameters": PARAMETERS,
        "rows": {
            name: [[own, leader, _safe_m(own, leader, values)] for own, leader in speeds]
            for name, values in PARAMETERS.items()
        },
    }
    GOLDEN.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
