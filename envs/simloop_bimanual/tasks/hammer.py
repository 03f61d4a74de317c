"""robosuite's hammer (``HammerObject``): its five geoms for given sizes, and how it is laid down."""

from __future__ import annotations

import math

import numpy as np

from simloop_bimanual.models.sampled_geometry import GeomShape
from simloop_bimanual.tasks.task import FloatArray

PARTS = ("handle", "head", "neck", "face", "claw")
"""Geoms of a hammer, after its name and an underscore."""


def hammer_shapes(
    name: str,
    *,
    radius_m: float,
    length_m: float,
    density_kgpm3: float,
    friction: float,
    head_half_size_m: float,
    head_density_ratio: float,
) -> dict[str, GeomShape]:
    """Returns the geoms of a hammer by their names.

    The handle is a box along z; the head on its +z end is as wide as four ``head_half_size_m`` along x. Proportions are
    those of robosuite 1.5.2 ``HammerObject``.
    """
    half, heavy = head_half_size_m, density_kgpm3 * head_density_ratio
    top = length_m / 2.0 + half
    sizes = {
        "head": ((half * 2, half, half), 0.0),
        "neck": ((half * 0.8, half * 0.2), half * 2.2),
        "face": ((half, half * 0.4), half * 2.8),
        "claw": ((half * 0.7072, half * 0.95, half * 0.7072), -half * 2),
    }
    shapes = {
        f"{name}_handle": GeomShape(
            size_m=(radius_m, radius_m, length_m / 2.0),
            position_m=(0.0, 0.0, 0.0),
            density_kgpm3=density_kgpm3,
            sliding_friction=friction,
        )
    }
    for part, (size, x_m) in sizes.items():
        shapes[f"{name}_{part}"] = GeomShape(size_m=size, position_m=(x_m, 0.0, top), density_kgpm3=heavy)
    return shapes


def head_half_size_m(radius_m: float, fraction: float) -> float:
    """Returns robosuite's half size of the head: ``fraction`` of the way from the handle's radius to 1.2 times it."""
    return radius_m + (radius_m * 1.2 - radius_m) * fraction


def lying_quaternion(turn_rad: float, *, is_flipped: bool) -> FloatArray:
    """Returns how robosuite lays a hammer down: turned in the table's plane, head on one or the other side.

    robosuite multiplies quaternions of two conventions in single precision; the values here are the ones it gets.

    Args:
        turn_rad: Its sampled angle.
        is_flipped: Whether the head is on the other side.

    Returns:
        (4,) w x y z.
    """
    x0, y0, z0, w0 = (-0.5, -0.5, -0.5, -0.5) if is_flipped else (0.5, -0.5, 0.5, -0.5)
    x1, y1, z1, w1 = np.cos(turn_rad / 2), 0.0, np.sin(turn_rad / 2), 0.0
    product = (
        x1 * w0 + y1 * z0 - z1 * y0 + w1 * x0,
        -x1 * z0 + y1 * w0 + z1 * x0 + w1 * y0,
        x1 * y0 - y1 * x0 + z1 * w0 + w1 * z0,
        -x1 * x0 - y1 * y0 - z1 * z0 + w1 * w0,
    )
    return np.array(product, dtype=np.float32).astype(np.float64)


FULL_TURN_RAD = 2 * math.pi
