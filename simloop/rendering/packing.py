"""All geometry of a scene as one structure of arrays, the form that the kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.rendering.clusters import ClusterBounds, cluster_bounds
from simloop.rendering.mesh import Mesh, vertex_normals
from simloop.rendering.texture import Texture

IS_DOUBLE_SIDED = 1
IS_EMISSIVE = 2
IS_SMOOTH = 4
HAS_VERTEX_COLOURS = 8
HAS_TEXTURE = 16
IS_LIGHT_LIMITED = 32
IS_LIT_AT_VERTICES = 64


class Geometry(NamedTuple):
    """Meshes of a scene.

    Each mesh is a range of levels, each level a range of clusters, each cluster a range of faces and of vertices.

    Attributes:
        vertices_m: (3, num_vertices) float32, relative to the centre of their level.
        normals: (num_vertices, 3) float32, or (0, 3) when no level is smooth.
        vertex_colours: (num_vertices, 3) float32, or (0, 3) when no level has vertex colours.
        vertex_textures: (num_vertices, 2) float32 texture coordinates, or (0, 2) when no level has a texture.
        face_corners: (num_faces, 3) uint8, indices into the vertices of the face's cluster.
        face_colours: (num_faces, 3) float32.
        face_semantic: (num_faces,) int32, class of the face, -1 for the instance's.
        face_cluster: (num_faces,) int32.
        cluster_face_start: (num_clusters + 1,) int64.
        cluster_vertex_start: (num_clusters + 1,) int64.
        cluster_sphere: (num_clusters, 4) float64, centre relative to the level's centre, and radius.
        cluster_cone: (num_clusters, 4) float64, axis and cosine of the half opening angle, -1 for none.
        cluster_level: (num_clusters,) int32.
        level_cluster_start: (num_levels + 1,) int64.
        level_centre_m: (num_levels, 3) float64, in the mesh frame.
        level_limit_px: (num_levels,) float64, the level is meant for meshes that appear smaller than this.
        level_flags: (num_levels,) int64, sum of IS_DOUBLE_SIDED, IS_EMISSIVE, IS_SMOOTH, HAS_VERTEX_COLOURS,
            HAS_TEXTURE, IS_LIGHT_LIMITED, IS_LIT_AT_VERTICES.
        level_texture: (num_levels,) int32, -1 for none.
        texture_start: (num_textures + 1,) int64, first of each texture's pictures, largest first.
        picture_start: (num_pictures + 1,) int64, first texel of each picture; a picture is square, its edge a power of
            two.
        texels: (num_texels, 3) uint8.
        mesh_level_start: (num_meshes + 1,) int64.
        mesh_sphere: (num_meshes, 4) float64, centre in the mesh frame and radius, around all levels.
    """

    vertices_m: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    vertex_colours: npt.NDArray[np.float32]
    vertex_textures: npt.NDArray[np.float32]
    face_corners: npt.NDArray[np.uint8]
    face_colours: npt.NDArray[np.float32]
    face_semantic: npt.NDArray[np.int32]
    face_cluster: npt.NDArray[np.int32]
    cluster_face_start: npt.NDArray[np.int64]
    cluster_vertex_start: npt.NDArray[np.int64]
    cluster_sphere: npt.NDArray[np.float64]
    cluster_cone: npt.NDArray[np.float64]
    cluster_level: npt.NDArray[np.int32]
    level_cluster_start: npt.NDArray[np.int64]
    level_centre_m: npt.NDArray[np.float64]
    level_limit_px: npt.NDArray[np.float64]
    level_flags: npt.NDArray[np.int64]
    level_texture: npt.NDArray[np.int32]
    texture_start: npt.NDArray[np.int64]
    picture_start: npt.NDArray[np.int64]
    texels: npt.NDArray[np.uint8]
    mesh_level_start: npt.NDArray[np.int64]
    mesh_sphere: npt.NDArray[np.float64]


def pack_meshes(meshes: Sequence[Mesh]) -> Geometry:
    """Concatenate meshes and their levels of detail into one Geometry.

    Args:
        meshes: At least one mesh; instances refer to them by position.
    """
    levels: list[Mesh] = []
    limits_px: list[float] = []
    for mesh in meshes:
        levels += [mesh, *(level.mesh for level in mesh.levels_of_detail)]
        limits_px += [np.inf, *(level.below_diameter_px for level in mesh.levels_of_detail)]
    mesh_level_start = _starts([1 + len(mesh.levels_of_detail) for mesh in meshes])
    clusters = [level.clusters for level in levels]
    cluster_counts = np.array([len(group.face_start) - 1 for group in clusters])
    vertex_counts = np.array([len(group.source_vertex) for group in clusters])
    face_counts = np.array([len(level.faces) for level in levels])
    cluster_face_start = _chained([group.face_start for group in clusters])
    cluster_vertex_start = _chained([group.vertex_start for group in clusters])
    has_normals = any(level.smooth for level in levels)
    has_colours = any(level.vertex_colours_rgb is not None for level in levels)
    textures = list(dict.fromkeys(level.texture for level in levels if level.texture is not None))
    pictures = [picture for texture in textures for picture in texture.levels]
    geometry = Geometry(
        vertices_m=np.empty((3, vertex_counts.sum()), dtype=np.float32),
        normals=np.zeros((vertex_counts.sum() if has_normals else 0, 3), dtype=np.float32),
        vertex_colours=np.zeros((vertex_counts.sum() if has_colours else 0, 3), dtype=np.float32),
        vertex_textures=np.zeros((vertex_counts.sum() if textures else 0, 2), dtype=np.float32),
        face_corners=np.concatenate([group.face_corners for group in clusters]),
        face_colours=np.concatenate(
            [level.face_colours_rgb[group.face_order] for level, group in zip(levels, clusters, strict=True)]
        ),
        face_semantic=np.concatenate(
            [_face_semantics(level)[group.face_order] for level, group in zip(levels, clusters, strict=True)]
        ),
        face_cluster=np.repeat(np.arange(cluster_counts.sum(), dtype=np.int32), np.diff(cluster_face_start)),
        cluster_face_start=cluster_face_start,
        cluster_vertex_start=cluster_vertex_start,
        cluster_sphere=np.empty((cluster_counts.sum(), 4)),
        cluster_cone=np.empty((cluster_counts.sum(), 4)),
        cluster_level=np.repeat(np.arange(len(levels), dtype=np.int32), cluster_counts),
        level_cluster_start=_starts(cluster_counts),
        level_centre_m=np.empty((len(levels), 3)),
        level_limit_px=np.array(limits_px),
        level_flags=np.array([_flags(level) for level in levels], dtype=np.int64),
        level_texture=np.array([_texture_index(level, textures) for level in levels], dtype=np.int32),
        texture_start=_starts([len(texture.levels) for texture in textures]),
        picture_start=_starts([picture.shape[0] * picture.shape[1] for picture in pictures]),
        texels=np.concatenate([np.empty((0, 3), dtype=np.uint8), *(p.reshape(-1, 3) for p in pictures)]),
        mesh_level_start=mesh_level_start,
        mesh_sphere=np.empty((len(meshes), 4)),
    )
    for index, (level, group) in enumerate(zip(levels, clusters, strict=True)):
        _write_level(geometry, index, level, level.vertices_m, group.bounds)
    for index in range(len(meshes)):
        _write_mesh_sphere(geometry, index, [group.bounds.mesh_radius_m for group in clusters])
    assert len(geometry.face_corners) == face_counts.sum()
    return geometry


def move_vertices(
    geometry: Geometry, mesh_index: int, mesh: Mesh, vertices_m: npt.NDArray[np.float64]
) -> None:
    """Overwrite the vertices of a mesh without levels of detail, in place, with bounds and normals.

    Args:
        geometry: The packed scene.
        mesh_index: Position of the mesh in the scene.
        mesh: The mesh as it was packed.
        vertices_m: (num_vertices, 3) float64, new positions in the mesh frame.
    """
    group = mesh.clusters
    bounds = cluster_bounds(
        vertices_m, mesh.faces[group.face_order], group.face_start, group.source_vertex, group.vertex_start
    )
    level_index = int(geometry.mesh_level_start[mesh_index])
    _write_level(geometry, level_index, mesh, vertices_m, bounds)
    geometry.mesh_sphere[mesh_index, :3] = bounds.mesh_centre_m
    geometry.mesh_sphere[mesh_index, 3] = bounds.mesh_radius_m


def _write_level(
    geometry: Geometry,
    level_index: int,
    mesh: Mesh,
    vertices_m: npt.NDArray[np.float64],
    bounds: ClusterBounds,
) -> None:
    group = mesh.clusters
    clusters = slice(*geometry.level_cluster_start[level_index : level_index + 2])
    first_vertex = int(geometry.cluster_vertex_start[clusters.start])
    vertices = slice(first_vertex, first_vertex + len(group.source_vertex))
    geometry.vertices_m[:, vertices] = (vertices_m[group.source_vertex] - bounds.mesh_centre_m).T
    if mesh.smooth:
        geometry.normals[vertices] = vertex_normals(vertices_m, mesh.faces)[group.source_vertex]
    if mesh.vertex_colours_rgb is not None:
        geometry.vertex_colours[vertices] = mesh.vertex_colours_rgb[group.source_vertex]
    if mesh.texture_coordinates is not None:
        geometry.vertex_textures[vertices] = mesh.texture_coordinates[group.source_vertex]
    geometry.cluster_sphere[clusters, :3] = bounds.centre_m
    geometry.cluster_sphere[clusters, 3] = bounds.radius_m
    geometry.cluster_cone[clusters, :3] = bounds.cone_axis
    geometry.cluster_cone[clusters, 3] = bounds.cone_cosine
    geometry.level_centre_m[level_index] = bounds.mesh_centre_m


def _write_mesh_sphere(geometry: Geometry, mesh_index: int, level_radius_m: list[float]) -> None:
    first, last = geometry.mesh_level_start[mesh_index : mesh_index + 2]
    centres = geometry.level_centre_m[first:last]
    shifts = np.linalg.norm(centres - centres[0], axis=1)
    geometry.mesh_sphere[mesh_index, :3] = centres[0]
    geometry.mesh_sphere[mesh_index, 3] = (shifts + level_radius_m[first:last]).max()


def _face_semantics(mesh: Mesh) -> npt.NDArray[np.int32]:
    return (
        np.full(len(mesh.faces), -1, dtype=np.int32) if mesh.face_semantics is None else mesh.face_semantics
    )


def _flags(mesh: Mesh) -> int:
    return (
        IS_DOUBLE_SIDED * mesh.is_double_sided
        + IS_EMISSIVE * mesh.is_emissive
        + IS_SMOOTH * mesh.smooth
        + HAS_VERTEX_COLOURS * (mesh.vertex_colours_rgb is not None)
        + HAS_TEXTURE * (mesh.texture is not None)
        + IS_LIGHT_LIMITED * mesh.is_light_limited
        + IS_LIT_AT_VERTICES * mesh.is_lit_at_vertices
    )


def _texture_index(mesh: Mesh, textures: Sequence[Texture]) -> int:
    return -1 if mesh.texture is None else textures.index(mesh.texture)


def _starts(counts: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _chained(starts: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Several start lists (each ends with its total) as one."""
    return _starts(np.concatenate([np.diff(start) for start in starts]))
