"""Triangle meshes: shape and appearance, shared by any number of instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError
from simloop.rendering.clusters import MeshClusters, cluster_mesh
from simloop.rendering.texture import Texture

_GREY = (0.7, 0.7, 0.7)


class Mesh:
    """Triangles with colours, immutable and shared between instances.

    The front of a face is the side from which its vertices run counter-clockwise.

    Attributes:
        vertices_m: (num_vertices, 3) float64, in the mesh's own frame.
        faces: (num_faces, 3) int32, indices into `vertices_m`.
        face_colours_rgb: (num_faces, 3) float32, each 0..1.
        vertex_colours_rgb: (num_vertices, 3) float32 or None; blended over each face, instead of face colours.
        face_semantics: (num_faces,) int32 or None; class of each face, instead of the instance's where it is >= 0.
        is_double_sided: Whether the backs of the faces are drawn too.
        is_emissive: Whether the colours are shown as they are, without light (lamps, screens).
        is_light_limited: Whether light beyond 1 is cut off before it meets the colours, as OpenGL does with textures.
        smooth: Whether the light is computed from blended vertex normals; else each face is flat.
        is_lit_at_vertices: Whether a smooth mesh's light is computed at its vertices and blended between them (Gouraud,
            1971) and not at each sample, which costs a fraction where faces are as small as pixels.
        texture: A picture that multiplies the colours, or None.
        texture_coordinates: (num_vertices, 2) float64, where 1 is the width or height of the picture, or None.
        levels_of_detail: Coarser stand-ins, finest first.
    """

    __slots__ = (
        "_clusters",
        "_is_deformable",
        "face_colours_rgb",
        "face_semantics",
        "faces",
        "is_double_sided",
        "is_emissive",
        "is_light_limited",
        "is_lit_at_vertices",
        "levels_of_detail",
        "smooth",
        "texture",
        "texture_coordinates",
        "vertex_colours_rgb",
        "vertices_m",
    )

    def __init__(
        self,
        vertices_m: npt.ArrayLike,
        faces: npt.ArrayLike,
        face_colours_rgb: npt.ArrayLike = _GREY,
        *,
        is_double_sided: bool = False,
        is_emissive: bool = False,
        smooth: bool = False,
        vertex_colours_rgb: npt.ArrayLike | None = None,
        levels_of_detail: Sequence[LevelOfDetail] = (),
        face_semantics: npt.ArrayLike | None = None,
        texture: Texture | None = None,
        texture_coordinates: npt.ArrayLike | None = None,
        is_light_limited: bool = False,
        is_lit_at_vertices: bool = False,
    ) -> None:
        """Check and copy the arrays.

        Args:
            vertices_m: (num_vertices, 3), finite.
            faces: (num_faces, 3), integers in [0, num_vertices).
            face_colours_rgb: (num_faces, 3), or (3,) for one colour, each 0..1.
            is_double_sided: Draw the backs of the faces too.
            is_emissive: Show the colours as they are, without light.
            smooth: Blend vertex normals over each face; vertices shared between faces make a smooth edge.
            vertex_colours_rgb: (num_vertices, 3), each 0..1, or None.
            levels_of_detail: Coarser stand-ins with strictly decreasing `below_diameter_px`.
            face_semantics: (num_faces,) integers, -1 for the instance's class, or None for that everywhere.
            texture: A picture that multiplies the colours.
            texture_coordinates: (num_vertices, 2), finite; needed with a texture, and with it only.
            is_light_limited: Cut off light beyond 1 before it meets the colours.
            is_lit_at_vertices: Compute light at vertices; for smooth meshes without texture and vertex colours.

        Raises:
            ParameterError: A shape, an index or a colour is not as described.
        """
        self.vertices_m = _float_rows(vertices_m, "vertices_m")
        if not np.isfinite(self.vertices_m).all():
            msg = "vertices_m must be finite; it holds NaN or inf."
            raise ParameterError(msg)
        self.faces = _checked_faces(faces, len(self.vertices_m))
        self.face_colours_rgb = _checked_colours(face_colours_rgb, len(self.faces), "face_colours_rgb")
        self.vertex_colours_rgb = (
            None
            if vertex_colours_rgb is None
            else _checked_colours(vertex_colours_rgb, len(self.vertices_m), "vertex_colours_rgb")
        )
        self.face_semantics = (
            None if face_semantics is None else _checked_semantics(face_semantics, len(self.faces))
        )
        self.texture = texture
        self.texture_coordinates = _checked_coordinates(texture, texture_coordinates, len(self.vertices_m))
        self.is_double_sided = is_double_sided
        self.is_emissive = is_emissive
        self.is_light_limited = is_light_limited
        self.is_lit_at_vertices = is_lit_at_vertices
        if is_lit_at_vertices and (not smooth or texture is not None or vertex_colours_rgb is not None):
            msg = "is_lit_at_vertices needs a smooth mesh without texture and vertex colours."
            raise ParameterError(msg)
        self.smooth = smooth
        self.levels_of_detail = tuple(levels_of_detail)
        self._clusters: MeshClusters | None = None
        self._is_deformable = False
        limits = [level.below_diameter_px for level in self.levels_of_detail]
        if limits != sorted(set(limits), reverse=True):
            msg = f"levels_of_detail must have strictly decreasing below_diameter_px, got {limits}."
            raise ParameterError(msg)
        for array in (
            self.vertices_m, self.faces, self.face_colours_rgb, self.vertex_colours_rgb, self.face_semantics,
            self.texture_coordinates,
        ):  # fmt: skip
            if array is not None:
                array.setflags(write=False)

    @property
    def clusters(self) -> MeshClusters:
        """The faces grouped for culling; computed at first use and kept."""
        if self._clusters is None:
            is_plain = not self.smooth and self.vertex_colours_rgb is None and self.texture is None
            self._clusters = cluster_mesh(
                self.vertices_m, self.faces, is_welded=is_plain and not self._is_deformable
            )
        return self._clusters

    def deformable_copy(self) -> Mesh:
        """The same mesh without levels of detail, in which every vertex may move on its own."""
        copy = Mesh(
            self.vertices_m,
            self.faces,
            self.face_colours_rgb,
            is_double_sided=self.is_double_sided,
            is_emissive=self.is_emissive,
            smooth=self.smooth,
            vertex_colours_rgb=self.vertex_colours_rgb,
            face_semantics=self.face_semantics,
            texture=self.texture,
            texture_coordinates=self.texture_coordinates,
            is_light_limited=self.is_light_limited,
            is_lit_at_vertices=self.is_lit_at_vertices,
        )
        copy._is_deformable = True
        return copy

    @property
    def vertex_normals(self) -> npt.NDArray[np.float64]:
        """Unit vertex normals, (num_vertices, 3); zero at vertices that no face uses."""
        return vertex_normals(self.vertices_m, self.faces)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelOfDetail:
    """A coarser stand-in for a mesh that appears small.

    Attributes:
        mesh: What is drawn instead, in the same frame; its own levels of detail are not used.
        below_diameter_px: Used when the bounding sphere of the full mesh appears smaller than this, in pixels.

    Raises:
        ParameterError: `below_diameter_px` is not positive.
    """

    mesh: Mesh
    below_diameter_px: float

    def __post_init__(self) -> None:
        if not 0.0 < self.below_diameter_px < np.inf:
            msg = f"below_diameter_px must be positive and finite, got {self.below_diameter_px}."
            raise ParameterError(msg)


def vertex_normals(
    vertices_m: npt.NDArray[np.float64], faces: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Unit vertex normals: face normals weighted by the face's angle at the vertex (Thuermer and Wuethrich, 1998).

    Args:
        vertices_m: (num_vertices, 3).
        faces: (num_faces, 3).

    Returns:
        (num_vertices, 3), float64; zero at vertices that no face uses.
    """
    corners = vertices_m[faces]
    ahead, behind = np.roll(corners, -1, axis=1) - corners, np.roll(corners, 1, axis=1) - corners
    crossed = np.cross(ahead, behind)  # (num_faces, 3 corners, 3), each along the face's normal
    doubled_area = np.linalg.norm(crossed, axis=2)
    angle = np.arctan2(doubled_area, (ahead * behind).sum(axis=2))
    weighted = (
        crossed
        * np.divide(angle, doubled_area, out=np.zeros_like(angle), where=doubled_area > 0.0)[..., None]
    )
    normals = np.empty_like(vertices_m)
    for axis in range(3):
        normals[:, axis] = np.bincount(
            faces.ravel(), weights=weighted[..., axis].ravel(), minlength=len(vertices_m)
        )
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0.0)


