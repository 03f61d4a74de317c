"""Steer controls from road-wheel angles, by a vehicle's physics control."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from simloop_carla.world.steering import Steering


def _physics(curve: list[tuple[float, float]], *angles_deg: float) -> Any:
    return SimpleNamespace(
        wheels=[SimpleNamespace(max_steer_angle=angle) for angle in angles_deg],
        steering_curve=[SimpleNamespace(x=x, y=y) for x, y in curve],
    )


@pytest.mark.parametrize(
    ("curve", "angle_deg", "speed_kmh", "control"),
    [
        ([(0.0, 1.0)], 35.0, 0.0, 0.5),
        ([(0.0, 1.0), (100.0, 0.5)], -35.0, 50.0, -35.0 / (70.0 * 0.75)),
        ([(100.0, 0.5), (0.0, 1.0)], 35.0, 200.0, 1.0),
        ([], 7.0, 30.0, 0.1),
        ([(0.0, 0.0)], 7.0, 30.0, 0.0),
    ],
)
def test_the_control_is_the_angles_share_of_what_the_speed_leaves(
    curve: list[tuple[float, float]], angle_deg: float, speed_kmh: float, control: float
) -> None:
    steering = Steering(_physics(curve, 70.0, 70.0, 0.0, 0.0))
    assert steering.control(math.radians(angle_deg), speed_kmh / 3.6) == pytest.approx(control)
