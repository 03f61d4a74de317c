"""The sensor ``lidar``: a turning laser scanner on the roof, ray cast to the triangles that the cameras draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop.world import SensorKind, SensorSpec
from simloop_driving.camera import GROUND_RGB
from simloop_driving.scenario.actor_state import EGO, X_M, Y_M, YAW_RAD
from simloop_driving.sensors.options import ExtraSensor, number
from simloop_driving.sensors.seen import placed_scene, yaw_rotation
from simloop_driving.sensors.snapshot import Snapshot

LIDAR_CHANNELS = ("range_m", "intensity")
"""Entries of a ray of ``lidar``: distance along the ray, 0 without a return; reflectance in 0..1, which is the mean of
the surface's three colours times the cosine of the angle of incidence (a matt surface)."""

_GROUND_ALBEDO = sum(GROUND_RGB) / 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lidar(ExtraSensor):
    """A lidar; all rays of a capture are measured at one instant.

    Attributes:
        channels: Number of elevations.
        azimuths: Rays of one elevation, over the full circle.
        min_elevation_deg: Lowest elevation.
        max_elevation_deg: Highest elevation; must not be below the lowest.
        range_m: Largest range.
        noise_m: Standard deviation of the range's error.
        drop_out_ratio: Share of returns that are lost.
        forward_m: Place ahead of the centre of the ego's footprint.
        up_m: Height above the ground.
    """

    type_name: ClassVar[str] = "lidar"

    period_ms: int = number(100, 10, 10_000, multiple_of=10)
    channels: int = number(32, 1, 128)
    azimuths: int = number(720, 36, 4096)
    min_elevation_deg: float = number(-25.0, -90.0, 90.0)
    max_elevation_deg: float = number(6.0, -90.0, 90.0)
    range_m: float = number(100.0, 1.0, 300.0)
    noise_m: float = number(0.02, 0.0, 10.0)
    drop_out_ratio: float = number(0.0, 0.0, 1.0)
    forward_m: float = number(0.0, -10.0, 10.0)
    up_m: float = number(1.75, 0.1, 10.0)

    def __post_init__(self) -> None:
        if self.min_elevation_deg >= self.max_elevation_deg and self.channels > 1:
            raise ConfigurationError(
                f"extra_sensors.{self.name}.min_elevation_deg is {self.min_elevation_deg:g}; allowed: below "
                f"max_elevation_deg, which is {self.max_elevation_deg:g}."
            )

    @property
    def spec(self) -> SensorSpec:
        """Layout: (channels, azimuths, 2) float32, see ``LIDAR_CHANNELS``."""
        return self.make_spec(
            SensorKind.CAMERA,
            (self.channels, self.azimuths, len(LIDAR_CHANNELS)),
            f"{', '.join(LIDAR_CHANNELS)} (range 0: no return); rows: elevations from {self.max_elevation_deg:g} down "
            f"to {self.min_elevation_deg:g} degrees; columns: azimuths counter-clockwise from forward",
            dtype="float32",
        )

    @property
    def elevations_rad(self) -> npt.NDArray[np.float64]:
        """(channels,) elevations of the rows, descending."""
        degrees = np.linspace(self.max_elevation_deg, self.min_elevation_deg, self.channels)
        return np.asarray(np.radians(degrees))

    def read(self, snapshot: Snapshot, index: int) -> npt.NDArray[np.float32]:
        """Returns the (channels, azimuths, 2) array; what is not road or actor is flat ground."""
        ego = snapshot.actors[:, EGO]
        yaw_rad = float(ego[YAW_RAD])
        position_m = (
            ego[X_M] + self.forward_m * math.cos(yaw_rad),
            ego[Y_M] + self.forward_m * math.sin(yaw_rad),
            self.up_m,
        )
        scan = placed_scene(snapshot).scan(
            position_m,
            yaw_rotation(yaw_rad),
            self.elevations_rad[::-1],
            num_azimuths=self.azimuths,
            max_range_m=self.range_m,
        )
        down = np.maximum(-np.sin(self.elevations_rad), 0.0)[:, None]
        ground_m = np.divide(self.up_m, down, out=np.full_like(down, np.inf), where=down > 0.0)
        range_m, intensity = scan.range_m[::-1], (scan.albedo * scan.cosine)[::-1]
        is_ground = ground_m < range_m
        range_m = np.where(is_ground, ground_m, range_m)
        intensity = np.where(is_ground, _GROUND_ALBEDO * down, intensity)
        draws = self.draws(snapshot, index)
        is_returned = range_m <= self.range_m
        if self.noise_m > 0.0:
            range_m = range_m + self.noise_m * draws.standard_normal(range_m.shape)
            range_m = np.maximum(range_m, 1e-3)  # 0 would say that there is no return
        if self.drop_out_ratio > 0.0:
            is_returned &= draws.random(range_m.shape) >= self.drop_out_ratio
        out = np.stack([range_m, intensity], axis=-1)
        return np.where(is_returned[..., None], out, 0.0).astype(np.float32)
