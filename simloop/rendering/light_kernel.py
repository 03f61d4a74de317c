"""How much light falls on a surface: the sun, the sky and lamps."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.rendering.lighting import LAMP_ROWS, SUN_ROWS
from simloop.rendering.packing import IS_LIGHT_LIMITED
from simloop.rendering.view import View

FloatArray = npt.NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def light_strength(light: FloatArray, channel: int, nx: float, ny: float, nz: float) -> float:
    """Light that falls on a surface of unit normal (nx, ny, nz), world frame, in one colour channel."""
    direct = max(nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2], 0.0)
    sky = 0.5 + 0.5 * nz
    strength: float = light[1, channel] * direct + light[2, channel] * sky + light[3, channel] * (1.0 - sky)
    return strength


@njit(cache=True, error_model="numpy")
def add_lamps(
    light: FloatArray, x: float, y: float, z: float, nx: float, ny: float, nz: float, strength: FloatArray
) -> None:
    """Add the lamps' light at a point relative to the camera, with unit normal (nx, ny, nz), to `strength` (3,)."""
    for first in range(SUN_ROWS, light.shape[0], LAMP_ROWS):
        is_near = light[first + 3, 0] != 0.0
        tx, ty, tz = light[first, 0], light[first, 1], light[first, 2]  # far away: the unit vector towards it
        if is_near:
            tx, ty, tz = tx - x, ty - y, tz - z
        part = nx * tx + ny * ty + nz * tz
        if part <= 0.0:
            continue
        if is_near:
            factor = 1.0 / math.sqrt(max(tx * tx + ty * ty + tz * tz, 1e-300))
            cosine = -factor * (
                tx * light[first + 1, 0] + ty * light[first + 1, 1] + tz * light[first + 1, 2]
            )
            if cosine < light[first + 3, 1]:
                continue
            part *= factor
            exponent = int(light[first + 3, 2])
            while exponent > 0:
                if exponent & 1:
                    part *= cosine
                cosine *= cosine
                exponent >>= 1
        for channel in range(3):
            strength[channel] += part * light[first + 2, channel]


@njit(cache=True, error_model="numpy")
def strength_at(
    light: FloatArray,
    flags: int,
    view: View,
    normal: FloatArray,
    depth: float,
    y: int,
    x: int,
    strength: FloatArray,
) -> None:
    """Light that falls on a flat face of unit normal at one sample, into `strength` (3,)."""
    right, up = (x + 0.5 - view.cx) / view.fx, (view.cy - y - 0.5) / view.fy
    rotation = view.rotation
    px = (rotation[0, 0] * right + rotation[0, 1] * up - rotation[0, 2]) * depth
    py = (rotation[1, 0] * right + rotation[1, 1] * up - rotation[1, 2]) * depth
    pz = (rotation[2, 0] * right + rotation[2, 1] * up - rotation[2, 2]) * depth
    for channel in range(3):
        strength[channel] = light_strength(light, channel, normal[0], normal[1], normal[2])
    add_lamps(light, px, py, pz, normal[0], normal[1], normal[2], strength)
    if flags & IS_LIGHT_LIMITED:
        for channel in range(3):
            strength[channel] = min(strength[channel], 1.0)
