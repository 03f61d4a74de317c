"""Boxes of the server's actors: a middle's pose and the actor's origin are one place, as the client library has it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from simloop_carla.world.boxes import Box, box_of

carla: Any = pytest.importorskip(
    "carla", reason="needs the carla client, which has no wheel for this platform"
)

BOX = Box(size_m=(4.0, 2.0, 1.5), middle_m=(1.25, -0.5))
POSES = [
    (3.0, -4.0, 0.0),
    (100.0, 50.0, 0.7),
    (-7.0, 2.0, -3.0),
    (0.0, 0.0, 9.0),
    (5.0, 6.0, -math.pi / 2),
]


@pytest.mark.parametrize("pose", POSES)
def test_the_origin_of_a_pose_has_its_boxs_middle_there(pose: tuple[float, float, float]) -> None:
    x_m, y_m, yaw_deg = BOX.origin(*pose)
    origin = carla.Transform(carla.Location(x_m, y_m, 0.0), carla.Rotation(0.0, yaw_deg, 0.0))
    middle = origin.transform(carla.Location(*BOX.middle_m, 0.0))  # single precision
    assert (middle.x, -middle.y) == pytest.approx(pose[:2], abs=1e-4)
    assert BOX.pose(origin, pose[2]) == pytest.approx(pose, abs=1e-4)


@pytest.mark.parametrize("turns", [-2, -1, 0, 1, 3])
def test_the_yaw_goes_on_past_half_a_turn(turns: int) -> None:
    near_rad = 2.0 * math.pi * turns + math.pi - 0.1
    transform = carla.Transform(carla.Location(), carla.Rotation(0.0, 179.0, 0.0))  # half a turn, right of it
    expected_rad = 2.0 * math.pi * turns + math.pi + math.radians(1.0)
    assert BOX.pose(transform, near_rad)[2] == pytest.approx(expected_rad, abs=1e-6)


def test_a_box_is_read_with_its_whole_sides() -> None:
    found = carla.BoundingBox(carla.Location(1.25, -0.5, 0.75), carla.Vector3D(2.0, 1.0, 0.75))
    assert box_of(SimpleNamespace(bounding_box=found)) == BOX
