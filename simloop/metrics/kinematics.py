"""Reads the ``world.motion`` table of an episode log as one evenly sampled signal a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue

FloatArray = npt.NDArray[np.float64]

MOTION_TABLE = "world.motion"
MIN_PEAK_MPS = 0.01
"""A point that never moves faster than this is at rest; it has no smoothness to judge."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointMotion:
    """The motion of one point.

    Attributes:
        name: Name of the point.
        sample_period_s: Time between two samples.
        position_m: (N, 3) world frame.
        velocity_mps: (N, 3) world frame.
    """

    name: str
    sample_period_s: float
    position_m: FloatArray
    velocity_mps: FloatArray

    @property
    def speed_mps(self) -> FloatArray:
        """(N,) norm of the velocity."""
        speed: FloatArray = np.linalg.norm(self.velocity_mps, axis=1)
        return speed

    @property
    def is_moving(self) -> bool:
        """Whether the point ever moves faster than ``MIN_PEAK_MPS``."""
        return len(self.velocity_mps) > 0 and float(self.speed_mps.max()) >= MIN_PEAK_MPS


def read_motion(log: EpisodeLog, min_samples: int) -> tuple[PointMotion, ...] | MetricValue:
    """Returns the motion of every point, or an invalid value that says why there is none.

    Args:
        log: Log with the table ``world.motion``.
        min_samples: Samples that each point must have.
    """
    t_ns = log.column(MOTION_TABLE, "t_ns")
    point = log.column(MOTION_TABLE, "point")
    position = log.column(MOTION_TABLE, "position_m")
    velocity = log.column(MOTION_TABLE, "velocity_mps")
    names = list(log.attributes.get("motion_points", ()))
    motions = []
    for index in np.unique(point):
        rows = point == index
        name = str(names[index]) if index < len(names) else f"point {index}"
        instants = t_ns[rows]
        if len(instants) < min_samples:
            return MetricValue.invalid(f"{name} has {len(instants)} motion samples; {min_samples} are needed")
        steps = np.diff(instants)
        if steps.min() <= 0 or steps.min() != steps.max():
            return MetricValue.invalid(
                f"{name} is not evenly sampled: steps of {steps.min()} to {steps.max()} ns"
            )
        motions.append(
            PointMotion(
                name=name,
                sample_period_s=float(steps[0]) * 1e-9,
                position_m=position[rows],
                velocity_mps=velocity[rows],
            )
        )
    if not motions:
        return MetricValue.invalid("the table world.motion has no rows")
    return tuple(motions)
