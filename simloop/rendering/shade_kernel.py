"""Colours of the visible samples: material, light, background.

Works along runs of neighbouring samples that see the same face. `_corner_colours` is the only place that knows where
a material's colour comes from; `_shade_varying` multiplies it with the texture, of which one picture of the pyramid
serves a whole run.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.rendering.instances import Instances
from simloop.rendering.lighting import LAMP_ROWS, SUN_ROWS
from simloop.rendering.packing import (
    HAS_TEXTURE,
    HAS_VERTEX_COLOURS,
    IS_DOUBLE_SIDED,
    IS_EMISSIVE,
    IS_SMOOTH,
    Geometry,
)
from simloop.rendering.view import View, Visibility

FloatArray = npt.NDArray[np.float64]

TINTED = 2
"""Value of ``Instances.has_colour`` where the colour multiplies those of the mesh."""


@njit(cache=True, error_model="numpy")
def _shade_background(
    background: FloatArray, view: View, y: int, start: int, stop: int, samples: FloatArray
) -> None:
    """Gradient along samples start..stop of row y."""
    fx, fy, cx, cy, rotation = view.fx, view.fy, view.cx, view.cy, view.rotation
    up = (cy - y - 0.5) / fy
    ray_x = rotation[0, 1] * up - rotation[0, 2]
    ray_y = rotation[1, 1] * up - rotation[1, 2]
    ray_z = rotation[2, 1] * up - rotation[2, 2]
    right_z = rotation[2, 0]
    square = ray_x * ray_x + ray_y * ray_y + ray_z * ray_z
    mixed = ray_x * rotation[0, 0] + ray_y * rotation[1, 0] + ray_z * rotation[2, 0]
    for channel in range(3):
        zenith, horizon, ground = background[0, channel], background[1, channel], background[2, channel]
        for x in range(start, stop):
            right = (x + 0.5 - cx) / fx
            height = ray_z + right_z * right
            elevation = max(height, 0.0) / math.sqrt(square + right * (2.0 * mixed + right))
            sky = horizon + (zenith - horizon) * math.sqrt(elevation)
            samples[channel, x] = sky if height >= 0.0 else ground


@njit(cache=True, error_model="numpy")
def _light_strength(light: FloatArray, channel: int, nx: float, ny: float, nz: float) -> float:
    """Light that falls on a surface of unit normal (nx, ny, nz), world frame, in one colour channel."""
    direct = max(nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2], 0.0)
    sky = 0.5 + 0.5 * nz
    strength: float = light[1, channel] * direct + light[2, channel] * sky + light[3, channel] * (1.0 - sky)
    return strength


@njit(cache=True, error_model="numpy")
def _add_lamps(
    light: FloatArray, x: float, y: float, z: float, nx: float, ny: float, nz: float, strength: FloatArray
) -> None:
    """Add the lamps' light at a point relative to the camera, with unit normal (nx, ny, nz), to `strength` (3,)."""
    for first in range(SUN_ROWS, light.shape[0], LAMP_ROWS):
        if light[first + 3, 0] == 0.0:  # far away: the first row leads towards it
            part = nx * light[first, 0] + ny * light[first, 1] + nz * light[first, 2]
        else:
            tx, ty, tz = light[first, 0] - x, light[first, 1] - y, light[first, 2] - z
            factor = 1.0 / math.sqrt(max(tx * tx + ty * ty + tz * tz, 1e-300))
            part = (nx * tx + ny * ty + nz * tz) * factor
            cosine = -factor * (
                tx * light[first + 1, 0] + ty * light[first + 1, 1] + tz * light[first + 1, 2]
            )
            if cosine < light[first + 3, 1]:
                part = 0.0
            for _ in range(int(light[first + 3, 2])):
                part *= cosine
        if part > 0.0:
            for channel in range(3):
                strength[channel] += part * light[first + 2, channel]


@njit(cache=True, error_model="numpy")
def _corner_colours(
    geometry: Geometry, instances: Instances, instance: int, face: int, flags: int, first_vertex: int,
    colours: FloatArray,
) -> None:  # fmt: skip
    """Material colours at the three corners of a face, into `colours` (3 corners, 3 channels)."""
    how = instances.has_colour[instance]
    for corner in range(3):
        vertex = first_vertex + geometry.face_corners[face, corner]
        for channel in range(3):
            if how == 1:
                colours[corner, channel] = instances.colour[instance, channel]
            elif flags & HAS_VERTEX_COLOURS:
                colours[corner, channel] = geometry.vertex_colours[vertex, channel]
            else:
                colours[corner, channel] = geometry.face_colours[face, channel]
            if how == TINTED:
                colours[corner, channel] *= instances.colour[instance, channel]


