"""Colours of the visible samples: material, light, background.

Works along runs of neighbouring samples that see the same face. `_corner_colours` is the only place that knows where
a material's colour comes from; a texture would be one more kind of run, since `_shade_varying` has the barycentric
coordinates of every sample.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.rendering.instances import Instances
from simloop.rendering.packing import HAS_VERTEX_COLOURS, IS_DOUBLE_SIDED, IS_EMISSIVE, IS_SMOOTH, Geometry
from simloop.rendering.view import View, Visibility

FloatArray = npt.NDArray[np.float64]


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
def _corner_colours(
    geometry: Geometry, instances: Instances, instance: int, face: int, flags: int, first_vertex: int,
    colours: FloatArray,
) -> None:  # fmt: skip
    """Material colours at the three corners of a face, into `colours` (3 corners, 3 channels)."""
    for corner in range(3):
        vertex = first_vertex + geometry.face_corners[face, corner]
        for channel in range(3):
            if instances.has_colour[instance]:
                colours[corner, channel] = instances.colour[instance, channel]
            elif flags & HAS_VERTEX_COLOURS:
                colours[corner, channel] = geometry.vertex_colours[vertex, channel]
            else:
                colours[corner, channel] = geometry.face_colours[face, channel]


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
    samples: FloatArray,
) -> None:  # fmt: skip
    """One colour for a run of samples on a flat face."""
    nx, ny, nz = points[3, 0], points[3, 1], points[3, 2]
    factor = 1.0 / math.sqrt(max(nx * nx + ny * ny + nz * nz, 1e-300))
    if flags & IS_DOUBLE_SIDED and nx * points[0, 0] + ny * points[0, 1] + nz * points[0, 2] > 0.0:
        factor = -factor
    for channel in range(3):
        colour = colours[0, channel]
        if not flags & IS_EMISSIVE:
            colour *= _light_strength(light, channel, nx * factor, ny * factor, nz * factor)
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
    light: FloatArray, flags: int, view: View, points: FloatArray, normals: FloatArray, colours: FloatArray,
    inverse_depth: npt.NDArray[np.float32], y: int, start: int, stop: int, samples: FloatArray,
) -> None:  # fmt: skip
    """A run of samples on a face whose normal or colour varies between its corners."""
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
            colour = b0 * colours[0, channel] + b1 * colours[1, channel] + b2 * colours[2, channel]
            if not flags & IS_EMISSIVE:
                colour *= _light_strength(light, channel, mx * factor, my * factor, mz * factor)
            samples[channel, x] = min(colour, 1.0)


@njit(cache=True, error_model="numpy")
def _shade_row(
    geometry: Geometry, instances: Instances, view: View, light: FloatArray, background: FloatArray,
    seen: Visibility, y: int, points: FloatArray, normals: FloatArray, colours: FloatArray, samples: FloatArray,
) -> None:  # fmt: skip
    """Colours of one row of samples, into `samples` (3, width), each 0..1."""
    width = seen.face.shape[1]
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
            if flags & (IS_SMOOTH | HAS_VERTEX_COLOURS):
                _shade_varying(
                    light, flags, view, points, normals, colours, seen.inverse_depth, y, start, stop, samples
                )
            else:
                _shade_flat(light, flags, points, colours, start, stop, samples)
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
        light: (4, 3) float64, `Light.packed`.
        background: (3, 3) float64, `Background.packed`.
        supersampling: Samples per pixel along each axis.
        seen: What `rasterise` found, `supersampling` times as high and wide as `rgb`.
        rgb: (height, width, 3) uint8, overwritten.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    points, normals, colours = np.empty((4, 3)), np.empty((3, 3)), np.empty((3, 3))
    samples = np.empty((3, width * supersampling))
    total = np.empty((3, width))
    weight = 255.0 / (supersampling * supersampling)
    for row in range(height):
        total[:] = 0.5
        for y in range(row * supersampling, (row + 1) * supersampling):
            _shade_row(
                geometry, instances, view, light, background, seen, y, points, normals, colours, samples
            )
            for channel in range(3):
                for column in range(width):
                    for x in range(column * supersampling, (column + 1) * supersampling):
                        total[channel, column] += weight * samples[channel, x]
        for column in range(width):
            for channel in range(3):
                rgb[row, column, channel] = np.uint8(total[channel, column])
