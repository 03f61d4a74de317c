"""Triangles of a task's scene: the arms' reduced ones, and tables and objects from the geoms of the model in use."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from simloop_bimanual.visual_meshes import (
    BodyMesh,
    body_meshes,
    full_meshes,
    geom_colour,
    is_robot,
    load_meshes,
)

_LEAST_OPACITY = 0.5
"""robosuite's bins have walls, and their lid a pane, of 30 % opacity: they are not drawn."""

_shipped = functools.cache(load_meshes)


def scenery(full: Any, objects: frozenset[str]) -> dict[str, BodyMesh]:
    """Returns what stands still around the arms (tables, floor), by body name, from robosuite's complete model.

    Args:
        full: robosuite's MjModel with its visual geoms.
        objects: Names of the bodies that belong to the task's objects.
    """
    return {
        body: mesh
        for body, mesh in full_meshes(full, with_walls=False).items()
        if body not in objects and not is_robot(body)
    }


def paint_objects(mj_model: Any, full: Any, geoms: Mapping[str, int]) -> None:
    """Gives the physics model's geoms the colours that robosuite's visual geoms of the same objects have.

    Args:
        mj_model: The physics model; its ``geom_rgba`` is written.
        full: robosuite's complete model.
        geoms: Ids in the physics model, by name.
    """
    visuals = {full.geom(geom).name: geom for geom in range(full.ngeom)}
    for name, geom in geoms.items():
        seen = next(visuals[other] for other in (f"{name}_vis", f"{name}_visual") if other in visuals)
        mj_model.geom_rgba[geom, :3] = geom_colour(full, seen)
        has_material = int(full.geom_matid[seen]) >= 0
        mj_model.geom_rgba[geom, 3] = 1.0 if has_material else full.geom_rgba[seen, 3]


def scene_meshes(
    mj_model: Any, still: Mapping[str, BodyMesh], bodies: Mapping[str, int]
) -> dict[str, BodyMesh]:
    """Returns the triangles of everything that is seen, by shape name.

    Args:
        mj_model: The physics model with the episode's geometry.
        still: What ``scenery`` returned.
        bodies: Ids of the objects' bodies, by name.
    """
    robots = {name: mesh for name, mesh in _shipped().items() if is_robot(name)}
    objects = {
        name: body_meshes(mj_model, geoms)
        for name, body in bodies.items()
        if (geoms := _opaque_geoms(mj_model, body))
    }
    return {**robots, **still, **objects}


def _opaque_geoms(mj_model: Any, body: int) -> list[int]:
    first, count = int(mj_model.body_geomadr[body]), int(mj_model.body_geomnum[body])
    return [g for g in range(first, first + count) if mj_model.geom_rgba[g, 3] >= _LEAST_OPACITY]
