"""The rasteriser: which face is seen by each sample, and how far away.

Works on a visibility buffer: per sample the inverse depth, the face and the instance; colours are computed afterwards,
once per visible sample (`shade_kernel`). Instances are drawn nearest first; clusters of faces are skipped as a whole
when they are out of view, face away, or lie behind what is already drawn.

A sample belongs to a face when it lies inside or within a millionth of a sample of it; the nearest face wins. Inverse
depth is linear across the image of a plane, so it is interpolated without perspective error.

Camera coordinates here are (right, up, depth), with depth along the line of sight. Image coordinates have the samples
at integers.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.rendering.instances import Instances
from simloop.rendering.packing import IS_DOUBLE_SIDED, Geometry
from simloop.rendering.view import View, Visibility

FloatArray = npt.NDArray[np.float64]

_EDGE_MARGIN_PX = 1e-6
_LEVEL_EDGE_PX = 1e-12
_SMALLEST_AREA_PX2 = 1e-11
_LARGEST_AREA_PX2 = 1e24
_FEW_SAMPLES = 6
_MAX_CLUSTER_VERTICES = 192
_MAX_OCCLUSION_TEST_PX = 4096


@njit(cache=True, error_model="numpy")
def _fill(
    x0: float, y0: float, w0: float, x1: float, y1: float, w1: float, x2: float, y2: float, w2: float,
    area: float, face: int, instance: int, seen: Visibility,
) -> None:  # fmt: skip
    """Draw a triangle: corners in image coordinates, clockwise (area > 0), w the inverse depth."""
    height, width = seen.inverse_depth.shape
    low_x = max(min(x0, x1, x2) - _EDGE_MARGIN_PX, 0.0)
    high_x = min(max(x0, x1, x2) + _EDGE_MARGIN_PX, width - 1.0)
    low_y = max(min(y0, y1, y2) - _EDGE_MARGIN_PX, 0.0)
    high_y = min(max(y0, y1, y2) + _EDGE_MARGIN_PX, height - 1.0)
    if not (low_x <= high_x and low_y <= high_y):
        return
    first_x, last_x = math.ceil(low_x), math.floor(high_x)
    first_y, last_y = math.ceil(low_y), math.floor(high_y)
    if first_x > last_x or first_y > last_y:
        return
    low_w, high_w = min(w0, w1, w2), max(w0, w1, w2)
    dx1, dy1, dw1 = x1 - x0, y1 - y0, w1 - w0
    dx2, dy2, dw2 = x2 - x0, y2 - y0, w2 - w0
    dx3, dy3 = x2 - x1, y2 - y1
    per_area = 1.0 / area
    slope_x = (dw1 * dy2 - dw2 * dy1) * per_area
    slope_y = (dw2 * dx1 - dw1 * dx2) * per_area
    if (last_x - first_x + 1) * (last_y - first_y + 1) <= _FEW_SAMPLES:
        # Few samples: try each against the edges, which needs no division.
        m1 = -_EDGE_MARGIN_PX * (abs(dx1) + abs(dy1))
        m2 = -_EDGE_MARGIN_PX * (abs(dx2) + abs(dy2))
        m3 = -_EDGE_MARGIN_PX * (abs(dx3) + abs(dy3))
        for y in range(first_y, last_y + 1):
            for x in range(first_x, last_x + 1):
                e1 = dx1 * (y - y0) - dy1 * (x - x0)
                e2 = dy2 * (x - x0) - dx2 * (y - y0)
                e3 = dx3 * (y - y1) - dy3 * (x - x1)
                if e1 >= m1 and e2 >= m2 and e3 >= m3:
                    exact_w = w0 + slope_x * (x - x0) + slope_y * (y - y0)
                    w = np.float32(min(max(exact_w, low_w), high_w))
                    if w > seen.inverse_depth[y, x]:
                        seen.inverse_depth[y, x] = w
                        seen.face[y, x] = face
                        seen.instance[y, x] = instance
        return
    # Where an edge crosses a row. One that runs up in the image bounds the row on its left, one that runs down on
    # its right; a level edge bounds no row, the first and last row do that. Edge 2 runs from corner 2 to corner 0.
    s1 = dx1 / dy1 if abs(dy1) > _LEVEL_EDGE_PX else 0.0
    s2 = dx2 / dy2 if abs(dy2) > _LEVEL_EDGE_PX else 0.0
    s3 = dx3 / dy3 if abs(dy3) > _LEVEL_EDGE_PX else 0.0
    m1 = _EDGE_MARGIN_PX * (1.0 + abs(s1))
    m2 = _EDGE_MARGIN_PX * (1.0 + abs(s2))
    m3 = _EDGE_MARGIN_PX * (1.0 + abs(s3))
    for y in range(first_y, last_y + 1):
        left, right = float(first_x), float(last_x)
        if dy1 < -_LEVEL_EDGE_PX:
            left = max(left, x0 + s1 * (y - y0) - m1)
        elif dy1 > _LEVEL_EDGE_PX:
            right = min(right, x0 + s1 * (y - y0) + m1)
        if dy3 < -_LEVEL_EDGE_PX:
            left = max(left, x1 + s3 * (y - y1) - m3)
        elif dy3 > _LEVEL_EDGE_PX:
            right = min(right, x1 + s3 * (y - y1) + m3)
        if dy2 > _LEVEL_EDGE_PX:
            left = max(left, x0 + s2 * (y - y0) - m2)
        elif dy2 < -_LEVEL_EDGE_PX:
            right = min(right, x0 + s2 * (y - y0) + m2)
        if not left <= right:
            continue
        base = w0 + slope_y * (y - y0) - slope_x * x0
        for x in range(math.ceil(left), math.floor(right) + 1):
            w = np.float32(min(max(base + slope_x * x, low_w), high_w))
            if w > seen.inverse_depth[y, x]:
                seen.inverse_depth[y, x] = w
                seen.face[y, x] = face
                seen.instance[y, x] = instance


@njit(cache=True, error_model="numpy")
def _doubled_area(x0: float, y0: float, x1: float, y1: float, x2: float, y2: float) -> float:
    """Twice the signed area of a triangle in image coordinates: negative for a face seen from its front."""
    return (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)


@njit(cache=True, error_model="numpy")
def _is_drawn(area: float, flags: int) -> bool:
    """Whether a triangle shows its front (or both sides count) and is neither degenerate nor not a number."""
    return -_LARGEST_AREA_PX2 < area < -_SMALLEST_AREA_PX2 or (
        flags & IS_DOUBLE_SIDED != 0 and _SMALLEST_AREA_PX2 < area < _LARGEST_AREA_PX2
    )


@njit(cache=True, error_model="numpy")
def _fill_clipped(
    corners: FloatArray, flags: int, view: View, face: int, instance: int, seen: Visibility
) -> None:
    """Clip a triangle, rows in camera coordinates, at the near plane and draw what remains."""
    near_m = view.near_m
    polygon = np.empty((4, 3))
    count = 0
    for index in range(3):
        following = (index + 1) % 3
        depth, next_depth = corners[index, 2], corners[following, 2]
        if depth >= near_m:
            for axis in range(3):
                polygon[count, axis] = corners[index, axis]
            count += 1
        if (depth >= near_m) != (next_depth >= near_m):
            part = (near_m - depth) / (next_depth - depth)
            for axis in range(2):
                polygon[count, axis] = corners[index, axis] + part * (
                    corners[following, axis] - corners[index, axis]
                )
            polygon[count, 2] = near_m
            count += 1
    for index in range(count):
        w = 1.0 / polygon[index, 2]
        polygon[index, 0] = view.cx - 0.5 + view.fx * polygon[index, 0] * w
        polygon[index, 1] = view.cy - 0.5 - view.fy * polygon[index, 1] * w
        polygon[index, 2] = w
    x0, y0, w0 = polygon[0, 0], polygon[0, 1], polygon[0, 2]
    for index in range(1, count - 1):
        area = _doubled_area(
            x0, y0, polygon[index, 0], polygon[index, 1], polygon[index + 1, 0], polygon[index + 1, 1]
        )
        if _is_drawn(area, flags):
            second, third = (index + 1, index) if area < 0.0 else (index, index + 1)
            _fill(
                x0, y0, w0, polygon[second, 0], polygon[second, 1], polygon[second, 2],
                polygon[third, 0], polygon[third, 1], polygon[third, 2], abs(area), face, instance, seen,
            )  # fmt: skip


@njit(cache=True, error_model="numpy")
def _is_outside(x: float, y: float, depth: float, radius: float, view: View, width: int, height: int) -> bool:
    """Whether a sphere in camera coordinates lies wholly outside the view."""
    if depth + radius < view.near_m or depth - radius > view.far_m:
        return True
    right_px, bottom_px = width - view.cx, height - view.cy
    return (
        view.cx * depth + view.fx * x < -radius * math.hypot(view.fx, view.cx)
        or right_px * depth - view.fx * x < -radius * math.hypot(view.fx, right_px)
        or view.cy * depth - view.fy * y < -radius * math.hypot(view.fy, view.cy)
        or bottom_px * depth + view.fy * y < -radius * math.hypot(view.fy, bottom_px)
    )


@njit(cache=True, error_model="numpy")
def _is_hidden(
    x: float, y: float, depth: float, radius: float, view: View, inverse_depth: npt.NDArray[np.float32]
) -> bool:
    """Whether a sphere beyond the near plane covers no sample, or lies behind all that is drawn where it is."""
    height, width = inverse_depth.shape
    nearest, farthest = depth - radius, depth + radius
    low_x, high_x = x - radius, x + radius
    low_y, high_y = -y - radius, -y + radius
    low_x = view.cx - 0.5 + view.fx * low_x / (nearest if low_x < 0.0 else farthest) - 1e-4
    high_x = view.cx - 0.5 + view.fx * high_x / (farthest if high_x < 0.0 else nearest) + 1e-4
    low_y = view.cy - 0.5 + view.fy * low_y / (nearest if low_y < 0.0 else farthest) - 1e-4
    high_y = view.cy - 0.5 + view.fy * high_y / (farthest if high_y < 0.0 else nearest) + 1e-4
    low_x, high_x = max(low_x, 0.0), min(high_x, width - 1.0)
    low_y, high_y = max(low_y, 0.0), min(high_y, height - 1.0)
    if not (low_x <= high_x and low_y <= high_y):
        return True
    first_x, last_x = math.ceil(low_x), math.floor(high_x)
    first_y, last_y = math.ceil(low_y), math.floor(high_y)
    if (last_x - first_x) * (last_y - first_y) > _MAX_OCCLUSION_TEST_PX:
        return False
    highest = np.float32(1.000001 / nearest)
    for row in range(first_y, last_y + 1):
        for column in range(first_x, last_x + 1):
            if inverse_depth[row, column] < highest:
                return False
    return True


@njit(cache=True, error_model="numpy")
def _faces_away(ball: FloatArray, cone: FloatArray, eye_m: FloatArray) -> bool:
    """Whether every face of a cluster shows its back to the eye; all in the frame of the mesh.

    With D from the eye to the sphere's centre, every normal within angle a of the axis and every point within r of the
    centre, the least value of normal . (point - eye) is ``|D| cos(angle(D, axis) + a) - r``.
    """
    dx, dy, dz = ball[0] - eye_m[0], ball[1] - eye_m[1], ball[2] - eye_m[2]
    along = dx * cone[0] + dy * cone[1] + dz * cone[2]
    if cone[3] <= 0.0 or along <= 0.0:
        return False
    across = math.sqrt(max(dx * dx + dy * dy + dz * dz - along * along, 0.0))
    sine = math.sqrt(max(1.0 - cone[3] * cone[3], 0.0))
    return bool(along * cone[3] - across * sine > ball[3] + 1e-6 * along)


@njit(cache=True, error_model="numpy")
def _project(
    geometry: Geometry, cluster: int, matrix: FloatArray, offset_m: FloatArray, view: View, image: FloatArray
) -> None:
    """Vertices of a cluster to image coordinates and inverse depth, the rows of `image` (3, max vertices)."""
    first, last = geometry.cluster_vertex_start[cluster], geometry.cluster_vertex_start[cluster + 1]
    vertex_x = geometry.vertices_m[0][first:last]
    vertex_y = geometry.vertices_m[1][first:last]
    vertex_z = geometry.vertices_m[2][first:last]
    image_x, image_y, image_w = image[0], image[1], image[2]
    m00, m01, m02, m03 = matrix[0, 0], matrix[0, 1], matrix[0, 2], offset_m[0]
    m10, m11, m12, m13 = matrix[1, 0], matrix[1, 1], matrix[1, 2], offset_m[1]
    m20, m21, m22, m23 = matrix[2, 0], matrix[2, 1], matrix[2, 2], offset_m[2]
    fx, fy, middle_x, middle_y = view.fx, view.fy, view.cx - 0.5, view.cy - 0.5
    for index in range(last - first):
        x, y, z = np.float64(vertex_x[index]), np.float64(vertex_y[index]), np.float64(vertex_z[index])
        w = 1.0 / (m20 * x + m21 * y + m22 * z + m23)
        image_x[index] = middle_x + fx * (m00 * x + m01 * y + m02 * z + m03) * w
        image_y[index] = middle_y - fy * (m10 * x + m11 * y + m12 * z + m13) * w
        image_w[index] = w


@njit(cache=True, error_model="numpy")
def _draw_faces(
    geometry: Geometry,
    cluster: int,
    flags: int,
    instance: int,
    image: FloatArray,
    seen: Visibility,
) -> None:
    """Draw a cluster that lies wholly beyond the near plane."""
    height, width = seen.inverse_depth.shape
    last_column, last_row = width - 1.0, height - 1.0
    px, py, pw = image[0], image[1], image[2]
    for face in range(geometry.cluster_face_start[cluster], geometry.cluster_face_start[cluster + 1]):
        i0, i1, i2 = (
            geometry.face_corners[face, 0],
            geometry.face_corners[face, 1],
            geometry.face_corners[face, 2],
        )
        x0, y0, x1, y1, x2, y2 = px[i0], py[i0], px[i1], py[i1], px[i2], py[i2]
        area = _doubled_area(x0, y0, x1, y1, x2, y2)
        if not _is_drawn(area, flags):
            continue
        # Most faces of a dense mesh fall between the samples: leave before anything is divided.
        low_x = max(min(x0, x1, x2) - _EDGE_MARGIN_PX, 0.0)
        high_x = min(max(x0, x1, x2) + _EDGE_MARGIN_PX, last_column)
        low_y = max(min(y0, y1, y2) - _EDGE_MARGIN_PX, 0.0)
        high_y = min(max(y0, y1, y2) + _EDGE_MARGIN_PX, last_row)
        if np.ceil(low_x) > high_x or np.ceil(low_y) > high_y:
            continue
        if area < 0.0:
            i1, i2 = i2, i1
        _fill(
            x0, y0, pw[i0], px[i1], py[i1], pw[i1], px[i2], py[i2], pw[i2], abs(area), face, instance, seen
        )  # fmt: skip


@njit(cache=True, error_model="numpy")
def _draw_faces_near(
    geometry: Geometry, cluster: int, flags: int, instance: int,
    matrix: FloatArray, offset_m: FloatArray, view: View, seen: Visibility,
) -> None:  # fmt: skip
    """Draw a cluster that may reach across the near plane."""
    first = geometry.cluster_vertex_start[cluster]
    corners = np.empty((3, 3))
    for face in range(geometry.cluster_face_start[cluster], geometry.cluster_face_start[cluster + 1]):
        for corner in range(3):
            vertex = first + geometry.face_corners[face, corner]
            for row in range(3):
                corners[corner, row] = offset_m[row]
                for axis in range(3):
                    corners[corner, row] += matrix[row, axis] * geometry.vertices_m[axis, vertex]
        _fill_clipped(corners, flags, view, face, instance, seen)


@njit(cache=True, error_model="numpy")
def _chosen_level(geometry: Geometry, mesh: int, diameter_px: float) -> int:
    """The coarsest level meant for a mesh of this size in the image."""
    level = int(geometry.mesh_level_start[mesh])
    last = int(geometry.mesh_level_start[mesh + 1]) - 1
    while level < last and diameter_px < geometry.level_limit_px[level + 1]:
        level += 1
    return level


@njit(cache=True, error_model="numpy")
def _draw_instance(
    geometry: Geometry, instances: Instances, instance: int, world_to_camera: FloatArray, view: View,
    image: FloatArray, seen: Visibility,
) -> None:  # fmt: skip
    """Draw those clusters of an instance that may be seen; `image` is room for their vertices."""
    height, width = seen.inverse_depth.shape
    mesh = instances.mesh[instance]
    scale, rotation = instances.scale[instance], instances.rotation[instance]
    largest_scale = max(scale[0], scale[1], scale[2])
    matrix, shift_m = np.zeros((3, 3)), np.zeros(3)
    for row in range(3):
        for column in range(3):
            for k in range(3):
                matrix[row, column] += world_to_camera[row, k] * rotation[k, column] * scale[column]
            distance_m = instances.position_m[instance, column] - view.position_m[column]
            shift_m[row] += world_to_camera[row, column] * distance_m
    sphere = geometry.mesh_sphere[mesh]
    depth = matrix[2, 0] * sphere[0] + matrix[2, 1] * sphere[1] + matrix[2, 2] * sphere[2] + shift_m[2]
    diameter_px = np.inf
    if depth > view.near_m:
        diameter_px = 2.0 * sphere[3] * largest_scale * view.detail_focal_px / depth
    level = _chosen_level(geometry, mesh, diameter_px)
    offset_m, eye_m = np.empty(3), np.zeros(3)
    for row in range(3):
        offset_m[row] = shift_m[row]
        for column in range(3):
            offset_m[row] += matrix[row, column] * geometry.level_centre_m[level, column]
    for column in range(3):  # the eye in the frame of the mesh
        for row in range(3):
            eye_m[column] -= matrix[row, column] * offset_m[row]
        eye_m[column] /= scale[column] * scale[column]
    flags = int(geometry.level_flags[level])
    is_one_sided = flags & IS_DOUBLE_SIDED == 0
    for cluster in range(geometry.level_cluster_start[level], geometry.level_cluster_start[level + 1]):
        ball = geometry.cluster_sphere[cluster]
        radius = ball[3] * largest_scale
        if view.is_culling and is_one_sided and _faces_away(ball, geometry.cluster_cone[cluster], eye_m):
            continue
        x = matrix[0, 0] * ball[0] + matrix[0, 1] * ball[1] + matrix[0, 2] * ball[2] + offset_m[0]
        y = matrix[1, 0] * ball[0] + matrix[1, 1] * ball[1] + matrix[1, 2] * ball[2] + offset_m[1]
        depth = matrix[2, 0] * ball[0] + matrix[2, 1] * ball[1] + matrix[2, 2] * ball[2] + offset_m[2]
        is_near = not depth - radius > view.near_m
        if view.is_culling and _is_outside(x, y, depth, radius, view, width, height):
            continue
        if is_near:
            _draw_faces_near(geometry, cluster, flags, instance, matrix, offset_m, view, seen)
        elif not (view.is_culling and _is_hidden(x, y, depth, radius, view, seen.inverse_depth)):
            _project(geometry, cluster, matrix, offset_m, view, image)
            _draw_faces(geometry, cluster, flags, instance, image, seen)


@njit(cache=True, error_model="numpy")
def _sort_by_depth(candidates: npt.NDArray[np.int64], depths: FloatArray, count: int) -> None:
    """Sort the first `count` rows of both arrays by depth: Shell's method, a tenth of numpy's sort to compile."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for index in range(gap, count):
            candidate, depth = candidates[index], depths[index]
            place = index
            while place >= gap and depths[place - gap] > depth:
                candidates[place], depths[place] = candidates[place - gap], depths[place - gap]
                place -= gap
            candidates[place], depths[place] = candidate, depth
        gap //= 3


