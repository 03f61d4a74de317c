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
from simloop.rendering.light_kernel import add_lamps, light_strength, strength_at
from simloop.rendering.lighting import LAMP_ROWS, SUN_ROWS
from simloop.rendering.packing import (
    HAS_TEXTURE,
    HAS_VERTEX_COLOURS,
    IS_DOUBLE_SIDED,
    IS_EMISSIVE,
    IS_LIGHT_LIMITED,
    IS_LIT_AT_VERTICES,
    IS_SMOOTH,
    Geometry,
)
from simloop.rendering.texture_kernel import apply_texture, chosen_picture, multiply_texel, placed_picture
from simloop.rendering.view import LitVertices, View, Visibility

FloatArray = npt.NDArray[np.float64]

_LAMP_STEP = 16
"""Near lamps are evaluated at every so many samples of a flat face, and blended between."""
_SMALL_FACE_M2 = 0.1
"""A flat face smaller than this has one light all over."""
_SHORT_RUN = 6
"""They are evaluated once for so many samples."""
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
def _corner_colours(
    geometry: Geometry, instances: Instances, instance: int, face: int, flags: int, first_vertex: int,
    colours: FloatArray,
) -> None:  # fmt: skip
    """Material colours at the corners of a face, into `colours` (3 corners, 3 channels); one corner of a flat face."""
    how = instances.has_colour[instance]
    is_varying = flags & (HAS_VERTEX_COLOURS | IS_SMOOTH) and not flags & IS_LIT_AT_VERTICES
    for corner in range(3 if is_varying else 1):  # one colour where one is asked for
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
    add_lamps(light, points[0, 0], points[0, 1], points[0, 2], nx * factor, ny * factor, nz * factor, lamps)
    for channel in range(3):
        colour = colours[0, channel]
        if not flags & IS_EMISSIVE:
            strength = light_strength(light, channel, nx * factor, ny * factor, nz * factor) + lamps[channel]
            colour *= min(strength, 1.0) if flags & IS_LIGHT_LIMITED else strength
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
    first_texel, size = placed_picture(geometry, picture, flags)
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
            multiply_texel(geometry.texels, first_texel, size, u, v, colour)
        if not flags & IS_EMISSIVE:
            lamps[:] = 0.0
            add_lamps(light, dx + ox, dy + oy, dz + oz, mx * factor, my * factor, mz * factor, lamps)
            for channel in range(3):
                strength = (
                    light_strength(light, channel, mx * factor, my * factor, mz * factor) + lamps[channel]
                )
                colour[channel] *= min(strength, 1.0) if flags & IS_LIGHT_LIMITED else strength
        for channel in range(3):
            samples[channel, x] = min(colour[channel], 1.0)


@njit(cache=True, error_model="numpy")
def _shade_flat_lit(
    light: FloatArray, flags: int, view: View, points: FloatArray, colours: FloatArray,
    inverse_depth: npt.NDArray[np.float32], y: int, start: int, stop: int, work: FloatArray, samples: FloatArray,
    has_near_lamps: bool,
) -> None:  # fmt: skip
    """A run of samples on a flat face that has a texture, not applied yet, or lamps near it."""
    normal, first, last = work[0], work[5], work[6]
    nx, ny, nz = points[3, 0], points[3, 1], points[3, 2]
    factor = 1.0 / math.sqrt(max(nx * nx + ny * ny + nz * nz, 1e-300))
    if flags & IS_DOUBLE_SIDED and nx * points[0, 0] + ny * points[0, 1] + nz * points[0, 2] > 0.0:
        factor = -factor
    normal[0], normal[1], normal[2] = nx * factor, ny * factor, nz * factor
    strength_at(light, flags, view, normal, float(1.0 / inverse_depth[y, start]), y, start, first)
    is_blended = has_near_lamps and stop - start > _SHORT_RUN and not flags & IS_EMISSIVE
    step = _LAMP_STEP if is_blended else stop - start
    for block in range(start, stop, step):
        end = min(block + step, stop)
        if is_blended:
            x = min(block + step, stop - 1)
            strength_at(light, flags, view, normal, float(1.0 / inverse_depth[y, x]), y, x, last)
        slope = 1.0 / max(min(block + step, stop - 1) - block, 1)
        for channel in range(3):
            colour = colours[0, channel]
            value = colour if flags & IS_EMISSIVE else colour * first[channel]
            change = (colour * last[channel] - value) * slope if is_blended else 0.0
            most = 1e3 if flags & HAS_TEXTURE else 1.0  # a texture makes it darker yet
            for x in range(block, end):
                samples[channel, x] = min(value + change * (x - block), most)
            first[channel] = last[channel]


