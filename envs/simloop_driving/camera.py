"""The front camera: what the ego sees of road and traffic, drawn by the software renderer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.rendering import Background, Camera, Light, Scene
from simloop.rendering.camera_frames import camera_rotation_from_forward_left_up
from simloop_driving.roads.road_map import TRAFFIC_LIGHT, RoadMap
from simloop_driving.scenario.actor_state import ACTOR_CLASSES
from simloop_driving.scenery import semantics
from simloop_driving.scenery.actor_meshes import CLASSES_WITH_LAMPS, body_mesh, tail_lamp_mesh
from simloop_driving.scenery.road_meshes import road_meshes
from simloop_driving.scenery.signal_meshes import LAMPS_RGB, lamps_mesh, signal_mesh
from simloop_driving.scenery.triangle_soup import Rgb

FloatArray = npt.NDArray[np.float64]

HEIGHT_PX, WIDTH_PX = 96, 160
HORIZONTAL_FOV_RAD = math.radians(55.0)
MOUNT_FORWARD_M, MOUNT_HEIGHT_M = 0.6, 1.35
"""Where the camera sits: behind the windscreen, relative to the centre of the ego's footprint on the ground."""
PITCH_DOWN_RAD = math.radians(3.0)

PAINTS: tuple[Rgb, ...] = (
    (0.72, 0.08, 0.08),
    (0.10, 0.22, 0.60),
    (0.85, 0.85, 0.87),
    (0.85, 0.60, 0.08),
    (0.45, 0.47, 0.50),
    (0.08, 0.40, 0.22),
)
NUM_PAINTS = len(PAINTS)
"""Number of paints of ``PAINTS``; trucks wear theirs on the cab."""
_LAMP_RGB: Rgb = (0.42, 0.02, 0.02)
_BRAKE_LAMP_RGB: Rgb = (1.0, 0.22, 0.12)
GROUND_RGB: Rgb = (0.38, 0.48, 0.27)
"""Colour of the ground beside the roads."""
_SKY = Background(zenith_rgb=(0.36, 0.58, 0.88), horizon_rgb=(0.80, 0.88, 0.96), ground_rgb=GROUND_RGB)
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
    """Roads, signals and traffic of one map, as cameras, lidar and radar see them.

    Making one takes tenths of a second for a long map, so keep it as long as the map. ``place`` puts everyone
    somewhere; a picture or a scan is a pure function of what was placed and of its own arguments.

    Args:
        road_map: The map.
        supersampling: Samples per pixel along each axis of RGB pictures.
        size_px: Height and width of the pictures; the horizontal field of view is always the same.
    """

    def __init__(
        self, road_map: RoadMap, *, supersampling: int = 2, size_px: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)
    ) -> None:
        self.camera = front_camera(size_px)
        self._supersampling = supersampling
        self.scene = Scene(_SKY, _DAYLIGHT)
        for mesh in road_meshes(road_map):
            self.scene.add(mesh)
        self._lamps = _add_signals(self.scene, road_map)
        self._handles: dict[_Look, tuple[int, ...]] = {}
        self._shown: dict[_Look, None] = {}
        self._is_braking: dict[int, bool] = {}
        self._shows: dict[int, int] = {}

    def place(
        self,
        actor_poses: npt.ArrayLike,
        actor_dimensions_m: npt.ArrayLike,
        actor_class: npt.ArrayLike,
        is_braking: npt.ArrayLike,
        actor_paint: npt.ArrayLike | None = None,
        signal_states: npt.ArrayLike | None = None,
    ) -> None:
        """Puts actors where they are and signals as they are; whoever is not named is not there.

        Args:
            actor_poses: (N, 3) x_m, y_m, yaw_rad of the centres of the footprints, map frame.
            actor_dimensions_m: (N, 3) length, width and height.
            actor_class: (N,) codes, indices into ``scenario.actor_state.ACTOR_CLASSES``.
            is_braking: (N,) whether the brake lamps are lit.
            actor_paint: (N,) codes of the paint, 0 to ``NUM_PAINTS`` - 1; None paints the rows in turn. Draw them
                by the episode's seed where pictures train a model, or the colour gives away the role of an actor.
            signal_states: (K,) what the map's signals show: 0 green, 1 amber, 2 red, -1 a sign; None shows dark
                lights.
        """
        poses = np.asarray(actor_poses, dtype=np.float64).reshape(-1, 3)
        dimensions = np.asarray(actor_dimensions_m, dtype=np.float64).reshape(len(poses), 3)
        classes = np.asarray(actor_class, dtype=np.int64).reshape(len(poses))
        brakes = np.asarray(is_braking, dtype=bool).reshape(len(poses))
        rows = np.arange(len(poses)) % NUM_PAINTS
        paints = rows if actor_paint is None else np.asarray(actor_paint, dtype=np.int64).reshape(len(poses))
        shown: dict[_Look, None] = {}
        placed: list[int] = []
        whose: list[int] = []
        for index, (actor_class_code, paint) in enumerate(
            zip(classes.tolist(), paints.tolist(), strict=True)
        ):
            look = _Look(actor_class_code, paint, 0)
            while look in shown:
                look = look._replace(ordinal=look.ordinal + 1)
            shown[look] = None
            handles = self._actor_handles(look)
            placed += handles
            whose += [index] * len(handles)
            for lamps in handles[1:]:
                if self._is_braking.get(lamps) is not bool(brakes[index]):
                    self._is_braking[lamps] = bool(brakes[index])
                    self.scene.set_colour(lamps, _BRAKE_LAMP_RGB if brakes[index] else _LAMP_RGB)
        if placed:
            positions = np.column_stack([poses[:, :2], np.zeros(len(poses))])
            rotations = np.array([_yaw_rotation(yaw_rad) for yaw_rad in poses[:, 2].tolist()])
            self.scene.set_poses_of(
                placed, positions[whose], rotations[whose], dimensions[whose], np.array(whose) + 1
            )
        for look in self._shown.keys() ^ shown.keys():
            for handle in self._handles[look]:
                self.scene.set_visible(handle, look in shown)
        self._shown = shown
        states = {} if signal_states is None else dict(enumerate(np.asarray(signal_states).tolist()))
        for signal, handles in self._lamps.items():
            if self._shows.get(signal, -1) != states.get(signal, -1):
                self._shows[signal] = states.get(signal, -1)
                for state, handle in enumerate(handles):
                    self.scene.set_visible(handle, state == self._shows[signal])

    def render(
        self,
        ego_pose: npt.ArrayLike,
        actor_poses: npt.ArrayLike,
        actor_dimensions_m: npt.ArrayLike,
        actor_class: npt.ArrayLike,
        is_braking: npt.ArrayLike,
        actor_paint: npt.ArrayLike | None = None,
        signal_states: npt.ArrayLike | None = None,
        *,
        camera: Camera | None = None,
        supersampling: int | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Draws one frame of the front camera; the ego itself is not drawn.

        Args:
            ego_pose: (3,) x_m, y_m, yaw_rad of the centre of the ego's footprint, map frame.
            actor_poses, actor_dimensions_m, actor_class, is_braking, actor_paint, signal_states: As in ``place``.
            camera: Another lens.
            supersampling: Another number of samples per pixel along each axis.

        Returns:
            (height, width, 3) uint8, red, green, blue.
        """
        self.place(actor_poses, actor_dimensions_m, actor_class, is_braking, actor_paint, signal_states)
        position_m, rotation_world_from_camera = camera_pose(ego_pose)
        image = self.scene.render(
            camera or self.camera,
            position_m,
            rotation_world_from_camera,
            ("rgb",),
            supersampling or self._supersampling,
        )
        return image.rgb

    def _actor_handles(self, look: _Look) -> tuple[int, ...]:
        """Handles of body and lamps, if it has any, of one more actor of a look, made when they are first needed."""
        if look not in self._handles:
            name = ACTOR_CLASSES[look.actor_class]
            semantic = semantics.FIRST_ACTOR + look.actor_class
            self._handles[look] = (self.scene.add(body_mesh(name, PAINTS[look.paint]), semantic=semantic),)
            if name in CLASSES_WITH_LAMPS:
                self._handles[look] += (self.scene.add(tail_lamp_mesh(name), semantic=semantic),)
        return self._handles[look]


def front_camera(size_px: tuple[int, int], horizontal_fov_rad: float = HORIZONTAL_FOV_RAD) -> Camera:
    """Returns the lens of a picture of height and width ``size_px``."""
    height_px, width_px = size_px
    return Camera(
        width_px,
        height_px,
        2.0 * math.atan(math.tan(0.5 * horizontal_fov_rad) * height_px / width_px),
        near_m=0.2,
        far_m=_FAR_M,
    )


def _add_signals(scene: Scene, road_map: RoadMap) -> dict[int, tuple[int, ...]]:
    """Adds poles, heads and, hidden, the lamps of each state; returns the lamps' handles by signal."""
    lamps: dict[int, tuple[int, ...]] = {}
    for signal, kind in enumerate(road_map.signal_kind):
        position = (road_map.signal_x_m[signal], road_map.signal_y_m[signal], 0.0)
        rotation = _yaw_rotation(float(road_map.signal_yaw_rad[signal]))
        height_m = float(road_map.signal_z_m[signal])
        scene.set_pose(scene.add(signal_mesh(int(kind), height_m)), position, rotation)
        if kind != TRAFFIC_LIGHT:
            continue
        lamps[signal] = tuple(scene.add(lamps_mesh(state, height_m)) for state in range(len(LAMPS_RGB)))
        for handle in lamps[signal]:
            scene.set_pose(handle, position, rotation)
            scene.set_visible(handle, False)
    return lamps


def camera_pose(
    ego_pose: npt.ArrayLike,
    *,
    mount_m: Sequence[float] = (MOUNT_FORWARD_M, 0.0, MOUNT_HEIGHT_M),
    yaw_rad: float = 0.0,
    pitch_down_rad: float = PITCH_DOWN_RAD,
) -> tuple[FloatArray, FloatArray]:
    """Returns the camera's position (3,) and ``rotation_world_from_camera`` (3, 3) for an ego pose.

    Args:
        ego_pose: (3,) x_m, y_m, yaw_rad of the centre of the ego's footprint, map frame.
        mount_m: Where the camera is: forward and left of that centre, and above the ground.
        yaw_rad: Direction of the line of sight, counter-clockwise from forward.
        pitch_down_rad: Angle of the line of sight below the horizontal.
    """
    x_m, y_m, ego_yaw_rad = (float(value) for value in np.asarray(ego_pose, dtype=np.float64))
    forward_m, left_m, up_m = mount_m
    ego_cos, ego_sin = math.cos(ego_yaw_rad), math.sin(ego_yaw_rad)
    position = np.array(
        [x_m + forward_m * ego_cos - left_m * ego_sin, y_m + forward_m * ego_sin + left_m * ego_cos, up_m]
    )
    cos, sin = math.cos(pitch_down_rad), math.sin(pitch_down_rad)
    nose_down = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    return position, camera_rotation_from_forward_left_up(_yaw_rotation(ego_yaw_rad + yaw_rad) @ nose_down)


def _yaw_rotation(yaw_rad: float) -> FloatArray:
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
