"""Triangles of the two-arm scene: taken from robosuite's model, and a reduced set that ships with the package.

``python -m simloop_bimanual.rendering.visual_meshes`` makes the reduced set again (needs ``fast-simplification``).
"""

from __future__ import annotations

import importlib.resources
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.rendering import Mesh, primitives

_MESH_FILE = "two_arm_lift_meshes.npz"
_VISUAL_GROUP = 1
_FLOOR_M = 12.0
_WELD_M, _REDUCED_WELD_M = 1e-5, 1e-3
_PLANE, _SPHERE, _CYLINDER, _BOX, _MESH = 0, 2, 5, 6, 7
_ROBOT_PREFIX = re.compile(r"^(robot|gripper|fixed_mount)[01]_")

FACES_PER_BODY = {
    "robot_link0": 500,
    "robot_link6": 800,
    "gripper_right_right_gripper": 1500,
    "fixed_mount_pedestal": 200,
}
"""Faces that a reduced body keeps; the others keep ``_FACES``."""
_FACES = 450


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyMesh:
    """What is seen of one body, in the body's frame.

    Attributes:
        vertices_m: (num_vertices, 3) float64.
        faces: (num_faces, 3) int32, counter-clockwise from outside.
        face_colours_rgb: (num_faces, 3) float32, 0..1.
    """

    vertices_m: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int32]
    face_colours_rgb: npt.NDArray[np.float32]

    def to_mesh(self) -> Mesh:
        """Returns the mesh as the renderer takes it."""
        return Mesh(self.vertices_m, self.faces, self.face_colours_rgb)


def shape_name(body_name: str) -> str:
    """Name of a body's shape; the two robots share theirs, so ``robot1_link3`` and ``robot0_link3`` are one."""
    return _ROBOT_PREFIX.sub(r"\1_", body_name)


def full_meshes(mj_model: Any, *, with_walls: bool = True) -> dict[str, BodyMesh]:
    """Returns the full-resolution visual triangles by body name of a complete MuJoCo model.

    Args:
        mj_model: robosuite's model, with its visual geoms (group 1).
        with_walls: Whether the room's walls are included.
    """
    parts: dict[str, list[BodyMesh]] = {}
    for geom in range(mj_model.ngeom):
        name = mj_model.geom(geom).name
        if mj_model.geom_group[geom] != _VISUAL_GROUP or (name.startswith("wall_") and not with_walls):
            continue
        body = mj_model.body(mj_model.geom_bodyid[geom]).name
        parts.setdefault(body, []).append(_geom_mesh(mj_model, geom))
    return {body: _joined(meshes) for body, meshes in parts.items()}


def is_robot(name: str) -> bool:
    """Whether a body or shape belongs to an arm, its gripper or its mount."""
    return name.startswith(("robot", "gripper", "fixed_mount"))


def body_meshes(mj_model: Any, geoms: Iterable[int]) -> BodyMesh:
    """Returns the triangles of some geoms of one body."""
    return _joined(_geom_mesh(mj_model, geom) for geom in geoms)


def _geom_mesh(mj_model: Any, geom: int) -> BodyMesh:
    size, kind = mj_model.geom_size[geom], int(mj_model.geom_type[geom])
    if kind == _MESH:
        mesh = mj_model.geom_dataid[geom]
        first, count = mj_model.mesh_vertadr[mesh], mj_model.mesh_vertnum[mesh]
        vertices = np.array(mj_model.mesh_vert[first : first + count], dtype=np.float64)
        first, count = mj_model.mesh_faceadr[mesh], mj_model.mesh_facenum[mesh]
        faces = np.array(mj_model.mesh_face[first : first + count], dtype=np.int32)
    else:
        if kind == _BOX:
            shape = primitives.box(tuple(float(2 * s) for s in size))
        elif kind == _SPHERE:
            shape = primitives.sphere(float(size[0]), num_segments=16)
        elif kind == _CYLINDER:
            shape = primitives.cylinder(float(size[0]), float(2 * size[1]), num_segments=16)
        elif kind == _PLANE:
            shape = primitives.plane((_FLOOR_M, _FLOOR_M))
        else:
            raise ValueError(
                f"Geom {mj_model.geom(geom).name!r} has type {kind}; allowed: plane, sphere, cylinder, box, mesh."
            )
        vertices, faces = np.array(shape.vertices_m), np.array(shape.faces)
    rotation = rotation_of(mj_model.geom_quat[geom])
    vertices, faces = _welded(vertices @ rotation.T + mj_model.geom_pos[geom], faces)
    colours = np.broadcast_to(geom_colour(mj_model, geom), (len(faces), 3)).astype(np.float32)
    return BodyMesh(vertices_m=vertices, faces=faces, face_colours_rgb=colours)


