"""How a robot's base drifts: a cart that keeps changing its velocity at instants that nobody can foresee."""

from __future__ import annotations

import bisect
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key

FloatArray = npt.NDArray[np.float64]

SUBSTEP_S = 0.002
COURSE_S = 60.0
"""How long a course is at least; after it the base stands where it is."""
ACCELERATION_MPS2 = 0.8
"""The base changes its velocity at this rate, as a cart driven with care."""
HELD_SUBSTEPS = (150, 400)
"""For how long a velocity is kept before the next change: 0.3 to 0.8 s."""
_MOST_CHANGES = round(COURSE_S / (HELD_SUBSTEPS[0] * SUBSTEP_S)) + 1
BASE_BODY = "robot1_base"
BASE_JOINTS = ("receiver_base_across", "receiver_base_forward")
BASE_ARMATURE_KG = 100.0
"""Inertia added to each slide joint: what the arm does to the base within a substep is next to nothing."""
FORWARD_RATIO = 0.5
"""Speed and range along the line between the arms, as a part of those across it."""


class _Axis:
    """The course of one slide joint, from rest at 0: stretches of constant acceleration.

    Args:
        rng: Draws the course.
        reach_m: How far from 0 the base may go before it turns back.
        speed_mps: Largest speed.
    """

    def __init__(self, rng: np.random.Generator, reach_m: float, speed_mps: float) -> None:
        held_s = (SUBSTEP_S * rng.integers(*HELD_SUBSTEPS, size=_MOST_CHANGES)).tolist()
        wanted_mps = speed_mps * rng.uniform(0.6, 1.0, _MOST_CHANGES)
        wanted_mps = np.where(rng.random(_MOST_CHANGES) < 0.5, wanted_mps, -wanted_mps).tolist()
        now_s, position, velocity = 0.0, 0.0, 0.0
        self._starts_s: list[float] = []
        self._stretches: list[tuple[float, float, float]] = []
        for held, wanted in zip(held_s, wanted_mps, strict=True):
            # Turn back rather than leave the range.
            if abs(position + wanted * held) > reach_m:
                wanted = -abs(wanted) if position > 0.0 else abs(wanted)
            change = wanted - velocity
            ramp = SUBSTEP_S * max(1, math.ceil(abs(change) / ACCELERATION_MPS2 / SUBSTEP_S))
            self._starts_s += (now_s, now_s + ramp)
            self._stretches.append((position, velocity, change / ramp))
            position += 0.5 * (velocity + wanted) * ramp
            self._stretches.append((position, wanted, 0.0))
            position += wanted * held
            velocity, now_s = wanted, now_s + ramp + held
            if now_s > COURSE_S:
                break
        self._starts_s.append(now_s)
        self._stretches.append((position, 0.0, 0.0))

    def at(self, now_s: float) -> tuple[float, float, float]:
        """Returns position (m), velocity (m/s) and acceleration (m/s^2) at an instant."""
        number = bisect.bisect_right(self._starts_s, now_s + 0.25 * SUBSTEP_S) - 1
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
            range_m: How far from its first place the base may go before it turns back, across.
            speed_mps: Largest speed, across.
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
