"""Intelligent Driver Model (M. Treiber, A. Hennecke, D. Helbing, Phys. Rev. E 62, 1805 (2000)).

Constants are those for highways in M. Treiber and A. Kesting, Traffic Flow Dynamics (2013), table 11.2: time gap
1.0 s, minimum gap 2 m, acceleration 1.0 m/s2, comfortable deceleration 1.5 m/s2, exponent 4.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.scenario.actor_state import (
    COMMAND_D_M,
    COMMAND_D_RATE_MPS,
    D_M,
    LENGTH_M,
    S_M,
    SPEED_MPS,
    WIDTH_M,
)

FloatArray = npt.NDArray[np.float64]

TIME_GAP_S = 1.0
MINIMUM_GAP_M = 2.0
MAX_ACCELERATION_MPS2 = 1.0
COMFORTABLE_DECELERATION_MPS2 = 1.5
MAX_DECELERATION_MPS2 = 8.0
"""Emergency braking on a dry road; IDM itself knows no bound."""
LATERAL_MARGIN_M = 0.2
"""Two actors share a lane strip when the space between their sides is below this."""


@numba.njit(cache=True)
def idm_acceleration(speed_mps: float, desired_speed_mps: float, gap_m: float, closing_mps: float) -> float:
    """Returns IDM's acceleration.

    Args:
        speed_mps: Own speed.
        desired_speed_mps: Speed on a free road, v0.
        gap_m: Bumper to bumper to the leader; inf on a free road.
        closing_mps: Own speed minus the leader's.
    """
    free = (speed_mps / max(desired_speed_mps, 0.1)) ** 4
    interaction = 0.0
    if gap_m < math.inf:
        dynamic = speed_mps * TIME_GAP_S + speed_mps * closing_mps / (
            2.0 * math.sqrt(MAX_ACCELERATION_MPS2 * COMFORTABLE_DECELERATION_MPS2)
        )
        interaction = ((MINIMUM_GAP_M + max(0.0, dynamic)) / max(gap_m, 0.1)) ** 2
    return float(max(MAX_ACCELERATION_MPS2 * (1.0 - free - interaction), -MAX_DECELERATION_MPS2))


@numba.njit(cache=True)
def leader_of(actors: FloatArray, follower: int) -> tuple[int, float]:
    """Returns the next actor ahead in the strip that ``follower`` sweeps, and the gap; -1 and inf if there is none.

    An actor that is moving into the strip already counts.
    """
    leader, gap = -1, math.inf
    s, d = actors[S_M, follower], actors[D_M, follower]
    for other in range(actors.shape[1]):
        ahead = actors[S_M, other] - s
        if other == follower or ahead <= 0.0:
            continue
        free = ahead - 0.5 * (actors[LENGTH_M, other] + actors[LENGTH_M, follower])
        if free >= gap:
            continue
        reach = 0.5 * (actors[WIDTH_M, other] + actors[WIDTH_M, follower]) + LATERAL_MARGIN_M
        is_in_strip = abs(actors[D_M, other] - d) < reach
        is_moving_in = actors[COMMAND_D_RATE_MPS, other] > 0.0 and abs(actors[COMMAND_D_M, other] - d) < reach
        if is_in_strip or is_moving_in:
            leader, gap = other, free
    return leader, gap


@numba.njit(cache=True)
def follow_acceleration(actors: FloatArray, follower: int, desired_speed_mps: float) -> float:
    """Returns IDM's acceleration of an actor behind whoever is ahead of it."""
    leader, gap = leader_of(actors, follower)
    speed = actors[SPEED_MPS, follower]
    closing = speed - actors[SPEED_MPS, leader] if leader >= 0 else 0.0
    return float(idm_acceleration(speed, desired_speed_mps, gap, closing))
