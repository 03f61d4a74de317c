"""Collects triangles into meshes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.rendering import Mesh

FloatArray = npt.NDArray[np.float64]
Rgb = tuple[float, float, float]

_BOX_CORNERS = np.array([(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)])
# Two faces each: bottom, top, rear, front, right, left; counter-clockwise from outside.
_BOX_QUADS = np.array([(0, 2, 3, 1), (4, 5, 7, 6), (0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3)])
_BOX_FACES = _BOX_QUADS[:, [[0, 1, 2], [0, 2, 3]]].reshape(12, 3)


class TriangleSoup:
    """Collects coloured triangles; makes one mesh, or one for each square cell of the ground."""

    def __init__(self) -> None:
        self._triangles: list[FloatArray] = []
        self._colours: list[FloatArray] = []
        self._classes: list[npt.NDArray[np.int32]] = []

    def add(self, triangles_m: FloatArray, colour_rgb: Rgb | FloatArray, semantic: int = -1) -> None:
        """Adds (T, 3, 3) triangles of one colour or (T, 3) colours, and of one class, -1 for the instance's."""
        self._triangles.append(triangles_m)
        self._colours.append(np.broadcast_to(np.asarray(colour_rgb, dtype=np.float64), (len(triangles_m), 3)))
        self._classes.append(np.full(len(triangles_m), semantic, dtype=np.int32))

    def add_strip(self, left_m: FloatArray, right_m: FloatArray, colour_rgb: Rgb, semantic: int = -1) -> None:
        """Adds the strip between two (N, 3) lines that run the same way, seen from above."""
        first = np.stack([right_m[:-1], right_m[1:], left_m[1:]], axis=1)
        second = np.stack([right_m[:-1], left_m[1:], left_m[:-1]], axis=1)
        self.add(np.concatenate([first, second]), colour_rgb, semantic)

    def add_box(
        self,
        low: Sequence[float],
        high: Sequence[float],
        colour_rgb: Rgb,
        *,
        top_low: Sequence[float] | None = None,
        top_high: Sequence[float] | None = None,
        top_rgb: Rgb | None = None,
        semantic: int = -1,
    ) -> None:
        """Adds a box from ``low`` to ``high`` (3,), or a frustum whose top has its own x and y bounds (2,)."""
        low_array, high_array = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        corners = low_array + _BOX_CORNERS * (high_array - low_array)
        if top_low is not None and top_high is not None:
            span = np.asarray(top_high) - np.asarray(top_low)
            corners[4:, :2] = np.asarray(top_low) + _BOX_CORNERS[4:, :2] * span
        colours = np.tile(np.asarray(colour_rgb, dtype=np.float64), (12, 1))
        if top_rgb is not None:
            colours[2:4] = top_rgb
        self.add(corners[_BOX_FACES], colours, semantic)

    def mesh(self, *, is_emissive: bool = False) -> Mesh:
        """Makes one mesh of all triangles."""
        return _mesh(*self._joined(), is_emissive=is_emissive)

    def cell_meshes(self, cell_m: float) -> list[Mesh]:
        """Makes one mesh for each square cell that holds the centre of a triangle, in the order of the cells."""
        triangles, colours, classes = self._joined()
        cells = np.floor(triangles.mean(axis=1)[:, :2] / cell_m).astype(np.int64)
        _, cell = np.unique(cells, axis=0, return_inverse=True)
        cell = cell.ravel()
        order = np.argsort(cell, kind="stable")
        borders = np.flatnonzero(np.diff(cell[order])) + 1
        return [_mesh(triangles[rows], colours[rows], classes[rows]) for rows in np.split(order, borders)]

    def _joined(self) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int32]]:
        return np.concatenate(self._triangles), np.concatenate(self._colours), np.concatenate(self._classes)


def _mesh(
    triangles_m: FloatArray,
    colours_rgb: FloatArray,
    classes: npt.NDArray[np.int32],
    *,
    is_emissive: bool = False,
) -> Mesh:
    vertices, faces = np.unique(triangles_m.reshape(-1, 3), axis=0, return_inverse=True)
    return Mesh(vertices, faces.reshape(-1, 3), colours_rgb, is_emissive=is_emissive, face_semantics=classes)
