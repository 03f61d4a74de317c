"""Scripted manoeuvres: when one starts (its trigger) and what it commands; evaluated once per control tick."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.scenario.actor_state import (
    COMMAND_ACCELERATION_MPS2,
    COMMAND_D_M,
    COMMAND_D_RATE_MPS,
    DESIRED_SPEED_MPS,
    EGO,
    IS_IDM,
    LENGTH_M,
    S_M,
    SPEED_MPS,
    SPEED_RATE_MPS2,
)
from simloop_driving.scenario.idm import follow_acceleration

FloatArray = npt.NDArray[np.float64]

# Rows of the manoeuvre table, one column a manoeuvre.
ACTOR = 0
TRIGGER = 1  # index into TRIGGERS
THRESHOLD = 2
LATEST_S = 3  # starts at this time at the latest
KIND = 4  # LATERAL or SPEED
TARGET = 5  # d (m) or speed (m/s)
RATE = 6  # lateral speed (m/s) or change of speed (m/s2)
STARTED_S = 7  # -1 before the trigger
NUM_ROWS = 8

TIME = 0
HEADWAY = 1
DISTANCE = 2
TTC = 3
TRIGGERS = ("time_s", "headway_s", "distance_m", "ttc_s")
"""Names of the triggers, by code; all but time compare the ego with the actor ahead of it."""

LATERAL = 0
SPEED = 1


@numba.njit(cache=True)
def _is_triggered(row: FloatArray, actors: FloatArray, time_s: float) -> bool:
    if time_s >= row[LATEST_S] - 1e-9:
        return True
    trigger = int(row[TRIGGER])
    if trigger == TIME:
        return bool(time_s >= row[THRESHOLD] - 1e-9)
    actor = int(row[ACTOR])
    gap = actors[S_M, actor] - actors[S_M, EGO] - 0.5 * (actors[LENGTH_M, actor] + actors[LENGTH_M, EGO])
    if gap < 0.0:
        return False
    if trigger == DISTANCE:
        return bool(gap <= row[THRESHOLD])
    speed = actors[SPEED_MPS, EGO]
    if trigger == TTC:
        speed -= actors[SPEED_MPS, actor]
    return bool(speed > 0.0 and gap <= row[THRESHOLD] * speed)


@numba.njit(cache=True)
def command_actors(actors: FloatArray, manoeuvres: FloatArray, time_s: float, tick_s: float) -> None:
    """Starts manoeuvres whose trigger holds and writes every actor's command rows, in place.

    Args:
        actors: (actor_state.NUM_ROWS, N) state and commands; column 0 is the ego and gets none.
        manoeuvres: (NUM_ROWS, M) manoeuvres.
        time_s: Time since the episode's start.
        tick_s: Control period.
    """
    for m in range(manoeuvres.shape[1]):
        row = manoeuvres[:, m]
        if row[STARTED_S] >= 0.0 or not _is_triggered(row, actors, time_s):
            continue
        row[STARTED_S] = time_s
        actor = int(row[ACTOR])
        if int(row[KIND]) == LATERAL:
            actors[COMMAND_D_M, actor] = row[TARGET]
            actors[COMMAND_D_RATE_MPS, actor] = row[RATE]
        else:
            actors[IS_IDM, actor] = 0.0
            actors[DESIRED_SPEED_MPS, actor] = row[TARGET]
            actors[SPEED_RATE_MPS2, actor] = row[RATE]
    for actor in range(1, actors.shape[1]):
        wanted = actors[DESIRED_SPEED_MPS, actor]
        if actors[IS_IDM, actor] > 0.0:
            acceleration = follow_acceleration(actors, actor, wanted)
        else:
            limit = actors[SPEED_RATE_MPS2, actor]
            acceleration = min(max((wanted - actors[SPEED_MPS, actor]) / tick_s, -limit), limit)
        actors[COMMAND_ACCELERATION_MPS2, actor] = acceleration


@numba.njit(cache=True)
def braking_profile_rate(remaining_m: float, rate_mps: float, acceleration_mps2: float) -> float:
    """Returns the lateral speed, signed like ``remaining_m``, from which the rest of the way can be braked off."""
    largest = min(rate_mps, math.sqrt(2.0 * acceleration_mps2 * abs(remaining_m)))
    return largest if remaining_m >= 0.0 else -largest
