"""What moves a scene by itself: a conveyor belt, and gusts of air on a ball. Used by the world and by robosuite alike.

Both follow a course that is drawn at the start of an episode from the Philox stream of a parameter ``..._id``: the same
id gives the same course, and nothing in the observations tells it beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key
from simloop_bimanual.conventions import PHYSICS_PERIOD_NS, PHYSICS_PERIOD_S

FloatArray = npt.NDArray[np.float64]

COURSE_S = 30.0
"""How long a course is; it ends in its last value."""

BELT_TOP_M = 0.823
"""Height of the belt's surface over the floor, 23 mm over the table top."""
BELT_INERTIA_KG = 100.0
"""What a load has to slow down on the belt's joint."""
BELT_ACCELERATION_MPS2 = 1.0
"""A belt changes its speed at this rate; a pot on it, with friction 1, does not slip up to 9.8 m/s^2."""
HELD_SPEED_S = (0.3, 0.9)
"""For how long a belt keeps a speed."""

STAND_TOP_M = 0.92
"""Height of the stand on which a tray waits, over the floor."""
PLATE_HALF_SIZE_M = (0.13, 0.11, 0.005)
BALL_RADIUS_M = 0.02
LIFTED_TRAY_M = STAND_TOP_M + PLATE_HALF_SIZE_M[2] + 0.01
"""Height of a tray's centre from which it is off its stand, and in the draught."""

GUST_S = 0.1
"""How long one gust pushes."""
GUST_PAUSE_S = (0.35, 0.85)
"""Time from one gust to the next."""