def _float_rows(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    array = np.array(values)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        msg = f"{what} must be numbers of shape (n, 3), got shape {array.shape}, dtype {array.dtype}."
        raise ParameterError(msg)
    return array.astype(np.float64)


def _checked_faces(faces: npt.ArrayLike, num_vertices: int) -> npt.NDArray[np.int32]:
    array = np.array(faces)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0 or array.dtype.kind not in "iu":
        msg = f"faces must be integers of shape (n >= 1, 3), got shape {array.shape}, dtype {array.dtype}."
        raise ParameterError(msg)
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or highest >= num_vertices:
        msg = (
            f"faces must index the {num_vertices} vertices (0..{num_vertices - 1}), got {lowest}..{highest}."
        )
        raise ParameterError(msg)
    return array.astype(np.int32)


def _checked_colours(colours: npt.ArrayLike, num_rows: int, what: str) -> npt.NDArray[np.float32]:
    array = np.asarray(colours, dtype=np.float32)
    if array.shape not in ((3,), (num_rows, 3)):
        msg = f"{what} must have shape (3,) or ({num_rows}, 3), got {array.shape}."
        raise ParameterError(msg)
    if not bool(((array >= 0.0) & (array <= 1.0)).all()):
        msg = f"{what} must lie in 0..1, got {float(np.nanmin(array))}..{float(np.nanmax(array))} (or NaN)."
        raise ParameterError(msg)
    return np.array(np.broadcast_to(array, (num_rows, 3)))


def _checked_semantics(classes: npt.ArrayLike, num_faces: int) -> npt.NDArray[np.int32]:
    array = np.array(classes)
    if array.shape != (num_faces,) or array.dtype.kind not in "iu" or int(array.min()) < -1:
        msg = (
            f"face_semantics must be {num_faces} integers from -1 on, one a face, got shape {array.shape}, dtype "
            f"{array.dtype}."
        )
        raise ParameterError(msg)
    return array.astype(np.int32)


def _checked_coordinates(
    texture: Texture | None, coordinates: npt.ArrayLike | None, num_vertices: int
) -> npt.NDArray[np.float64] | None:
    if texture is None and coordinates is None:
        return None
    array = np.array(0.0 if coordinates is None else coordinates, dtype=np.float64)
    if texture is None or array.shape != (num_vertices, 2) or not np.isfinite(array).all():
        msg = (
            f"A texture needs finite texture_coordinates of shape ({num_vertices}, 2), and they need a texture; got "
            f"shape {array.shape} {'without' if texture is None else 'with'} a texture."
        )
        raise ParameterError(msg)
    return array