@njit(cache=True, error_model="numpy")
def _chosen_picture(
    geometry: Geometry,
    texture: int,
    face: int,
    first_vertex: int,
    points: FloatArray,
    view: View,
    depth: float,
) -> int:
    """The picture of a texture with about one texel a sample, by the area of a face on surface and picture."""
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
    step = int(math.floor(0.5 * math.log2(max(covered, 1e-6)) + 0.5))
    return int(min(max(first + step, first), last))


@njit(cache=True, error_model="numpy")
def _multiply_texel(geometry: Geometry, picture: int, u: float, v: float, colour: FloatArray) -> None:
    """Multiply `colour` (3,) with a picture at a point, blended between the four nearest texels."""
    start = geometry.picture_start[picture]
    size = int(math.sqrt(geometry.picture_start[picture + 1] - start) + 0.5)
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
            wa * geometry.texels[a, channel]
            + wb * geometry.texels[b, channel]
            + wc * geometry.texels[c, channel]
            + wd * geometry.texels[d, channel]
        )
        colour[channel] *= mixed * (1.0 / 255.0)


@njit(cache=True, error_model="numpy")
def _place_face(
    geometry: Geometry, instances: Instances, instance: int, face: int, level: int, first_vertex: int,
    camera_position_m: FloatArray, points: FloatArray,
) -> None:  # fmt: skip
    """Corners a, b, c of a face relative to the camera, world axes, and (b - a) x (c - a), into `points` (4, 3)."""
    rotation, scale = instances.rotation[instance], instances.scale[instance]
    for corner in range(3):
        vertex = first_vertex + geometry.face_corners[face, corner]
        x = scale[0] * (geometry.vertices_m[0, vertex] + geometry.level_centre_m[level, 0])
        y = scale[1] * (geometry.vertices_m[1, vertex] + geometry.level_centre_m[level, 1])
        z = scale[2] * (geometry.vertices_m[2, vertex] + geometry.level_centre_m[level, 2])
        for row in range(3):
            origin = instances.position_m[instance, row] - camera_position_m[row]
            points[corner, row] = origin + rotation[row, 0] * x + rotation[row, 1] * y + rotation[row, 2] * z
    ax, ay, az = points[1, 0] - points[0, 0], points[1, 1] - points[0, 1], points[1, 2] - points[0, 2]
    bx, by, bz = points[2, 0] - points[0, 0], points[2, 1] - points[0, 1], points[2, 2] - points[0, 2]
    points[3, 0], points[3, 1], points[3, 2] = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@njit(cache=True, error_model="numpy")
def _shade_flat(
    light: FloatArray, flags: int, points: FloatArray, colours: FloatArray, start: int, stop: int,
    work: FloatArray, samples: FloatArray,
) -> None:  # fmt: skip
    """One colour for a run of samples on a flat face."""
    nx, ny, nz = points[3, 0], points[3, 1], points[3, 2]
    factor = 1.0 / math.sqrt(max(nx * nx + ny * ny + nz * nz, 1e-300))
    if flags & IS_DOUBLE_SIDED and nx * points[0, 0] + ny * points[0, 1] + nz * points[0, 2] > 0.0:
        factor = -factor
    lamps = work[1]
    lamps[:] = 0.0
    _add_lamps(light, points[0, 0], points[0, 1], points[0, 2], nx * factor, ny * factor, nz * factor, lamps)
    for channel in range(3):
        colour = colours[0, channel]
        if not flags & IS_EMISSIVE:
            strength = _light_strength(light, channel, nx * factor, ny * factor, nz * factor)
            colour *= strength + lamps[channel]
        for x in range(start, stop):
            samples[channel, x] = min(colour, 1.0)