@njit(cache=True, error_model="numpy")
def _is_small(points: FloatArray) -> bool:
    """Whether a face that `_place_face` placed is small."""
    x, y, z = points[3, 0], points[3, 1], points[3, 2]
    return bool(x * x + y * y + z * z < (2.0 * _SMALL_FACE_M2) ** 2)


@njit(cache=True, error_model="numpy")
def _light_face(
    light: FloatArray, flags: int, points: FloatArray, work: FloatArray, strength: FloatArray
) -> None:
    """Light at the middle of a flat face, into `strength` (3,)."""
    nx, ny, nz = points[3, 0], points[3, 1], points[3, 2]
    factor = 1.0 / math.sqrt(max(nx * nx + ny * ny + nz * nz, 1e-300))
    if flags & IS_DOUBLE_SIDED and nx * points[0, 0] + ny * points[0, 1] + nz * points[0, 2] > 0.0:
        factor = -factor
    nx, ny, nz = nx * factor, ny * factor, nz * factor
    middle = work[5]
    for axis in range(3):
        middle[axis] = (points[0, axis] + points[1, axis] + points[2, axis]) / 3.0
    for channel in range(3):
        strength[channel] = light_strength(light, channel, nx, ny, nz)
    add_lamps(light, middle[0], middle[1], middle[2], nx, ny, nz, strength)
    for channel in range(3):
        if flags & IS_EMISSIVE:
            strength[channel] = 1.0
        elif flags & IS_LIGHT_LIMITED:
            strength[channel] = min(strength[channel], 1.0)


@njit(cache=True, error_model="numpy")
def _fill_run(colours: FloatArray, strength: FloatArray, start: int, stop: int, samples: FloatArray) -> None:
    """One colour under one light for a run of samples."""
    for channel in range(3):
        value = min(colours[0, channel] * strength[channel], 1.0)
        for x in range(start, stop):
            samples[channel, x] = value


@njit(cache=True, error_model="numpy")
def _light_vertex(
    geometry: Geometry, instances: Instances, view: View, light: FloatArray, instance: int, level: int, vertex: int,
    flags: int, work: FloatArray, lit: LitVertices,
) -> None:  # fmt: skip
    """Light and place in the image of one vertex, into `lit`."""
    rotation, scale = instances.rotation[instance], instances.scale[instance]
    strength, normal, point, seen = work[0], work[5], work[6], work[7]
    x = scale[0] * (geometry.vertices_m[0, vertex] + geometry.level_centre_m[level, 0])
    y = scale[1] * (geometry.vertices_m[1, vertex] + geometry.level_centre_m[level, 1])
    z = scale[2] * (geometry.vertices_m[2, vertex] + geometry.level_centre_m[level, 2])
    a = geometry.normals[vertex, 0] / scale[0]
    b = geometry.normals[vertex, 1] / scale[1]
    c = geometry.normals[vertex, 2] / scale[2]
    for row in range(3):
        origin = instances.position_m[instance, row] - view.position_m[row]
        point[row] = origin + rotation[row, 0] * x + rotation[row, 1] * y + rotation[row, 2] * z
        normal[row] = rotation[row, 0] * a + rotation[row, 1] * b + rotation[row, 2] * c
    for row in range(3):
        seen[row] = (
            view.rotation[0, row] * point[0]
            + view.rotation[1, row] * point[1]
            + view.rotation[2, row] * point[2]
        )
    square = normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]
    factor = 1.0 / math.sqrt(max(square, 1e-300))
    away = normal[0] * point[0] + normal[1] * point[1] + normal[2] * point[2] > 0.0
    if flags & IS_DOUBLE_SIDED and away:
        factor = -factor
    nx, ny, nz = normal[0] * factor, normal[1] * factor, normal[2] * factor
    for channel in range(3):
        strength[channel] = light_strength(light, channel, nx, ny, nz)
    add_lamps(light, point[0], point[1], point[2], nx, ny, nz, strength)
    for channel in range(3):
        most = 1.0 if flags & IS_LIGHT_LIMITED else strength[channel]
        lit.values[vertex, channel] = min(strength[channel], most)
    depth = -seen[2]
    per_depth = 1.0 / depth if depth >= view.near_m else 0.0
    lit.values[vertex, 3] = view.cx - 0.5 + view.fx * seen[0] * per_depth
    lit.values[vertex, 4] = view.cy - 0.5 - view.fy * seen[1] * per_depth
    lit.values[vertex, 5] = per_depth


