"""Smooth triangles of the arms in levels of detail: of Pandas shipped with the package, of others made here.

``python -m simloop_bimanual.rendering.arm_meshes`` makes the shipped file again; it needs ``fast-simplification`` and a
minute.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simloop.rendering import Camera, LevelOfDetail, Mesh, Scene
from simloop.rendering.camera_frames import look_at
from simloop_bimanual.rendering.visual_meshes import BodyMesh, full_meshes, is_robot, reduced, shape_name

FloatArray = npt.NDArray[np.float64]

_MESH_FILE: Final = "panda_meshes.npz"
_UNIT_M: Final = 5e-5
"""Vertices are stored as whole multiples of this."""
CREASE_RAD: Final = math.radians(50.0)
"""Faces that meet at a sharper angle keep an edge between them; others are shaded as one curved surface."""
_WELD_M: Final = 2e-4
_NUM_FACES: Final = (2500, 800, 320)
_LIMITS_PX: Final = (np.inf, 90.0, 50.0)
"""Faces of a shipped body's levels of detail, and below which size of the body in the image each is drawn."""
_GRIDS_M: Final = (0.010, 0.022, 0.040)
_GRID_LIMITS_PX: Final = (np.inf, 240.0, 120.0)
"""The same of the pedestal, whose trusses are too many for edge collapse: vertices are merged on a grid."""
_QUICK_GRIDS_M: Final = (0.004, 0.012, 0.025)
_CELL_PX: Final = 1.5
"""Of robots that do not ship, a level is drawn where a cell of its grid is smaller than this."""
_WELDED_SHAPES: Final = ("fixed_mount_pedestal",)
_CELL_OFFSET: Final = 1 << 20
_FEW_FACES: Final = 700
_NUM_VIEWS, _VIEW_PX = 200, 768


