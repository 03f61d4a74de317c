"""What stands around: rays against it, bounding boxes, objects of the map."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simloop_carla.server.lights import TAG_POLE
from simloop_carla.server.net.rpc_server import MethodTable
from simloop_carla.server.poses import rotation_matrix
from simloop_carla.server.sensors.cameras import TAG_OF_CLASS
from simloop_carla.server.sensors.view import View
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.replies import success
from simloop_carla.wire.structs import U8, BoundingBox, Transform, Vector3
from simloop_driving.scenery.semantics import TERRAIN

FloatArray = npt.NDArray[np.float64]

MAX_HITS = 64
"""Surfaces that one ray reports."""
FARTHEST_M = 10_000.0
STEP_OVER_M = 1e-3
"""How far behind a surface the search for the next one begins."""
ANY = 255
"""The label that asks for everything."""


class LabelledPoint(NamedTuple):
    """A point on a surface, and the semantic tag of the surface."""

    location: Vector3
    label: U8


class MapObject(NamedTuple):
    """An object of the map as ``world.get_environment_objects`` has it; ``box`` is in the world frame."""

    transform: Transform
    box: BoundingBox
    id: int
    name: str
    label: U8


def surfaces(
    simulator: Simulator, start: FloatArray, direction: FloatArray, length_m: float, count: int
) -> Any:
    """Returns the surfaces that a ray meets, nearest first.

    Args:
        simulator: The server.
        start: (3,) place, embedded world.
        direction: (3,) unit vector.
        length_m: How far the ray reaches.
        count: How many surfaces to look for.
    """
    scene = View(simulator.episode, simulator.seed).scene_of_all()
    beside = np.array([0.0, 0.0, 1.0]) if abs(direction[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    left = np.cross(beside, direction)
    left /= np.linalg.norm(left)
    axes = np.stack([direction, left, np.cross(direction, left)], axis=1)
    meets_ground = direction[2] * start[2] < 0.0 and abs(start[2]) <= length_m * abs(direction[2])
    ground_m = -start[2] / direction[2] if meets_ground else np.inf
    out: list[tuple[float, int]] = []
    gone_m = 0.0
    while len(out) < count and gone_m < length_m:
        from_there = start + gone_m * direction
        ray = scene.scan(
            from_there,
            axes,
            [0.0],
            num_azimuths=1,
            azimuth_step_rad=np.pi / 180.0,
            max_range_m=length_m - gone_m,
        )
        if not np.isfinite(ray.range_m[0, 0]) or gone_m + ray.range_m[0, 0] > length_m:
            break
        gone_m += float(ray.range_m[0, 0])
        out.append((gone_m, int(TAG_OF_CLASS[ray.semantic[0, 0]])))
        gone_m += STEP_OVER_M
    if ground_m <= length_m and all(abs(hit - ground_m) > 0.1 for hit, _ in out):
        out.append((float(ground_m), int(TAG_OF_CLASS[TERRAIN])))
    points = sorted(out)[:count]
    places = [(start + far_m * direction, tag) for far_m, tag in points]
    return [LabelledPoint(Vector3(float(p[0]), -float(p[1]), float(p[2])), tag) for p, tag in places]


def map_objects(simulator: Simulator) -> list[MapObject]:
    """Returns masts and heads of the map's lights and signs."""
    objects = []
    for number, light in enumerate(simulator.episode.lights.items):
        parts = (("mast", light.mast, TAG_POLE), ("head", light.head, light.tag))
        for part, (name, box, tag) in enumerate(parts):
            label = f"{light.kind.split('.')[1]}_{light.sign_id}_{name}"
            objects.append(
                MapObject(Transform(box.location, box.rotation), box, 2 * number + part + 1, label, tag)
            )
    return objects


def _actor_boxes(simulator: Simulator, tag: int) -> list[BoundingBox]:
    """Returns the world boxes of everything solid."""
    boxes = []
    for actor in simulator.episode.roster.of_kind("body")[0]:
        if tag in (ANY, *actor.tags):
            pose = simulator.episode.pose(actor)
            x, y, z = (float(v) for v in rotation_matrix(pose.rotation) @ np.array(actor.box.location))
            base = pose.location
            middle = Vector3(base.x + x, base.y + y, base.z + z)
            boxes.append(BoundingBox(middle, actor.box.extent, pose.rotation, actor.id))
    return boxes


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""

    @table.add("cast_ray", Vector3, Vector3)
    def cast_ray(simulator: Simulator, start: Vector3, end: Vector3) -> Any:
        begin = np.array([start.x, -start.y, start.z])
        way = np.array([end.x, -end.y, end.z]) - begin
        length_m = float(np.linalg.norm(way))
        if length_m < 1e-6:
            return success([])
        return success(surfaces(simulator, begin, way / length_m, min(length_m, FARTHEST_M), MAX_HITS))

    @table.add("project_point", Vector3, Vector3, float)
    def project_point(simulator: Simulator, start: Vector3, direction: Vector3, distance_m: float) -> Any:
        way = np.array([direction.x, -direction.y, direction.z])
        length = float(np.linalg.norm(way))
        found = []
        if length > 1e-6 and distance_m > 0.0:
            begin = np.array([start.x, -start.y, start.z])
            found = surfaces(simulator, begin, way / length, min(distance_m, FARTHEST_M), 1)
        return success([True, found[0]] if found else [False, LabelledPoint(Vector3(0.0, 0.0, 0.0), 0)])

    @table.add("get_all_level_BBs", U8)
    def get_all_level_boxes(simulator: Simulator, tag: int) -> Any:
        own = [one.box for one in map_objects(simulator) if tag in (ANY, one.label)]
        return success(list(itertools.chain(own, _actor_boxes(simulator, tag))))

    @table.add("get_environment_objects", U8)
    def get_environment_objects(simulator: Simulator, tag: int) -> Any:
        return success([one for one in map_objects(simulator) if tag in (ANY, one.label)])

    @table.add("get_names_of_all_objects")
    def get_names_of_all_objects(simulator: Simulator) -> Any:
        return success([one.name for one in map_objects(simulator)])
