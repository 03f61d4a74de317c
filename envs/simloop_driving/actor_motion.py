"""How actors move along and across their paths, and where that puts them in the world."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.dynamics import single_track
from simloop_driving.dynamics.single_track import VX_MPS, VY_MPS
from simloop_driving.roads.route import CURVATURE_PER_M, centre_at, project
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    CLASS,
    COMMAND_ACCELERATION_MPS2,
    COMMAND_D_M,
    COMMAND_D_RATE_MPS,
    D_M,
    D_RATE_MPS,
    EGO,
    FIRST_SLOW_CLASS,
    KEEPS_HEADING,
    LATERAL_LIMIT_MPS2,
    LENGTH_M,
    PATH_D_M,
    PATH_S_M,
    ROUTE_SPEED_MPS,
    S_M,
    SPEED_MPS,
    X_M,
    Y_M,
    YAW_RAD,
)
from simloop_driving.scenario.manoeuvres import braking_profile_rate

FloatArray = npt.NDArray[np.float64]

LONG_M = 6.0
"""Vehicles longer than this follow tight bends with both axles instead of their centre."""
AXLE_RATIO = 0.4
"""Where their axles are, before and behind the centre, over the length."""
GENTLE_PER_M = 0.01
"""Bends up to this curvature are not tight; at twice this curvature a long vehicle follows with its axles alone."""


@numba.njit(cache=True)
def place_ego(actors: FloatArray, ego: FloatArray, samples: FloatArray, step_m: float) -> None:
    """Writes the ego's column of the actor table from its dynamic state."""
    guess = ego[single_track.TICK_STATION_M]
    s, d = project(samples, step_m, ego[single_track.X_M], ego[single_track.Y_M], guess)
    _, _, yaw, _ = centre_at(samples, step_m, s)
    heading = ego[single_track.YAW_RAD] - yaw
    vx, vy = ego[VX_MPS], ego[VY_MPS]
    along = vx * math.cos(heading) - vy * math.sin(heading)
    actors[S_M, EGO] = s
    actors[D_M, EGO] = d
    actors[PATH_S_M, EGO] = s
    actors[PATH_D_M, EGO] = d
    actors[SPEED_MPS, EGO] = max(0.0, along)
    actors[ROUTE_SPEED_MPS, EGO] = along
    actors[D_RATE_MPS, EGO] = vx * math.sin(heading) + vy * math.cos(heading)
    actors[ACCELERATION_MPS2, EGO] = ego[single_track.ACCELERATION_MPS2]
    actors[X_M, EGO] = ego[single_track.X_M]
    actors[Y_M, EGO] = ego[single_track.Y_M]
    actors[YAW_RAD, EGO] = ego[single_track.YAW_RAD]


@numba.njit(cache=True)
def _centre_of_long(
    samples: FloatArray, step_m: float, s_m: float, length_m: float
) -> tuple[float, float, float]:
    """Returns x, y and heading of a long vehicle whose axles are both to be on the path, in tight bends."""
    x, y, yaw, curvature = centre_at(samples, step_m, s_m)
    half = AXLE_RATIO * length_m
    front_x, front_y, _, front_curvature = centre_at(samples, step_m, s_m + half)
    rear_x, rear_y, _, rear_curvature = centre_at(samples, step_m, s_m - half)
    tightest = max(abs(curvature), abs(front_curvature), abs(rear_curvature))
    if tightest <= GENTLE_PER_M:
        return x, y, yaw
    weight = min((tightest - GENTLE_PER_M) / GENTLE_PER_M, 1.0)
    turn = math.atan2(front_y - rear_y, front_x - rear_x) - yaw
    turn -= 2.0 * math.pi * math.floor((turn + math.pi) / (2.0 * math.pi))
    return (
        x + weight * (0.5 * (front_x + rear_x) - x),
        y + weight * (0.5 * (front_y + rear_y) - y),
        yaw + weight * turn,
    )


@numba.njit(cache=True)
def place_actor(actors: FloatArray, actor: int, samples: FloatArray, step_m: float) -> None:
    """Writes the pose of one actor from its position along and across its path."""
    if actors[LENGTH_M, actor] > LONG_M:
        x, y, yaw = _centre_of_long(samples, step_m, actors[PATH_S_M, actor], actors[LENGTH_M, actor])
    else:
        x, y, yaw, _ = centre_at(samples, step_m, actors[PATH_S_M, actor])
    d = actors[PATH_D_M, actor]
    actors[X_M, actor] = x - d * math.sin(yaw)
    actors[Y_M, actor] = y + d * math.cos(yaw)
    drift = actors[D_RATE_MPS, actor]
    if actors[CLASS, actor] >= FIRST_SLOW_CLASS:
        if drift != 0.0 and actors[KEEPS_HEADING, actor] == 0.0:
            actors[YAW_RAD, actor] = yaw + math.atan2(drift, actors[SPEED_MPS, actor])
        elif actors[SPEED_MPS, actor] > 0.0 or actors[KEEPS_HEADING, actor] > 0.0:
            actors[YAW_RAD, actor] = yaw
        return
    actors[YAW_RAD, actor] = (
        yaw
        if drift == 0.0 or actors[KEEPS_HEADING, actor] > 0.0
        else yaw + math.atan2(drift, max(actors[SPEED_MPS, actor], 1.0))
    )


@numba.njit(cache=True)
def move_actor(
    actors: FloatArray, actor: int, samples: FloatArray, path_step_m: float, step_s: float
) -> None:
    """Moves one actor along and across its path by one physics step, in place; its pose stays as it is."""
    speed = actors[SPEED_MPS, actor]
    new_speed = max(0.0, speed + step_s * actors[COMMAND_ACCELERATION_MPS2, actor])
    actors[ACCELERATION_MPS2, actor] = (new_speed - speed) / step_s
    actors[SPEED_MPS, actor] = new_speed
    position = min(max(actors[PATH_S_M, actor] / path_step_m, 0.0), samples.shape[1] - 1.0)
    curvature = samples[CURVATURE_PER_M, int(position)]
    scale = max(1.0 - curvature * actors[PATH_D_M, actor], 0.2)
    actors[PATH_S_M, actor] += step_s * 0.5 * (speed + new_speed) / scale
    remaining = actors[COMMAND_D_M, actor] - actors[PATH_D_M, actor]
    rate = actors[D_RATE_MPS, actor]
    if remaining == 0.0 and rate == 0.0:
        return
    limit = actors[LATERAL_LIMIT_MPS2, actor]
    wanted = braking_profile_rate(remaining, actors[COMMAND_D_RATE_MPS, actor], limit)
    change = limit * step_s
    rate += min(max(wanted - rate, -change), change)
    move = step_s * rate
    if abs(remaining - move) < 2e-3 and abs(rate) < 0.1:
        actors[PATH_D_M, actor] = actors[COMMAND_D_M, actor]
        actors[D_RATE_MPS, actor] = 0.0
        actors[COMMAND_D_RATE_MPS, actor] = 0.0
    else:
        actors[PATH_D_M, actor] += move
        actors[D_RATE_MPS, actor] = rate
