"""Meshes of traffic lights and signs; their fronts look along +x, the ground below the head is the origin."""

from __future__ import annotations

import functools
import math

import numpy as np

from simloop.rendering import Mesh
from simloop_driving.roads.road_map import SIGNAL_KINDS, STOP_SIGN, TRAFFIC_LIGHT
from simloop_driving.scenery import semantics
from simloop_driving.scenery.triangle_soup import FloatArray, Rgb, TriangleSoup

_POLE: Rgb = (0.45, 0.46, 0.47)
_HOUSING: Rgb = (0.04, 0.05, 0.05)
_BACK: Rgb = (0.50, 0.50, 0.50)
_RED: Rgb = (0.80, 0.04, 0.06)
_WHITE: Rgb = (0.95, 0.95, 0.95)

LAMPS_RGB: tuple[Rgb, ...] = ((0.10, 1.0, 0.35), (1.0, 0.72, 0.05), (1.0, 0.10, 0.06))
"""Lit lamps by state: green, amber, red."""
_DARK_RGB: tuple[Rgb, ...] = ((0.03, 0.16, 0.08), (0.18, 0.13, 0.02), (0.18, 0.03, 0.02))
_LAMP_M = 0.30  # large lamps of EN 12368
_LAMP_PITCH_M = 0.38
_BOARD_M = (0.60, 1.30)  # width and height of the board behind the lamps
_SIGN_M = 0.90  # size of signs on roads outside residential areas
_POLE_RADIUS_M = 0.06


def _disc(width_m: float, height_m: float, middle_m: float, at_x_m: float) -> FloatArray:
    """(8, 3, 3) triangles of an octagon that looks along +x."""
    angle = np.arange(8) * (2.0 * math.pi / 8) + math.pi / 8
    ring = np.stack(
        [
            np.full(8, at_x_m),
            0.5 * width_m * np.cos(angle) / math.cos(math.pi / 8),
            middle_m + 0.5 * height_m * np.sin(angle) / math.cos(math.pi / 8),
        ],
        axis=1,
    )
    middle = np.broadcast_to((at_x_m, 0.0, middle_m), ring.shape)
    return np.stack([middle, ring, np.roll(ring, -1, axis=0)], axis=1)


def _triangle(size_m: float, middle_m: float, at_x_m: float, *, is_back: bool = False) -> FloatArray:
    """(1, 3, 3) triangle with its tip down that looks along +x, or along -x as a back."""
    height_m = 0.5 * math.sqrt(3.0) * size_m
    top, tip = middle_m + height_m / 3.0, middle_m - 2.0 * height_m / 3.0
    corners = np.array([[at_x_m, -0.5 * size_m, top], [at_x_m, 0.5 * size_m, top], [at_x_m, 0.0, tip]])
    return corners[None, ::-1] if not is_back else corners[None]


@functools.cache
def signal_mesh(kind: int, height_m: float) -> Mesh:
    """Returns pole and head of a signal kind (code of ``SIGNAL_KINDS``), without lit lamps.

    Args:
        kind: Code of the kind.
        height_m: Height of the middle of the head.
    """
    soup = TriangleSoup()
    top_m = height_m if kind == TRAFFIC_LIGHT else height_m + 0.3
    soup.add_box(
        (-0.2 - _POLE_RADIUS_M, -_POLE_RADIUS_M, 0.0),
        (-0.2 + _POLE_RADIUS_M, _POLE_RADIUS_M, top_m),
        _POLE,
        semantic=semantics.POLE,
    )
    if kind == TRAFFIC_LIGHT:
        width, height = _BOARD_M
        low = (-0.12, -0.5 * width, height_m - 0.5 * height)
        soup.add_box(
            low, (0.0, 0.5 * width, height_m + 0.5 * height), _HOUSING, semantic=semantics.TRAFFIC_LIGHT
        )
        return soup.mesh()
    sign = semantics.TRAFFIC_SIGN
    if SIGNAL_KINDS[kind] == SIGNAL_KINDS[STOP_SIGN]:
        soup.add(_disc(_SIGN_M, _SIGN_M, height_m, 0.0), _WHITE, sign)
        soup.add(_disc(0.92 * _SIGN_M, 0.92 * _SIGN_M, height_m, 0.01), _RED, sign)
        for letter in range(4):  # as blocks: the word is not legible in small pictures
            left_m = -0.31 + 0.16 * letter
            low = (0.0, left_m, height_m - 0.13)
            soup.add_box(low, (0.02, left_m + 0.12, height_m + 0.13), _WHITE, semantic=sign)
        soup.add(_disc(_SIGN_M, _SIGN_M, height_m, -0.02)[:, ::-1], _BACK, sign)
    else:
        soup.add(_triangle(_SIGN_M, height_m, 0.0), _RED, sign)
        soup.add(_triangle(0.7 * _SIGN_M, height_m, 0.01), _WHITE, sign)
        soup.add(_triangle(_SIGN_M, height_m, -0.02, is_back=True), _BACK, sign)
    return soup.mesh()


@functools.cache
def lamps_mesh(state: int, height_m: float) -> Mesh:
    """Returns the three lamps of a traffic light, the one of ``state`` (0 green, 1 amber, 2 red) lit."""
    soup = TriangleSoup()
    for lamp, lit in enumerate(LAMPS_RGB):
        middle_m = height_m + (lamp - 1) * _LAMP_PITCH_M  # green below, red on top
        colour = lit if lamp == state else _DARK_RGB[lamp]
        soup.add(_disc(_LAMP_M, _LAMP_M, middle_m, 0.02), colour, semantics.TRAFFIC_LIGHT)
    return soup.mesh(is_emissive=True)
