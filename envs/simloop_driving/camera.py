"""The front camera: what the ego sees of road and traffic, drawn by the software renderer."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.rendering import Background, Camera, Light, Scene
from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up
from simloop_driving.camera_meshes import (
    CLASSES_WITH_LAMPS,
    Rgb,
    body_mesh,
    road_meshes,
    tail_lamp_mesh,
)
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.scenario.actor_state import ACTOR_CLASSES

FloatArray = npt.NDArray[np.float64]

HEIGHT_PX, WIDTH_PX = 96, 160
HORIZONTAL_FOV_RAD = math.radians(55.0)
MOUNT_FORWARD_M, MOUNT_HEIGHT_M = 0.6, 1.35
"""Where the camera sits: behind the windscreen, relative to the centre of the ego's footprint on the ground."""
PITCH_DOWN_RAD = math.radians(3.0)

_PAINTS: tuple[Rgb, ...] = (
    (0.72, 0.08, 0.08),
    (0.10, 0.22, 0.60),
    (0.85, 0.85, 0.87),
    (0.85, 0.60, 0.08),
    (0.45, 0.47, 0.50),
    (0.08, 0.40, 0.22),
)
NUM_PAINTS = len(_PAINTS)
"""Number of paints; trucks wear theirs on the cab."""
_LAMP_RGB: Rgb = (0.42, 0.02, 0.02)
_BRAKE_LAMP_RGB: Rgb = (1.0, 0.22, 0.12)
_SKY = Background(
    zenith_rgb=(0.36, 0.58, 0.88), horizon_rgb=(0.80, 0.88, 0.96), ground_rgb=(0.38, 0.48, 0.27)
)
_DAYLIGHT = Light(
    direction_world=(-0.5, 0.35, -0.8),
    directional_rgb=(0.45, 0.45, 0.43),
    ambient_sky_rgb=(0.62, 0.62, 0.64),
    ambient_ground_rgb=(0.5, 0.5, 0.48),
)
_FAR_M = 400.0


class _Look(NamedTuple):
    """Class and paint of an actor, and its number among those of the same look in one picture."""

    actor_class: int
    paint: int
    ordinal: int


class CameraScene:
    """Road and traffic of one map as the ego's front camera sees them.

    Making one takes tenths of a second for a long map, so keep it as long as the map. A picture is a pure function
    of the arguments of ``render``.

    Args:
        road_map: The map.
        supersampling: Samples per pixel along each axis.
        size_px: Height and width of the pictures; the horizontal field of view is always the same.
    """

    def __init__(
        self, road_map: RoadMap, *, supersampling: int = 2, size_px: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)
    ) -> None:
        height_px, width_px = size_px
        self.camera = Camera(
            width_px,
            height_px,
            2.0 * math.atan(math.tan(0.5 * HORIZONTAL_FOV_RAD) * height_px / width_px),
            near_m=0.2,
            far_m=_FAR_M,
        )
        self._supersampling = supersampling
        self._scene = Scene(_SKY, _DAYLIGHT)
        for mesh in road_meshes(road_map):
            self._scene.add(mesh)
        self._handles: dict[_Look, tuple[int, ...]] = {}
        self._shown: set[_Look] = set()

    def render(
        self,
        ego_pose: npt.ArrayLike,
        actor_poses: npt.ArrayLike,
        actor_dimensions_m: npt.ArrayLike,
        actor_class: npt.ArrayLike,
        is_braking: npt.ArrayLike,
        actor_paint: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Draws one frame; the ego itself is not drawn.

        Args:
            ego_pose: (3,) x_m, y_m, yaw_rad of the centre of the ego's footprint, map frame.
            actor_poses: (N, 3) the same of the actors that are there.
            actor_dimensions_m: (N, 3) length, width and height.
            actor_class: (N,) codes, indices into ``scenario.actor_state.ACTOR_CLASSES``.
            is_braking: (N,) whether the brake lamps are lit.
            actor_paint: (N,) codes of the paint, 0 to ``NUM_PAINTS`` - 1; None paints the rows in turn. Draw them
                by the episode's seed where pictures train a model, or the colour gives away the role of an actor.

        Returns:
            (height, width, 3) uint8, red, green, blue.
        """
        poses = np.asarray(actor_poses, dtype=np.float64).reshape(-1, 3)
        dimensions = np.asarray(actor_dimensions_m, dtype=np.float64).reshape(len(poses), 3)
        classes = np.asarray(actor_class, dtype=np.int64).reshape(len(poses))
        brakes = np.asarray(is_braking, dtype=bool).reshape(len(poses))
        rows = np.arange(len(poses)) % NUM_PAINTS
        paints = rows if actor_paint is None else np.asarray(actor_paint, dtype=np.int64).reshape(len(poses))
        shown: set[_Look] = set()
        for index in range(len(poses)):
            look = _Look(int(classes[index]), int(paints[index]), 0)
            while look in shown:
                look = look._replace(ordinal=look.ordinal + 1)
            shown.add(look)
            handles = self._actor_handles(look)
            position = (poses[index, 0], poses[index, 1], 0.0)
            rotation = _yaw_rotation(float(poses[index, 2]))
            for handle in handles:
                self._scene.set_pose(handle, position, rotation, dimensions[index])
            for lamps in handles[1:]:
                self._scene.set_colour(lamps, _BRAKE_LAMP_RGB if brakes[index] else _LAMP_RGB)
        for look in self._shown ^ shown:
            for handle in self._handles[look]:
                self._scene.set_visible(handle, look in shown)
        self._shown = shown
        position_m, rotation_world_from_camera = camera_pose(ego_pose)
        image = self._scene.render(
            self.camera, position_m, rotation_world_from_camera, ("rgb",), self._supersampling
        )
        return image.rgb

    def _actor_handles(self, look: _Look) -> tuple[int, ...]:
        """Handles of body and lamps, if it has any, of one more actor of a look, made when they are first needed."""
        if look not in self._handles:
            name = ACTOR_CLASSES[look.actor_class]
            self._handles[look] = (self._scene.add(body_mesh(name, _PAINTS[look.paint])),)
            if name in CLASSES_WITH_LAMPS:
                self._handles[look] += (self._scene.add(tail_lamp_mesh(name)),)
        return self._handles[look]


def camera_pose(ego_pose: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Returns the camera's position (3,) and ``rotation_world_from_camera`` (3, 3) for an ego pose.

    Args:
        ego_pose: (3,) x_m, y_m, yaw_rad of the centre of the ego's footprint, map frame.
    """
    x_m, y_m, yaw_rad = (float(value) for value in np.asarray(ego_pose, dtype=np.float64))
    position = np.array(
        [x_m + MOUNT_FORWARD_M * math.cos(yaw_rad), y_m + MOUNT_FORWARD_M * math.sin(yaw_rad), MOUNT_HEIGHT_M]
    )
    cos, sin = math.cos(PITCH_DOWN_RAD), math.sin(PITCH_DOWN_RAD)
    nose_down = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    return position, camera_rotation_from_forward_left_up(_yaw_rotation(yaw_rad) @ nose_down)


def _yaw_rotation(yaw_rad: float) -> FloatArray:
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
