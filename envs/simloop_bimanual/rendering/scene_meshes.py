"""Everything that is seen of a task besides the arms of Pandas: taken from robosuite's complete model while it exists.

The complete model has 109 MB; what is kept of it are shapes, colours, small textures and lights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from simloop.rendering import Lamp, Mesh
from simloop_bimanual.rendering.arm_meshes import quick_levels
from simloop_bimanual.rendering.looks import coloured_part
from simloop_bimanual.rendering.surfaces import MESH, Shape, Surface, Surfaces, geom_mesh, joined, shape_of
from simloop_bimanual.rendering.visual_meshes import full_meshes, is_robot

_VISUAL_GROUP = 1
_TWINS: Final = ("_visual", "_vis", "")
_LEAST_OPACITY: Final = 0.02
PANDA: Final = "Panda"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenGeom:
    """One geom that is drawn.

    Attributes:
        name: Its name in the complete model.
        body: Name of its body.
        twin: The physics model's geom whose present geometry it takes, or -1 for ``shape``.
        shape: Its geometry when the model was built.
        surface: Its colour.
    """

    name: str
    body: str
    twin: int
    shape: Shape
    surface: Surface


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenery:
    """What is seen of a task.

    Attributes:
        geoms: Tables, objects, floor and walls.
        robots: Meshes, by the name of the shape, of robots whose triangles do not ship.
        lamps: The scene's lights.
        ambient_rgb: Light from everywhere.
        headlight_rgb: Light that comes from the camera.
    """

    geoms: tuple[SeenGeom, ...]
    robots: Mapping[str, Mesh]
    lamps: tuple[Lamp, ...]
    ambient_rgb: tuple[float, float, float]
    headlight_rgb: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Triangles of one body that are drawn as one.

    Attributes:
        body: The body's name.
        mesh: In the body's frame.
        opacity: 1 for what cannot be seen through.
        coloured: Which of ``looks.COLOURED`` it belongs to, or empty.
        is_wall: Whether it is a wall of the room.
    """

    body: str
    mesh: Mesh
    opacity: float
    coloured: str
    is_wall: bool


def scenery(full: Any, physics: Any, robots: Iterable[str]) -> Scenery:
    """Returns what is seen of a task, from robosuite's complete model.

    Args:
        full: robosuite's MjModel with its visual geoms.
        physics: The physics model.
        robots: robosuite's names of the robots.
    """
    surfaces = Surfaces(full)
    twins = {physics.geom(geom).name: geom for geom in range(physics.ngeom)}
    bodies: dict[int, list[int]] = {}
    for geom in range(full.ngeom):
        bodies.setdefault(int(full.geom_bodyid[geom]), []).append(geom)
    of_cloth = {int(body) for body in np.ravel(full.flex_vertbodyid)} - {0}
    geoms = []
    for body, members in bodies.items():
        name = full.body(body).name
        if is_robot(name) or body in of_cloth:
            continue
        visual = [geom for geom in members if full.geom_group[geom] == _VISUAL_GROUP]
        if not visual and body != 0:
            visual = [geom for geom in members if full.geom_contype[geom] or full.geom_conaffinity[geom]]
        for geom in visual:
            surface = surfaces.of(geom)
            if surface.opacity >= _LEAST_OPACITY:
                geoms.append(_seen(full, geom, surface, twins, physics))
    ambient = np.array(full.vis.headlight.ambient, dtype=np.float64)
    return Scenery(
        geoms=tuple(geoms),
        robots={} if set(robots) <= {PANDA} else _robot_meshes(full),
        lamps=tuple(_lamps(full)),
        ambient_rgb=_rgb(ambient + full.light_ambient.sum(axis=0)),
        headlight_rgb=_rgb(np.array(full.vis.headlight.diffuse) * bool(full.vis.headlight.active)),
    )


def parts(scene: Scenery, physics: Any) -> list[Part]:
    """Returns the parts of a scene with the geometry that the physics model has now."""
    groups: dict[tuple[Any, ...], list[Mesh]] = {}
    for number, geom in enumerate(scene.geoms):
        shape = geom.shape if geom.twin < 0 else shape_of(physics, geom.twin)
        mesh = geom_mesh(shape, geom.surface)
        see_through = (
            number if geom.surface.opacity < 1.0 else -1
        )  # panes stay apart: each covers samples of its own
        key = (
            geom.body,
            geom.surface.opacity,
            coloured_part(geom.body, geom.name),
            geom.name.startswith("wall_"),
            see_through,
            mesh.texture,
            mesh.smooth,
            mesh.is_light_limited,
        )
        groups.setdefault(key, []).append(mesh)
    return [
        Part(body=key[0], mesh=joined(meshes), opacity=key[1], coloured=key[2], is_wall=key[3])
        for key, meshes in groups.items()
    ]


def _seen(full: Any, geom: int, surface: Surface, twins: Mapping[str, int], physics: Any) -> SeenGeom:
    name = full.geom(geom).name
    shape = shape_of(full, geom)
    bases = [name.removesuffix(twin) for twin in _TWINS if name.endswith(twin)]
    twin = next((twins[base] for base in bases if base in twins), -1)
    if shape.kind == MESH or (twin >= 0 and int(physics.geom_type[twin]) != shape.kind):
        twin = -1
    return SeenGeom(
        name=name, body=full.body(full.geom_bodyid[geom]).name, twin=twin, shape=shape, surface=surface
    )


def _robot_meshes(full: Any) -> dict[str, Mesh]:
    """Meshes by body name: two robots of different kinds may name their parts alike."""
    return {
        body: quick_levels(mesh)
        for body, mesh in full_meshes(full, with_walls=False).items()
        if is_robot(body)
    }


def _lamps(full: Any) -> Iterable[Lamp]:
    for light in range(full.nlight):
        if not full.light_active[light]:
            continue
        is_spot = int(full.light_type[light]) == 0
        yield Lamp(
            direction_world=tuple(float(value) for value in full.light_dir[light]),
            rgb=_rgb(full.light_diffuse[light]),
            position_m=tuple(float(value) for value in full.light_pos[light]) if is_spot else None,
            cutoff_cosine=math.cos(math.radians(float(full.light_cutoff[light]))) if is_spot else -1.0,
            exponent=round(float(full.light_exponent[light])) if is_spot else 0,
        )


def _rgb(values: Any) -> tuple[float, float, float]:
    red, green, blue = (min(max(float(value), 0.0), 1.0) for value in values)
    return red, green, blue
