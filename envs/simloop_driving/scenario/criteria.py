"""Verdict of an episode from actor states, evaluated once per control tick.

Progress is judged against what traffic allows: the reference way grows with the ego's set speed, or with the speed
of the actor ahead in the ego's lane when that is lower ("lead-limited flow"; a leader far ahead may be caught up
with), and no faster than one can go before a bend, a red light or somebody with the right of way. A standing ego
fails, and so does one that crawls; braking for a cut-in does not.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.scenario.actor_state import (
    D_M,
    D_RATE_MPS,
    DESIRED_SPEED_MPS,
    EGO,
    ELSEWHERE,
    IS_ABSENT,
    IS_IDM,
    LENGTH_M,
    PATH,
    ROUTE_SPEED_MPS,
    S_M,
    SPEED_MPS,
)
from simloop_driving.scenario.idm import STANDING_MPS, leader_in_strip
from simloop_driving.scenario.manoeuvres import CAN_START, STARTED_S
from simloop_driving.scenario.on_paths import ON_OFFSET_M
from simloop_driving.scenario.stop_lines import RED_LIGHT, STOP_SIGN_RUN

FloatArray = npt.NDArray[np.float64]

LEADER_RANGE_M = 100.0
"""A leader farther ahead does not limit the flow."""
CLOSE_TO_LEADER_M = 25.0
"""Within this gap nobody need come closer to a leader that stands: stopping about here is stopping before it."""
CLOSE_TO_LEADER_S = 2.0
"""To a leader that moves it grows by this times its speed; UN R157's following distance is at most 2 s."""
STANDS_BEFORE_M = 3.0
"""The reference way ends this far before what stops the ego by rule."""

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
GOAL_STATION_M = 11  # the ego's centre reaches it; inf: there is no goal by place
MAY_RUN_RED = 12
MAY_PASS_STOP_SIGN = 13
RULE_WAY_M = 14  # way from the ego's front to where it must wait by rule; inf if it need not
NUM_ENTRIES = 15

RUNNING = 0
GOAL = 1
COLLISION = 2
OFF_ROAD = 3
NO_PROGRESS = 4
TIME_LIMIT = 5
RAN_RED_LIGHT = 6
RAN_STOP_SIGN = 7
VERDICTS = ("", "goal", "collision", "off_road", "no_progress", "time_limit", "red_light", "stop_sign")
"""Reason words, by code."""

REFERENCE_BRAKING_MPS2 = 1.5
"""With which the reference way slows down before what stops the ego by rule."""


@numba.njit(cache=True)
def allowed_speed(
    actors: FloatArray, on_route: FloatArray, set_speed_mps: float, bend_speed_mps: float, way_m: float
) -> float:
    """Returns the speed that traffic, the road and the rules allow the ego now.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        on_route: (on_paths.NUM_ON_PATH, N), where everybody is on the ego's route.
        set_speed_mps: Speed that the ego is to drive.
        bend_speed_mps: Speed from which the bends ahead can be taken.
        way_m: Way from the ego's front to where it must wait; inf if it need not.
    """
    allowed = min(set_speed_mps, bend_speed_mps)
    if way_m < LEADER_RANGE_M:
        allowed = min(allowed, math.sqrt(2.0 * REFERENCE_BRAKING_MPS2 * max(way_m - STANDS_BEFORE_M, 0.0)))
    leader, gap, speed = leader_in_strip(actors, on_route, EGO, on_route[ON_OFFSET_M, EGO])
    if leader >= 0 and gap <= LEADER_RANGE_M:
        if speed < -STANDING_MPS:  # comes towards the ego
            return 0.0
        ahead = max(speed, 0.0)
        spare_m = max(gap - CLOSE_TO_LEADER_M - CLOSE_TO_LEADER_S * ahead, 0.0)
        return float(min(allowed, math.sqrt(ahead * ahead + 2.0 * REFERENCE_BRAKING_MPS2 * spare_m)))
    return allowed


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
    allowed_mps: float,
    left_edge_m: float,
    right_edge_m: float,
    infraction: int,
    time_s: float,
    tick_s: float,
) -> None:
    """Updates the criteria at the end of a control tick, in place; a verdict once reached stays.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        criteria: (NUM_ENTRIES,) thresholds and running values.
        allowed_mps: Speed that traffic, the road and the rules allow the ego.
        left_edge_m: d of the left edge of what may be driven on beside the ego.
        right_edge_m: d of its right edge.
        infraction: What the ego did wrong at a stop line in this tick, see ``stop_lines.INFRACTIONS``.
        time_s: Time since the episode's start.
        tick_s: Control period.
    """
    if criteria[VERDICT] != RUNNING:
        return
    criteria[REFERENCE_M] += allowed_mps * tick_s
    criteria[ROUTE_LEFT_MARGIN_M] = left_edge_m - actors[D_M, EGO]
    criteria[ROUTE_RIGHT_MARGIN_M] = actors[D_M, EGO] - right_edge_m
    is_there = actors[S_M, EGO] >= criteria[GOAL_STATION_M] or time_s >= criteria[GOAL_TIME_S] - 1e-9
    if min(criteria[ROUTE_LEFT_MARGIN_M], criteria[ROUTE_RIGHT_MARGIN_M]) < 0.0:
        criteria[VERDICT] = OFF_ROAD
    elif infraction == RED_LIGHT and criteria[MAY_RUN_RED] == 0.0:
        criteria[VERDICT] = RAN_RED_LIGHT
    elif infraction == STOP_SIGN_RUN and criteria[MAY_PASS_STOP_SIGN] == 0.0:
        criteria[VERDICT] = RAN_STOP_SIGN
    elif is_there:
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
        if manoeuvres[STARTED_S, m] < 0.0 and manoeuvres[CAN_START, m] > 0.0:
            return True
    for actor in range(1, actors.shape[1]):
        if actors[IS_IDM, actor] > 0.0 or actors[IS_ABSENT, actor] > 0.0 or actors[PATH, actor] == ELSEWHERE:
            continue
        ahead = actors[S_M, actor] - actors[S_M, EGO]
        if ahead <= -0.5 * (actors[LENGTH_M, actor] + actors[LENGTH_M, EGO]):
            continue
        is_drifting = actors[D_RATE_MPS, actor] != 0.0
        is_changing = abs(actors[DESIRED_SPEED_MPS, actor] - actors[SPEED_MPS, actor]) > 1e-9
        if is_drifting or is_changing or actors[ROUTE_SPEED_MPS, actor] < actors[SPEED_MPS, EGO] - 1e-3:
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
