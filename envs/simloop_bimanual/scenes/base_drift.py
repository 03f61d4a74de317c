"""How a robot's base drifts: a cart that keeps changing its velocity at instants that nobody can foresee."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key

FloatArray = npt.NDArray[np.float64]

SUBSTEP_S = 0.002
SUBSTEP_NS = 2_000_000
COURSE_S = 60.0
"""How long a course is; after it the base stands where it is."""
ACCELERATION_MPS2 = 0.8
"""The base changes its velocity at this rate, as a cart driven with care."""
HELD_SUBSTEPS = (150, 400)
"""For how long a velocity is kept before the next change: 0.3 to 0.8 s."""
BASE_BODY = "robot1_base"
BASE_JOINTS = ("receiver_base_across", "receiver_base_forward")
BASE_ARMATURE_KG = 100.0
"""Inertia added to each slide joint: what the arm does to the base within a substep is next to nothing."""
FORWARD_RATIO = 0.5
"""Speed and range along the line between the arms, as a part of those across it."""


def _course(rng: np.random.Generator, reach_m: float, speed_mps: float) -> FloatArray:
    """Draws positions, velocities and accelerations (num_substeps, 3) of one axis, starting at rest at 0."""
    count = round(COURSE_S / SUBSTEP_S)
    accelerations = np.zeros(count)
    position, velocity, now = 0.0, 0.0, 0
    while now < count:
        held = int(rng.integers(*HELD_SUBSTEPS))
        wanted = speed_mps * float(rng.uniform(0.6, 1.0)) * (1.0 if rng.random() < 0.5 else -1.0)
        # Turn back rather than leave the range.
        if abs(position + wanted * held * SUBSTEP_S) > reach_m:
            wanted = -abs(wanted) if position > 0.0 else abs(wanted)
        ramp = max(1, math.ceil(abs(wanted - velocity) / ACCELERATION_MPS2 / SUBSTEP_S))
        end = min(now + ramp, count)
        accelerations[now:end] = (wanted - velocity) / (ramp * SUBSTEP_S)
        position += 0.5 * (velocity + wanted) * ramp * SUBSTEP_S + wanted * held * SUBSTEP_S
        velocity, now = wanted, now + ramp + held
    velocities = np.concatenate([[0.0], np.cumsum(accelerations[:-1]) * SUBSTEP_S])
    positions = np.concatenate(
        [[0.0], np.cumsum((velocities + 0.5 * SUBSTEP_S * accelerations)[:-1]) * SUBSTEP_S]
    )
    course: FloatArray = np.stack([positions, velocities, accelerations], axis=1)
    course[-1, 1:] = 0.0
    return course


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
        self._course: FloatArray = np.zeros((1, 3, 2))

    def start(self, *, range_m: float, speed_mps: float, course_id: float) -> None:
        """Draws the course of an episode.

        Args:
            range_m: How far from its first place the base may go before it turns back, across.
            speed_mps: Largest speed, across.
            course_id: Its whole part says which course it is.
        """
        across, forward = (generator(stream_key("base_drift", axis, int(course_id))) for axis in range(2))
        self._course = np.stack(
            [
                _course(across, range_m, speed_mps),
                _course(forward, FORWARD_RATIO * range_m, FORWARD_RATIO * speed_mps),
            ],
            axis=2,
        )

    def at(self, now_ns: int) -> FloatArray:
        """Returns (3, 2): position (m), velocity (m/s) and acceleration (m/s^2) of both joints at an instant."""
        row: FloatArray = self._course[min(now_ns // SUBSTEP_NS, len(self._course) - 1)]
        return row

    def apply(self, data: Any, now_ns: int) -> None:
        """Writes the base's motion as it is at an instant."""
        row = self.at(now_ns)
        data.qpos[self._qpos] = row[0]
        data.qvel[self._dof] = row[1]
        data.qfrc_applied[self._dof] = self._inertia_kg * row[2]


def base_drift(mj_model: Any) -> BaseDrift:
    """Returns what moves the right arm's base in a compiled model."""
    joints = [mj_model.joint(name) for name in BASE_JOINTS]
    return BaseDrift(
        [int(joint.qposadr[0]) for joint in joints],
        [int(joint.dofadr[0]) for joint in joints],
        BASE_ARMATURE_KG + float(mj_model.body_subtreemass[mj_model.body(BASE_BODY).id]),
    )
