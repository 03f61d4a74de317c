"""Footprint overlap against shapely; contact normals; collision kinds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simloop_driving.collisions.fault import Body, CollisionKind, classify_collision, is_ego_at_fault
from simloop_driving.collisions.footprints import contact_normal, footprints_overlap

shapely = pytest.importorskip("shapely", reason="the independent implementation is not installed")


def _polygon(x: float, y: float, yaw: float, length: float, width: float) -> shapely.Polygon:
    box = shapely.box(-length / 2, -width / 2, length / 2, width / 2)
    turned = shapely.affinity.rotate(box, yaw, origin=(0, 0), use_radians=True)
    return shapely.affinity.translate(turned, x, y)


def test_overlap_agrees_with_shapely_on_random_pairs() -> None:
    import shapely.affinity  # noqa: F401

    draws = np.random.default_rng(7)
    num_touching = 0
    for _ in range(1000):
        x, y = draws.uniform(-6.0, 6.0, size=2)
        yaw1, yaw2 = draws.uniform(-math.pi, math.pi, size=2)
        length1, length2 = draws.uniform(2.0, 8.0, size=2)
        width1, width2 = draws.uniform(0.8, 2.6, size=2)
        first = (0.0, 0.0, yaw1, length1, width1)
        second = (x, y, yaw2, length2, width2)
        expected = _polygon(*first).intersects(_polygon(*second))
        assert footprints_overlap(*first, *second) == expected, (first, second)
        num_touching += expected
    assert 300 < num_touching < 700


@pytest.mark.parametrize(
    ("position", "closing", "normal"),
    [
        ((4.4, 0.0), (10.0, 0.0), (1.0, 0.0)),
        # Deep alongside, drifting into it from the side: the sides met, though the way out is shorter ahead.
        ((4.4, 1.85), (0.0, 2.0), (0.0, 1.0)),
        ((0.0, -1.8), (1.0, -1.0), (0.0, -1.0)),
    ],
)
def test_contact_normal_is_across_the_sides_that_met(
    position: tuple[float, float], closing: tuple[float, float], normal: tuple[float, float]
) -> None:
    touching, x, y = contact_normal(0.0, 0.0, 0.0, 4.5, 1.9, *position, 0.0, 4.5, 1.9, *closing)
    assert touching
    assert (x, y) == pytest.approx(normal, abs=1e-12)


def _body(x_m: float, y_m: float, speed_mps: float, yaw_rad: float = 0.0) -> Body:
    return Body(x_m=x_m, y_m=y_m, yaw_rad=yaw_rad, speed_mps=speed_mps, length_m=4.5, width_m=1.9)


@pytest.mark.parametrize(
    ("ego_speed_mps", "other", "kind", "fault_in_lane", "fault_straddling"),
    [
        (0.0, _body(-4.4, 0.0, 9.0), CollisionKind.STOPPED_EGO, False, False),
        (9.0, _body(4.4, 0.0, 0.0), CollisionKind.STOPPED_TRACK, True, True),
        (9.0, _body(4.4, 0.5, 5.0), CollisionKind.ACTIVE_FRONT, True, True),
        (9.0, _body(-4.4, 0.0, 15.0), CollisionKind.ACTIVE_REAR, False, False),
        (9.0, _body(0.0, 1.85, 9.0, -0.05), CollisionKind.ACTIVE_LATERAL, False, True),
    ],
)
def test_collision_kind_and_fault_follow_nuplan(
    ego_speed_mps: float, other: Body, kind: CollisionKind, fault_in_lane: bool, fault_straddling: bool
) -> None:
    found = classify_collision(_body(0.0, 0.0, ego_speed_mps), other)
    assert found is kind
    assert is_ego_at_fault(found, is_straddling_lanes=False) is fault_in_lane
    assert is_ego_at_fault(found, is_straddling_lanes=True) is fault_straddling