@njit(cache=True, error_model="numpy")
def _shade_between_vertices(
    flags: int, colours: FloatArray, a: int, b: int, c: int, lit: LitVertices, y: int, start: int, stop: int,
    samples: FloatArray,
) -> None:  # fmt: skip
    """A run of samples on a face whose light is blended between its corners, across the image."""
    values = lit.values
    x0, y0 = values[a, 3], values[a, 4]
    dx1, dy1, dx2, dy2 = values[b, 3] - x0, values[b, 4] - y0, values[c, 3] - x0, values[c, 4] - y0
    area = dx1 * dy2 - dx2 * dy1
    is_whole = values[a, 5] > 0.0 and values[b, 5] > 0.0 and values[c, 5] > 0.0 and abs(area) > 1e-9
    per_area = 1.0 / area if is_whole else 0.0
    # Weights of the second and the third corner, linear across the image.
    slope1, slope2 = dy2 * per_area, -dy1 * per_area
    base1 = -dx2 * per_area * (y - y0) - slope1 * x0
    base2 = dx1 * per_area * (y - y0) - slope2 * x0
    if not is_whole:
        base1 = base2 = 1.0 / 3.0
    red, green, blue = colours[0, 0], colours[0, 1], colours[0, 2]
    r0, g0, b0 = values[a, 0], values[a, 1], values[a, 2]
    r1, g1, b1 = values[b, 0] - r0, values[b, 1] - g0, values[b, 2] - b0
    r2, g2, b2 = values[c, 0] - r0, values[c, 1] - g0, values[c, 2] - b0
    if flags & IS_EMISSIVE:
        r0 = g0 = b0 = 1.0
        r1 = g1 = b1 = r2 = g2 = b2 = 0.0
    for x in range(start, stop):
        part1 = min(max(base1 + slope1 * x, 0.0), 1.0)
        part2 = min(max(base2 + slope2 * x, 0.0), 1.0 - part1)
        samples[0, x] = min(red * (r0 + part1 * r1 + part2 * r2), 1.0)
        samples[1, x] = min(green * (g0 + part1 * g1 + part2 * g2), 1.0)
        samples[2, x] = min(blue * (b0 + part1 * b1 + part2 * b2), 1.0)


