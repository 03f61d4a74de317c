"""Turning loops at loose ends, seen with the client library's map."""

from __future__ import annotations

import importlib.resources
from typing import Any

import numpy as np
import pytest

from simloop_carla.server.towns.town import load_town
from simloop_carla.server.towns.turning_loops import with_turning_loops

carla: Any = pytest.importorskip(
    "carla", reason="needs the carla client, which has no wheel for this platform"
)


def _document(name: str) -> str:
    return (importlib.resources.files("simloop_scenarios") / "maps" / f"{name}.xodr").read_text("utf-8")


@pytest.mark.parametrize(("name", "loops"), [("town", 11), ("rural", 2), ("roundabout", 4), ("highway", 0)])
def test_two_lane_streets_lead_back(name: str, loops: int) -> None:
    plain = _document(name)
    looped = with_turning_loops(plain)
    assert looped.count('name="turning loop of') == loops
    assert (looped == plain) == (loops == 0)
    if not loops:
        return
    town = carla.Map(name, looped)
    draws = np.random.default_rng(0)
    at = next(point for point in town.generate_waypoints(5.0) if not point.is_junction)
    for _ in range(3000):  # whatever the way, it never ends and never jumps
        following = at.next(1.0)
        assert following
        after = following[int(draws.integers(len(following)))]
        assert 0.7 < after.transform.location.distance(at.transform.location) < 1.3
        turn = (after.transform.rotation.yaw - at.transform.rotation.yaw + 180.0) % 360.0 - 180.0
        assert abs(turn) < 12.0
        at = after


def test_spawn_points_of_the_town_are_apart_and_outside_of_junctions() -> None:
    town = load_town("town")
    client_map = carla.Map("town", town.opendrive)
    points = np.array([point.location[:2] for point in town.spawn_points])
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert len(points) > 150
    assert np.min(apart[~np.eye(len(points), dtype=bool)]) > 3.0
    for x_m, y_m in points:
        lane = client_map.get_waypoint(carla.Location(float(x_m), float(y_m), 0.0))
        assert not lane.is_junction
        assert np.hypot(lane.transform.location.x - x_m, lane.transform.location.y - y_m) < 0.1