def rotation_of(quaternion_wxyz: Any) -> npt.NDArray[np.float64]:
    """Returns the matrix (3, 3) of a unit quaternion w x y z."""
    w, x, y, z = (float(q) for q in quaternion_wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def geom_colour(mj_model: Any, geom: int) -> npt.NDArray[np.float32]:
    """Colour of a geom: its own, or its material's times the mean of the material's texture."""
    material = int(mj_model.geom_matid[geom])
    if material < 0:
        rgba = np.asarray(mj_model.geom_rgba, dtype=np.float32)
        return np.clip(rgba[geom, :3], 0.0, 1.0)
    colour = np.array(mj_model.mat_rgba[material, :3], dtype=np.float64)
    textures = [int(t) for t in np.ravel(mj_model.mat_texid[material]) if t >= 0]
    if textures:
        texture = textures[0]
        channels = int(mj_model.tex_nchannel[texture])
        count = int(mj_model.tex_height[texture]) * int(mj_model.tex_width[texture]) * channels
        first = int(mj_model.tex_adr[texture])
        pixels = mj_model.tex_data[first : first + count].reshape(-1, channels)[:, :3]
        colour *= pixels.mean(axis=0) / 255.0
    return np.clip(colour, 0.0, 1.0).astype(np.float32)


def _welded(
    vertices: npt.NDArray[np.float64], faces: npt.NDArray[np.int32], grid_m: float = _WELD_M
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Merges vertices that coincide on a grid, and drops faces without area."""
    _, first, index = np.unique(np.round(vertices / grid_m), axis=0, return_index=True, return_inverse=True)
    faces = index.reshape(-1)[faces].astype(np.int32)
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    return vertices[first], faces[distinct]


def _joined(meshes: Iterable[BodyMesh]) -> BodyMesh:
    meshes = list(meshes)
    offsets = np.cumsum([0, *(len(mesh.vertices_m) for mesh in meshes[:-1])])
    return BodyMesh(
        vertices_m=np.concatenate([mesh.vertices_m for mesh in meshes]),
        faces=np.concatenate([mesh.faces + o for mesh, o in zip(meshes, offsets, strict=True)]).astype(
            np.int32
        ),
        face_colours_rgb=np.concatenate([mesh.face_colours_rgb for mesh in meshes]),
    )


def reduced(mesh: BodyMesh, num_faces: int, weld_m: float = _REDUCED_WELD_M) -> BodyMesh:
    """Returns a coarser mesh of about ``num_faces`` faces, each part of one colour reduced by itself.

    Vertices are first merged on a grid of ``weld_m``.

    Quadric error collapse (Garland & Heckbert 1997, SIGGRAPH) by the ``fast-simplification`` package.
    """
    import fast_simplification

    share = min(1.0, num_faces / len(mesh.faces))
    parts = []
    for colour in np.unique(mesh.face_colours_rgb, axis=0):
        faces = mesh.faces[(mesh.face_colours_rgb == colour).all(axis=1)]
        used, index = np.unique(faces, return_inverse=True)
        vertices = mesh.vertices_m[used]
        faces = index.reshape(-1, 3).astype(np.int32)
        wanted = max(24, math.ceil(share * len(faces)))
        if wanted < len(faces):
            vertices, faces = _welded(vertices, faces, weld_m)
            simplified: Any = fast_simplification.simplify(
                np.asarray(vertices, dtype=np.float64), faces, target_count=wanted, agg=4
            )
            vertices, faces = simplified
        if len(faces):
            colours = np.broadcast_to(colour, (len(faces), 3)).astype(np.float32)
            parts.append(
                BodyMesh(
                    vertices_m=np.asarray(vertices, dtype=np.float64),
                    faces=np.asarray(faces, dtype=np.int32),
                    face_colours_rgb=colours,
                )
            )
    return _joined(parts)


def reduced_meshes(mj_model: Any) -> dict[str, BodyMesh]:
    """Returns the reduced triangles by shape name (see ``shape_name``); walls are left out."""
    out: dict[str, BodyMesh] = {}
    for body, mesh in full_meshes(mj_model, with_walls=False).items():
        name = shape_name(body)
        if name not in out:
            out[name] = reduced(mesh, FACES_PER_BODY.get(name, _FACES)) if len(mesh.faces) > _FACES else mesh
    return out


def load_meshes() -> Mapping[str, BodyMesh]:
    """Returns the reduced triangles that ship with the package, by shape name."""
    resource = importlib.resources.files("simloop_bimanual.rendering").joinpath(_MESH_FILE)
    with resource.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        names = sorted({key.rsplit("|", 1)[0] for key in arrays.files})
        return {
            name: BodyMesh(
                vertices_m=arrays[f"{name}|vertices_m"].astype(np.float64),
                faces=arrays[f"{name}|faces"].astype(np.int32),
                face_colours_rgb=arrays[f"{name}|colours"].astype(np.float32) / 255.0,
            )
            for name in names
        }


def _save(meshes: Mapping[str, BodyMesh], path: Path) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, mesh in sorted(meshes.items()):
        arrays[f"{name}|vertices_m"] = mesh.vertices_m.astype(np.float32)
        arrays[f"{name}|faces"] = mesh.faces.astype(np.uint16)
        arrays[f"{name}|colours"] = np.round(mesh.face_colours_rgb * 255.0).astype(np.uint8)
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    from simloop_bimanual.models.two_arm_model import make_stock_env

    _save(reduced_meshes(make_stock_env(seed=0).sim.model._model), Path(__file__).with_name(_MESH_FILE))
