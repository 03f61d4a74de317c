"""How a robot's base drifts: a cart that keeps changing its velocity at instants that nobody can foresee."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key
from simloop_bimanual.conventions import PHYSICS_PERIOD_S

FloatArray = npt.NDArray[np.float64]

COURSE_S = 60.0
"""How long a course is at least; after it the base brakes and stands where it is."""
ACCELERATION_MPS2 = 0.8
"""The base changes its velocity at this rate, as a cart driven with care."""
HELD_SUBSTEPS = (150, 400)
"""For how long a velocity is kept before the next change: 0.3 to 0.8 s."""
_MOST_CHANGES = round(COURSE_S / (HELD_SUBSTEPS[0] * PHYSICS_PERIOD_S)) + 1
BASE_BODY = "robot1_base"
BASE_JOINTS = ("receiver_base_across", "receiver_base_forward")
BASE_ARMATURE_KG = 100.0
"""Inertia added to each slide joint: what the arm does to the base within a substep is next to nothing."""
FORWARD_RATIO = 0.5
"""Speed and range along the line between the arms, as a part of those across it."""


def _ramp_s(change_mps: float) -> float:
    """Returns how long a change of velocity takes, a whole number of physics steps."""
    return PHYSICS_PERIOD_S * max(1, math.ceil(abs(change_mps) / ACCELERATION_MPS2 / PHYSICS_PERIOD_S))


def _stopping_m(speed_mps: float) -> float:
    """Returns what a base goes at most until it stands; the second part is for ramps of whole physics steps."""
    return 0.5 * speed_mps * speed_mps / ACCELERATION_MPS2 + PHYSICS_PERIOD_S * speed_mps


def _fastest_mps(reach_m: float) -> float:
    """Returns the speed to which a base can be brought, and from it to rest again, on a way of ``reach_m``."""
    lag = PHYSICS_PERIOD_S * ACCELERATION_MPS2
    return math.sqrt(lag * lag + ACCELERATION_MPS2 * reach_m) - lag


class _Axis:
    """The course of one slide joint, from rest at 0: stretches of constant acceleration.

    The base never leaves its range: at the end of each stretch there is room to brake before its edge. For that a
    stretch towards the edge is turned round or cut short, and the speed is limited in a range that is too small for it.

    Args:
        rng: Draws the course.
        reach_m: How far from 0 the base may go.
        speed_mps: Largest speed.
    """

    def __init__(self, rng: np.random.Generator, reach_m: float, speed_mps: float) -> None:
        self._reach_m, self._speed_mps = reach_m, min(speed_mps, _fastest_mps(reach_m))
        self._starts_s: list[float] = []
        self._stretches: list[tuple[float, float, float]] = []
        now_s, position, velocity = 0.0, 0.0, 0.0
        for held_s, wanted in self._draws(rng):
            longest_s = self._longest_s(position, velocity, wanted)
            # Turn back rather than leave the range.
            if longest_s < 0.0 or abs(position + wanted * held_s) > reach_m:
                wanted = -abs(wanted) if position > 0.0 else abs(wanted)
                longest_s = self._longest_s(position, velocity, wanted)
            ramp_s, held_s = _ramp_s(wanted - velocity), min(held_s, max(longest_s, 0.0))
            self._starts_s += (now_s, now_s + ramp_s)
            self._stretches.append((position, velocity, (wanted - velocity) / ramp_s))
            position += 0.5 * (velocity + wanted) * ramp_s
            self._stretches.append((position, wanted, 0.0))
            position += wanted * held_s
            velocity, now_s = wanted, now_s + ramp_s + held_s
            if now_s > COURSE_S:
                break
        ramp_s = _ramp_s(velocity)
        self._starts_s += (now_s, now_s + ramp_s)
        self._stretches.append((position, velocity, -velocity / ramp_s))
        self._stretches.append((position + 0.5 * velocity * ramp_s, 0.0, 0.0))

    def _draws(self, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
        """Yields for how long the next velocity is to be kept, and that velocity."""
        while True:
            held_s = (PHYSICS_PERIOD_S * rng.integers(*HELD_SUBSTEPS, size=_MOST_CHANGES)).tolist()
            wanted_mps = self._speed_mps * rng.uniform(0.6, 1.0, _MOST_CHANGES)
            wanted_mps = np.where(rng.random(_MOST_CHANGES) < 0.5, wanted_mps, -wanted_mps).tolist()
            yield from zip(held_s, wanted_mps, strict=True)

    def _longest_s(self, position_m: float, velocity_mps: float, wanted_mps: float) -> float:
        """Returns for how long a velocity can be kept after the ramp to it; below 0 where it must not be taken."""
        position_m += 0.5 * (velocity_mps + wanted_mps) * _ramp_s(wanted_mps - velocity_mps)
        towards_m = position_m if wanted_mps > 0.0 else -position_m
        room_m = self._reach_m - towards_m - _stopping_m(abs(wanted_mps))
        if room_m >= abs(wanted_mps) * COURSE_S:
            return math.inf
        return PHYSICS_PERIOD_S * math.floor(room_m / abs(wanted_mps) / PHYSICS_PERIOD_S)

    def at(self, now_s: float) -> tuple[float, float, float]:
        """Returns position (m), velocity (m/s) and acceleration (m/s^2) at an instant."""
        number = bisect.bisect_right(self._starts_s, now_s + 0.25 * PHYSICS_PERIOD_S) - 1
        position, velocity, acceleration = self._stretches[number]
        since = now_s - self._starts_s[number]
        return (
            position + (velocity + 0.5 * acceleration * since) * since,
            velocity + acceleration * since,
            acceleration,
        )


class BaseDrift:
    """Moves a base on its two slide joints: the first across the line between the arms, the second along it.

    The course is exact: place and velocity are written before every physics step. Within the step the joints get the
    force that the course's acceleration takes, so that the arm on the base feels it.

    Args:
        qpos: Addresses of the joints in qpos.
        dof: Addresses of the joints in qvel.
        inertia_kg: Mass that each of the joints moves, ``armature`` included.
    """

    def __init__(self, qpos: list[int], dof: list[int], inertia_kg: float) -> None:
        self._qpos, self._dof, self._inertia_kg = np.array(qpos), np.array(dof), inertia_kg
        self._axes: tuple[_Axis, _Axis] | None = None

    def start(self, *, range_m: float, speed_mps: float, course_id: float) -> None:
        """Draws the course of an episode.

        Args:
            range_m: How far from its first place the base may go, across; at 0 it stands still.
            speed_mps: Largest speed, across; less where the range leaves no room to brake from it.
            course_id: Its whole part says which course it is.
        """
        across, forward = (generator(stream_key("base_drift", axis, int(course_id))) for axis in range(2))
        self._axes = (
            _Axis(across, range_m, speed_mps),
            _Axis(forward, FORWARD_RATIO * range_m, FORWARD_RATIO * speed_mps),
        )

    def at(self, now_ns: int) -> FloatArray:
        """Returns (2, 3): position (m), velocity (m/s) and acceleration (m/s^2) of each joint at an instant."""
        if self._axes is None:
            return np.zeros((2, 3))
        return np.array([axis.at(now_ns * 1e-9) for axis in self._axes])

    def apply(self, data: Any, now_ns: int) -> None:
        """Writes the base's motion as it is at an instant."""
        course = self.at(now_ns)
        data.qpos[self._qpos] = course[:, 0]
        data.qvel[self._dof] = course[:, 1]
        data.qfrc_applied[self._dof] = self._inertia_kg * course[:, 2]


def base_drift(mj_model: Any) -> BaseDrift:
    """Returns what moves the right arm's base in a compiled model."""
    joints = [mj_model.joint(name) for name in BASE_JOINTS]
    return BaseDrift(
        [int(joint.qposadr[0]) for joint in joints],
        [int(joint.dofadr[0]) for joint in joints],
        BASE_ARMATURE_KG + float(mj_model.body_subtreemass[mj_model.body(BASE_BODY).id]),
    )
