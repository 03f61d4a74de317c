"""What a geom looks like: its shape as triangles, with the colour and texture of robosuite's material."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from simloop.rendering import Mesh, Texture, primitives
from simloop_bimanual.rendering.visual_meshes import rotation_of

FloatArray = npt.NDArray[np.float64]

PLANE, SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX, MESH = 0, 2, 3, 4, 5, 6, 7
"""MuJoCo's geom types that are drawn."""
_TEXTURE_2D = 0
_TEXTURE_PX: Final = 256
_PLAIN_DEVIATION: Final = 8.0
"""Textures whose channels deviate less from their mean, of 255, are drawn as their mean colour."""
_SRGB: Final = 2
_CODES = np.arange(256) / 255.0
_LINEAR_OF_SRGB: Final = np.round(
    255.0 * np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
).astype(np.uint8)
"""OpenGL decodes textures that say they are sRGB (IEC 61966-2-1), and MuJoCo shows the result as it is."""
_ENDLESS_M: Final = 12.0
_SEGMENTS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """Colour of a geom.

    Attributes:
        colour_rgb: (3,) 0..1, to be multiplied with the texture where there is one.
        opacity: 1 for what cannot be seen through.
        texture: None where one colour is all.
        repeats_per_m: How often the texture repeats a metre on a plane; None for a cube texture, which covers each
            side of a box once.
        is_textured: Whether the material has a texture, even where its mean colour stands for it.
    """

    colour_rgb: tuple[float, float, float]
    opacity: float = 1.0
    texture: Texture | None = None
    repeats_per_m: tuple[float, float] | None = None
    is_textured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """Geometry of a geom in its body's frame, as MuJoCo states it.

    Attributes:
        kind: MuJoCo's geom type.
        size_m: (3,) sizes.
        position_m: (3,) centre.
        quaternion: (4,) w x y z.
        vertices_m, faces: Triangles of a mesh, in the geom's frame; empty otherwise.
    """

    kind: int
    size_m: FloatArray
    position_m: FloatArray
    quaternion: FloatArray
    vertices_m: FloatArray
    faces: npt.NDArray[np.int32]


def shape_of(model: Any, geom: int) -> Shape:
    """Returns the geometry that a geom of a model has now."""
    kind = int(model.geom_type[geom])
    vertices, faces = np.empty((0, 3)), np.empty((0, 3), dtype=np.int32)
    if kind == MESH:
        mesh = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        vertices = np.array(model.mesh_vert[first : first + count], dtype=np.float64)
        first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        faces = np.array(model.mesh_face[first : first + count], dtype=np.int32)
    return Shape(
        kind=kind,
        size_m=np.array(model.geom_size[geom]),
        position_m=np.array(model.geom_pos[geom]),
        quaternion=np.array(model.geom_quat[geom]),
        vertices_m=vertices,
        faces=faces,
    )


class Surfaces:
    """Reads the surfaces of a complete model; geoms with the same material share their texture."""

    def __init__(self, full: Any) -> None:
        self._full = full
        self._textures: dict[int, tuple[Texture, float]] = {}

    def of(self, geom: int) -> Surface:
        """Returns the colour of a geom: its own, or that of its material and the material's texture."""
        full = self._full
        material = int(full.geom_matid[geom])
        if material < 0:
            red, green, blue, alpha = (float(value) for value in full.geom_rgba[geom])
            return Surface(colour_rgb=_limited(red, green, blue), opacity=_opacity(alpha))
        red, green, blue, alpha = (float(value) for value in full.mat_rgba[material])
        textures = [int(t) for t in np.ravel(full.mat_texid[material]) if t >= 0]
        if not textures:
            return Surface(colour_rgb=_limited(red, green, blue), opacity=_opacity(alpha))
        texture, deviation = self._texture(textures[0])
        kind, is_2d = int(full.geom_type[geom]), int(full.tex_type[textures[0]]) == _TEXTURE_2D
        if deviation < _PLAIN_DEVIATION or kind != (PLANE if is_2d else BOX):
            mean = texture.mean_rgb.astype(np.float64)
            colour = _limited(red * mean[0], green * mean[1], blue * mean[2])
            return Surface(colour_rgb=colour, opacity=_opacity(alpha), is_textured=True)
        repeats = None
        if is_2d:
            repeats_x, repeats_y = (0.5 * float(value) for value in full.mat_texrepeat[material])
            if not full.mat_texuniform[material]:
                size_m = full.geom_size[geom]
                repeats_x, repeats_y = repeats_x / size_m[0], repeats_y / size_m[1]
            repeats = (repeats_x, repeats_y)
        return Surface(
            colour_rgb=_limited(red, green, blue),
            opacity=_opacity(alpha),
            texture=texture,
            repeats_per_m=repeats,
            is_textured=True,
        )

    def _texture(self, number: int) -> tuple[Texture, float]:
        if number not in self._textures:
            full = self._full
            height, width = int(full.tex_height[number]), int(full.tex_width[number])
            channels, first = int(full.tex_nchannel[number]), int(full.tex_adr[number])
            pixels = full.tex_data[first : first + height * width * channels]
            picture = pixels.reshape(height, width, channels)
            if height == 6 * width:  # six different sides: the first stands for all
                picture = picture[:width]
            rgb = np.array(np.broadcast_to(picture[..., :3], (*picture.shape[:2], 3)))
            if int(full.tex_colorspace[number]) == _SRGB:
                rgb = _LINEAR_OF_SRGB[rgb]
            deviation = float(rgb.reshape(-1, 3).std(axis=0).max())
            self._textures[number] = (Texture(rgb, _TEXTURE_PX), deviation)
        return self._textures[number]


