"""Cameras: the pictures of the software renderer in the bytes of CARLA's."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simloop.rendering import RenderedImage
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
LARGEST_SIDE_PX = 2048

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


def _look(
    view: View, sensor: ServerActor, outputs: tuple[str, ...]
) -> tuple[RenderedImage, FloatArray, FloatArray]:
    """Returns the image, the height of the camera over the ground and how far each pixel's ray climbs per metre."""
    size_px = (
        min(max(int(view.number(sensor, "image_size_y")), 1), LARGEST_SIDE_PX),
        min(max(int(view.number(sensor, "image_size_x")), 1), LARGEST_SIDE_PX),
    )
    fov_rad = math.radians(min(max(view.number(sensor, "fov"), 1.0), 170.0))
    camera = front_camera(size_px, fov_rad)
    position_m, axes = view.axes(view.episode.pose(sensor))
    rotation = camera_rotation_from_forward_left_up(axes)
    image = view.scene(sensor).render(camera, position_m, rotation, outputs, 1)
    climb = np.asarray(camera.ray_directions() @ rotation[2]) if "rgb" not in outputs else np.empty(0)
    return image, position_m, climb


def _body(view: View, sensor: ServerActor, bgra: npt.NDArray[np.uint8]) -> list[bytes]:
    return [streams.picture(bgra, view.number(sensor, "fov"))]


def rgb(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns a colour picture."""
    image, _, _ = _look(view, sensor, ("rgb",))
    bgra = np.full((*image.rgb.shape[:2], 4), 255, dtype=np.uint8)
    bgra[..., :3] = image.rgb[..., ::-1]
    return _body(view, sensor, bgra)


def depth(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns depths along the optical axis in CARLA's coding: 24 bits, red lowest, of 1,000 m."""
    image, position_m, climb = _look(view, sensor, ("depth",))
    ground_m = np.divide(-position_m[2], climb, out=np.full(climb.shape, np.inf), where=climb < 0.0)
    metres = np.minimum(np.minimum(image.depth_m.astype(np.float64), ground_m), FARTHEST_M)
    code = np.rint(metres / FARTHEST_M * (2**24 - 1)).astype(np.uint32)
    bgra = np.stack([code >> 16, (code >> 8) & 255, code & 255, np.full_like(code, 255)], axis=-1)
    return _body(view, sensor, bgra.astype(np.uint8))


def tags(image: RenderedImage, climb: FloatArray) -> npt.NDArray[np.uint8]:
    """Returns the semantic tag of each pixel; what is not drawn is sky above and terrain below the horizon."""
    beyond = np.where(climb >= 0.0, SKY, TERRAIN)
    out: npt.NDArray[np.uint8] = TAG_OF_CLASS[np.where(image.semantic >= 0, image.semantic, beyond)]
    return out


def semantic(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns semantic tags in red."""
    image, _, climb = _look(view, sensor, ("semantic",))
    bgra = np.zeros((*climb.shape, 4), dtype=np.uint8)
    bgra[..., 2], bgra[..., 3] = tags(image, climb), 255
    return _body(view, sensor, bgra)


def instance(view: View, sensor: ServerActor) -> list[bytes]:
    """Returns semantic tags in red, and the ids of actors in green (low byte) and blue (high byte)."""
    image, _, climb = _look(view, sensor, ("semantic", "instance"))
    ids = np.array([0, *(actor.id for actor in view.bodies())], dtype=np.uint32)
    is_actor = image.semantic >= FIRST_ACTOR
    seen = np.where(is_actor, ids[np.where(is_actor, image.instance, 0)], 0)
    bgra = np.zeros((*climb.shape, 4), dtype=np.uint8)
    bgra[..., 0], bgra[..., 1] = (seen >> 8) & 255, seen & 255
    bgra[..., 2], bgra[..., 3] = tags(image, climb), 255
    return _body(view, sensor, bgra)
