"""The sensor ``gnss``: position in the map and on the earth, and velocity over ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving.dynamics import single_track
from simloop_driving.roads.geodesy import geographic_position
from simloop_driving.sensors.options import ExtraSensor, number
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]

GNSS_ENTRIES = (
    "is_present",
    "x_m",
    "y_m",
    "latitude_deg",
    "longitude_deg",
    "velocity_x_mps",
    "velocity_y_mps",
)
"""Entries of ``gnss``: position of the centre of the ego's footprint in the map frame (x east, y north) and as WGS 84
latitude and longitude, by the map's geographic reference; velocity along x and y. A lost fix is zero throughout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gnss(ExtraSensor):
    """A satellite receiver.

    Attributes:
        noise_m: Standard deviation of white noise along each axis.
        bias_m: Standard deviation of the offset along each axis, drawn once an episode.
        velocity_noise_mps: Standard deviation of white noise on each velocity.
        drop_out_ratio: Share of fixes that are lost.
    """

    type_name: ClassVar[str] = "gnss"

    period_ms: int = number(100, 10, 10_000, multiple_of=10)
    noise_m: float = number(0.5, 0.0, 100.0)
    bias_m: float = number(1.0, 0.0, 100.0)
    velocity_noise_mps: float = number(0.05, 0.0, 10.0)
    drop_out_ratio: float = number(0.0, 0.0, 1.0)

    @property
    def spec(self) -> SensorSpec:
        """Layout: (7,), see ``GNSS_ENTRIES``."""
        return self.make_spec(
            SensorKind.PROPRIOCEPTION, (len(GNSS_ENTRIES),), "entries: " + ", ".join(GNSS_ENTRIES)
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (7,) array."""
        draws = self.draws(snapshot, index)
        noise = draws.standard_normal(4)
        if draws.random() < self.drop_out_ratio:
            return np.zeros(len(GNSS_ENTRIES))
        ego, road_map = snapshot.ego, snapshot.episode.start.road_map
        offset_m = self.noise_m * noise[:2] + self.bias_m * self.draws_of_episode(snapshot).standard_normal(2)
        x_m = float(ego[single_track.X_M] + offset_m[0])
        y_m = float(ego[single_track.Y_M] + offset_m[1])
        latitude_deg, longitude_deg = geographic_position(
            x_m, y_m, road_map.latitude_deg, road_map.longitude_deg
        )
        cos, sin = math.cos(ego[single_track.YAW_RAD]), math.sin(ego[single_track.YAW_RAD])
        vx, vy = ego[single_track.VX_MPS], ego[single_track.VY_MPS]
        velocity = self.velocity_noise_mps * noise[2:] + (vx * cos - vy * sin, vx * sin + vy * cos)
        return np.array([1.0, x_m, y_m, latitude_deg, longitude_deg, *velocity])
