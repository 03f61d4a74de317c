"""Cameras on demand: RGB, semantic and depth, of any size, field of view and place on the ego.

By default they see exactly the pixels of ``front_camera``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simloop.rendering import Camera, RenderedImage
from simloop.world import SensorKind, SensorSpec
from simloop_driving.camera import (
    HEIGHT_PX,
    HORIZONTAL_FOV_RAD,
    MOUNT_FORWARD_M,
    MOUNT_HEIGHT_M,
    PITCH_DOWN_RAD,
    WIDTH_PX,
    camera_pose,
    front_camera,
)
from simloop_driving.scenario.actor_state import EGO
from simloop_driving.scenery import semantics
from simloop_driving.scenery.semantics import SEMANTIC_CLASSES
from simloop_driving.sensors.options import ExtraSensor, number
from simloop_driving.sensors.seen import EGO_POSE, placed_scene
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedCamera(ExtraSensor):
    """The common part of the cameras.

    Attributes:
        height_px: Height of a picture.
        width_px: Width of a picture.
        horizontal_fov_deg: Full horizontal opening angle.
        forward_m: Place ahead of the centre of the ego's footprint.
        left_m: Place to its left.
        up_m: Height above the ground.
        yaw_deg: Direction of the line of sight, counter-clockwise from forward.
        pitch_down_deg: Angle of the line of sight below the horizontal.
    """

    height_px: int = number(HEIGHT_PX, 16, 1024)
    width_px: int = number(WIDTH_PX, 16, 1024)
    horizontal_fov_deg: float = number(math.degrees(HORIZONTAL_FOV_RAD), 5.0, 150.0)
    forward_m: float = number(MOUNT_FORWARD_M, -10.0, 10.0)
    left_m: float = number(0.0, -5.0, 5.0)
    up_m: float = number(MOUNT_HEIGHT_M, 0.1, 10.0)
    yaw_deg: float = number(0.0, -180.0, 180.0)
    pitch_down_deg: float = number(math.degrees(PITCH_DOWN_RAD), -90.0, 90.0)

    @property
    def lens(self) -> Camera:
        """Image size and opening angle."""
        return front_camera((self.height_px, self.width_px), math.radians(self.horizontal_fov_deg))

    def pose(self, snapshot: Snapshot) -> tuple[FloatArray, FloatArray]:
        """Returns position (3,) and rotation_world_from_camera (3, 3)."""
        return camera_pose(
            snapshot.actors[EGO_POSE, EGO],
            mount_m=(self.forward_m, self.left_m, self.up_m),
            yaw_rad=math.radians(self.yaw_deg),
            pitch_down_rad=math.radians(self.pitch_down_deg),
        )

    def image(self, snapshot: Snapshot, output: str, supersampling: int = 1) -> RenderedImage:
        """Renders one output."""
        return placed_scene(snapshot).render(self.lens, *self.pose(snapshot), (output,), supersampling)

    def ray_heights(self, snapshot: Snapshot) -> FloatArray:
        """Returns how far the ray of each pixel climbs per metre along the optical axis, (height, width)."""
        _, rotation_world_from_camera = self.pose(snapshot)
        return np.asarray(self.lens.ray_directions() @ rotation_world_from_camera[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class RgbCamera(MountedCamera):
    """RGB pictures.

    Attributes:
        noise_levels: Standard deviation of white noise on each value, of 255 levels.
        drop_out_ratio: Share of captures that are black.
        supersampling: Samples per pixel along each axis.
    """

    type_name: ClassVar[str] = "rgb_camera"

    noise_levels: float = number(0.0, 0.0, 100.0)
    drop_out_ratio: float = number(0.0, 0.0, 1.0)
    supersampling: int = number(2, 1, 4)

    @property
    def spec(self) -> SensorSpec:
        """Layout: (height, width, 3) uint8."""
        return self.make_spec(
            SensorKind.CAMERA, (self.height_px, self.width_px, 3), "red, green, blue", dtype="uint8"
        )

    def read(self, snapshot: Snapshot, index: int) -> npt.NDArray[Any]:
        """Returns the picture."""
        rgb = self.image(snapshot, "rgb", self.supersampling).rgb
        draws = self.draws(snapshot, index)
        if draws.random() < self.drop_out_ratio:
            return np.zeros_like(rgb)
        if self.noise_levels > 0.0:
            noisy = rgb + self.noise_levels * draws.standard_normal(rgb.shape)
            return np.asarray(np.clip(np.rint(noisy), 0.0, 255.0), dtype=np.uint8)
        return rgb


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticCamera(MountedCamera):
    """The class of what each pixel's centre sees.

    Attributes:
        noise_ratio: Share of pixels whose class is replaced by one drawn from all but ``none``.
        drop_out_ratio: Share of captures that are ``none`` everywhere.
    """

    type_name: ClassVar[str] = "semantic_camera"

    noise_ratio: float = number(0.0, 0.0, 1.0)
    drop_out_ratio: float = number(0.0, 0.0, 1.0)

    @property
    def spec(self) -> SensorSpec:
        """Layout: (height, width) uint8, codes of ``SEMANTIC_CLASSES``."""
        codes = ", ".join(f"{code} {name}" for code, name in enumerate(SEMANTIC_CLASSES))
        return self.make_spec(
            SensorKind.CAMERA,
            (self.height_px, self.width_px),
            f"class of each pixel: {codes}",
            dtype="uint8",
            is_privileged=True,
        )

    def read(self, snapshot: Snapshot, index: int) -> npt.NDArray[Any]:
        """Returns the classes."""
        seen = self.image(snapshot, "semantic").semantic
        beyond = np.where(self.ray_heights(snapshot) >= 0.0, semantics.SKY, semantics.TERRAIN)
        classes = np.where(seen >= 0, seen, beyond).astype(np.uint8)
        draws = self.draws(snapshot, index)
        if draws.random() < self.drop_out_ratio:
            return np.zeros_like(classes)
        if self.noise_ratio > 0.0:
            is_wrong = draws.random(classes.shape) < self.noise_ratio
            others = draws.integers(1, len(SEMANTIC_CLASSES), classes.shape, dtype=np.uint8)
            classes = np.where(is_wrong, others, classes)
        return classes


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthCamera(MountedCamera):
    """Distance along the optical axis at each pixel's centre.

    Attributes:
        range_m: Largest depth that is measured.
        noise_ratio: Standard deviation of the depth's error, as a share of the depth.
        drop_out_ratio: Share of pixels without a depth.
    """

    type_name: ClassVar[str] = "depth_camera"

    range_m: float = number(400.0, 1.0, 400.0)
    noise_ratio: float = number(0.0, 0.0, 1.0)
    drop_out_ratio: float = number(0.0, 0.0, 1.0)

    @property
    def spec(self) -> SensorSpec:
        """Layout: (height, width) float32, metres."""
        return self.make_spec(
            SensorKind.CAMERA,
            (self.height_px, self.width_px),
            "metres along the optical axis; 0 without a measurement: beyond the range, in the sky, or lost",
            dtype="float32",
        )

    def read(self, snapshot: Snapshot, index: int) -> npt.NDArray[Any]:
        """Returns the depths; what is not road or actor is flat ground."""
        position_m, _ = self.pose(snapshot)
        climb = self.ray_heights(snapshot)
        ground_m = np.divide(-position_m[2], climb, out=np.full(climb.shape, np.inf), where=climb < 0.0)
        depth_m = np.minimum(self.image(snapshot, "depth").depth_m.astype(np.float64), ground_m)
        depth_m[depth_m > self.range_m] = 0.0
        draws = self.draws(snapshot, index)
        if self.noise_ratio > 0.0:
            depth_m *= np.maximum(1.0 + self.noise_ratio * draws.standard_normal(depth_m.shape), 0.0)
        if self.drop_out_ratio > 0.0:
            depth_m[draws.random(depth_m.shape) < self.drop_out_ratio] = 0.0
        return depth_m.astype(np.float32)
