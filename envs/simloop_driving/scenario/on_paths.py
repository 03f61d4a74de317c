"""Where every actor is along and across every path, kept up to date once a control tick.

An actor on its own path knows where it is. On another path it is projected, from where it was projected a tick ago. An
actor far from a path is not looked for there until it can have come near.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.periods import TICK_S
from simloop_driving.roads.route import X_M as PATH_X_M
from simloop_driving.roads.route import Y_M as PATH_Y_M
from simloop_driving.roads.route import YAW_RAD as PATH_YAW_RAD
from simloop_driving.roads.route import centre_at, project, value_at
from simloop_driving.scenario.actor_state import (
    D_M,
    D_RATE_MPS,
    EGO,
    IS_ABSENT,
    PATH,
    PATH_D_M,
    PATH_S_M,
    ROUTE_SPEED_MPS,
    S_M,
    SPEED_MPS,
    X_M,
    Y_M,
    YAW_RAD,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Rows of the table of a path, one column an actor.
ON_STATION_M = 0
ON_OFFSET_M = 1  # inf while the actor is farther than FAR_M from the path, or absent
ON_WAY = 2  # cosine of the angle between the actor's heading and the path's direction there
ON_AGAIN_TICK = 3  # control tick at which a far actor is looked for again
NUM_ON_PATH = 4

FAR_M = 15.0
CLOSING_PER_TICK_M = 3.5
"""No actor comes closer to a path than this in a control tick: 70 m/s."""
COARSE_STEP_M = 6.0
IN_THE_WAY_M = 2.6
"""Who is farther from a path than this is in nobody's way there."""
MAX_NEW_SPEED_ACROSS_MPS = 1.0
"""More than this no actor's speed across a path grows while it is not looked for."""
MAX_TICKS_BESIDE = 4
SEARCH_EVERY_TICKS = 10
BESIDE_M = 4.0
"""Who is projected farther from a path than this is looked for on its other legs too."""


@numba.njit(cache=True)
def nearest_coarse(samples: FloatArray, step_m: float, x_m: float, y_m: float) -> float:
    """Returns the station of the nearest of every few samples: a guess to project from."""
    stride = max(1, int(COARSE_STEP_M / step_m))
    best, best_square = 0, math.inf
    for i in range(0, samples.shape[1], stride):
        dx, dy = samples[PATH_X_M, i] - x_m, samples[PATH_Y_M, i] - y_m
        square = dx * dx + dy * dy
        if square < best_square:
            best, best_square = i, square
    return best * step_m


@numba.njit(cache=True)
def _project(
    on_path: FloatArray, samples: FloatArray, step_m: float, actors: FloatArray, actor: int
) -> tuple[float, float]:
    x, y = actors[X_M, actor], actors[Y_M, actor]
    if on_path[ON_OFFSET_M, actor] == math.inf:
        s, d = project(samples, step_m, x, y, nearest_coarse(samples, step_m, x, y))
        return s, d
    guess = on_path[ON_STATION_M, actor] + TICK_S * actors[SPEED_MPS, actor] * on_path[ON_WAY, actor]
    s, d = project(samples, step_m, x, y, guess)
    if abs(d) > BESIDE_M:  # it may have come near another leg of the path
        coarse_s, coarse_d = project(samples, step_m, x, y, nearest_coarse(samples, step_m, x, y))
        if abs(coarse_d) < abs(d) - 0.5 * BESIDE_M:
            return coarse_s, coarse_d
    return s, d


@numba.njit(cache=True)
def _follow_far(
    samples: FloatArray, step_m: float, actors: FloatArray, actor: int, guess_m: float
) -> tuple[float, float]:
    """Returns about where an actor far from a path is along and across it: one Newton step from a guess."""
    x, y, yaw, curvature = centre_at(samples, step_m, guess_m)
    cos_yaw, sin_yaw = math.cos(yaw), math.sin(yaw)
    dx, dy = actors[X_M, actor] - x, actors[Y_M, actor] - y
    d = dy * cos_yaw - dx * sin_yaw
    return guess_m + (dx * cos_yaw + dy * sin_yaw) / max(1.0 - curvature * d, 0.2), d


@numba.njit(cache=True)
def start_on_paths(on_paths: FloatArray) -> None:
    """Forgets where everybody was, in place."""
    on_paths[:, ON_OFFSET_M] = math.inf
    on_paths[:, ON_AGAIN_TICK] = -1.0


