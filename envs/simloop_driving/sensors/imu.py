"""The sensor ``imu``: specific force and angular rate at 100 Hz, as a strapdown unit in the ego measures them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving import step_kernel
from simloop_driving.dynamics.vehicle import GRAVITY_MPS2
from simloop_driving.periods import STEP_S
from simloop_driving.sensors.options import STEP_MS, ExtraSensor, number
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]

IMU_COLUMNS = (
    "is_present",
    "time_s",
    "force_x_mps2",
    "force_y_mps2",
    "force_z_mps2",
    "rate_x_radps",
    "rate_y_radps",
    "rate_z_radps",
)
"""Columns of ``imu``: a row is a physics step (10 ms), the last one that of the capture, so that no two captures share
a row; time relative to the capture; specific force (acceleration minus gravity: +9.81 upwards at rest) and angular rate
along the body's axes x forward, y left, z up. A lost sample is zero throughout, except for its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imu(ExtraSensor):
    """An inertial measurement unit at the centre of the ego's footprint.

    Attributes:
        force_noise_mps2: Standard deviation of white noise on each specific force.
        force_bias_mps2: Standard deviation of the bias of each specific force, drawn once an episode.
        rate_noise_radps: Standard deviation of white noise on each rate.
        rate_bias_radps: Standard deviation of the bias of each rate, drawn once an episode.
        drop_out_ratio: Share of samples that are lost.
    """

    type_name: ClassVar[str] = "imu"

    force_noise_mps2: float = number(0.02, 0.0, 10.0)
    force_bias_mps2: float = number(0.02, 0.0, 10.0)
    rate_noise_radps: float = number(0.001, 0.0, 1.0)
    rate_bias_radps: float = number(0.0005, 0.0, 1.0)
    drop_out_ratio: float = number(0.0, 0.0, 1.0)

    @property
    def num_samples(self) -> int:
        """Rows of a capture: the physics steps of a period."""
        return self.period_ms // STEP_MS

    @property
    def spec(self) -> SensorSpec:
        """Layout: (period / 10 ms, 8), see ``IMU_COLUMNS``."""
        return self.make_spec(
            SensorKind.PROPRIOCEPTION,
            (self.num_samples, len(IMU_COLUMNS)),
            "the 100 Hz samples since the last capture, oldest first; columns: " + ", ".join(IMU_COLUMNS),
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (samples, 8) array."""
        num = self.num_samples
        out = np.zeros((num, len(IMU_COLUMNS)))
        out[:, 2:] = self._exact(snapshot, num)
        bias = self.draws_of_episode(snapshot).standard_normal(6)
        draws = self.draws(snapshot, index)
        noise = draws.standard_normal((num, 6))
        out[:, 2:5] += self.force_bias_mps2 * bias[:3] + self.force_noise_mps2 * noise[:, :3]
        out[:, 5:] += self.rate_bias_radps * bias[3:] + self.rate_noise_radps * noise[:, 3:]
        out[:, 0] = 1.0
        out[draws.random(num) < self.drop_out_ratio] = 0.0
        out[:, 1] = (np.arange(num) - (num - 1)) * STEP_S
        return out

    @staticmethod
    def _exact(snapshot: Snapshot, num: int) -> FloatArray:
        """Returns (num, 6) forces and rates; before the start the ego rolls on straight."""
        steps = np.arange(snapshot.step - num + 1, snapshot.step + 1)
        record = snapshot.episode.motion_record
        before, after = record[np.maximum(steps - 1, 0)], record[np.maximum(steps, 0)]
        velocity = slice(step_kernel.MOTION_VX, step_kernel.MOTION_VY + 1)
        acceleration = (after[:, velocity] - before[:, velocity]) / STEP_S
        yaw_rad = 0.5 * (before[:, step_kernel.MOTION_YAW] + after[:, step_kernel.MOTION_YAW])
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        exact = np.zeros((num, 6))
        exact[:, 0] = acceleration[:, 0] * cos + acceleration[:, 1] * sin
        exact[:, 1] = acceleration[:, 1] * cos - acceleration[:, 0] * sin
        exact[:, 2] = GRAVITY_MPS2
        exact[:, 5] = np.where(steps > 0, after[:, step_kernel.MOTION_YAW_RATE], 0.0)
        return exact
