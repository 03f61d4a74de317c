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
    CLASS,
    COMMAND_D_M,
    COMMAND_D_RATE_MPS,
    FIRST_SLOW_CLASS,
    LENGTH_M,
    PATH,
    SPEED_MPS,
    WIDTH_M,
)
from simloop_driving.scenario.on_paths import ON_OFFSET_M, ON_STATION_M, ON_WAY

FloatArray = npt.NDArray[np.float64]

TIME_GAP_S = 1.0
MINIMUM_GAP_M = 2.0
MAX_ACCELERATION_MPS2 = 1.0
COMFORTABLE_DECELERATION_MPS2 = 1.5
MAX_DECELERATION_MPS2 = 8.0
"""Emergency braking on a dry road; IDM itself knows no bound."""
LATERAL_MARGIN_M = 0.2
"""Two actors share a lane strip when the space between their sides is below this."""
SAME_WAY_COSINE = 0.5
STANDING_MPS = 0.5
ROOM_TO_RETURN_M = 10.0
"""Who meets somebody head-on in its lane stops this much earlier, so that the other can go back to its own."""
MEETING_S = 2.5
"""Who comes towards an actor or across its way, in its strip, is an obstacle from this time before they meet."""


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
def _reach_along_and_across(actors: FloatArray, actor: int, way: float) -> tuple[float, float]:
    """Returns half the length and width that an actor covers of a path which it meets at an angle of cosine ``way``."""
    along, across = abs(way), math.sqrt(max(1.0 - way * way, 0.0))
    length, width = actors[LENGTH_M, actor], actors[WIDTH_M, actor]
    return 0.5 * (along * length + across * width), 0.5 * (along * width + across * length)


@numba.njit(cache=True)
def leader_in_strip(
    actors: FloatArray, on_path: FloatArray, follower: int, d_m: float
) -> tuple[int, float, float]:
    """Returns the next actor ahead in a strip of the follower's path, the gap to it, and its speed along the path.

    An actor of the same path counts when it is in the strip or moving into it. One of another path counts when it is
    in the strip and goes the follower's way (within 60 degrees), stands, moves as people on foot do, or would be met
    within ``MEETING_S``.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        on_path: (on_paths.NUM_ON_PATH, N), where everybody is on the follower's path.
        follower: The follower.
        d_m: Where the strip's centre lies across the path; the strip is as wide as the follower.

    Returns:
        The leader, -1 if there is none; the gap, bumper to bumper, inf if there is none; the leader's speed.
    """
    leader, gap, leader_speed = -1, math.inf, 0.0
    path = actors[PATH, follower]
    s = on_path[ON_STATION_M, follower]
    for other in range(actors.shape[1]):
        ahead = on_path[ON_STATION_M, other] - s
        if other == follower or ahead <= 0.0 or on_path[ON_OFFSET_M, other] == math.inf:
            continue
        offset = on_path[ON_OFFSET_M, other]
        if actors[PATH, other] == path:
            free = ahead - 0.5 * (actors[LENGTH_M, other] + actors[LENGTH_M, follower])
            if free >= gap:
                continue
            reach = 0.5 * (actors[WIDTH_M, other] + actors[WIDTH_M, follower]) + LATERAL_MARGIN_M
            is_in_strip = abs(offset - d_m) < reach
            is_moving_in = (
                actors[COMMAND_D_RATE_MPS, other] > 0.0 and abs(actors[COMMAND_D_M, other] - d_m) < reach
            )
            if is_in_strip or is_moving_in:
                leader, gap, leader_speed = other, free, actors[SPEED_MPS, other]
            continue
        way = on_path[ON_WAY, other]
        half_length, half_width = _reach_along_and_across(actors, other, way)
        free = ahead - half_length - 0.5 * actors[LENGTH_M, follower]
        if way < -SAME_WAY_COSINE:
            free -= ROOM_TO_RETURN_M
        if (
            free >= gap
            or abs(offset - d_m) >= half_width + 0.5 * actors[WIDTH_M, follower] + LATERAL_MARGIN_M
        ):
            continue
        speed = actors[SPEED_MPS, other] * way
        if way <= SAME_WAY_COSINE and actors[SPEED_MPS, other] > STANDING_MPS:
            is_on_foot = actors[CLASS, other] >= FIRST_SLOW_CLASS
            if not is_on_foot and free > MEETING_S * (actors[SPEED_MPS, follower] - speed):
                continue
        leader, gap, leader_speed = other, free, speed
    return leader, gap, leader_speed


@numba.njit(cache=True)
def follower_in_strip(actors: FloatArray, on_path: FloatArray, leader: int, d_m: float) -> tuple[int, float]:
    """Returns the next actor behind in a strip of the leader's path, and the gap; -1 and inf if there is none.

    An actor of the same path that is moving into the strip already counts.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        on_path: (on_paths.NUM_ON_PATH, N), where everybody is on the leader's path.
        leader: The actor that looks behind.
        d_m: Where the strip's centre lies across the path.
    """
    follower, gap = -1, math.inf
    s = on_path[ON_STATION_M, leader]
    for other in range(actors.shape[1]):
        behind = s - on_path[ON_STATION_M, other]
        if other == leader or behind < 0.0 or on_path[ON_OFFSET_M, other] == math.inf:
            continue
        if actors[PATH, other] != actors[PATH, leader] and on_path[ON_WAY, other] <= SAME_WAY_COSINE:
            continue
        free = behind - 0.5 * (actors[LENGTH_M, other] + actors[LENGTH_M, leader])
        reach = 0.5 * (actors[WIDTH_M, other] + actors[WIDTH_M, leader]) + LATERAL_MARGIN_M
        is_in_strip = abs(on_path[ON_OFFSET_M, other] - d_m) < reach
        is_moving_in = (
            actors[PATH, other] == actors[PATH, leader]
            and actors[COMMAND_D_RATE_MPS, other] > 0.0
            and abs(actors[COMMAND_D_M, other] - d_m) < reach
        )
        if free < gap and (is_in_strip or is_moving_in):
            follower, gap = other, free
    return follower, gap