def geom_mesh(shape: Shape, surface: Surface) -> Mesh:
    """Returns a geom's triangles in the frame of its body.

    Raises:
        ValueError: The geom has a type that is not drawn.
    """
    size = [float(value) for value in shape.size_m]
    smooth, coordinates = False, None
    if shape.kind == BOX:
        box = primitives.box([2.0 * value for value in size])
        vertices, faces = box.vertices_m[box.faces.reshape(-1)], np.arange(36).reshape(-1, 3)
        if surface.texture is not None:
            coordinates = _on_cube(vertices / shape.size_m)
    elif shape.kind == PLANE:
        edges = [2.0 * value if value > 0.0 else _ENDLESS_M for value in size[:2]]
        plane = primitives.plane(edges)
        vertices, faces = plane.vertices_m, plane.faces
        if surface.texture is not None and surface.repeats_per_m is not None:
            coordinates = 0.5 + vertices[:, :2] * surface.repeats_per_m * (1.0, -1.0)
    elif shape.kind == MESH:
        vertices, faces = shape.vertices_m, shape.faces
    else:
        if shape.kind == CYLINDER:
            solid = primitives.cylinder(size[0], 2.0 * size[1], num_segments=_SEGMENTS)
        elif shape.kind == CAPSULE:
            solid = primitives.capsule(size[0], 2.0 * size[1], num_segments=_SEGMENTS)
        elif shape.kind == SPHERE:
            solid = primitives.sphere(size[0], num_segments=_SEGMENTS)
        elif shape.kind == ELLIPSOID:
            solid = primitives.ellipsoid(size, num_segments=_SEGMENTS)
        else:
            raise ValueError(
                f"A geom has type {shape.kind}; allowed: plane, sphere, capsule, ellipsoid, cylinder, box, mesh."
            )
        vertices, faces, smooth = solid.vertices_m, solid.faces, True
    return Mesh(
        vertices @ rotation_of(shape.quaternion).T + shape.position_m,
        faces,
        surface.colour_rgb,
        smooth=smooth,
        texture=surface.texture if coordinates is not None else None,
        texture_coordinates=coordinates,
        is_light_limited=surface.is_textured,
        is_lit_at_vertices=smooth,
    )


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Returns meshes of one texture and one kind of shading as one."""
    if len(meshes) == 1:
        return meshes[0]
    starts = np.cumsum([0, *(len(mesh.vertices_m) for mesh in meshes[:-1])])
    coordinates = [mesh.texture_coordinates for mesh in meshes if mesh.texture_coordinates is not None]
    return Mesh(
        np.concatenate([mesh.vertices_m for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.face_colours_rgb for mesh in meshes]),
        smooth=meshes[0].smooth,
        texture=meshes[0].texture,
        texture_coordinates=np.concatenate(coordinates) if coordinates else None,
        is_light_limited=meshes[0].is_light_limited,
        is_lit_at_vertices=meshes[0].is_lit_at_vertices,
    )


def _on_cube(points: FloatArray) -> FloatArray:
    """Texture coordinates of points on the cube of half edge 1, three a face of triangles (OpenGL 4.6, table 8.19)."""
    out = np.empty((len(points), 2))
    centres = points.reshape(-1, 3, 3).mean(axis=1)
    axis = np.repeat(np.abs(centres).argmax(axis=1), 3)
    is_positive = np.repeat(np.take_along_axis(centres, axis[::3, None], axis=1)[:, 0] > 0.0, 3)
    x, y, z = points.T
    sign = np.where(is_positive, 1.0, -1.0)
    out[:, 0] = np.select([axis == 0, axis == 1], [-sign * z, x], sign * x)
    out[:, 1] = np.select([axis == 0, axis == 1], [-y, sign * z], -y)
    return 0.5 * (out + 1.0)


def _limited(red: float, green: float, blue: float) -> tuple[float, float, float]:
    return min(max(red, 0.0), 1.0), min(max(green, 0.0), 1.0), min(max(blue, 0.0), 1.0)


def _opacity(alpha: float) -> float:
    return 0.0 if not math.isfinite(alpha) else min(max(alpha, 0.0), 1.0)