@njit(cache=True, error_model="numpy")
def _corner_normals(
    geometry: Geometry, instances: Instances, instance: int, face: int, first_vertex: int, normals: FloatArray
) -> None:
    """Vertex normals of a smooth face in the world frame, into `normals` (3 corners, 3); not of unit length."""
    rotation, scale = instances.rotation[instance], instances.scale[instance]
    for corner in range(3):
        vertex = first_vertex + geometry.face_corners[face, corner]
        x = geometry.normals[vertex, 0] / scale[0]
        y = geometry.normals[vertex, 1] / scale[1]
        z = geometry.normals[vertex, 2] / scale[2]
        for row in range(3):
            normals[corner, row] = rotation[row, 0] * x + rotation[row, 1] * y + rotation[row, 2] * z


@njit(cache=True, error_model="numpy")
def _shade_varying(
    geometry: Geometry, light: FloatArray, flags: int, view: View, points: FloatArray, normals: FloatArray,
    colours: FloatArray, uv: FloatArray, picture: int, inverse_depth: npt.NDArray[np.float32], y: int, start: int,
    stop: int, work: FloatArray, samples: FloatArray,
) -> None:  # fmt: skip
    """A run of samples on a face whose normal, colour or light varies between its corners."""
    fx, fy, cx, cy, rotation = view.fx, view.fy, view.cx, view.cy, view.rotation
    nx, ny, nz = points[3, 0], points[3, 1], points[3, 2]
    ox, oy, oz = points[0, 0], points[0, 1], points[0, 2]
    ax, ay, az = points[1, 0] - ox, points[1, 1] - oy, points[1, 2] - oz
    bx, by, bz = points[2, 0] - ox, points[2, 1] - oy, points[2, 2] - oz
    per_square = 1.0 / max(nx * nx + ny * ny + nz * nz, 1e-300)
    # Gradients of the barycentric coordinates of the second and the third corner.
    gx, gy, gz = (
        (by * nz - bz * ny) * per_square,
        (bz * nx - bx * nz) * per_square,
        (bx * ny - by * nx) * per_square,
    )
    hx, hy, hz = (
        (ny * az - nz * ay) * per_square,
        (nz * ax - nx * az) * per_square,
        (nx * ay - ny * ax) * per_square,
    )
    side = 1.0
    if flags & IS_DOUBLE_SIDED and nx * ox + ny * oy + nz * oz > 0.0:
        side = -1.0
    up = (cy - y - 0.5) / fy
    row_x = rotation[0, 1] * up - rotation[0, 2]
    row_y = rotation[1, 1] * up - rotation[1, 2]
    row_z = rotation[2, 1] * up - rotation[2, 2]
    colour, lamps = work[0], work[1]
    for x in range(start, stop):
        right = (x + 0.5 - cx) / fx
        depth = 1.0 / np.float64(inverse_depth[y, x])
        dx = (row_x + rotation[0, 0] * right) * depth - ox
        dy = (row_y + rotation[1, 0] * right) * depth - oy
        dz = (row_z + rotation[2, 0] * right) * depth - oz
        b1 = min(max(gx * dx + gy * dy + gz * dz, 0.0), 1.0)
        b2 = min(max(hx * dx + hy * dy + hz * dz, 0.0), 1.0 - b1)
        b0 = 1.0 - b1 - b2
        mx, my, mz = nx, ny, nz
        if flags & IS_SMOOTH:
            mx = b0 * normals[0, 0] + b1 * normals[1, 0] + b2 * normals[2, 0]
            my = b0 * normals[0, 1] + b1 * normals[1, 1] + b2 * normals[2, 1]
            mz = b0 * normals[0, 2] + b1 * normals[1, 2] + b2 * normals[2, 2]
        factor = side / math.sqrt(max(mx * mx + my * my + mz * mz, 1e-300))
        for channel in range(3):
            colour[channel] = b0 * colours[0, channel] + b1 * colours[1, channel] + b2 * colours[2, channel]
        if flags & HAS_TEXTURE:
            u = b0 * uv[0, 0] + b1 * uv[1, 0] + b2 * uv[2, 0]
            v = b0 * uv[0, 1] + b1 * uv[1, 1] + b2 * uv[2, 1]
            _multiply_texel(geometry, picture, u, v, colour)
        if not flags & IS_EMISSIVE:
            lamps[:] = 0.0
            _add_lamps(light, dx + ox, dy + oy, dz + oz, mx * factor, my * factor, mz * factor, lamps)
            for channel in range(3):
                strength = _light_strength(light, channel, mx * factor, my * factor, mz * factor)
                colour[channel] *= strength + lamps[channel]
        for channel in range(3):
            samples[channel, x] = min(colour[channel], 1.0)