@numba.njit(cache=True)
def place_on_route(
    actors: FloatArray, actor: int, on_paths: FloatArray, samples: FloatArray, step_m: float, tick: int
) -> None:
    """Writes where an actor of another path is along and across the ego's route, in place.

    Far from the route this is near enough to say where it is, not exact.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        actor: The actor; its path is not the ego's route.
        on_paths: (P, NUM_ON_PATH, N) of the last control tick.
        samples: (route.NUM_ROWS, M) samples of the ego's route.
        step_m: Step of the samples.
        tick: Number of the control tick that begins or is under way.
    """
    on_route = on_paths[0]
    is_far = on_route[ON_OFFSET_M, actor] == math.inf
    if is_far and tick < on_route[ON_AGAIN_TICK, actor] and tick % SEARCH_EVERY_TICKS != 0:
        s, d = _follow_far(samples, step_m, actors, actor, on_route[ON_STATION_M, actor])
    else:
        s, d = _project(on_route, samples, step_m, actors, actor)
    actors[S_M, actor] = s
    actors[D_M, actor] = d
    turn = actors[YAW_RAD, actor] - value_at(samples, step_m, PATH_YAW_RAD, s)
    actors[ROUTE_SPEED_MPS, actor] = math.hypot(
        actors[SPEED_MPS, actor], actors[D_RATE_MPS, actor]
    ) * math.cos(turn)


@numba.njit(cache=True)
def _ticks_beside(speed_mps: float, way: float, away_m: float) -> int:
    """Returns after how many ticks an actor beside a path is looked for again: it must not come into it before."""
    across_mps = speed_mps * math.sqrt(max(1.0 - way * way, 0.0)) + MAX_NEW_SPEED_ACROSS_MPS
    return min(max(int((away_m - IN_THE_WAY_M) / (across_mps * TICK_S)), 1), MAX_TICKS_BESIDE)


@numba.njit(cache=True)
def update_on_paths(
    on_paths: FloatArray,
    actors: FloatArray,
    paths: FloatArray,
    num_samples: IntArray,
    step_m: float,
    tick: int,
) -> None:
    """Brings the table up to date at a control tick, in place.

    Args:
        on_paths: (P, NUM_ON_PATH, N) of the control tick before.
        actors: (actor_state.NUM_ROWS, N) states; those of other paths are placed on the ego's route already.
        paths: (P, route.NUM_ROWS, M) samples.
        num_samples: (P,) samples of each path.
        step_m: Step of the samples.
        tick: Number of the control tick.
    """
    for path in range(paths.shape[0]):
        samples = paths[path, :, : num_samples[path]]
        length = (num_samples[path] - 1) * step_m
        table = on_paths[path]
        for actor in range(actors.shape[1]):
            if actors[IS_ABSENT, actor] > 0.0:
                table[ON_OFFSET_M, actor] = math.inf
                table[ON_AGAIN_TICK, actor] = -1.0
                continue
            if path == 0:
                s, d = actors[S_M, actor], actors[D_M, actor]
            elif int(actors[PATH, actor]) == path:
                s, d = actors[PATH_S_M, actor], actors[PATH_D_M, actor]
            elif tick < table[ON_AGAIN_TICK, actor]:
                continue
            else:
                s, d = _project(table, samples, step_m, actors, actor)
            beyond = max(-s, s - length, 0.0)
            away = max(abs(d), beyond)
            if away > FAR_M and int(actors[PATH, actor]) != path:
                table[ON_STATION_M, actor] = s
                table[ON_OFFSET_M, actor] = math.inf
                table[ON_AGAIN_TICK, actor] = tick + max(1.0, math.floor((away - FAR_M) / CLOSING_PER_TICK_M))
                continue
            table[ON_STATION_M, actor] = s
            table[ON_OFFSET_M, actor] = d
            if path == 0 and int(actors[PATH, actor]) == 0 and actor != EGO:
                table[ON_WAY, actor] = 1.0
                continue
            turn = actors[YAW_RAD, actor] - value_at(samples, step_m, PATH_YAW_RAD, s)
            way = math.cos(turn)
            table[ON_WAY, actor] = way
            table[ON_AGAIN_TICK, actor] = tick + _ticks_beside(actors[SPEED_MPS, actor], way, abs(d))
