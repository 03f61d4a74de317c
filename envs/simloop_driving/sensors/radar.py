"""The sensor ``radar``: detections behind the front bumper; who is hidden behind somebody else is not detected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving.dynamics import single_track
from simloop_driving.scenario.actor_state import EGO, IS_ABSENT, LENGTH_M, X_M, Y_M, YAW_RAD
from simloop_driving.scenery.semantics import FIRST_ACTOR
from simloop_driving.sensors.options import ExtraSensor, number
from simloop_driving.sensors.seen import placed_scene, velocities, yaw_rotation
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]

NUM_DETECTIONS = 32
RADAR_COLUMNS = ("is_present", "range_m", "azimuth_rad", "radial_speed_mps")
"""Columns of ``radar``: range to the nearest point of an actor that the beams reach; mean azimuth of the beams that
reach it, counter-clockwise from forward; speed of the actor relative to the sensor along that line, positive away. Rows
are sorted by range; rows without a detection are zero."""

_ELEVATIONS_RAD = np.radians([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0])
_BEAMS_PER_DEG = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Radar(ExtraSensor):
    """A radar that detects actors, standing ones too.

    Attributes:
        fov_deg: Full horizontal opening angle.
        range_m: Largest range.
        range_noise_m: Standard deviation of the range's error.
        azimuth_noise_deg: Standard deviation of the azimuth's error.
        speed_noise_mps: Standard deviation of the radial speed's error.
        drop_out_ratio: Share of detections that are lost.
        up_m: Height above the ground; the sensor is in the middle of the ego's front.
    """

    type_name: ClassVar[str] = "radar"

    fov_deg: int = number(90, 10, 180)
    range_m: float = number(150.0, 1.0, 300.0)
    range_noise_m: float = number(0.2, 0.0, 10.0)
    azimuth_noise_deg: float = number(0.3, 0.0, 10.0)
    speed_noise_mps: float = number(0.1, 0.0, 10.0)
    drop_out_ratio: float = number(0.02, 0.0, 1.0)
    up_m: float = number(0.5, 0.1, 3.0)

    @property
    def spec(self) -> SensorSpec:
        """Layout: (32, 4), see ``RADAR_COLUMNS``."""
        return self.make_spec(
            SensorKind.OBJECTS,
            (NUM_DETECTIONS, len(RADAR_COLUMNS)),
            "detections, nearest first; columns: " + ", ".join(RADAR_COLUMNS),
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (32, 4) array."""
        found = self._detections(snapshot)
        draws = self.draws(snapshot, index)
        num_actors = snapshot.actors.shape[1] - 1
        noise = draws.standard_normal((num_actors, 3)) * (
            self.range_noise_m, math.radians(self.azimuth_noise_deg), self.speed_noise_mps,
        )  # fmt: skip
        is_kept = draws.random(num_actors) >= self.drop_out_ratio
        rows = [
            (1.0, *(np.asarray(values) + noise[actor - 1]))
            for actor, values in found.items()
            if is_kept[actor - 1]
        ]
        rows.sort(key=lambda row: float(row[1]))
        out = np.zeros((NUM_DETECTIONS, len(RADAR_COLUMNS)))
        for place, row in enumerate(rows[:NUM_DETECTIONS]):
            out[place] = row
        out[:, 1] = np.maximum(out[:, 1], 0.0)
        return out

    def _detections(self, snapshot: Snapshot) -> dict[int, tuple[float, float, float]]:
        """Returns range, azimuth and radial speed without noise, by column of the actor table."""
        actors = snapshot.actors
        yaw_rad, front_m = float(actors[YAW_RAD, EGO]), 0.5 * float(actors[LENGTH_M, EGO])
        forward = np.array([math.cos(yaw_rad), math.sin(yaw_rad)])
        left = np.array([-forward[1], forward[0]])
        place = actors[X_M : Y_M + 1, EGO] + front_m * forward
        num_beams = self.fov_deg * _BEAMS_PER_DEG + 1
        step_rad = math.radians(1.0 / _BEAMS_PER_DEG)
        start_rad = -0.5 * math.radians(self.fov_deg)
        scan = placed_scene(snapshot).scan(
            (*place, self.up_m),
            yaw_rotation(yaw_rad),
            _ELEVATIONS_RAD,
            num_azimuths=num_beams,
            azimuth_start_rad=start_rad,
            azimuth_step_rad=step_rad,
            max_range_m=self.range_m,
        )
        ego = snapshot.ego
        sensor_velocity = (
            ego[single_track.VX_MPS] * forward
            + (ego[single_track.VY_MPS] + front_m * ego[single_track.YAW_RATE_RADPS]) * left
        )
        columns = np.flatnonzero(actors[IS_ABSENT, 1:] == 0.0) + 1  # in the order in which they were placed
        relative = velocities(actors) - sensor_velocity
        found: dict[int, tuple[float, float, float]] = {}
        is_actor = scan.semantic >= FIRST_ACTOR
        for instance in np.unique(scan.instance[is_actor]):
            is_hit = is_actor & (scan.instance == instance)
            azimuth_rad = start_rad + step_rad * float(np.nonzero(is_hit)[1].mean())
            actor = int(columns[instance - 1])
            line = math.cos(azimuth_rad) * forward + math.sin(azimuth_rad) * left
            found[actor] = float(scan.range_m[is_hit].min()), azimuth_rad, float(relative[actor] @ line)
        return found
