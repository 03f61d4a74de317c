"""Ranges along a grid of rays from one point, to the same triangles that the rasteriser draws.

The rays form a grid of azimuths and elevations, as those of a turning lidar. Instead of following each ray, every
triangle is tried against the rays of the window of the grid that it can cover, as a rasteriser does on the sphere.
Only fronts of faces are hit, except of double-sided meshes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.rendering.instances import Instances
from simloop.rendering.packing import IS_DOUBLE_SIDED, Geometry

FloatArray = npt.NDArray[np.float64]

_MAX_CLUSTER_VERTICES = 192
_EDGE_TOLERANCE = 1e-9
"""How far outside a triangle, as a share of the product of two corners' distances, a ray still hits it; closes the
seams between meshes whose shared corners are rounded differently."""


@njit(cache=True, error_model="numpy")
def _segment_distance(ax: float, ay: float, bx: float, by: float) -> float:
    """Distance of the origin from a segment in the plane."""
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    share = 0.0 if square == 0.0 else min(max(-(ax * dx + ay * dy) / square, 0.0), 1.0)
    return math.hypot(ax + share * dx, ay + share * dy)


@njit(cache=True, error_model="numpy")
def _horizontal_distance(p: FloatArray, a: int, b: int, c: int) -> float:
    """Distance of the z axis from a triangle, seen along that axis; 0 if the axis goes through it."""
    e1 = p[a, 0] * p[b, 1] - p[a, 1] * p[b, 0]
    e2 = p[b, 0] * p[c, 1] - p[b, 1] * p[c, 0]
    e3 = p[c, 0] * p[a, 1] - p[c, 1] * p[a, 0]
    if (e1 >= 0.0 and e2 >= 0.0 and e3 >= 0.0) or (e1 <= 0.0 and e2 <= 0.0 and e3 <= 0.0):
        return 0.0
    nearest = _segment_distance(p[a, 0], p[a, 1], p[b, 0], p[b, 1])
    nearest = min(nearest, _segment_distance(p[b, 0], p[b, 1], p[c, 0], p[c, 1]))
    return float(min(nearest, _segment_distance(p[c, 0], p[c, 1], p[a, 0], p[a, 1])))


@njit(cache=True, error_model="numpy")
def _wrapped(angle_rad: float) -> float:
    return angle_rad - 2.0 * math.pi * math.floor((angle_rad + math.pi) / (2.0 * math.pi))


@njit(cache=True, error_model="numpy")
def _try_triangle(
    p: FloatArray, a: int, b: int, c: int, is_double_sided: bool, face: int, instance: int, max_range_m: float,
    elevations: FloatArray, slopes: FloatArray, azimuth_start: float, azimuth_step: float, directions: FloatArray,
    range_m: FloatArray, cosine: FloatArray, face_seen: npt.NDArray[np.int32], instance_seen: npt.NDArray[np.int32],
) -> None:  # fmt: skip
    """Tries one triangle, whose corners ``p[a]``, ``p[b]``, ``p[c]`` are relative to the sensor, in its frame."""
    ux, uy, uz = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1], p[b, 2] - p[a, 2]
    vx, vy, vz = p[c, 0] - p[a, 0], p[c, 1] - p[a, 1], p[c, 2] - p[a, 2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    height = nx * p[a, 0] + ny * p[a, 1] + nz * p[a, 2]  # < 0: the front looks at the sensor
    if height == 0.0 or (height > 0.0 and not is_double_sided):
        return
    near_m = _horizontal_distance(p, a, b, c)
    if near_m > max_range_m:
        return
    num_azimuths = range_m.shape[1]
    first, last = 0, num_azimuths - 1
    azimuth = math.atan2(p[a, 1], p[a, 0])
    if near_m > 0.0:
        turn_b = _wrapped(math.atan2(p[b, 1], p[b, 0]) - azimuth)
        turn_c = _wrapped(math.atan2(p[c, 1], p[c, 0]) - azimuth)
        low, high = min(0.0, turn_b, turn_c), max(0.0, turn_b, turn_c)
        if high - low <= math.pi:
            first = math.ceil((azimuth + low - azimuth_start) / azimuth_step - 1e-6)
            last = math.floor((azimuth + high - azimuth_start) / azimuth_step + 1e-6)
            if last - first >= num_azimuths:
                first, last = 0, num_azimuths - 1
    far_m = math.sqrt(
        max(p[a, 0] ** 2 + p[a, 1] ** 2, p[b, 0] ** 2 + p[b, 1] ** 2, p[c, 0] ** 2 + p[c, 1] ** 2)
    )
    low_z, high_z = min(p[a, 2], p[b, 2], p[c, 2]), max(p[a, 2], p[b, 2], p[c, 2])
    lowest = math.atan2(low_z, near_m if low_z < 0.0 else far_m) - 1e-9
    highest = math.atan2(high_z, near_m if high_z > 0.0 else far_m) + 1e-9
    first_row = np.searchsorted(elevations, lowest)
    last_row = np.searchsorted(elevations, highest, side="right")
    if first > last or first_row >= last_row:
        return
    # Edge planes through the sensor; a ray inside lies on the same side of all three.
    sign = 1.0 if height < 0.0 else -1.0
    e1x, e1y, e1z = p[a, 1] * p[b, 2] - p[a, 2] * p[b, 1], p[a, 2] * p[b, 0] - p[a, 0] * p[b, 2], p[a, 0] * p[b, 1] - p[a, 1] * p[b, 0]  # fmt: skip # noqa: E501
    e2x, e2y, e2z = p[b, 1] * p[c, 2] - p[b, 2] * p[c, 1], p[b, 2] * p[c, 0] - p[b, 0] * p[c, 2], p[b, 0] * p[c, 1] - p[b, 1] * p[c, 0]  # fmt: skip # noqa: E501
    e3x, e3y, e3z = p[c, 1] * p[a, 2] - p[c, 2] * p[a, 1], p[c, 2] * p[a, 0] - p[c, 0] * p[a, 2], p[c, 0] * p[a, 1] - p[c, 1] * p[a, 0]  # fmt: skip # noqa: E501
    slack = _EDGE_TOLERANCE * (far_m + abs(low_z) + abs(high_z)) ** 2
    per_length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz)
    period = round(2.0 * math.pi / azimuth_step)
    for column in range(first, last + 1):
        place = column % period
        if place >= num_azimuths:
            continue
        ca, sa = directions[place, 0], directions[place, 1]
        for row in range(first_row, last_row):
            dx, dy, dz = slopes[row, 0] * ca, slopes[row, 0] * sa, slopes[row, 1]
            if (
                sign * (e1x * dx + e1y * dy + e1z * dz) > slack
                or sign * (e2x * dx + e2y * dy + e2z * dz) > slack
                or sign * (e3x * dx + e3y * dy + e3z * dz) > slack
            ):
                continue
            along = nx * dx + ny * dy + nz * dz
            if along == 0.0:
                continue
            distance = height / along
            if 0.0 < distance < range_m[row, place] and distance <= max_range_m:
                range_m[row, place] = distance
                cosine[row, place] = abs(along) * per_length
                face_seen[row, place] = face
                instance_seen[row, place] = instance


@njit(cache=True, error_model="numpy")
def scan(
    geometry: Geometry, instances: Instances, position_m: FloatArray, rotation: FloatArray, max_range_m: float,
    elevations: FloatArray, azimuth_start: float, azimuth_step: float,
    range_m: FloatArray, cosine: FloatArray, face_seen: npt.NDArray[np.int32], instance_seen: npt.NDArray[np.int32],
) -> None:  # fmt: skip
    """Finds the nearest face along each ray; overwrites the four (num_elevations, num_azimuths) outputs.

    Args:
        geometry: All meshes; their finest levels are used.
        instances: Where they are.
        position_m: (3,) the sensor.
        rotation: (3, 3) world from sensor (x forward, y left, z up).
        max_range_m: Faces farther away are not hit.
        elevations: (num_elevations,) radians, ascending.
        azimuth_start: Azimuth of the first column, radians, counter-clockwise from forward.
        azimuth_step: Radians between two columns; columns that go round the full circle divide it.
        range_m: float64, inf where nothing is hit.
        cosine: float64, of the angle of incidence.
        face_seen: int32, index in the packed geometry, -1 for none.
        instance_seen: int32, row among the instances, -1 for none.
    """
    range_m[:] = np.inf
    cosine[:] = 0.0
    face_seen[:] = -1
    instance_seen[:] = -1
    num_azimuths = range_m.shape[1]
    directions = np.empty((num_azimuths, 2))
    for column in range(num_azimuths):
        directions[column, 0] = math.cos(azimuth_start + column * azimuth_step)
        directions[column, 1] = math.sin(azimuth_start + column * azimuth_step)
    slopes = np.stack((np.cos(elevations), np.sin(elevations)), axis=1)
    points = np.empty((_MAX_CLUSTER_VERTICES, 3))
    to_sensor = np.empty((3, 3))
    offset, centre = np.empty(3), np.empty(3)
    for instance in range(len(instances.mesh)):
        if not instances.is_visible[instance]:
            continue
        level = int(geometry.mesh_level_start[instances.mesh[instance]])
        scale = instances.scale[instance]
        largest = max(scale[0], scale[1], scale[2])
        for row in range(3):
            offset[row] = 0.0
            for k in range(3):
                offset[row] += rotation[k, row] * (instances.position_m[instance, k] - position_m[k])
            for column in range(3):
                to_sensor[row, column] = 0.0
                for k in range(3):
                    to_sensor[row, column] += rotation[k, row] * instances.rotation[instance, k, column]
                to_sensor[row, column] *= scale[column]
        is_double_sided = (geometry.level_flags[level] & IS_DOUBLE_SIDED) != 0
        level_centre = geometry.level_centre_m[level]
        for cluster in range(geometry.level_cluster_start[level], geometry.level_cluster_start[level + 1]):
            sphere = geometry.cluster_sphere[cluster]
            for row in range(3):
                centre[row] = offset[row]
                for k in range(3):
                    centre[row] += to_sensor[row, k] * (sphere[k] + level_centre[k])
            radius = sphere[3] * largest
            if math.sqrt(centre[0] ** 2 + centre[1] ** 2 + centre[2] ** 2) - radius > max_range_m:
                continue
            first_vertex = geometry.cluster_vertex_start[cluster]
            for vertex in range(first_vertex, geometry.cluster_vertex_start[cluster + 1]):
                for row in range(3):
                    total = offset[row]
                    for k in range(3):
                        total += to_sensor[row, k] * (geometry.vertices_m[k, vertex] + level_centre[k])
                    points[vertex - first_vertex, row] = total
            for face in range(geometry.cluster_face_start[cluster], geometry.cluster_face_start[cluster + 1]):
                corners = geometry.face_corners[face]
                _try_triangle(
                    points, corners[0], corners[1], corners[2], is_double_sided, face, instance, max_range_m,
                    elevations, slopes, azimuth_start, azimuth_step, directions, range_m, cosine, face_seen,
                    instance_seen,
                )  # fmt: skip
