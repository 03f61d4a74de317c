"""Longitudinal behaviour of all actors, once a control tick: scripted speeds, and traffic that keeps the rules.

Traffic follows the Intelligent Driver Model behind whoever is ahead of it on its path, slows down for bends, stops at
stop lines and gives way (``right_of_way``). The ego gets no command; what the rules ask of it limits the way that
traffic would have allowed it.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.roads.route import CURVATURE_PER_M, Paths
from simloop_driving.scenario.actor_state import (
    COMMAND_ACCELERATION_MPS2,
    DESIRED_SPEED_MPS,
    EGO,
    ELSEWHERE,
    IS_ABSENT,
    IS_IDM,
    PATH,
    PATH_S_M,
    SPEED_MPS,
    SPEED_RATE_MPS2,
)
from simloop_driving.scenario.idm import (
    MAX_DECELERATION_MPS2,
    MINIMUM_GAP_M,
    idm_acceleration,
    leader_in_strip,
)
from simloop_driving.scenario.on_paths import ON_OFFSET_M
from simloop_driving.scenario.right_of_way import (
    CRAWLS_BELOW_MPS,
    DECIDED_M,
    ROOM_M,
    STANDS_BELOW_MPS,
    STOOD_AT,
    WAITING_S,
    give_way,
)
from simloop_driving.scenario.stop_lines import GOES_AT_AMBER_AFTER_S, way_to_stop

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BEND_ACCELERATION_MPS2 = 2.0
"""Lateral acceleration of traffic in bends."""
BEND_BRAKING_MPS2 = 1.5
FASTEST_MPS = 70.0
STANDS_BEFORE_LINE_M = 1.0
MAX_BEND_BRAKING_MPS2 = 3.0


def speed_profiles(paths: Paths) -> FloatArray:
    """Returns (P, M), the highest speed along every path from which its bends can be taken."""
    curvature = np.abs(paths.samples[:, CURVATURE_PER_M])
    profiles: FloatArray = np.minimum(
        np.sqrt(BEND_ACCELERATION_MPS2 / np.maximum(curvature, 1e-9)), FASTEST_MPS
    )
    _brake_for_bends(profiles, paths.step_m)
    return profiles


@numba.njit(cache=True)
def _brake_for_bends(profiles: FloatArray, step_m: float) -> None:
    for path in range(profiles.shape[0]):
        for i in range(profiles.shape[1] - 2, -1, -1):
            ahead = profiles[path, i + 1]
            profiles[path, i] = min(
                profiles[path, i], math.sqrt(ahead * ahead + 2.0 * BEND_BRAKING_MPS2 * step_m)
            )


@numba.njit(cache=True)
def start_decisions(decisions: FloatArray) -> None:
    """Forgets all decisions, in place."""
    decisions[DECIDED_M] = -math.inf
    decisions[STOOD_AT] = -1.0
    decisions[WAITING_S] = 0.0
    decisions[ROOM_M] = math.inf


@numba.njit(cache=True)
def _list_actors_by_path(actors: FloatArray, first_on_path: IntArray, next_on_path: IntArray) -> None:
    first_on_path[:] = -1
    for actor in range(actors.shape[1] - 1, -1, -1):
        if actors[IS_ABSENT, actor] > 0.0:
            continue
        path = int(actors[PATH, actor])
        if path == ELSEWHERE:
            continue
        next_on_path[actor] = first_on_path[path]
        first_on_path[path] = actor


@numba.njit(cache=True)
def _scripted_acceleration(actors: FloatArray, actor: int, tick_s: float) -> float:
    limit = actors[SPEED_RATE_MPS2, actor]
    change = (actors[DESIRED_SPEED_MPS, actor] - actors[SPEED_MPS, actor]) / tick_s
    return float(min(max(change, -limit), limit))


@numba.njit(cache=True)
def _speed_in_bend(profile: FloatArray, step_m: float, station_m: float) -> float:
    return float(profile[min(max(int(station_m / step_m), 0), profile.shape[0] - 1)])


@numba.njit(cache=True)
def follow_acceleration(
    actors: FloatArray, on_path: FloatArray, actor: int, profile: FloatArray, step_m: float, tick_s: float
) -> tuple[float, float]:
    """Returns the acceleration behind a leader and before bends, and the gap to a leader that crawls or stands."""
    speed, wanted = actors[SPEED_MPS, actor], actors[DESIRED_SPEED_MPS, actor]
    allowed = _speed_in_bend(profile, step_m, actors[PATH_S_M, actor])
    leader, gap, leader_speed = leader_in_strip(actors, on_path, actor, on_path[ON_OFFSET_M, actor])
    closing = speed - leader_speed if leader >= 0 else 0.0
    acceleration = idm_acceleration(speed, min(wanted, allowed), gap, closing)
    if allowed < wanted and speed > allowed:
        acceleration = min(acceleration, max((allowed - speed) / tick_s, -MAX_BEND_BRAKING_MPS2))
    room = gap if leader >= 0 and leader_speed < CRAWLS_BELOW_MPS else math.inf
    return acceleration, room


@numba.njit(cache=True)
def command_traffic(
    actors: FloatArray,
    on_paths: FloatArray,
    profiles: FloatArray,
    step_m: float,
    decisions: FloatArray,
    crossings: FloatArray,
    crossing_start: IntArray,
    stops: FloatArray,
    stop_start: IntArray,
    signal_states: IntArray,
    first_on_path: IntArray,
    next_on_path: IntArray,
    tick_s: float,
) -> float:
    """Writes the commanded acceleration of every actor, in place; returns how far the rules let the ego go.

    Args:
        actors: (actor_state.NUM_ROWS, N) states and commands.
        on_paths: (P, on_paths.NUM_ON_PATH, N) where everybody is on every path.
        profiles: (P, M) of ``speed_profiles``.
        step_m: Step of the samples.
        decisions: (right_of_way.NUM_DECISION_ROWS, N), changed in place.
        crossings: (Z, right_of_way.NUM_CROSSING_COLUMNS).
        crossing_start: (P + 1,) first crossing of each path.
        stops: (n, stop_lines.NUM_STOP_COLUMNS) stop lines of all paths.
        stop_start: (P + 1,) first stop line of each path.
        signal_states: (K,) states of the signals.
        first_on_path: (P,) int64 to work in.
        next_on_path: (N,) int64 to work in.
        tick_s: Control period.

    Returns:
        The way from the ego's front to where lights or the right of way would stop it, inf if nothing does.
    """
    has_rules = crossings.shape[0] > 0 or stops.shape[0] > 0
    if crossings.shape[0] > 0:
        _list_actors_by_path(actors, first_on_path, next_on_path)
    ego_way = math.inf
    for actor in range(actors.shape[1]):
        if actors[IS_ABSENT, actor] > 0.0:
            continue
        if actor != EGO and actors[IS_IDM, actor] == 0.0:
            actors[COMMAND_ACCELERATION_MPS2, actor] = _scripted_acceleration(actors, actor, tick_s)
            continue
        if actor == EGO and not has_rules:
            continue
        path = int(actors[PATH, actor])
        acceleration, room = follow_acceleration(
            actors, on_paths[path], actor, profiles[path], step_m, tick_s
        )
        way = math.inf
        decisions[ROOM_M, actor] = room
        if has_rules:
            waits = decisions[WAITING_S, actor] > GOES_AT_AMBER_AFTER_S
            goes_until = math.inf if waits else decisions[DECIDED_M, actor]
            way = way_to_stop(
                actors, decisions[STOOD_AT], goes_until, actor, stops, stop_start, signal_states
            )
            if crossings.shape[0] > 0:
                give_way_m, following = give_way(
                    actors,
                    decisions,
                    actor,
                    actors[DESIRED_SPEED_MPS, actor],
                    room,
                    way,
                    profiles[path],
                    step_m,
                    crossings,
                    crossing_start,
                    first_on_path,
                    next_on_path,
                    stops,
                    stop_start,
                    signal_states,
                )
                way = min(way, give_way_m)
                acceleration = min(acceleration, following)
            speed = actors[SPEED_MPS, actor]
            is_waiting = speed < STANDS_BELOW_MPS and (way < math.inf or decisions[WAITING_S, actor] > 0.0)
            decisions[WAITING_S, actor] = decisions[WAITING_S, actor] + tick_s if is_waiting else 0.0
            if way < math.inf:
                gap = way + MINIMUM_GAP_M - STANDS_BEFORE_LINE_M
                stop = idm_acceleration(speed, actors[DESIRED_SPEED_MPS, actor], gap, speed)
                acceleration = min(acceleration, max(stop, -MAX_DECELERATION_MPS2))
        if actor == EGO:
            ego_way = way
        else:
            actors[COMMAND_ACCELERATION_MPS2, actor] = acceleration
    return ego_way
