"""The sensor ``noisy_objects``: the object list as a perception stack gives it, with noise, misses and occlusion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numba
import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    EGO,
    HEIGHT_M,
    IS_ABSENT,
    LENGTH_M,
    WIDTH_M,
    X_M,
    Y_M,
    YAW_RAD,
)
from simloop_driving.sensors.options import ExtraSensor, number
from simloop_driving.sensors.seen import velocities
from simloop_driving.sensors.snapshot import Snapshot
from simloop_driving.sensors.standard import NUM_OBJECTS, OBJECT_COLUMNS

FloatArray = npt.NDArray[np.float64]

EYE_HEIGHT_M = 1.5
"""Height above the ground from which lines of sight start, over the centre of the ego's footprint."""
_SHRINK = 0.9
"""Points that are looked at lie this far from an actor's middle towards the corners of its box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyObjects(ExtraSensor):
    """Detected actors, with the columns of ``objects``.

    Attributes:
        range_m: Largest distance between centres.
        min_visible_ratio: Actors of whose nine points (the box's corners and its middle) a smaller share is in sight
            are not detected; 0 detects hidden ones too.
        drop_out_ratio: Share of detections that are missed.
        position_noise_m: Standard deviation of the error of each coordinate.
        heading_noise_rad: Standard deviation of the heading's error.
        speed_noise_mps: Standard deviation of the speed's error.
        acceleration_noise_mps2: Standard deviation of the acceleration's error.
        size_noise_m: Standard deviation of the error of length and of width.
    """

    type_name: ClassVar[str] = "noisy_objects"

    range_m: float = number(120.0, 1.0, 1000.0)
    min_visible_ratio: float = number(0.2, 0.0, 1.0)
    drop_out_ratio: float = number(0.05, 0.0, 1.0)
    position_noise_m: float = number(0.2, 0.0, 100.0)
    heading_noise_rad: float = number(0.03, 0.0, 3.0)
    speed_noise_mps: float = number(0.3, 0.0, 100.0)
    acceleration_noise_mps2: float = number(0.3, 0.0, 100.0)
    size_noise_m: float = number(0.1, 0.0, 10.0)

    @property
    def spec(self) -> SensorSpec:
        """Layout: (16, 8), as ``objects``."""
        return self.make_spec(
            SensorKind.OBJECTS,
            (NUM_OBJECTS, len(OBJECT_COLUMNS)),
            "detected actors, nearest first; columns: " + ", ".join(OBJECT_COLUMNS),
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (16, 8) array."""
        actors = snapshot.actors
        num_actors = actors.shape[1] - 1
        draws = self.draws(snapshot, index)
        noise = draws.standard_normal((num_actors, 7))
        is_missed = draws.random(num_actors) < self.drop_out_ratio
        dx, dy = actors[X_M, 1:] - actors[X_M, EGO], actors[Y_M, 1:] - actors[Y_M, EGO]
        is_there = (actors[IS_ABSENT, 1:] == 0.0) & (np.hypot(dx, dy) <= self.range_m)
        if self.min_visible_ratio > 0.0:
            is_there &= visible_ratio(actors)[1:] >= self.min_visible_ratio
        kept = np.flatnonzero(is_there & ~is_missed)
        yaw_rad = float(actors[YAW_RAD, EGO])
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        velocity = velocities(actors)[1:]
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        course = np.where(speed > 0.0, np.arctan2(velocity[:, 1], velocity[:, 0]), actors[YAW_RAD, 1:])
        columns = (
            np.ones(num_actors),
            dx * cos + dy * sin + self.position_noise_m * noise[:, 0],
            dy * cos - dx * sin + self.position_noise_m * noise[:, 1],
            course - yaw_rad + self.heading_noise_rad * noise[:, 2],
            np.maximum(speed + self.speed_noise_mps * noise[:, 3], 0.0),
            actors[ACCELERATION_MPS2, 1:] + self.acceleration_noise_mps2 * noise[:, 4],
            np.maximum(actors[LENGTH_M, 1:] + self.size_noise_m * noise[:, 5], 0.1),
            np.maximum(actors[WIDTH_M, 1:] + self.size_noise_m * noise[:, 6], 0.1),
        )
        rows = np.stack(columns, axis=1)[kept]
        rows[:, 3] -= 2.0 * math.pi * np.floor((rows[:, 3] + math.pi) / (2.0 * math.pi))
        order = np.argsort(np.hypot(rows[:, 1], rows[:, 2]), kind="stable")[:NUM_OBJECTS]
        out = np.zeros((NUM_OBJECTS, len(OBJECT_COLUMNS)))
        out[: len(order)] = rows[order]
        return out


@numba.njit(cache=True)
def visible_ratio(actors: FloatArray) -> FloatArray:
    """Returns, per column, the share of an actor's nine points that the ego sees past the boxes of all others, (N,)."""
    num_actors = actors.shape[1]
    ratio = np.zeros(num_actors)
    for actor in range(1, num_actors):
        if actors[IS_ABSENT, actor] > 0.0:
            continue
        cos, sin = math.cos(actors[YAW_RAD, actor]), math.sin(actors[YAW_RAD, actor])
        num_seen = 0
        for point in range(9):
            along = across = 0.0
            up = 0.5
            if point < 8:
                along = 0.5 * _SHRINK * (1.0 if point & 1 else -1.0)
                across = 0.5 * _SHRINK * (1.0 if point & 2 else -1.0)
                up += 0.5 * _SHRINK * (1.0 if point & 4 else -1.0)
            along *= actors[LENGTH_M, actor]
            across *= actors[WIDTH_M, actor]
            x = actors[X_M, actor] + along * cos - across * sin
            y = actors[Y_M, actor] + along * sin + across * cos
            is_seen = True
            for other in range(1, num_actors):
                is_solid = other != actor and actors[IS_ABSENT, other] == 0.0
                if is_solid and _is_between(actors, other, x, y, up * actors[HEIGHT_M, actor]):
                    is_seen = False
                    break
            num_seen += is_seen
        ratio[actor] = num_seen / 9.0
    return ratio


@numba.njit(cache=True)
def _is_between(actors: FloatArray, other: int, x_m: float, y_m: float, z_m: float) -> bool:
    """Whether the box of an actor cuts the line of sight from the ego to a point (slab method)."""
    cos, sin = math.cos(actors[YAW_RAD, other]), math.sin(actors[YAW_RAD, other])
    from_x, from_y = actors[X_M, EGO] - actors[X_M, other], actors[Y_M, EGO] - actors[Y_M, other]
    to_x, to_y = x_m - actors[X_M, other], y_m - actors[Y_M, other]
    start = (from_x * cos + from_y * sin, from_y * cos - from_x * sin, EYE_HEIGHT_M)
    end = (to_x * cos + to_y * sin, to_y * cos - to_x * sin, z_m)
    half_length, half_width = 0.5 * actors[LENGTH_M, other], 0.5 * actors[WIDTH_M, other]
    low = (-half_length, -half_width, 0.0)
    high = (half_length, half_width, actors[HEIGHT_M, other])
    first, last = 0.0, 1.0
    for axis in range(3):
        move = end[axis] - start[axis]
        if abs(move) < 1e-12:
            if start[axis] < low[axis] or start[axis] > high[axis]:
                return False
            continue
        enter, leave = (low[axis] - start[axis]) / move, (high[axis] - start[axis]) / move
        first = max(first, min(enter, leave))
        last = min(last, max(enter, leave))
    return first < last