def split_at_creases(mesh: BodyMesh, crease_rad: float = CREASE_RAD) -> BodyMesh:
    """Returns the mesh with vertices of their own on either side of every sharp edge.

    Args:
        mesh: Its vertices are shared between neighbouring faces.
        crease_rad: Largest angle between the normals of neighbours that belong to one curved surface.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    faces, count = mesh.faces, len(mesh.faces)
    corners = mesh.vertices_m[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(
        -1, 2
    )  # edge k of a face starts at corner k
    low_high = np.sort(edges, axis=1)
    order = np.lexsort((low_high[:, 1], low_high[:, 0]))
    is_pair = (low_high[order][1:] == low_high[order][:-1]).all(axis=1)
    first, second = order[:-1][is_pair], order[1:][is_pair]
    is_smooth = (normals[first // 3] * normals[second // 3]).sum(axis=1) > math.cos(crease_rad)
    first, second = first[is_smooth], second[is_smooth]
    ends = [(edge, 3 * (edge // 3) + (edge + 1) % 3) for edge in (first, second)]
    is_reversed = edges[first, 0] != edges[second, 0]
    here = np.concatenate([ends[0][0], ends[0][1]])
    there = np.concatenate(
        [np.where(is_reversed, ends[1][1], ends[1][0]), np.where(is_reversed, ends[1][0], ends[1][1])]
    )
    links = coo_array((np.ones(len(here), dtype=np.int8), (here, there)), shape=(3 * count, 3 * count))
    _, label = connected_components(links, directed=False)
    _, first_corner = np.unique(label, return_index=True)
    return BodyMesh(
        vertices_m=mesh.vertices_m[faces.reshape(-1)[first_corner]],
        faces=label.reshape(-1, 3).astype(np.int32),
        face_colours_rgb=mesh.face_colours_rgb,
    )


def seen_from_outside(mesh: BodyMesh) -> BodyMesh:
    """Returns the faces that can be seen from afar, from directions spread evenly (a Fibonacci lattice)."""
    shape = Mesh(mesh.vertices_m, mesh.faces, face_semantics=np.arange(len(mesh.faces)), is_double_sided=True)
    scene = Scene()
    scene.add(shape)
    centre = 0.5 * (mesh.vertices_m.min(axis=0) + mesh.vertices_m.max(axis=0))
    radius_m = float(np.linalg.norm(mesh.vertices_m - centre, axis=1).max())
    camera = Camera(_VIEW_PX, _VIEW_PX, vertical_fov_rad=2.04 * math.asin(1.0 / 6.0), near_m=0.01)
    is_seen = np.zeros(len(mesh.faces) + 1, dtype=np.bool_)
    for number in range(_NUM_VIEWS):
        z = 1.0 - (2 * number + 1) / _NUM_VIEWS
        turn = math.pi * (1.0 + math.sqrt(5.0)) * (number + 0.5)
        direction = np.array([math.cos(turn), math.sin(turn), 0.0]) * math.sqrt(1.0 - z * z) + (0.0, 0.0, z)
        eye = centre + 6.0 * radius_m * direction
        up = (1.0, 0.0, 0.0) if abs(z) > 0.99 else (0.0, 0.0, 1.0)
        is_seen[scene.render(camera, eye, look_at(eye, centre, up), ("semantic",)).semantic] = True
    return BodyMesh(
        vertices_m=mesh.vertices_m,
        faces=mesh.faces[is_seen[:-1]],
        face_colours_rgb=mesh.face_colours_rgb[is_seen[:-1]],
    )


def merged_on_grid(mesh: BodyMesh, grid_m: float) -> BodyMesh:
    """Returns a coarser mesh: vertices in one cell of a grid become one (Rossignac & Borrel 1993)."""
    cell = np.round(mesh.vertices_m / grid_m).astype(np.int64) + _CELL_OFFSET
    _, index = np.unique((cell[:, 0] << 42) | (cell[:, 1] << 21) | cell[:, 2], return_inverse=True)
    count = np.bincount(index)
    vertices = np.stack([np.bincount(index, mesh.vertices_m[:, axis]) / count for axis in range(3)], axis=1)
    faces = index[mesh.faces]
    is_kept = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    faces, colours = faces[is_kept], mesh.face_colours_rgb[is_kept]
    turned = np.take_along_axis(faces, (faces.argmin(axis=1)[:, None] + np.arange(3)) % 3, axis=1)
    _, first = np.unique((turned[:, 0] << 42) | (turned[:, 1] << 21) | turned[:, 2], return_index=True)
    first.sort()
    return BodyMesh(vertices_m=vertices, faces=faces[first].astype(np.int32), face_colours_rgb=colours[first])


def with_levels(levels: list[BodyMesh], limits_px: Sequence[float]) -> Mesh:
    """Returns levels of detail, finest first, as the renderer takes them; the first limit is not used."""
    coarser = [
        LevelOfDetail(mesh=_smooth(level), below_diameter_px=limit_px)
        for level, limit_px in zip(levels[1:], limits_px[1:], strict=False)
    ]
    return _smooth(levels[0], *coarser)


def _smooth(mesh: BodyMesh, *coarser: LevelOfDetail) -> Mesh:
    return Mesh(
        mesh.vertices_m,
        mesh.faces,
        mesh.face_colours_rgb,
        smooth=True,
        is_lit_at_vertices=True,
        levels_of_detail=coarser,
    )


def quick_levels(mesh: BodyMesh) -> Mesh:
    """Returns a mesh with coarser levels, made in some milliseconds."""
    diameter_m = float(np.linalg.norm(np.ptp(mesh.vertices_m, axis=0)))
    levels, limits_px = [], []
    for grid_m in _QUICK_GRIDS_M:
        level = merged_on_grid(mesh, grid_m)
        if len(level.faces):
            levels.append(split_at_creases(level))
            limits_px.append(_CELL_PX * diameter_m / grid_m)
    return with_levels(levels or [mesh], limits_px)


@functools.cache
def panda_meshes() -> Mapping[str, Mesh]:
    """Returns the shipped meshes of Panda arms, hands and mounts by shape name."""
    resource = importlib.resources.files("simloop_bimanual.rendering").joinpath(_MESH_FILE)
    with resource.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        levels: dict[str, list[BodyMesh]] = {}
        for key in sorted(name.removesuffix("|faces") for name in arrays.files if name.endswith("|faces")):
            colours = arrays[f"{key}|palette"][arrays[f"{key}|colour"]]
            levels.setdefault(key.split("|")[0], []).append(
                BodyMesh(
                    vertices_m=arrays[f"{key}|vertices"] * _UNIT_M,
                    faces=arrays[f"{key}|faces"].astype(np.int32),
                    face_colours_rgb=colours.astype(np.float32) / np.float32(255.0),
                )
            )
    return {
        name: with_levels(meshes, _GRID_LIMITS_PX if name in _WELDED_SHAPES else _LIMITS_PX)
        for name, meshes in levels.items()
    }


def _made_levels(name: str, mesh: BodyMesh) -> list[BodyMesh]:
    if len(mesh.faces) <= _FEW_FACES:
        levels = [mesh]
    else:
        mesh = seen_from_outside(mesh)
        if name in _WELDED_SHAPES:
            levels = [merged_on_grid(mesh, grid_m) for grid_m in _GRIDS_M]
        else:
            levels = [reduced(mesh, count, _WELD_M) for count in _NUM_FACES]
    return [split_at_creases(level) for level in levels]


def _save(full: Any, path: Path) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for body, mesh in sorted(full_meshes(full, with_walls=False).items()):
        name = shape_name(body)
        if not is_robot(body) or f"{name}|0|faces" in arrays:
            continue
        for number, level in enumerate(_made_levels(name, mesh)):
            colours = np.round(level.face_colours_rgb * 255.0).astype(np.uint8)
            palette, index = np.unique(colours, axis=0, return_inverse=True)
            arrays[f"{name}|{number}|vertices"] = np.round(level.vertices_m / _UNIT_M).astype(np.int16)
            arrays[f"{name}|{number}|faces"] = level.faces.astype(np.uint16)
            arrays[f"{name}|{number}|palette"] = palette
            arrays[f"{name}|{number}|colour"] = index.reshape(-1).astype(np.uint8)
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    from simloop_bimanual.models.two_arm_model import make_stock_env

    _save(make_stock_env(seed=0).sim.model._model, Path(__file__).with_name(_MESH_FILE))