@njit(cache=True, error_model="numpy")
def _shade_row(
    geometry: Geometry, instances: Instances, view: View, light: FloatArray, background: FloatArray,
    seen: Visibility, y: int, points: FloatArray, normals: FloatArray, colours: FloatArray, work: FloatArray,
    lit: LitVertices, lit_stamp: int, samples: FloatArray,
) -> None:  # fmt: skip
    """Colours of one row of samples, into `samples` (3, width), each 0..1; `work` (8, 3) is overwritten."""
    width = seen.face.shape[1]
    has_near_lamps = False
    for first in range(SUN_ROWS, light.shape[0], LAMP_ROWS):
        has_near_lamps = has_near_lamps or light[first + 3, 0] != 0.0
    uv = work[2:5]
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
            _corner_colours(geometry, instances, instance, face, flags, first_vertex, colours)
            if flags & IS_LIT_AT_VERTICES:
                a = first_vertex + geometry.face_corners[face, 0]
                b = first_vertex + geometry.face_corners[face, 1]
                c = first_vertex + geometry.face_corners[face, 2]
                stamp = lit_stamp + instance
                for vertex in (a, b, c):
                    if lit.stamp[vertex] != stamp:
                        lit.stamp[vertex] = stamp
                        _light_vertex(
                            geometry, instances, view, light, instance, level, vertex, flags, work, lit
                        )
                _shade_between_vertices(flags, colours, a, b, c, lit, y, start, stop, samples)
                start = stop
                continue
            is_flat = not flags & (IS_SMOOTH | HAS_VERTEX_COLOURS | HAS_TEXTURE)
            if has_near_lamps and is_flat and lit.face_stamp[face] == lit_stamp + instance:
                _fill_run(colours, lit.face_strength[face], start, stop, samples)
                start = stop
                continue
            _place_face(geometry, instances, instance, face, level, first_vertex, view.position_m, points)
            if has_near_lamps and is_flat and _is_small(points):
                lit.face_stamp[face] = lit_stamp + instance
                _light_face(light, flags, points, work, lit.face_strength[face])
                _fill_run(colours, lit.face_strength[face], start, stop, samples)
                start = stop
                continue
            if flags & IS_SMOOTH:
                _corner_normals(geometry, instances, instance, face, first_vertex, normals)
            texture, picture = -1, 0
            if flags & HAS_TEXTURE:
                depth = 1.0 / np.float64(seen.inverse_depth[y, (start + stop) // 2])
                texture = int(geometry.level_texture[level])
                picture = chosen_picture(geometry, texture, face, first_vertex, points, view, float(depth))
                for corner in range(3):
                    vertex = first_vertex + geometry.face_corners[face, corner]
                    uv[corner, 0] = geometry.vertex_textures[vertex, 0]
                    uv[corner, 1] = geometry.vertex_textures[vertex, 1]
            if flags & (IS_SMOOTH | HAS_VERTEX_COLOURS):
                _shade_varying(
                    geometry, light, flags, view, points, normals, colours, uv, picture, seen.inverse_depth, y, start,
                    stop, work, samples,
                )  # fmt: skip
            elif has_near_lamps or flags & HAS_TEXTURE:
                _shade_flat_lit(
                    light, flags, view, points, colours, seen.inverse_depth, y, start, stop, work, samples,
                    has_near_lamps,
                )  # fmt: skip
                if flags & HAS_TEXTURE:
                    apply_texture(
                        geometry,
                        view,
                        points,
                        uv,
                        texture,
                        picture,
                        seen.inverse_depth,
                        y,
                        start,
                        stop,
                        samples,
                    )
            else:
                _shade_flat(light, flags, points, colours, start, stop, work, samples)
        start = stop


@njit(cache=True, error_model="numpy")
def shade(
    geometry: Geometry, instances: Instances, view: View, light: FloatArray, background: FloatArray,
    supersampling: int, seen: Visibility, lit: LitVertices, lit_stamp: int, rgb: npt.NDArray[np.uint8],
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
        lit: Room for the light at vertices.
        lit_stamp: Number that, with an instance's row added, no other image has used with this room.
        rgb: (height, width, 3) uint8, overwritten.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    points, normals, colours, work = np.empty((4, 3)), np.empty((3, 3)), np.empty((3, 3)), np.zeros((8, 3))
    samples = np.empty((3, width * supersampling))
    total = np.empty((3, width))
    weight = 255.0 / (supersampling * supersampling)
    for row in range(height):
        total[:] = 0.5
        for y in range(row * supersampling, (row + 1) * supersampling):
            _shade_row(
                geometry, instances, view, light, background, seen, y, points, normals, colours, work,
                lit, lit_stamp, samples,
            )  # fmt: skip
            for channel in range(3):
                for column in range(width):
                    for x in range(column * supersampling, (column + 1) * supersampling):
                        total[channel, column] += weight * samples[channel, x]
        for column in range(width):
            for channel in range(3):
                rgb[row, column, channel] = np.uint8(total[channel, column])