@njit(cache=True, error_model="numpy")
def rasterise(geometry: Geometry, instances: Instances, view: View, seen: Visibility) -> None:
    """Fill the visibility buffer.

    Args:
        geometry: All meshes.
        instances: Where they are.
        view: The camera.
        seen: Overwritten.
    """
    height, width = seen.inverse_depth.shape
    seen.inverse_depth[:] = np.float32(1.0 / view.far_m)
    seen.face[:] = -1
    seen.instance[:] = -1
    world_to_camera = np.empty((3, 3))
    for axis in range(3):
        world_to_camera[0, axis] = view.rotation[axis, 0]
        world_to_camera[1, axis] = view.rotation[axis, 1]
        world_to_camera[2, axis] = -view.rotation[axis, 2]
    num_instances = instances.mesh.shape[0]
    candidates, depths = np.empty(num_instances, dtype=np.int64), np.empty(num_instances)
    count = 0
    centre, place = np.empty(3), np.empty(3)
    for instance in range(num_instances):
        if not instances.is_visible[instance]:
            continue
        scale = instances.scale[instance]
        sphere = geometry.mesh_sphere[instances.mesh[instance]]
        for row in range(3):
            centre[row] = instances.position_m[instance, row] - view.position_m[row]
            for column in range(3):
                centre[row] += instances.rotation[instance, row, column] * scale[column] * sphere[column]
        for row in range(3):
            place[row] = 0.0
            for column in range(3):
                place[row] += world_to_camera[row, column] * centre[column]
        radius = sphere[3] * max(scale[0], scale[1], scale[2])
        if view.is_culling and _is_outside(place[0], place[1], place[2], radius, view, width, height):
            continue
        candidates[count] = instance
        depths[count] = place[2]
        count += 1
    _sort_by_depth(candidates, depths, count)
    image = np.empty((3, _MAX_CLUSTER_VERTICES))
    for index in range(count):
        _draw_instance(geometry, instances, int(candidates[index]), world_to_camera, view, image, seen)
