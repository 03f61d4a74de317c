"""Reads the ``world.motion`` table of an episode log as one evenly sampled signal a point."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction

FloatArray = npt.NDArray[np.float64]

MOTION_TABLE = "world.motion"
MIN_PEAK_MPS = 0.01
"""A point that never moves faster than this is at rest; it has no smoothness to judge."""


@dataclass(frozen=True, kw_only=True, eq=False)
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

    @functools.cached_property
    def speed_mps(self) -> FloatArray:
        """(N,) norm of the velocity."""
        speed: FloatArray = np.linalg.norm(self.velocity_mps, axis=1)
        return speed

    @property
    def is_moving(self) -> bool:
        """Whether the point ever moves faster than ``MIN_PEAK_MPS``."""
        return len(self.velocity_mps) > 0 and float(self.speed_mps.max()) >= MIN_PEAK_MPS


def read_motion(log: EpisodeLog) -> tuple[PointMotion, ...] | MetricValue:
    """Returns the motion of every point of the table ``world.motion``, or an invalid value that says why not."""
    t_ns = log.column(MOTION_TABLE, "t_ns")
    point = log.column(MOTION_TABLE, "point")
    position = log.column(MOTION_TABLE, "position_m")
    velocity = log.column(MOTION_TABLE, "velocity_mps")
    names = list(log.attributes.get("motion_points", ()))
    motions = []
    for index in np.unique(point) if point.any() else range(min(len(point), 1)):
        rows = point == index
        name = str(names[index]) if index < len(names) else f"point {index}"
        steps = np.diff(t_ns[rows])
        if len(steps) and (steps.min() <= 0 or steps.min() != steps.max()):
            return MetricValue.invalid(
                f"{name} is not evenly sampled: steps of {steps.min()} to {steps.max()} ns"
            )
        motions.append(
            PointMotion(
                name=name,
                sample_period_s=float(steps[0]) * 1e-9 if len(steps) else 0.0,
                position_m=position[rows],
                velocity_mps=velocity[rows],
            )
        )
    if not motions:
        return MetricValue.invalid("the table world.motion has no rows")
    return tuple(motions)


class MotionMetric(Reduction):
    """A metric made of the motion of the points; all such metrics share one reading of a log.

    Attributes:
        min_samples: Samples that each point must have.
    """

    tables = (MOTION_TABLE,)
    read = staticmethod(read_motion)
    min_samples: int

    def __init__(self) -> None:
        """Has its name, unit and description as class attributes."""

    def reduce(self, reading: tuple[PointMotion, ...] | MetricValue) -> MetricValue:
        """Returns the value of what ``read_motion`` returned."""
        if isinstance(reading, MetricValue):
            return reading
        for motion in reading:
            num = len(motion.velocity_mps)
            if num < self.min_samples:
                return MetricValue.invalid(
                    f"{motion.name} has {num} motion samples; {self.min_samples} are needed"
                )
        return self.value_of(reading)

    @abstractmethod
    def value_of(self, motions: Sequence[PointMotion]) -> MetricValue:
        """Returns the metric's value for the motion of all points."""
