"""Stop lines: who must stop at which, and whether the ego did."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.roads.road_map import SIGNAL_KINDS, RoadMap
from simloop_driving.roads.route import STOP_EXIT_S_M, STOP_S_M, STOP_SIGNAL, Route
from simloop_driving.scenario.actor_state import (
    EGO,
    LENGTH_M,
    OBEYS,
    OBEYS_RIGHT_OF_WAY,
    OBEYS_SIGNALS,
    PATH,
    PATH_S_M,
    SPEED_MPS,
)
from simloop_driving.scenario.signals import AMBER, RED

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Columns of the stop lines of all paths; the first three are those of Route.stops.
STOP_KIND = 3  # index into SIGNAL_KINDS
HAS_STOOD = 4  # the ego stood before this line
PASSED_S = 5  # when the ego's front passed it; -1 before
INFRACTION = 6  # what the ego did wrong there, index into INFRACTIONS
NUM_STOP_COLUMNS = 7

STOP_SIGN = SIGNAL_KINDS.index("stop")

NO_INFRACTION = 0
RED_LIGHT = 1
STOP_SIGN_RUN = 2
INFRACTIONS = ("", "red_light", "stop_sign")

STOOD_BELOW_MPS = 0.1
STOOD_WITHIN_M = 4.0
"""Who stood with the front this close before a stop line has stopped at it."""
RED_BRAKING_MPS2 = 6.0
AMBER_BRAKING_MPS2 = 2.5
"""Traffic stops at an amber light when that needs no harder braking (and at a red one when it can)."""
EXPECTED_BRAKING_MPS2 = 4.0
GOES_AT_AMBER_AFTER_S = 3.0
"""Who has stood at a line for this long goes at amber, if there is room."""


def build_stops(routes: tuple[Route, ...], road_map: RoadMap) -> tuple[FloatArray, IntArray]:
    """Returns the (n, NUM_STOP_COLUMNS) stop lines of all paths, and the (P + 1,) first one of each path."""
    rows = []
    for route in routes:
        table = np.zeros((len(route.stops), NUM_STOP_COLUMNS))
        table[:, [STOP_S_M, STOP_SIGNAL, STOP_EXIT_S_M]] = route.stops
        table[:, STOP_KIND] = [road_map.signal_kind[int(signal)] for signal in route.stops[:, STOP_SIGNAL]]
        table[:, PASSED_S] = -1.0
        rows.append(table)
    start = np.cumsum([0, *(len(table) for table in rows)])
    return np.concatenate(rows), start.astype(np.int64)


@numba.njit(cache=True)
def _must_stop(stop: FloatArray, way_m: float, speed_mps: float, obeys: int, signal_states: IntArray) -> bool:
    """Whether the light at a line stops an actor ``way_m`` before it; signs do not."""
    if obeys & OBEYS_SIGNALS == 0:
        return False
    state = signal_states[int(stop[STOP_SIGNAL])]
    needed = speed_mps * speed_mps / (2.0 * max(way_m, 0.1))
    return bool(
        (state == RED and needed <= RED_BRAKING_MPS2) or (state == AMBER and needed <= AMBER_BRAKING_MPS2)
    )


@numba.njit(cache=True)
def way_to_stop(
    actors: FloatArray,
    stood_at: FloatArray,
    goes_until_m: float,
    actor: int,
    stops: FloatArray,
    stop_start: IntArray,
    signal_states: IntArray,
) -> float:
    """Returns the way from an actor's front to the line that it must stop at, inf if there is none.

    Who has waited at the line for a gap during green goes at amber, when those who come towards it stop.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        stood_at: (N,) the stop line at which each actor stood last, changed in place.
        goes_until_m: Station up to which it has decided to go when it is at the line at amber.
        actor: The actor.
        stops: (n, NUM_STOP_COLUMNS) stop lines of all paths.
        stop_start: (P + 1,) first stop line of each path.
        signal_states: (K,) states of the signals.
    """
    path = int(actors[PATH, actor])
    front = actors[PATH_S_M, actor] + 0.5 * actors[LENGTH_M, actor]
    speed, obeys = actors[SPEED_MPS, actor], int(actors[OBEYS, actor])
    for i in range(stop_start[path], stop_start[path + 1]):
        way = stops[i, STOP_S_M] - front
        if way < 0.0:
            continue
        if stops[i, STOP_KIND] == STOP_SIGN:
            if obeys & OBEYS_RIGHT_OF_WAY and stood_at[actor] != i:
                if speed < STOOD_BELOW_MPS and way <= STOOD_WITHIN_M:
                    stood_at[actor] = i
                else:
                    return float(way)
        elif _must_stop(stops[i], way, speed, obeys, signal_states):
            is_amber = signal_states[int(stops[i, STOP_SIGNAL])] == AMBER
            if not (is_amber and goes_until_m > stops[i, STOP_S_M] and way < STOOD_WITHIN_M):
                return float(way)
    return math.inf


@numba.njit(cache=True)
def is_held(
    actors: FloatArray,
    stood_at: FloatArray,
    actor: int,
    until_m: float,
    stops: FloatArray,
    stop_start: IntArray,
    signal_states: IntArray,
) -> bool:
    """Whether an actor has to stop at a line before the station ``until_m`` of its path, and can."""
    path = int(actors[PATH, actor])
    front = actors[PATH_S_M, actor] + 0.5 * actors[LENGTH_M, actor]
    speed, obeys = actors[SPEED_MPS, actor], int(actors[OBEYS, actor])
    if actor == EGO:
        obeys = OBEYS_SIGNALS
    for i in range(stop_start[path], stop_start[path + 1]):
        way = stops[i, STOP_S_M] - front
        if way < 0.0 or stops[i, STOP_S_M] > until_m + 1.0:
            continue
        if speed * speed > 2.0 * EXPECTED_BRAKING_MPS2 * max(way, 0.1):
            continue
        if stops[i, STOP_KIND] == STOP_SIGN:
            if obeys & OBEYS_RIGHT_OF_WAY and stood_at[actor] != i:
                return True
        elif _must_stop(stops[i], way, speed, obeys, signal_states):
            return True
    return False


@numba.njit(cache=True)
def watch_ego(
    actors: FloatArray, stops: FloatArray, stop_start: IntArray, signal_states: IntArray, time_s: float
) -> int:
    """Notes at the end of a control tick which lines the ego passed and how; returns the newest infraction, or 0.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        stops: (n, NUM_STOP_COLUMNS) stop lines, changed in place.
        stop_start: (P + 1,) first stop line of each path.
        signal_states: (K,) states of the signals during the tick.
        time_s: Time since the episode's start; at 0 lines behind the ego's front are no infraction.
    """
    front = actors[PATH_S_M, EGO] + 0.5 * actors[LENGTH_M, EGO]
    newest = NO_INFRACTION
    for i in range(stop_start[0], stop_start[1]):
        if stops[i, PASSED_S] >= 0.0:
            continue
        way = stops[i, STOP_S_M] - front
        if way >= 0.0:
            if way <= STOOD_WITHIN_M and actors[SPEED_MPS, EGO] < STOOD_BELOW_MPS:
                stops[i, HAS_STOOD] = 1.0
            continue
        stops[i, PASSED_S] = time_s
        if time_s == 0.0:
            continue
        if stops[i, STOP_KIND] == STOP_SIGN:
            if stops[i, HAS_STOOD] == 0.0:
                newest = STOP_SIGN_RUN
                stops[i, INFRACTION] = newest
        elif signal_states[int(stops[i, STOP_SIGNAL])] == RED:
            newest = RED_LIGHT
            stops[i, INFRACTION] = newest
    return newest
