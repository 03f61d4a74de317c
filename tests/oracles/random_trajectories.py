"""200 random trajectories of two vehicles, from a seed, for the oracles and for the test that reads their answers.

Needs numpy only, as the oracles run in an environment without simloop.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

PERIOD_S = 0.1
NUM_TICKS = 61
NUM_FOLLOWING = 100
NUM_CROSSING = 100
SEED = 20260727

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A rectangle that keeps heading and acceleration.

    Attributes:
        x_m, y_m, yaw_rad: Pose of the centre at t = 0.
        speed_mps, acceleration_mps2: Along the heading; the speed stays above 0 for the whole trajectory.
        length_m, width_m: Size.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    speed_mps: float
    acceleration_mps2: float
    length_m: float
    width_m: float

    def speeds_mps(self) -> FloatArray:
        """Returns (NUM_TICKS,) speeds."""
        return self.speed_mps + self.acceleration_mps2 * np.arange(NUM_TICKS) * PERIOD_S

    def positions_m(self) -> FloatArray:
        """Returns (NUM_TICKS, 2) positions of the centre."""
        t_s = np.arange(NUM_TICKS) * PERIOD_S
        way_m = self.speed_mps * t_s + 0.5 * self.acceleration_mps2 * t_s**2
        heading = np.array([math.cos(self.yaw_rad), math.sin(self.yaw_rad)])
        return np.array([self.x_m, self.y_m]) + way_m[:, None] * heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """The ego and another vehicle; ``kind`` is following or crossing."""

    kind: str
    ego: Vehicle
    other: Vehicle

    def plain(self) -> dict[str, Any]:
        """Returns the numbers, for the golden file."""
        return asdict(self)


def _following(draws: np.random.Generator) -> Trajectory:
    """One lane along x; in every second trajectory both keep their speed."""
    is_steady = draws.random() < 0.5
    ego_mps2, other_mps2 = (0.0, 0.0) if is_steady else (draws.uniform(-2.0, 1.5), draws.uniform(-1.2, 1.5))
    ego_length_m, other_length_m = draws.uniform(3.5, 6.0), draws.uniform(3.5, 12.0)
    gap_m = draws.uniform(5.0, 60.0)
    return Trajectory(
        kind="following",
        ego=Vehicle(
            x_m=100.0, y_m=draws.uniform(-0.5, 0.5), yaw_rad=0.0, speed_mps=draws.uniform(14.0, 35.0),
            acceleration_mps2=ego_mps2, length_m=ego_length_m, width_m=1.9,
        ),
        other=Vehicle(
            x_m=100.0 + gap_m + 0.5 * (ego_length_m + other_length_m), y_m=draws.uniform(-0.5, 0.5), yaw_rad=0.0,
            speed_mps=draws.uniform(8.0, 30.0), acceleration_mps2=other_mps2, length_m=other_length_m,
            width_m=draws.uniform(1.7, 2.5),
        ),
    )  # fmt: skip


def _crossing(draws: np.random.Generator) -> Trajectory:
    """The ego along x through the origin, the other across it, at right angles in every second trajectory."""
    is_perpendicular = draws.random() < 0.5
    angle = math.copysign(
        0.5 * math.pi if is_perpendicular else draws.uniform(0.6, 2.5), draws.uniform(-1.0, 1.0)
    )
    ego_mps, other_mps = draws.uniform(5.0, 15.0), draws.uniform(4.0, 14.0)
    at_s, later_s = draws.uniform(2.5, 3.5), draws.uniform(-2.0, 2.0)
    way_m = other_mps * (at_s + later_s)
    return Trajectory(
        kind="crossing",
        ego=Vehicle(
            x_m=-ego_mps * at_s, y_m=0.0, yaw_rad=0.0, speed_mps=ego_mps, acceleration_mps2=0.0,
            length_m=draws.uniform(3.5, 6.0), width_m=2.0,
        ),
        other=Vehicle(
            x_m=-way_m * math.cos(angle), y_m=-way_m * math.sin(angle), yaw_rad=angle, speed_mps=other_mps,
            acceleration_mps2=0.0, length_m=draws.uniform(1.8, 6.0), width_m=2.0,
        ),
    )  # fmt: skip


def trajectories() -> list[Trajectory]:
    """Returns the trajectories, the same at every call and on every machine."""
    draws = np.random.Generator(np.random.Philox(SEED))
    return [_following(draws) for _ in range(NUM_FOLLOWING)] + [_crossing(draws) for _ in range(NUM_CROSSING)]
