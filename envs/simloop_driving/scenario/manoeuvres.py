"""Scripted manoeuvres: what they command from their trigger to their end; evaluated once per control tick."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.scenario.actor_state import (
    COMMAND_D_M,
    COMMAND_D_RATE_MPS,
    D_RATE_MPS,
    DESIRED_SPEED_MPS,
    IS_IDM,
    IS_MOBIL,
    LATERAL_LIMIT_MPS2,
    OBEYS,
    PATH_D_M,
    SPEED_MPS,
    SPEED_RATE_MPS2,
)
from simloop_driving.scenario.triggers import holds

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Rows of the manoeuvre table, one column a manoeuvre.
ACTOR = 0
KIND = 1  # index into scene_manoeuvres.MANOEUVRES
FIRST_CONDITION = 2  # its trigger in the condition table
NUM_CONDITIONS = 3
CAN_START = 4  # 0: its trigger says that it never starts
STARTED_S = 5  # -1 before the trigger
ENDED_S = 6  # -1 before the end
TARGET_D_M = 7  # offset across its path to which it leads; NaN: it leaves the offset alone
LATERAL_SPEED_MPS = 8  # largest speed across
LATERAL_ACCELERATION_MPS2 = 9
END_SPEED_MPS = 10  # NaN: it leaves the speed alone
RATE_MPS2 = 11
AMPLITUDE_M = 12  # of a swerve
PERIOD_S = 13
COUNT = 14
HOME_D_M = 15  # where the swerve began
FORGETS = 16  # bits of actor_state.OBEYS that it takes away
HANDS_OVER = 17  # 1: the driver model drives from its start on; 2: that model changes lanes too
IS_STEERED = 18  # 1: moves across no faster than its wheels, turned by STEERED_RATIO, allow
NUM_ROWS = 19

STEERED_RATIO = 0.4
"""Lateral over longitudinal speed of a car that pulls out (about 22 degrees)."""


@numba.njit(cache=True)
def _start(actors: FloatArray, row: FloatArray, time_s: float) -> None:
    actor = int(row[ACTOR])
    row[STARTED_S] = time_s
    if not math.isnan(row[TARGET_D_M]):
        actors[COMMAND_D_M, actor] = row[TARGET_D_M]
        actors[COMMAND_D_RATE_MPS, actor] = row[LATERAL_SPEED_MPS]
    if row[LATERAL_SPEED_MPS] > 0.0:
        actors[LATERAL_LIMIT_MPS2, actor] = row[LATERAL_ACCELERATION_MPS2]
        actors[IS_MOBIL, actor] = 0.0
        row[HOME_D_M] = actors[PATH_D_M, actor]
    if not math.isnan(row[END_SPEED_MPS]):
        actors[IS_IDM, actor] = 0.0
        actors[IS_MOBIL, actor] = 0.0
        actors[DESIRED_SPEED_MPS, actor] = row[END_SPEED_MPS]
        actors[SPEED_RATE_MPS2, actor] = row[RATE_MPS2]
    if row[HANDS_OVER] > 0.0:
        actors[IS_IDM, actor] = 1.0
    actors[OBEYS, actor] = float(int(actors[OBEYS, actor]) & ~int(row[FORGETS]))


@numba.njit(cache=True)
def _swerve(actors: FloatArray, row: FloatArray, time_s: float) -> bool:
    """Leads from side to side, half a period each, and back; returns whether it is over."""
    actor = int(row[ACTOR])
    leg = int((time_s - row[STARTED_S]) / (0.5 * row[PERIOD_S]) + 1e-9)
    num_legs = 2 * int(row[COUNT])
    side = 0.0 if leg >= num_legs else (1.0 if leg % 2 == 0 else -1.0)
    target = row[HOME_D_M] + side * row[AMPLITUDE_M]
    is_there = actors[PATH_D_M, actor] == target and actors[D_RATE_MPS, actor] == 0.0
    actors[COMMAND_D_M, actor] = target
    actors[COMMAND_D_RATE_MPS, actor] = 0.0 if is_there else row[LATERAL_SPEED_MPS]
    return bool(leg >= num_legs and is_there)


@numba.njit(cache=True)
def _is_over(actors: FloatArray, row: FloatArray) -> bool:
    """Returns whether its offset and its speed are reached, or another manoeuvre has taken over."""
    actor = int(row[ACTOR])
    is_led = actors[COMMAND_D_M, actor] == row[TARGET_D_M]  # never if it is NaN
    is_across = actors[PATH_D_M, actor] == row[TARGET_D_M] and actors[D_RATE_MPS, actor] == 0.0
    if is_led and not is_across:
        return False
    is_commanded = actors[IS_IDM, actor] == 0.0 and actors[DESIRED_SPEED_MPS, actor] == row[END_SPEED_MPS]
    return not (is_commanded and abs(actors[SPEED_MPS, actor] - row[END_SPEED_MPS]) > 1e-9)


@numba.njit(cache=True)
def _advance(actors: FloatArray, row: FloatArray, time_s: float) -> None:
    actor = int(row[ACTOR])
    if row[PERIOD_S] > 0.0:
        if _swerve(actors, row, time_s):
            row[ENDED_S] = time_s
        return
    is_on_way = actors[COMMAND_D_M, actor] == row[TARGET_D_M] and actors[PATH_D_M, actor] != row[TARGET_D_M]
    if row[IS_STEERED] > 0.0 and is_on_way:
        steered = STEERED_RATIO * actors[SPEED_MPS, actor]
        actors[COMMAND_D_RATE_MPS, actor] = min(row[LATERAL_SPEED_MPS], steered)
    if _is_over(actors, row):
        row[ENDED_S] = time_s
        if row[HANDS_OVER] == 2.0:
            actors[IS_MOBIL, actor] = 1.0


@numba.njit(cache=True)
def command_manoeuvres(
    actors: FloatArray,
    manoeuvres: FloatArray,
    conditions: FloatArray,
    signal_states: IntArray,
    time_s: float,
) -> None:
    """Starts manoeuvres whose trigger holds and leads those under way, in place.

    Writes where actors are to go across their paths, which speed they are to take up, whether a driver model drives
    them and what they obey; never their acceleration.

    Args:
        actors: (actor_state.NUM_ROWS, N) float64 states and commands; column 0 is the ego and gets none.
        manoeuvres: (NUM_ROWS, M) float64 manoeuvres.
        conditions: (triggers.NUM_ROWS, C) float64 conditions of their triggers.
        signal_states: (K,) int64 state of each signal of the map: 0 green, 1 amber, 2 red.
        time_s: Time since the episode's start.
    """
    ended_s = manoeuvres[ENDED_S]
    for m in range(manoeuvres.shape[1]):
        row = manoeuvres[:, m]
        if row[ENDED_S] >= 0.0 or row[CAN_START] == 0.0:
            continue
        if row[STARTED_S] >= 0.0:
            _advance(actors, row, time_s)
            continue
        first, num = int(row[FIRST_CONDITION]), int(row[NUM_CONDITIONS])
        if holds(conditions, first, num, actors, ended_s, signal_states, time_s):
            _start(actors, row, time_s)
            if row[PERIOD_S] > 0.0 or row[IS_STEERED] > 0.0:
                _advance(actors, row, time_s)


@numba.njit(cache=True)
def braking_profile_rate(remaining_m: float, rate_mps: float, acceleration_mps2: float) -> float:
    """Returns the lateral speed, signed like ``remaining_m``, from which the rest of the way can be braked off."""
    largest = min(rate_mps, math.sqrt(2.0 * acceleration_mps2 * abs(remaining_m)))
    return largest if remaining_m >= 0.0 else -largest
