"""Cameras: the pictures of the software renderer in the bytes of CARLA's."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.rendering import Camera, RenderedImage
from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up
from simloop_carla.server.actors import ServerActor
from simloop_carla.server.sensors.view import View
from simloop_carla.wire import streams
from simloop_driving.camera import front_camera
from simloop_driving.scenario.actor_state import ACTOR_CLASSES
from simloop_driving.scenery.semantics import FIRST_ACTOR, SEMANTIC_CLASSES, SKY, TERRAIN

FloatArray = npt.NDArray[np.float64]

FARTHEST_M = 1000.0
"""Depth that CARLA's depth camera shows as white."""
LARGEST_SIDE_PX = 4096

_TAGS = {
    "sky": 11,
    "terrain": 10,
    "road": 1,
    "shoulder": 25,
    "parking": 25,
    "sidewalk": 2,
    "biking": 1,
    "lane_marking": 24,
    "pole": 6,
    "traffic_light": 7,
    "traffic_sign": 8,
    "car": 14,
    "truck": 15,
    "motorcycle": 18,
    "bicycle": 19,
    "pedestrian": 12,
    "door": 14,
    "barrier": 20,
    "cone": 21,
}
TAG_OF_CLASS: npt.NDArray[np.uint8] = np.array(
    [_TAGS.get(name, 0) for name in SEMANTIC_CLASSES], dtype=np.uint8
)
"""CARLA's semantic tag of each class of the embedded world."""
assert FIRST_ACTOR + len(ACTOR_CLASSES) == len(SEMANTIC_CLASSES)


class Look(NamedTuple):
    """What a camera sees, and how it looks.

    Attributes:
        image: The picture.
        camera: The lens.
        position_m: (3,) place, embedded world.
        rotation: (3, 3) columns are the camera's x (right), y (up) and z (back) axes.
    """

    image: RenderedImage
    camera: Camera
    position_m: FloatArray
    rotation: FloatArray


def look(view: View, sensor: ServerActor, outputs: tuple[str, ...]) -> Look:
    """Draws what a camera sees; sizes beyond ``LARGEST_SIDE_PX`` and fields of view beyond 170 degrees are cut."""
    size_px = (
        min(max(int(view.number(sensor, "image_size_y")), 1), LARGEST_SIDE_PX),
        min(max(int(view.number(sensor, "image_size_x")), 1), LARGEST_SIDE_PX),
    )
    fov_rad = math.radians(min(max(view.number(sensor, "fov"), 1.0), 170.0))
    camera = front_camera(size_px, fov_rad)
    position_m, axes = view.axes(view.episode.pose(sensor))
    rotation = camera_rotation_from_forward_left_up(axes)
    image = view.scene(sensor).render(camera, position_m, rotation, outputs, 1)
    return Look(image, camera, position_m, rotation)


def _climb(seen: Look) -> FloatArray:
    """Returns how far each pixel's ray climbs for a metre along the optical axis."""
    return np.asarray(seen.camera.ray_directions() @ seen.rotation[2], dtype=np.float64)


def ground_depth_m(seen: Look) -> FloatArray:
    """Returns the depth at which each pixel's ray meets the ground beside the roads; infinite above the horizon."""
    climb = _climb(seen)
    return np.divide(-seen.position_m[2], climb, out=np.full(climb.shape, np.inf), where=climb < 0.0)


def _body(view: View, sensor: ServerActor, bgra: npt.NDArray[np.uint8]) -> list[bytes]:
    return [streams.picture(bgra, view.number(sensor, "fov"))]


def rgb(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns a colour picture."""
    colours = look(view, sensor, ("rgb",)).image.rgb
    bgra = np.full((*colours.shape[:2], 4), 255, dtype=np.uint8)
    bgra[..., :3] = colours[..., ::-1]
    return _body(view, sensor, bgra)


def depth(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns depths along the optical axis in CARLA's coding: 24 bits, red lowest, of 1,000 m."""
    seen = look(view, sensor, ("depth",))
    metres = np.minimum(seen.image.depth_m.astype(np.float64), ground_depth_m(seen))
    code = np.rint(np.minimum(metres, FARTHEST_M) / FARTHEST_M * (2**24 - 1)).astype(np.uint32)
    bgra = np.stack([code >> 16, (code >> 8) & 255, code & 255, np.full_like(code, 255)], axis=-1)
    return _body(view, sensor, bgra.astype(np.uint8))


def normals(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns the surfaces' normals, world frame, as red, green, blue = (n + 1) / 2; the sky is black."""
    seen = look(view, sensor, ("depth",))
    rays = seen.camera.ray_directions()
    depth_m = np.minimum(seen.image.depth_m.astype(np.float64), ground_depth_m(seen))
    is_surface = depth_m <= FARTHEST_M
    points = rays * np.where(is_surface, depth_m, FARTHEST_M)[..., None]
    if min(depth_m.shape) < 2:
        across = -points  # one row or column has no slope: surfaces face the camera
    else:
        across = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    across *= np.where((across * rays).sum(axis=-1) > 0.0, -1.0, 1.0)[..., None]
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-12)
    normal = across @ seen.rotation.T * (1.0, -1.0, 1.0)
    bgra = np.full((*depth_m.shape, 4), 255, dtype=np.uint8)
    coded = np.where(is_surface[..., None], np.rint(127.5 * (normal + 1.0)), 0.0)
    bgra[..., :3] = coded[..., ::-1].astype(np.uint8)
    return _body(view, sensor, bgra)


def tags(image: RenderedImage, climb: FloatArray) -> npt.NDArray[np.uint8]:
    """Returns the semantic tag of each pixel; what is not drawn is sky above and terrain below the horizon."""
    beyond = np.where(climb >= 0.0, SKY, TERRAIN)
    out: npt.NDArray[np.uint8] = TAG_OF_CLASS[np.where(image.semantic >= 0, image.semantic, beyond)]
    return out


def semantic(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns semantic tags in red."""
    seen = look(view, sensor, ("semantic",))
    bgra = np.zeros((*seen.image.semantic.shape, 4), dtype=np.uint8)
    bgra[..., 2], bgra[..., 3] = tags(seen.image, _climb(seen)), 255
    return _body(view, sensor, bgra)


def instance(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns semantic tags in red, and the ids of actors in green (low byte) and blue (high byte)."""
    seen = look(view, sensor, ("semantic", "instance"))
    ids = np.array([0, *(actor.id for actor in view.bodies())], dtype=np.uint32)
    is_actor = seen.image.semantic >= FIRST_ACTOR
    actor_id = np.where(is_actor, ids[np.where(is_actor, seen.image.instance, 0)], 0)
    bgra = np.zeros((*is_actor.shape, 4), dtype=np.uint8)
    bgra[..., 0], bgra[..., 1] = (actor_id >> 8) & 255, actor_id & 255
    bgra[..., 2], bgra[..., 3] = tags(seen.image, _climb(seen)), 255
    return _body(view, sensor, bgra)
