"""Pictures on surfaces: which of a pyramid to take, and its colour at a sample."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.rendering.packing import HAS_TEXTURE, Geometry
from simloop.rendering.view import View

FloatArray = npt.NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def chosen_picture(
    geometry: Geometry,
    texture: int,
    face: int,
    first_vertex: int,
    points: FloatArray,
    view: View,
    depth: float,
) -> int:
    """The picture of a texture with at most about one texel a sample, by the area of a face on surface and picture."""
    corners = geometry.face_corners[face]
    a, b, c = first_vertex + corners[0], first_vertex + corners[1], first_vertex + corners[2]
    uv = geometry.vertex_textures
    bu, bv, cu, cv = uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1], uv[c, 0] - uv[a, 0], uv[c, 1] - uv[a, 1]
    nx, ny, nz = points[3, 0], points[3, 1], points[3, 2]
    forward = nx * view.rotation[0, 2] + ny * view.rotation[1, 2] + nz * view.rotation[2, 2]
    first, last = geometry.texture_start[texture], geometry.texture_start[texture + 1] - 1
    texels = abs(bu * cv - bv * cu) * 4.0 ** (last - first)
    # One sample covers depth^2 / (fx fy) of a surface that faces the camera, more of one that is turned away.
    square = nx * nx + ny * ny + nz * nz
    covered = (
        texels * depth * depth / (view.fx * view.fy * max(abs(forward), 0.05 * math.sqrt(square)) + 1e-300)
    )
    step = int(math.floor(0.5 * math.log2(max(covered, 1e-6)) + 0.8))
    return int(min(max(first + step, first), last))


@njit(cache=True, error_model="numpy")
def placed_picture(geometry: Geometry, picture: int, flags: int) -> tuple[int, int]:
    """First texel and edge length of a picture; (0, 1) for faces without a texture."""
    if not flags & HAS_TEXTURE:
        return 0, 1
    first, last = geometry.picture_start[picture], geometry.picture_start[picture + 1]
    return int(first), int(math.sqrt(last - first) + 0.5)


@njit(cache=True, error_model="numpy")
def multiply_texel(
    texels: npt.NDArray[np.uint8], start: int, size: int, u: float, v: float, colour: FloatArray
) -> None:
    """Multiply `colour` (3,) with a picture at a point, blended between the four nearest texels."""
    x, y = u * size - 0.5, v * size - 0.5
    left, top = math.floor(x), math.floor(y)
    fx, fy = x - left, y - top
    x0, y0 = int(left) & (size - 1), int(top) & (size - 1)
    x1, y1 = (x0 + 1) & (size - 1), (y0 + 1) & (size - 1)
    a, b = start + y0 * size + x0, start + y0 * size + x1
    c, d = start + y1 * size + x0, start + y1 * size + x1
    wa, wb, wc, wd = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    for channel in range(3):
        mixed = (
            wa * texels[a, channel]
            + wb * texels[b, channel]
            + wc * texels[c, channel]
            + wd * texels[d, channel]
        )
        colour[channel] *= mixed * (1.0 / 255.0)


@njit(cache=True, error_model="numpy")
def apply_texture(
    geometry: Geometry, view: View, points: FloatArray, uv: FloatArray, texture: int, picture: int,
    inverse_depth: npt.NDArray[np.float32], y: int, start: int, stop: int, samples: FloatArray,
) -> None:  # fmt: skip
    """Multiply a run of samples on a flat face with its texture."""
    nx, ny, nz = points[3, 0], points[3, 1], points[3, 2]
    square = max(nx * nx + ny * ny + nz * nz, 1e-300)
    # Texture coordinates are linear on the plane of the face: (u, v) = (u, v) at the first corner + gradient . point.
    ox, oy, oz = points[0, 0], points[0, 1], points[0, 2]
    ax, ay, az = points[1, 0] - ox, points[1, 1] - oy, points[1, 2] - oz
    bx, by, bz = points[2, 0] - ox, points[2, 1] - oy, points[2, 2] - oz
    u1, u2 = (uv[1, 0] - uv[0, 0]) / square, (uv[2, 0] - uv[0, 0]) / square
    v1, v2 = (uv[1, 1] - uv[0, 1]) / square, (uv[2, 1] - uv[0, 1]) / square
    gx, gy, gz = by * nz - bz * ny, bz * nx - bx * nz, bx * ny - by * nx
    hx, hy, hz = ny * az - nz * ay, nz * ax - nx * az, nx * ay - ny * ax
    ux, uy, uz = u1 * gx + u2 * hx, u1 * gy + u2 * hy, u1 * gz + u2 * hz
    vx, vy, vz = v1 * gx + v2 * hx, v1 * gy + v2 * hy, v1 * gz + v2 * hz
    u0 = uv[0, 0] - ux * ox - uy * oy - uz * oz
    v0 = uv[0, 1] - vx * ox - vy * oy - vz * oz
    rotation, up = view.rotation, (view.cy - y - 0.5) / view.fy
    row_x = rotation[0, 1] * up - rotation[0, 2] + rotation[0, 0] * (0.5 - view.cx) / view.fx
    row_y = rotation[1, 1] * up - rotation[1, 2] + rotation[1, 0] * (0.5 - view.cx) / view.fx
    row_z = rotation[2, 1] * up - rotation[2, 2] + rotation[2, 0] * (0.5 - view.cx) / view.fx
    u_row, v_row = ux * row_x + uy * row_y + uz * row_z, vx * row_x + vy * row_y + vz * row_z
    u_step = (ux * rotation[0, 0] + uy * rotation[1, 0] + uz * rotation[2, 0]) / view.fx
    v_step = (vx * rotation[0, 0] + vy * rotation[1, 0] + vz * rotation[2, 0]) / view.fx
    first, size = placed_picture(geometry, picture, HAS_TEXTURE)
    is_finest = picture == geometry.texture_start[texture]
    for x in range(start, stop):
        depth = 1.0 / np.float64(inverse_depth[y, x])
        u, v = u0 + depth * (u_row + u_step * x), v0 + depth * (v_row + v_step * x)
        if is_finest:
            multiply_texel(geometry.texels, first, size, u, v, samples[:, x])
        else:  # about one texel a sample: nothing to blend
            row, column = int(math.floor(v * size)) & (size - 1), int(math.floor(u * size)) & (size - 1)
            texel = first + row * size + column
            for channel in range(3):
                samples[channel, x] *= geometry.texels[texel, channel] * (1.0 / 255.0)
        for channel in range(3):
            samples[channel, x] = min(samples[channel, x], 1.0)
