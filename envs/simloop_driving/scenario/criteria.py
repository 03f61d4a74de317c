"""Verdict of an episode from actor states, evaluated once per control tick.

Progress is judged against what traffic allows: the reference way grows with the ego's set speed, or with the speed
of the actor ahead in the ego's lane when that is lower ("lead-limited flow"). A standing ego fails, and so does one
that crawls; braking for a cut-in does not.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.scenario.actor_state import (
    D_M,
    D_RATE_MPS,
    DESIRED_SPEED_MPS,
    EGO,
    IS_IDM,
    LENGTH_M,
    S_M,
    SPEED_MPS,
)
from simloop_driving.scenario.idm import leader_of
from simloop_driving.scenario.manoeuvres import STARTED_S

FloatArray = npt.NDArray[np.float64]

LEADER_RANGE_M = 100.0
"""A leader farther ahead does not limit the flow."""

# Entries of the criteria array.
SET_SPEED_MPS = 0
GOAL_TIME_S = 1
MIN_PROGRESS_RATIO = 2
TIME_LIMIT_S = 3
START_S_M = 4
REFERENCE_M = 5  # way that traffic would have allowed so far
VERDICT = 6  # index into VERDICTS
ROUTE_LEFT_MARGIN_M = 7  # the ego's centre to the left edge of the driving lanes; negative beyond it
ROUTE_RIGHT_MARGIN_M = 8
CONFLICT_OVER_S = 9  # the episode succeeds when no conflict has been left for this long; 0: it goes on
OVER_SINCE_S = 10  # time without a conflict so far
NUM_ENTRIES = 11

RUNNING = 0
GOAL = 1
COLLISION = 2
OFF_ROAD = 3
NO_PROGRESS = 4
TIME_LIMIT = 5
VERDICTS = ("", "goal", "collision", "off_road", "no_progress", "time_limit")
"""Reason words, by code."""


@numba.njit(cache=True)
def allowed_speed(actors: FloatArray, set_speed_mps: float) -> float:
    """Returns the speed that traffic allows the ego now."""
    leader, gap = leader_of(actors, EGO)
    if leader >= 0 and gap <= LEADER_RANGE_M:
        return float(min(set_speed_mps, actors[SPEED_MPS, leader]))
    return set_speed_mps


@numba.njit(cache=True)
def progress_ratio(actors: FloatArray, criteria: FloatArray) -> float:
    """Returns the way travelled along the route over the way that traffic allowed; 1 if it allowed none."""
    if criteria[REFERENCE_M] <= 0.0:
        return 1.0
    return float((actors[S_M, EGO] - criteria[START_S_M]) / criteria[REFERENCE_M])


@numba.njit(cache=True)
def judge(
    actors: FloatArray,
    criteria: FloatArray,
    left_edge_m: float,
    right_edge_m: float,
    time_s: float,
    tick_s: float,
) -> None:
    """Updates the criteria at the end of a control tick, in place; a verdict once reached stays.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        criteria: (NUM_ENTRIES,) thresholds and running values.
        left_edge_m: d of the left edge of the driving lanes beside the ego.
        right_edge_m: d of their right edge.
        time_s: Time since the episode's start.
        tick_s: Control period.
    """
    if criteria[VERDICT] != RUNNING:
        return
    criteria[REFERENCE_M] += allowed_speed(actors, criteria[SET_SPEED_MPS]) * tick_s
    criteria[ROUTE_LEFT_MARGIN_M] = left_edge_m - actors[D_M, EGO]
    criteria[ROUTE_RIGHT_MARGIN_M] = actors[D_M, EGO] - right_edge_m
    if min(criteria[ROUTE_LEFT_MARGIN_M], criteria[ROUTE_RIGHT_MARGIN_M]) < 0.0:
        criteria[VERDICT] = OFF_ROAD
    elif time_s >= criteria[GOAL_TIME_S] - 1e-9:
        has_progress = progress_ratio(actors, criteria) >= criteria[MIN_PROGRESS_RATIO]
        criteria[VERDICT] = GOAL if has_progress else NO_PROGRESS
    elif time_s >= criteria[TIME_LIMIT_S] - 1e-9:
        criteria[VERDICT] = TIME_LIMIT


@numba.njit(cache=True)
def has_conflict(actors: FloatArray, manoeuvres: FloatArray) -> bool:
    """Returns whether the script can still lead to a collision.

    It can while a manoeuvre has not begun, and while a scripted actor that the ego has not passed is slower than the
    ego, changes its speed, or moves sideways. An actor without a manoeuvre that stays beside is no conflict once it
    is behind.
    """
    for m in range(manoeuvres.shape[1]):
        if manoeuvres[STARTED_S, m] < 0.0:
            return True
    for actor in range(1, actors.shape[1]):
        if actors[IS_IDM, actor] > 0.0:
            continue
        ahead = actors[S_M, actor] - actors[S_M, EGO]
        if ahead <= -0.5 * (actors[LENGTH_M, actor] + actors[LENGTH_M, EGO]):
            continue
        is_drifting = actors[D_RATE_MPS, actor] != 0.0
        is_changing = abs(actors[DESIRED_SPEED_MPS, actor] - actors[SPEED_MPS, actor]) > 1e-9
        if is_drifting or is_changing or actors[SPEED_MPS, actor] < actors[SPEED_MPS, EGO] - 1e-3:
            return True
    return False


@numba.njit(cache=True)
def judge_conflict_over(
    actors: FloatArray, manoeuvres: FloatArray, criteria: FloatArray, tick_s: float
) -> None:
    """Ends a running episode with success when no conflict has been left for ``CONFLICT_OVER_S``, in place."""
    if criteria[VERDICT] != RUNNING:
        return
    criteria[OVER_SINCE_S] = 0.0 if has_conflict(actors, manoeuvres) else criteria[OVER_SINCE_S] + tick_s
    if criteria[OVER_SINCE_S] >= criteria[CONFLICT_OVER_S] - 1e-9:
        has_progress = progress_ratio(actors, criteria) >= criteria[MIN_PROGRESS_RATIO]
        criteria[VERDICT] = GOAL if has_progress else NO_PROGRESS
