"""Overlap of oriented rectangles, by separating axes (S. Gottschalk, M. Lin, D. Manocha, SIGGRAPH 1996, in 2-D)."""

from __future__ import annotations

import math

import numba


@numba.njit(cache=True)
def contact_normal(
    x1_m: float,
    y1_m: float,
    yaw1_rad: float,
    length1_m: float,
    width1_m: float,
    x2_m: float,
    y2_m: float,
    yaw2_rad: float,
    length2_m: float,
    width2_m: float,
    closing_x_mps: float,
    closing_y_mps: float,
) -> tuple[bool, float, float]:
    """Returns whether two footprints touch and, if so, the unit vector from 1 to 2 across the sides that met.

    Of the four separating axes it is the one along which they came to overlap last: the smallest penetration over
    closing speed. Without closing motion it is the axis of least penetration.

    Args:
        closing_x_mps, closing_y_mps: Velocity of 1 minus velocity of 2, world frame.
    """
    dx, dy = x2_m - x1_m, y2_m - y1_m
    best, best_depth = math.inf, math.inf
    normal_x, normal_y = 0.0, 0.0
    for axis in range(4):
        angle = (yaw1_rad if axis < 2 else yaw2_rad) + (0.0 if axis % 2 == 0 else 0.5 * math.pi)
        axis_x, axis_y = math.cos(angle), math.sin(angle)
        along = dx * axis_x + dy * axis_y
        turn1, turn2 = angle - yaw1_rad, angle - yaw2_rad
        reach = 0.5 * (
            abs(math.cos(turn1)) * length1_m
            + abs(math.sin(turn1)) * width1_m
            + abs(math.cos(turn2)) * length2_m
            + abs(math.sin(turn2)) * width2_m
        )
        depth = reach - abs(along)
        if depth < 0.0:
            return False, 0.0, 0.0
        if along < 0.0:
            axis_x, axis_y = -axis_x, -axis_y
        closing = closing_x_mps * axis_x + closing_y_mps * axis_y
        since = depth / closing if closing > 1e-6 else math.inf
        if since < best or (best == math.inf and depth < best_depth):
            best, best_depth = since, depth
            normal_x, normal_y = axis_x, axis_y
    return True, normal_x, normal_y


@numba.njit(cache=True)
def footprints_overlap(
    x1_m: float,
    y1_m: float,
    yaw1_rad: float,
    length1_m: float,
    width1_m: float,
    x2_m: float,
    y2_m: float,
    yaw2_rad: float,
    length2_m: float,
    width2_m: float,
) -> bool:
    """Returns whether two rectangles, given by centre, heading and size, share a point."""
    touching, _, _ = contact_normal(
        x1_m, y1_m, yaw1_rad, length1_m, width1_m, x2_m, y2_m, yaw2_rad, length2_m, width2_m, 0.0, 0.0
    )
    return bool(touching)
