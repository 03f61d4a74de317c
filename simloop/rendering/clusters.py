"""Faces of a mesh grouped into small clusters that can be culled as one.

A cluster holds at most 64 neighbouring faces that look roughly the same way, its own copy of the vertices they
use, a bounding sphere and the cone of their normals. The idea (meshlets with cone culling) is that of A. Kubisch,
"Introduction to Turing Mesh Shaders", NVIDIA 2018; the grouping here is a plain sort by main direction of the
normal and by Morton code of the face's centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FACES_PER_CLUSTER = 64
_MORTON_BITS = 10
_SPHERE_MARGIN = 1.0 + 1e-6
_VERTEX_ROUNDING = 2.0**-22  # of a float32 coordinate, as a part of the mesh's radius; generous

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeshClusters:
    """A mesh regrouped into clusters.

    Attributes:
        face_order: (num_faces,) int64, index of each regrouped face in the mesh.
        face_start: (num_clusters + 1,) int64, first regrouped face of each cluster.
        vertex_start: (num_clusters + 1,) int64, first cluster vertex of each cluster.
        source_vertex: (num_cluster_vertices,) int64, the mesh vertex that each cluster vertex copies.
        face_corners: (num_faces, 3) uint8, indices into the cluster's vertices.
        bounds: Bounding spheres and normal cones.
    """

    face_order: npt.NDArray[np.int64]
    face_start: npt.NDArray[np.int64]
    vertex_start: npt.NDArray[np.int64]
    source_vertex: npt.NDArray[np.int64]
    face_corners: npt.NDArray[np.uint8]
    bounds: ClusterBounds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterBounds:
    """Bounding spheres of a mesh and its clusters, and the cones that hold the clusters' face normals.

    Attributes:
        mesh_centre_m: (3,) float64, in the mesh frame.
        mesh_radius_m: Radius of the bounding sphere about it.
        centre_m: (num_clusters, 3) float64, relative to `mesh_centre_m`.
        radius_m: (num_clusters,) float64.
        cone_axis: (num_clusters, 3) float64, unit vectors.
        cone_cosine: (num_clusters,) float64, cosine of the half opening angle; -1 where it is
            90 degrees or more.
    """

    mesh_centre_m: FloatArray
    mesh_radius_m: float
    centre_m: FloatArray
    radius_m: FloatArray
    cone_axis: FloatArray
    cone_cosine: FloatArray


def cluster_mesh(vertices_m: FloatArray, faces: npt.NDArray[np.int32], *, is_welded: bool) -> MeshClusters:
    """Group the faces of a mesh.

    Args:
        vertices_m: (num_vertices, 3) float64.
        faces: (num_faces, 3) int32.
        is_welded: Whether vertices at exactly the same place are merged. Not for vertices that carry a normal
            or a colour, or that will move.
    """
    face_order, face_start = _grouped_faces(vertices_m, faces)
    num_clusters = len(face_start) - 1
    cluster_of_face = np.repeat(np.arange(num_clusters), np.diff(face_start))
    corner_vertices = faces[face_order].astype(np.int64)
    if is_welded:
        corner_vertices = _first_at_same_place(vertices_m)[corner_vertices]
    keys = cluster_of_face[:, None] * len(vertices_m) + corner_vertices
    unique_keys, corner_index = np.unique(keys.ravel(), return_inverse=True)
    vertex_start = np.searchsorted(unique_keys, np.arange(num_clusters + 1) * len(vertices_m))
    corners = corner_index.reshape(-1, 3) - vertex_start[cluster_of_face][:, None]
    source_vertex = unique_keys % len(vertices_m)
    return MeshClusters(
        face_order=face_order,
        face_start=face_start,
        vertex_start=vertex_start.astype(np.int64),
        source_vertex=source_vertex,
        face_corners=corners.astype(np.uint8),
        bounds=cluster_bounds(vertices_m, faces[face_order], face_start, source_vertex, vertex_start),
    )


def cluster_bounds(
    vertices_m: FloatArray,
    ordered_faces: npt.NDArray[np.int32],
    face_start: npt.NDArray[np.int64],
    source_vertex: npt.NDArray[np.int64],
    vertex_start: npt.NDArray[np.int64],
) -> ClusterBounds:
    """Bounding spheres and normal cones for the present vertex positions.

    Args:
        vertices_m: (num_vertices, 3) float64.
        ordered_faces: (num_faces, 3) int32, regrouped, indexing `vertices_m`.
        face_start: (num_clusters + 1,) first face of each cluster.
        source_vertex: (num_cluster_vertices,) mesh vertex of each cluster vertex.
        vertex_start: (num_clusters + 1,) first cluster vertex of each cluster.
    """
    points = vertices_m[source_vertex]
    mesh_centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    points = points - mesh_centre
    mesh_radius = float(np.sqrt((points**2).sum(axis=1).max())) * _SPHERE_MARGIN
    first = vertex_start[:-1]
    centre = 0.5 * (np.minimum.reduceat(points, first) + np.maximum.reduceat(points, first))
    offsets = points - np.repeat(centre, np.diff(vertex_start), axis=0)
    radius = np.sqrt(np.maximum.reduceat((offsets**2).sum(axis=1), first)) * _SPHERE_MARGIN
    radius += _VERTEX_ROUNDING * mesh_radius

    normals, has_normal = _unit_normals(vertices_m, ordered_faces)
    axis = np.add.reduceat(normals, face_start[:-1])
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = np.divide(axis, length, out=np.zeros_like(axis), where=length > 0.0)
    cosines = (normals * np.repeat(axis, np.diff(face_start), axis=0)).sum(axis=1)
    cosine = np.minimum.reduceat(np.where(has_normal, cosines, 1.0), face_start[:-1])
    cosine = np.where((cosine > 0.0) & (length[:, 0] > 0.0), cosine, -1.0)
    return ClusterBounds(
        mesh_centre_m=mesh_centre,
        mesh_radius_m=mesh_radius,
        centre_m=centre,
        radius_m=radius,
        cone_axis=axis,
        cone_cosine=cosine,
    )


def _grouped_faces(
    vertices_m: FloatArray, faces: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Order of the faces, and the first face of each cluster; clusters on the outside of the mesh come first."""
    num_faces = len(faces)
    if num_faces <= FACES_PER_CLUSTER:
        return np.arange(num_faces, dtype=np.int64), np.array([0, num_faces], dtype=np.int64)
    normals, _ = _unit_normals(vertices_m, faces)
    centres = vertices_m[faces].mean(axis=1)
    main_axis = np.abs(normals).argmax(axis=1)
    direction = 2 * main_axis + (np.take_along_axis(normals, main_axis[:, None], axis=1)[:, 0] < 0.0)
    order = np.argsort((direction << (3 * _MORTON_BITS)) | _morton_code(centres), kind="stable")

    # Outer clusters hide inner ones, so drawing them first saves work: order by how far out a cluster looks.
    chunk = np.arange(num_faces) // FACES_PER_CLUSTER
    chunk_start = np.arange(0, num_faces, FACES_PER_CLUSTER)
    sizes = np.diff(np.append(chunk_start, num_faces))
    mean_centre = np.add.reduceat(centres[order], chunk_start) / sizes[:, None]
    mean_normal = np.add.reduceat(normals[order], chunk_start) / sizes[:, None]
    middle = 0.5 * (vertices_m.min(axis=0) + vertices_m.max(axis=0))
    chunk_order = np.argsort(-((mean_centre - middle) * mean_normal).sum(axis=1), kind="stable")
    rank = np.empty_like(chunk_order)
    rank[chunk_order] = np.arange(len(chunk_order))
    face_order = order[np.argsort(rank[chunk], kind="stable")]
    return face_order, np.concatenate([[0], np.cumsum(sizes[chunk_order])]).astype(np.int64)


def _first_at_same_place(vertices_m: FloatArray) -> npt.NDArray[np.int64]:
    """For each vertex the first one with exactly its coordinates, (num_vertices,)."""
    order = np.lexsort(vertices_m.T)
    ordered = vertices_m[order]
    is_first = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    representative = np.empty(len(vertices_m), dtype=np.int64)
    representative[order] = order[is_first][np.cumsum(is_first) - 1]
    return representative


def _unit_normals(
    vertices_m: FloatArray, faces: npt.NDArray[np.int32]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    corners = vertices_m[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1)
    has_normal = length > 0.0
    return np.divide(
        normals, length[:, None], out=np.zeros_like(normals), where=has_normal[:, None]
    ), has_normal


def _morton_code(points: FloatArray) -> npt.NDArray[np.int64]:
    """Interleaved bits of the three coordinates, scaled together to 10 bits each."""
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    cells = ((points - low) * ((2**_MORTON_BITS - 1) / extent if extent > 0.0 else 0.0)).astype(np.int64)
    code = np.zeros(len(points), dtype=np.int64)
    for bit in range(_MORTON_BITS):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return code