@njit(cache=True, error_model="numpy")
def _shade_row(
    geometry: Geometry, instances: Instances, view: View, light: FloatArray, background: FloatArray,
    seen: Visibility, y: int, points: FloatArray, normals: FloatArray, colours: FloatArray, work: FloatArray,
    samples: FloatArray,
) -> None:  # fmt: skip
    """Colours of one row of samples, into `samples` (3, width), each 0..1; `work` (5, 3) is overwritten."""
    width = seen.face.shape[1]
    has_near_lamps = False
    for first in range(SUN_ROWS, light.shape[0], LAMP_ROWS):
        has_near_lamps = has_near_lamps or light[first + 3, 0] != 0.0
    uv = work[2:]
    start = 0
    while start < width:
        face, instance = seen.face[y, start], seen.instance[y, start]
        stop = start + 1
        while stop < width and seen.face[y, stop] == face and seen.instance[y, stop] == instance:
            stop += 1
        if face < 0:
            _shade_background(background, view, y, start, stop, samples)
        else:
            cluster = int(geometry.face_cluster[face])
            level = int(geometry.cluster_level[cluster])
            flags = int(geometry.level_flags[level])
            first_vertex = int(geometry.cluster_vertex_start[cluster])
            _place_face(geometry, instances, instance, face, level, first_vertex, view.position_m, points)
            _corner_colours(geometry, instances, instance, face, flags, first_vertex, colours)
            if flags & IS_SMOOTH:
                _corner_normals(geometry, instances, instance, face, first_vertex, normals)
            if has_near_lamps or flags & (IS_SMOOTH | HAS_VERTEX_COLOURS | HAS_TEXTURE):
                picture = 0
                if flags & HAS_TEXTURE:
                    depth = 1.0 / np.float64(seen.inverse_depth[y, (start + stop) // 2])
                    texture = int(geometry.level_texture[level])
                    picture = _chosen_picture(geometry, texture, face, first_vertex, points, view, float(depth))
                    for corner in range(3):
                        vertex = first_vertex + geometry.face_corners[face, corner]
                        uv[corner, 0] = geometry.vertex_textures[vertex, 0]
                        uv[corner, 1] = geometry.vertex_textures[vertex, 1]
                _shade_varying(
                    geometry, light, flags, view, points, normals, colours, uv, picture, seen.inverse_depth, y, start,
                    stop, work, samples,
                )  # fmt: skip
            else:
                _shade_flat(light, flags, points, colours, start, stop, work, samples)
        start = stop


@njit(cache=True, error_model="numpy")
def shade(
    geometry: Geometry, instances: Instances, view: View, light: FloatArray, background: FloatArray,
    supersampling: int, seen: Visibility, rgb: npt.NDArray[np.uint8],
) -> None:  # fmt: skip
    """Turn a visibility buffer into colours, averaging blocks of `supersampling` x `supersampling` samples.

    Args:
        geometry: All meshes.
        instances: Where they are.
        view: The camera.
        light: (4 + 4 n, 3) float64, `Light.packed` and the rows of n lamps, `Lamp.packed`.
        background: (3, 3) float64, `Background.packed`.
        supersampling: Samples per pixel along each axis.
        seen: What `rasterise` found, `supersampling` times as high and wide as `rgb`.
        rgb: (height, width, 3) uint8, overwritten.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    points, normals, colours, work = np.empty((4, 3)), np.empty((3, 3)), np.empty((3, 3)), np.zeros((5, 3))
    samples = np.empty((3, width * supersampling))
    total = np.empty((3, width))
    weight = 255.0 / (supersampling * supersampling)
    for row in range(height):
        total[:] = 0.5
        for y in range(row * supersampling, (row + 1) * supersampling):
            _shade_row(
                geometry, instances, view, light, background, seen, y, points, normals, colours, work, samples
            )
            for channel in range(3):
                for column in range(width):
                    for x in range(column * supersampling, (column + 1) * supersampling):
                        total[channel, column] += weight * samples[channel, x]
        for column in range(width):
            for channel in range(3):
                rgb[row, column, channel] = np.uint8(total[channel, column])
