"""When something starts: conditions over the actors' states, as a table in postfix order; evaluated in every tick.

One column of the table is one condition, or ``ALL`` or ``ANY`` over the results of the ones before it. All comparisons
of two actors are along the ego's route.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.scenario.actor_state import (
    EGO,
    LENGTH_M,
    PATH,
    PATH_S_M,
    ROUTE_SPEED_MPS,
    S_M,
    SPEED_MPS,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Rows of the condition table.
OPERATION = 0
THRESHOLD = 1  # of ALL and ANY the number of results that they combine
SUBJECT = 2  # column of the actor that the condition is about
OTHER = 3  # ARRIVAL: the actor that is arrived at, or -1; ON_SIGNAL: the signal; AFTER: the manoeuvre
AT_STATION_M = 4  # ARRIVAL: the station on the subject's path that is arrived at, if OTHER is -1
NUM_ROWS = 5

# Operations; the first ones are in the order of scene_manoeuvres.TRIGGERS.
TIME = 0
HEADWAY = 1
DISTANCE = 2
TTC = 3
ARRIVAL = 4
AT_STATION = 5
ON_SIGNAL = 6
AFTER = 7
NEVER = 8
ALL = 9
ANY = 10

TIME_TOLERANCE_S = 1e-9


@numba.njit(cache=True)
def _gap(actors: FloatArray, actor: int) -> float:
    """Returns the bumper-to-bumper gap from the ego to an actor along the ego's route; negative behind it."""
    apart = actors[S_M, actor] - actors[S_M, EGO]
    return float(apart - 0.5 * (actors[LENGTH_M, actor] + actors[LENGTH_M, EGO]))


@numba.njit(cache=True)
def _nears(operation: int, threshold: float, actors: FloatArray, actor: int) -> bool:
    """Returns whether the ego is near an actor ahead of it: by headway, distance or time to collision."""
    gap = _gap(actors, actor)
    if gap < 0.0:
        return False
    if operation == DISTANCE:
        return bool(gap <= threshold)
    speed = actors[SPEED_MPS, EGO]
    if operation == TTC:
        is_on_route = actors[PATH, actor] == 0.0
        speed -= actors[SPEED_MPS, actor] if is_on_route else actors[ROUTE_SPEED_MPS, actor]
    return bool(speed > 0.0 and gap <= threshold * speed)


@numba.njit(cache=True)
def _arrives(column: FloatArray, actors: FloatArray) -> bool:
    """Returns whether the subject's front gets to the place within the threshold, or has been there."""
    subject, other = int(column[SUBJECT]), int(column[OTHER])
    if other >= 0:
        remaining = _gap(actors, other)
    else:
        station = actors[S_M, EGO] if subject == EGO else actors[PATH_S_M, subject]
        remaining = column[AT_STATION_M] - station - 0.5 * actors[LENGTH_M, subject]
    return bool(remaining <= column[THRESHOLD] * actors[SPEED_MPS, subject])


@numba.njit(cache=True)
def _compares(
    column: FloatArray, actors: FloatArray, ended_s: FloatArray, signal_states: IntArray, time_s: float
) -> bool:
    operation, threshold = int(column[OPERATION]), column[THRESHOLD]
    subject, other = int(column[SUBJECT]), int(column[OTHER])
    if operation == TIME:
        return bool(time_s >= threshold - TIME_TOLERANCE_S)
    if operation == AT_STATION:
        station = actors[S_M, EGO] if subject == EGO else actors[PATH_S_M, subject]
        return bool(station >= threshold)
    if operation == ARRIVAL:
        return bool(_arrives(column, actors))
    if operation == ON_SIGNAL:
        return bool(signal_states[other] == int(threshold))
    if operation == AFTER:
        return bool(ended_s[other] >= 0.0 and time_s >= ended_s[other] + threshold - TIME_TOLERANCE_S)
    if operation == NEVER:
        return False
    return bool(_nears(operation, threshold, actors, subject))


@numba.njit(cache=True)
def holds(
    conditions: FloatArray,
    first: int,
    num: int,
    actors: FloatArray,
    ended_s: FloatArray,
    signal_states: IntArray,
    time_s: float,
) -> bool:
    """Returns whether the condition in the columns ``first`` to ``first + num`` holds.

    Args:
        conditions: (NUM_ROWS, C) float64 conditions in postfix order.
        first: Its first column.
        num: Number of its columns, at most 62.
        actors: (actor_state.NUM_ROWS, N) float64 states.
        ended_s: (M,) float64 when each manoeuvre ended, -1 before.
        signal_states: (K,) int64 state of each signal of the map: 0 green, 1 amber, 2 red.
        time_s: Time since the episode's start.
    """
    results = 0  # a stack of bits, its top the lowest
    for c in range(first, first + num):
        column = conditions[:, c]
        operation = int(column[OPERATION])
        if operation >= ALL:
            size = int(column[THRESHOLD])
            mask = (1 << size) - 1
            top = results & mask
            value = top == mask if operation == ALL else top != 0
            results >>= size
        else:
            value = _compares(column, actors, ended_s, signal_states, time_s)
        results = (results << 1) | (1 if value else 0)
    return bool(results & 1)
