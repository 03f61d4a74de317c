"""Meshes of simple shapes, tessellated once.

All are centred on the origin of their own frame; axes of symmetry run along z. Vertices of curved shapes lie on
the surface, so a shape of n segments is at most ``radius * (1 - cos(pi / n))`` too thin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError
from simloop.rendering.mesh import Mesh

_GREY = (0.7, 0.7, 0.7)
_BOX_FACES = np.array(
    [
        *[(0, 2, 3), (0, 3, 1), (4, 5, 7), (4, 7, 6)],  # below, above
        *[(0, 1, 5), (0, 5, 4), (2, 6, 7), (2, 7, 3)],  # right, left
        *[(0, 4, 6), (0, 6, 2), (1, 3, 7), (1, 7, 5)],  # behind, ahead
    ]
)


def box(
    size_m: Sequence[float],
    *,
    colour_rgb: npt.ArrayLike = _GREY,
    is_emissive: bool = False,
) -> Mesh:
    """A box of 12 faces.

    Args:
        size_m: Full edge lengths along x, y and z.
        colour_rgb: Colour, each 0..1.
        is_emissive: Whether it is shown without light.

    Raises:
        ParameterError: A length is not positive.
    """
    _check_positive(size_m=size_m)
    signs = np.array([(x, y, z) for z in (-0.5, 0.5) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
    return Mesh(signs * np.asarray(size_m), _BOX_FACES, colour_rgb, is_emissive=is_emissive)


def plane(
    size_m: Sequence[float],
    *,
    num_cells: tuple[int, int] = (1, 1),
    colour_rgb: npt.ArrayLike = _GREY,
    second_colour_rgb: npt.ArrayLike | None = None,
    is_double_sided: bool = False,
    is_emissive: bool = False,
) -> Mesh:
    """A rectangle in the x-y plane that faces +z, as a grid of quads of two faces each.

    Args:
        size_m: Full edge lengths along x and y.
        num_cells: Quads along x and y.
        colour_rgb: Colour, each 0..1.
        second_colour_rgb: When given, the quads alternate between both colours like a chess board.
        is_double_sided: Whether it is seen from below, too.
        is_emissive: Whether it is shown without light.

    Raises:
        ParameterError: A length or a number of cells is not positive.
    """
    _check_positive(size_m=size_m, num_cells=num_cells)
    num_x, num_y = num_cells
    x = np.linspace(-0.5 * size_m[0], 0.5 * size_m[0], num_x + 1)
    y = np.linspace(-0.5 * size_m[1], 0.5 * size_m[1], num_y + 1)
    vertices = np.stack(
        [np.tile(x, num_y + 1), np.repeat(y, num_x + 1), np.zeros((num_x + 1) * (num_y + 1))], axis=1
    )
    faces = _grid_faces(num_y, num_x)
    colours = np.broadcast_to(np.asarray(colour_rgb, dtype=np.float64), (len(faces), 3)).copy()
    if second_colour_rgb is not None:
        cells = np.arange(num_x * num_y)
        is_second = (cells // num_x + cells % num_x) % 2 == 1
        colours[np.repeat(is_second, 2)] = second_colour_rgb
    return Mesh(vertices, faces, colours, is_double_sided=is_double_sided, is_emissive=is_emissive)


def sphere(
    radius_m: float, *, num_segments: int = 32, colour_rgb: npt.ArrayLike = _GREY, is_emissive: bool = False
) -> Mesh:
    """A smooth sphere of `num_segments` segments around and half as many from pole to pole.

    Raises:
        ParameterError: The radius is not positive, or there are fewer than 4 segments.
    """
    return ellipsoid(
        (radius_m, radius_m, radius_m),
        num_segments=num_segments,
        colour_rgb=colour_rgb,
        is_emissive=is_emissive,
    )


def ellipsoid(
    radii_m: Sequence[float],
    *,
    num_segments: int = 32,
    colour_rgb: npt.ArrayLike = _GREY,
    is_emissive: bool = False,
) -> Mesh:
    """A smooth ellipsoid with half axes `radii_m` along x, y and z.

    Raises:
        ParameterError: A half axis is not positive, or there are fewer than 4 segments.
    """
    _check_positive(radii_m=radii_m)
    _check_segments(num_segments)
    polar = np.linspace(-0.5 * np.pi, 0.5 * np.pi, num_segments // 2 + 1)
    vertices, faces = _revolved(np.cos(polar), np.sin(polar), num_segments)
    return Mesh(vertices * np.asarray(radii_m), faces, colour_rgb, smooth=True, is_emissive=is_emissive)


def capsule(
    radius_m: float,
    length_m: float,
    *,
    num_segments: int = 24,
    colour_rgb: npt.ArrayLike = _GREY,
    is_emissive: bool = False,
) -> Mesh:
    """A smooth cylinder of `length_m` along z with a half sphere on either end.

    Raises:
        ParameterError: A length is not positive, or there are fewer than 4 segments.
    """
    _check_positive(radius_m=[radius_m], length_m=[length_m])
    _check_segments(num_segments)
    polar = np.linspace(0.0, 0.5 * np.pi, num_segments // 4 + 1)
    radius = radius_m * np.cos(polar)
    height = radius_m * np.sin(polar) + 0.5 * length_m
    profile = (np.concatenate([radius[::-1], radius]), np.concatenate([-height[::-1], height]))
    vertices, faces = _revolved(*profile, num_segments)
    return Mesh(vertices, faces, colour_rgb, smooth=True, is_emissive=is_emissive)


def cylinder(
    radius_m: float,
    length_m: float,
    *,
    num_segments: int = 32,
    colour_rgb: npt.ArrayLike = _GREY,
    is_emissive: bool = False,
) -> Mesh:
    """A cylinder along z with a smooth side and flat ends.

    Raises:
        ParameterError: A length is not positive, or there are fewer than 4 segments.
    """
    _check_positive(radius_m=[radius_m], length_m=[length_m])
    _check_segments(num_segments)
    half = 0.5 * length_m
    parts = [  # each part has vertices of its own, so that normals are not blended over the rims
        _revolved(np.array([0.0, radius_m]), np.array([-half, -half]), num_segments),
        _revolved(np.array([radius_m, radius_m]), np.array([-half, half]), num_segments),
        _revolved(np.array([radius_m, 0.0]), np.array([half, half]), num_segments),
    ]
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts])
    vertices = np.concatenate([vertices for vertices, _ in parts])
    faces = np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=False)])
    return Mesh(vertices, faces, colour_rgb, smooth=True, is_emissive=is_emissive)


def _revolved(
    radius_m: npt.NDArray[np.float64], height_m: npt.NDArray[np.float64], num_segments: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """The surface swept by a profile about z; the profile runs upwards (or outwards below, inwards above).

    Rings of radius zero (to rounding) collapse to one vertex.
    """
    angle = 2.0 * np.pi * np.arange(num_segments) / num_segments
    num_rings = len(radius_m)
    vertices = np.empty((num_rings, num_segments, 3))
    vertices[..., 0] = radius_m[:, None] * np.cos(angle)
    vertices[..., 1] = radius_m[:, None] * np.sin(angle)
    vertices[..., 2] = height_m[:, None]
    index = np.arange(num_rings * num_segments).reshape(num_rings, num_segments)
    is_pole = radius_m <= 1e-9 * radius_m.max()
    index[is_pole] = index[is_pole, :1]
    vertices[is_pole, :, :2] = 0.0
    ahead = np.roll(index, -1, axis=1)
    lower = np.stack([index[:-1], ahead[:-1], ahead[1:]], axis=-1).reshape(-1, 3)
    upper = np.stack([index[:-1], ahead[1:], index[1:]], axis=-1).reshape(-1, 3)
    faces = np.concatenate([lower, upper])
    is_real = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    used, faces = np.unique(faces[is_real], return_inverse=True)
    return vertices.reshape(-1, 3)[used], faces.reshape(-1, 3).astype(np.int32)


def _grid_faces(num_rows: int, num_columns: int) -> npt.NDArray[np.int32]:
    """Two faces per quad of a row-major vertex grid, counter-clockwise when columns run along x and rows along y."""
    corner = (np.arange(num_rows)[:, None] * (num_columns + 1) + np.arange(num_columns)).ravel()
    above = corner + num_columns + 1
    faces = np.stack([corner, corner + 1, above + 1, corner, above + 1, above], axis=1)
    return np.asarray(faces.reshape(-1, 3), dtype=np.int32)


def _check_positive(**lengths: Sequence[float]) -> None:
    for name, values in lengths.items():
        if not all(0.0 < value < np.inf for value in values):
            got = list(values) if len(values) > 1 else values[0]
            msg = f"{name} must be positive and finite, got {got}."
            raise ParameterError(msg)


def _check_segments(num_segments: int) -> None:
    if num_segments < 4 or num_segments % 4:
        msg = f"num_segments must be a multiple of 4, at least 4, got {num_segments}."
        raise ParameterError(msg)