class BeltDrive:
    """Moves a belt along its slide joint.

    The belt is one slab whose surface runs at the belt's speed and that is put back before every physics step, as the
    upper run of a real belt stays where it is; its slide joint is so heavy (``BELT_INERTIA_KG``) that no load slows it.

    Args:
        qpos: Address of the slide joint in qpos.
        dof: Address of the slide joint in qvel.
    """

    def __init__(self, qpos: int, dof: int) -> None:
        self._qpos, self._dof = qpos, dof
        self._speeds_mps: FloatArray = np.zeros(1)

    def start(self, *, speed_mps: float, change_ratio: float, course_id: float) -> None:
        """Draws the course of an episode.

        Args:
            speed_mps: Mean speed, and speed at the start.
            change_ratio: Every new speed is within this part of the mean.
            course_id: Its whole part says which course it is.
        """
        rng = generator(stream_key("belt", int(course_id)))
        times, speeds = [0.0], [speed_mps]
        while times[-1] < COURSE_S:
            held = times[-1] + rng.uniform(*HELD_SPEED_S)
            wanted = speed_mps * (1.0 + change_ratio * rng.uniform(-1.0, 1.0))
            reached = held + max(abs(wanted - speeds[-1]) / BELT_ACCELERATION_MPS2, PHYSICS_PERIOD_S)
            times += [held, reached]
            speeds += [speeds[-1], wanted]
        self._speeds_mps = np.interp(np.arange(0.0, COURSE_S, PHYSICS_PERIOD_S), times, speeds)

    def speed_mps(self, now_ns: int) -> float:
        """Returns the belt's speed at an instant."""
        return float(self._speeds_mps[min(now_ns // PHYSICS_PERIOD_NS, len(self._speeds_mps) - 1)])

    def apply(self, data: Any, now_ns: int) -> None:
        """Writes place and speed of the belt as they are at an instant."""
        data.qpos[self._qpos] = 0.0
        data.qvel[self._dof] = self.speed_mps(now_ns)


class GustDrive:
    """Pushes a ball sideways, in gusts of random strength and direction.

    Args:
        dof: First address of the ball's free joint in qvel.
        mass_kg: Of the ball.
    """

    def __init__(self, dof: int, mass_kg: float) -> None:
        self._dof, self._mass_kg = dof, mass_kg
        self._forces_n: FloatArray = np.zeros((1, 2))
        self._first_ns = -1

    def start(self, *, gust_mps: float, start_s: float, course_id: float) -> None:
        """Draws the course of an episode.

        Args:
            gust_mps: Speed that the strongest gust would give to the ball if it slid without friction.
            start_s: When the first gust comes, from the instant at which ``apply`` is first told that gusts blow.
            course_id: Its whole part says which course it is.
        """
        self._first_ns = -1
        rng = generator(stream_key("gusts", int(course_id)))
        forces = np.zeros((round(COURSE_S / PHYSICS_PERIOD_S), 2))
        length = round(GUST_S / PHYSICS_PERIOD_S)
        now_s = start_s
        while now_s < COURSE_S - GUST_S:
            first = round(now_s / PHYSICS_PERIOD_S)
            heading, strength = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.5, 1.0)
            push = self._mass_kg * gust_mps * strength / GUST_S
            forces[first : first + length] = push * np.cos(heading), push * np.sin(heading)
            now_s += rng.uniform(*GUST_PAUSE_S)
        self._forces_n = forces

    def apply(self, data: Any, now_ns: int, *, is_blowing: bool) -> None:
        """Writes the force on the ball as it is at an instant; once gusts blow they go on."""
        if self._first_ns < 0:
            data.qfrc_applied[self._dof : self._dof + 2] = 0.0
            if not is_blowing:
                return
            self._first_ns = now_ns
        row = min((now_ns - self._first_ns) // PHYSICS_PERIOD_NS, len(self._forces_n) - 1)
        data.qfrc_applied[self._dof : self._dof + 2] = self._forces_n[row]


class TrayDrive:
    """What moves by itself around a tray: gusts on the ball, the ball's first roll, and the mark of the goal.

    Args:
        tray_qpos: First address of the tray's free joint in qpos.
        ball_dof: First address of the ball's free joint in qvel.
        ball_mass_kg: Its mass.
        mark_qpos, mark_dof: Addresses of the mark's two slide joints, along x and y.
    """

    def __init__(
        self,
        *,
        tray_qpos: int,
        ball_dof: int,
        ball_mass_kg: float,
        mark_qpos: Sequence[int],
        mark_dof: Sequence[int],
    ) -> None:
        self._tray_qpos, self._ball_dof = tray_qpos, ball_dof
        self._gusts = GustDrive(ball_dof, ball_mass_kg)
        self._mark_qpos, self._mark_dof = list(mark_qpos), list(mark_dof)
        self._goal_m = (0.0, 0.0)
        self._roll_mps = (0.0, 0.0)

    @property
    def goal_m(self) -> tuple[float, float]:
        """World x and y of the goal."""
        return self._goal_m

    def start(
        self,
        *,
        goal_distance_m: float,
        goal_bearing_rad: float,
        ball_speed_mps: float,
        ball_heading_rad: float,
        gust_mps: float,
        gust_start_s: float,
        gust_course_id: float,
    ) -> None:
        """Sets goal, roll and gusts of an episode; directions are angles from the world's x axis."""
        self._goal_m = (
            goal_distance_m * math.cos(goal_bearing_rad),
            goal_distance_m * math.sin(goal_bearing_rad),
        )
        self._roll_mps = (
            ball_speed_mps * math.cos(ball_heading_rad),
            ball_speed_mps * math.sin(ball_heading_rad),
        )
        self._gusts.start(gust_mps=gust_mps, start_s=gust_start_s, course_id=gust_course_id)

    def apply(self, data: Any, now_ns: int) -> None:
        """Writes the force on the ball, and the mark's place; at 0 the ball's velocity, too."""
        data.qpos[self._mark_qpos] = self._goal_m
        data.qvel[self._mark_dof] = 0.0
        if now_ns == 0:
            data.qvel[self._ball_dof : self._ball_dof + 2] = self._roll_mps
        height_m = data.qpos[self._tray_qpos + 2]
        self._gusts.apply(data, now_ns, is_blowing=height_m > LIFTED_TRAY_M)
