"""Cloth in the pictures: the triangles of MuJoCo's two-dimensional flexes, which follow their vertices' bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.rendering import Mesh
from simloop_bimanual.models.two_arm_model import TwoArmModel

FloatArray = npt.NDArray[np.float64]

_CORNERS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClothMesh:
    """One flex.

    Attributes:
        mesh: Seen from both sides, with smooth normals; its vertices are replaced before every image.
        bodies: (num_vertices,) body of each vertex.
        offsets_m: (num_vertices, 3) where the vertex is in the frame of its body.
    """

    mesh: Mesh
    bodies: npt.NDArray[np.int64]
    offsets_m: FloatArray

    def vertices_m(self, xpos: FloatArray, xmat: FloatArray) -> FloatArray:
        """Returns the vertices (num_vertices, 3) in the world, a new array, from the poses of all bodies."""
        rotations = xmat[self.bodies].reshape(-1, 3, 3)
        return np.asarray(xpos[self.bodies] + np.einsum("nij,nj->ni", rotations, self.offsets_m))


def cloth_meshes(model: TwoArmModel) -> list[ClothMesh]:
    """Returns the cloths of a model."""
    m = model.mj_model
    return [_cloth(m, flex) for flex in range(m.nflex) if int(m.flex_dim[flex]) == _CORNERS - 1]


def _cloth(m: Any, flex: int) -> ClothMesh:
    first, count = int(m.flex_vertadr[flex]), int(m.flex_vertnum[flex])
    start, number = int(m.flex_elemdataadr[flex]), int(m.flex_elemnum[flex])
    faces = np.array(m.flex_elem[start : start + _CORNERS * number]).reshape(-1, _CORNERS)
    bodies = np.array(m.flex_vertbodyid[first : first + count], dtype=np.int64)
    offsets = np.zeros((count, 3)) if m.flex_centered[flex] else np.array(m.flex_vert[first : first + count])
    colour = np.clip(np.array(m.flex_rgba[flex, :3], dtype=np.float64), 0.0, 1.0)
    rest = np.array(m.flex_vert0[first : first + count], dtype=np.float64)
    return ClothMesh(
        mesh=Mesh(rest, faces, colour, is_double_sided=True, smooth=True), bodies=bodies, offsets_m=offsets
    )
