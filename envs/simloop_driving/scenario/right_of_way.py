"""Right of way of simulated traffic: who enters a conflict zone of two paths, and who waits before it.

An actor decides before a group of zones that it cannot stand between. It enters when every zone of the group will be
free while it is inside (gap acceptance): actors with the right of way, and those that have decided already, are
foreseen between their earliest arrival and their latest exit. Where paths run together it follows who is ahead of it
in the order of the distances to the junction of the paths, and enters ahead of others when they need not brake by more
than ``MERGING_BRAKING_MPS2``. A decision stands; so two never decide for the same place at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.actor_motion import AXLE_RATIO, LONG_M
from simloop_driving.roads.conflicts import (
    A_IN_M,
    A_OUT_M,
    ALONG,
    B_IN_M,
    B_OUT_M,
    MERGING,
    PATH_A,
    PATH_B,
    RELATION,
    STRIP_WIDTH_M,
)
from simloop_driving.roads.route import CURVATURE_PER_M, STOP_S_M, Route
from simloop_driving.scenario.actor_state import (
    DESIRED_SPEED_MPS,
    EGO,
    LENGTH_M,
    OBEYS,
    OBEYS_RIGHT_OF_WAY,
    PATH,
    PATH_D_M,
    PATH_S_M,
    SPEED_MPS,
)
from simloop_driving.scenario.idm import idm_acceleration
from simloop_driving.scenario.stop_lines import is_held

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Columns of the crossings, one row a zone as one of its two paths sees it; the rows of a path lie together.
OWN_IN_M = 0
OWN_OUT_M = 1
OTHER_PATH = 2
OTHER_IN_M = 3
OTHER_OUT_M = 4
IS_MERGE = 5
PRIORITY = 6  # 1: this path has the right of way, -1: the other, 0: signals alone
GROUP_OUT_M = 7  # end of the last zone of the group
CLEAR_AT_M = 8  # end of its last zone that must not be blocked; -inf if there is none
WAIT_AT_M = 9  # where to wait for the group
NUM_CROSSING_COLUMNS = 10

# Rows of the table of decisions, one column an actor.
DECIDED_M = 0  # it enters every group that ends before this station
STOOD_AT = 1  # number of the stop line at which it stood
WAITING_S = 2
ROOM_M = 3  # gap to a leader that crawls or stands; inf if there is none
NUM_DECISION_ROWS = 4

GROUP_GAP_M = 7.0
"""Zones with less than this between them are one group: nobody can stand there."""
WAIT_BEFORE_M = 1.0
SWING_RATIO = 1.5
"""Zones grow by this share of the swing of long vehicles: paths meet at other than right angles."""
STOP_LINE_BEFORE_M = 25.0
"""A stop line up to this far before a group is where one waits for it."""
MARGIN_S = 1.0
OWN_ACCELERATION_MPS2 = 0.8
OTHERS_ACCELERATION_MPS2 = 1.5
DECIDES_AT_BRAKING_MPS2 = 1.5
COMMITTED_BRAKING_MPS2 = 4.0
"""Who would have to brake harder than this to stop before a zone is not expected to."""
MERGING_BRAKING_MPS2 = 3.0
MERGING_GAP_M = 2.0
MERGING_GAP_S = 0.6
MERGING_SIGHT_M = 80.0
"""Who is farther ahead where paths join is not followed yet."""
STANDS_BELOW_MPS = 0.3
CRAWLS_BELOW_MPS = 3.0
PATIENCE_S = 3.0
LONG_PATIENCE_S = 8.0
BESIDE_M = 2.5
"""An actor that is farther than this from the middle of its path is not on it: parked, or on the pavement."""


def swing_m(route: Route, in_m: float, out_m: float, length_m: float) -> float:
    """Returns how far a vehicle reaches beyond the strip of its path in the bends of a zone."""
    first, last = (min(max(int(s / route.step_m), 0), route.samples.shape[1] - 1) for s in (in_m, out_m))
    curvature = float(np.abs(route.samples[CURVATURE_PER_M, first : last + 1]).max())
    if curvature < 1e-3:
        return 0.0
    radius_m, half_m = 1.0 / curvature, 0.5 * STRIP_WIDTH_M
    if length_m > LONG_M:
        half_chord_m = min(AXLE_RATIO * length_m, radius_m)
        return radius_m - math.sqrt(radius_m * radius_m - half_chord_m * half_chord_m)
    return max(math.hypot(radius_m + half_m, 0.5 * length_m) - radius_m - half_m, 0.0)


def build_crossings(
    routes: tuple[Route, ...], zones: FloatArray, priorities: IntArray, lengths_m: Sequence[float]
) -> tuple[FloatArray, IntArray]:
    """Returns the zones as each path sees them, in the order of travel.

    A zone is wider by as much as the corners of long vehicles swing out in it.

    Args:
        routes: The routes of the paths.
        zones: (C, 7) of ``roads.conflicts.conflict_zones``.
        priorities: (C,) of ``roads.priority.priorities``.
        lengths_m: Length of the longest vehicle on each path.

    Returns:
        (Z, NUM_CROSSING_COLUMNS) float64, and (P + 1,) int64, first row of each path.
    """
    rows: list[list[list[float]]] = [[] for _ in routes]
    for zone, priority in zip(zones, priorities, strict=True):
        if zone[RELATION] == ALONG:
            continue
        is_merge = float(zone[RELATION] == MERGING)
        a, b = int(zone[PATH_A]), int(zone[PATH_B])
        reach_m = 20.0 if is_merge else math.inf
        a_end, b_end = (
            min(zone[end], zone[start] + reach_m) for start, end in ((A_IN_M, A_OUT_M), (B_IN_M, B_OUT_M))
        )
        wider_m = SWING_RATIO * (
            swing_m(routes[a], zone[A_IN_M], a_end, lengths_m[a])
            + swing_m(routes[b], zone[B_IN_M], b_end, lengths_m[b])
        )
        a_in, a_out = zone[A_IN_M] - wider_m, zone[A_OUT_M] + wider_m
        b_in, b_out = zone[B_IN_M] - wider_m, zone[B_OUT_M] + wider_m
        rows[a].append([a_in, a_out, b, b_in, b_out, is_merge, priority])
        rows[b].append([b_in, b_out, a, a_in, a_out, is_merge, -priority])
    table: list[list[float]] = []
    start = [0]
    for route, of_path in zip(routes, rows, strict=True):
        table += _grouped(sorted(of_path), route.stops[:, STOP_S_M])
        start.append(len(table))
    crossings = np.array(table, dtype=np.float64).reshape(-1, NUM_CROSSING_COLUMNS)
    return crossings, np.array(start, dtype=np.int64)


def _grouped(rows: list[list[float]], stop_lines_m: FloatArray) -> list[list[float]]:
    groups: list[list[list[float]]] = []
    end_m = -math.inf
    for row in rows:
        entry_m = row[OWN_IN_M]
        line_m = stop_lines_m[stop_lines_m <= entry_m].max(initial=-math.inf)
        if groups and entry_m - end_m < GROUP_GAP_M and line_m <= groups[-1][0][OWN_IN_M]:
            groups[-1].append(row)
        else:
            groups.append([row])
            end_m = -math.inf
        end_m = max(end_m, entry_m + 1.0 if row[IS_MERGE] else row[OWN_OUT_M])
    out = []
    for group in groups:
        entry_m = group[0][OWN_IN_M]
        crossed = [row[OWN_OUT_M] for row in group if not row[IS_MERGE]]
        group_out_m = max([*crossed, *(row[OWN_IN_M] + 1.0 for row in group)])
        line_m = stop_lines_m[stop_lines_m <= entry_m].max(initial=-math.inf)
        wait_m = line_m if entry_m - line_m <= STOP_LINE_BEFORE_M else entry_m - WAIT_BEFORE_M
        out += [[*row, group_out_m, max(crossed, default=-math.inf), wait_m] for row in group]
    return out


@numba.njit(cache=True)
def travel_time(way_m: float, speed_mps: float, acceleration_mps2: float, top_mps: float) -> float:
    """Returns the time for a way, accelerating to a top speed; who is faster keeps its speed."""
    if way_m <= 0.0:
        return 0.0
    top = max(top_mps, speed_mps, 0.5)
    until_top = (top * top - speed_mps * speed_mps) / (2.0 * acceleration_mps2)
    if way_m <= until_top:
        root = math.sqrt(speed_mps * speed_mps + 2.0 * acceleration_mps2 * way_m)
        return float((root - speed_mps) / acceleration_mps2)
    return float((top - speed_mps) / acceleration_mps2 + (way_m - until_top) / top)


@numba.njit(cache=True)
def _lets_pass(decisions: FloatArray, own: int, other: int, own_speed: float, other_speed: float) -> bool:
    """Whether of two that wait for each other ``own`` goes first: who has waited longer does."""
    if own_speed > STANDS_BELOW_MPS or other_speed > STANDS_BELOW_MPS:
        return False
    own_wait, other_wait = decisions[WAITING_S, own], decisions[WAITING_S, other]
    if own_wait > LONG_PATIENCE_S and other_wait < PATIENCE_S:
        return True
    if own_wait < PATIENCE_S:
        return False
    return own_wait > other_wait + 1e-6 or (abs(own_wait - other_wait) <= 1e-6 and own < other)


@numba.njit(cache=True)
def _is_blocked(
    row: FloatArray,
    actors: FloatArray,
    decisions: FloatArray,
    own: int,
    other: int,
    local_top: float,
    stops: FloatArray,
    stop_start: IntArray,
    signal_states: IntArray,
) -> bool:
    """Whether an actor of the other path keeps ``own`` from entering a zone now."""
    speed, other_speed = actors[SPEED_MPS, own], actors[SPEED_MPS, other]
    half, other_half = 0.5 * actors[LENGTH_M, own], 0.5 * actors[LENGTH_M, other]
    to_entry = row[OWN_IN_M] - actors[PATH_S_M, own] - half
    other_to_entry = row[OTHER_IN_M] - actors[PATH_S_M, other] - other_half
    other_to_exit = row[OTHER_OUT_M] - actors[PATH_S_M, other] + other_half
    if other_to_exit <= 0.0:
        return False
    priority = row[PRIORITY]
    is_inside = other_to_entry <= 0.0
    has_decided = other != EGO and decisions[DECIDED_M, other] >= min(row[OTHER_OUT_M], row[OTHER_IN_M] + 1.0)
    cannot_stop = other_to_entry < other_speed * other_speed / (2.0 * COMMITTED_BRAKING_MPS2)
    is_coming = is_inside or has_decided or cannot_stop
    if priority > 0.0 and not is_coming:
        return False
    if row[IS_MERGE] > 0.0 and to_entry - other_to_entry >= 2.0 * other_half + 1.0:
        return False  # it is ahead and will be followed
    own_in = travel_time(to_entry, speed, OTHERS_ACCELERATION_MPS2, local_top)
    other_top = max(actors[DESIRED_SPEED_MPS, other], other_speed)
    other_in = travel_time(other_to_entry, other_speed, OTHERS_ACCELERATION_MPS2, other_top)
    if not is_coming:
        if priority == 0.0 and (other_in > own_in or (other_in == own_in and own < other)):
            return False
        if is_held(actors, decisions[STOOD_AT], other, row[OTHER_IN_M], stops, stop_start, signal_states):
            return False
        if decisions[ROOM_M, other] < other_to_entry and other_speed < CRAWLS_BELOW_MPS:
            return False  # it stands in a queue before the zone
        if _lets_pass(decisions, own, other, speed, other_speed):
            return False
    if row[IS_MERGE] > 0.0:
        own_speed_there = min(
            math.sqrt(speed * speed + 2.0 * OWN_ACCELERATION_MPS2 * max(to_entry, 0.0)), local_top
        )
        own_speed_there = max(own_speed_there, 0.0)
        speed_then = max(min(other_speed + OTHERS_ACCELERATION_MPS2 * own_in, other_top), other_speed)
        gap = other_to_entry - 0.5 * (other_speed + speed_then) * own_in - 2.0 * half
        excess = max(speed_then * speed_then - own_speed_there * own_speed_there, 0.0)
        return bool(gap < MERGING_GAP_M + MERGING_GAP_S * speed_then + excess / (2.0 * MERGING_BRAKING_MPS2))
    to_exit = row[OWN_OUT_M] - actors[PATH_S_M, own] + half
    own_out = travel_time(to_exit, speed, OWN_ACCELERATION_MPS2, local_top)
    other_out = other_to_exit / other_speed if other_speed > STANDS_BELOW_MPS else math.inf
    return not (own_out + MARGIN_S < other_in or other_out + MARGIN_S < own_in)


@numba.njit(cache=True)
def _local_top(row: FloatArray, profile: FloatArray, step_m: float, desired: float) -> float:
    """Returns the speed at which a zone can be passed."""
    last = profile.shape[0] - 1
    entry = profile[min(max(int(row[OWN_IN_M] / step_m), 0), last)]
    leave = profile[min(max(int(min(row[OWN_OUT_M], row[OWN_IN_M] + 20.0) / step_m), 0), last)]
    return float(max(min(desired, entry, leave), 1.0))


@numba.njit(cache=True)
def give_way(
    actors: FloatArray,
    decisions: FloatArray,
    own: int,
    desired_mps: float,
    room_ahead_m: float,
    to_line_m: float,
    profile: FloatArray,
    step_m: float,
    crossings: FloatArray,
    crossing_start: IntArray,
    first_on_path: IntArray,
    next_on_path: IntArray,
    stops: FloatArray,
    stop_start: IntArray,
    signal_states: IntArray,
) -> tuple[float, float]:
    """Decides for one actor which zones it enters, and returns how far it may go.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        decisions: (NUM_DECISION_ROWS, N), changed in place.
        own: The actor.
        desired_mps: Its speed on a free road.
        room_ahead_m: Gap to a leader that crawls or stands; inf if there is none.
        to_line_m: Way from its front to the line that it stops at; inf if there is none. It decides nothing for what
            lies behind the line or behind such a leader, and takes back what it had decided.
        profile: (M,) highest speed along its path.
        step_m: Step of the samples.
        crossings: (Z, NUM_CROSSING_COLUMNS).
        crossing_start: (P + 1,) first crossing of each path.
        first_on_path: (P,) first actor of each path, -1 if there is none.
        next_on_path: (N,) next actor of the same path, -1 after the last.
        stops: (n, stop_lines.NUM_STOP_COLUMNS) stop lines of all paths.
        stop_start: (P + 1,) first stop line of each path.
        signal_states: (K,) states of the signals.

    Returns:
        The way from its front to where it must wait, inf if it need not; and the acceleration with which it follows
        those ahead of it where paths run together, inf if there is none.
    """
    path = int(actors[PATH, own])
    speed = actors[SPEED_MPS, own]
    station, half = actors[PATH_S_M, own], 0.5 * actors[LENGTH_M, own]
    front, rear = station + half, station - half
    sees = speed * speed / (2.0 * DECIDES_AT_BRAKING_MPS2) + 0.5 * speed + 8.0
    obeys = (int(actors[OBEYS, own]) & OBEYS_RIGHT_OF_WAY) != 0 or own == EGO
    following = math.inf
    first, end = crossing_start[path], crossing_start[path + 1]
    z = first
    while z < end:
        row = crossings[z]
        group_out = row[GROUP_OUT_M]
        after = z + 1
        while after < end and crossings[after, GROUP_OUT_M] == group_out:
            after += 1
        if max(group_out, row[OWN_IN_M] + 1.0) < rear:
            z = after
            continue
        if row[OWN_IN_M] - front > min(to_line_m, room_ahead_m):
            decisions[DECIDED_M, own] = min(decisions[DECIDED_M, own], front)
            break
        if row[WAIT_AT_M] - front > sees and row[OWN_IN_M] - front > sees:
            break
        to_wait = row[WAIT_AT_M] - front
        if to_wait < -0.5:  # behind the line already: up to the first zone itself
            to_wait = row[OWN_IN_M] - 0.5 * WAIT_BEFORE_M - front
        has_decided = decisions[DECIDED_M, own] >= group_out or to_wait < -0.5 or not obeys
        is_blocked = room_ahead_m < row[CLEAR_AT_M] - front + 2.0 * half + 1.0 and row[CLEAR_AT_M] > front
        for k in range(z, after):
            zone = crossings[k]
            if (zone[OWN_IN_M] < front and zone[IS_MERGE] > 0.0) or zone[OWN_OUT_M] < rear:
                continue
            local_top = _local_top(zone, profile, step_m, desired_mps)
            other = first_on_path[int(zone[OTHER_PATH])]
            while other >= 0:
                if other != own and abs(actors[PATH_D_M, other]) < BESIDE_M:
                    gap = _merging_gap(zone, actors, own, other) if zone[IS_MERGE] > 0.0 else math.inf
                    if gap < MERGING_SIGHT_M:
                        goes = _goes_first(zone, actors, decisions, other)
                        if not goes and (other == EGO or not has_decided):
                            entry, stood_at = zone[OTHER_IN_M], decisions[STOOD_AT]
                            goes = not is_held(
                                actors, stood_at, other, entry, stops, stop_start, signal_states
                            )
                        if goes:
                            closing = speed - actors[SPEED_MPS, other]
                            following = min(following, idm_acceleration(speed, desired_mps, gap, closing))
                    if not has_decided and not is_blocked:
                        is_blocked = _is_blocked(
                            zone, actors, decisions, own, other, local_top, stops, stop_start, signal_states
                        )
                    elif has_decided and obeys and zone[IS_MERGE] == 0.0:
                        way = _way_to_occupied(zone, actors, own, other)
                        if way < math.inf:
                            return way, following
                other = next_on_path[other]
        if not has_decided:
            if is_blocked:
                return max(to_wait, 0.0), following
            decisions[DECIDED_M, own] = group_out
        elif decisions[DECIDED_M, own] < group_out:
            decisions[DECIDED_M, own] = group_out
        z = after
    return math.inf, following


@numba.njit(cache=True)
def _goes_first(row: FloatArray, actors: FloatArray, decisions: FloatArray, other: int) -> bool:
    """Whether an actor is where paths run together, or has decided to be."""
    if actors[PATH_S_M, other] + 0.5 * actors[LENGTH_M, other] >= row[OTHER_IN_M]:
        return True
    return other != EGO and bool(decisions[DECIDED_M, other] >= row[OTHER_IN_M] + 1.0)


@numba.njit(cache=True)
def _merging_gap(row: FloatArray, actors: FloatArray, own: int, other: int) -> float:
    """Returns the gap to an actor that is ahead on a path which joins the own one; inf if it is not ahead."""
    to_entry = row[OWN_IN_M] - actors[PATH_S_M, own]
    other_to_entry = row[OTHER_IN_M] - actors[PATH_S_M, other]
    gap = to_entry - other_to_entry - 0.5 * (actors[LENGTH_M, own] + actors[LENGTH_M, other])
    is_gone = actors[PATH_S_M, other] - 0.5 * actors[LENGTH_M, other] > row[OTHER_OUT_M]
    return math.inf if gap < 1.0 or is_gone else float(gap)


@numba.njit(cache=True)
def _way_to_occupied(row: FloatArray, actors: FloatArray, own: int, other: int) -> float:
    """Returns the way to a zone that somebody is in who will not have left it in time; inf if nobody is."""
    half, other_half = 0.5 * actors[LENGTH_M, own], 0.5 * actors[LENGTH_M, other]
    to_entry = row[OWN_IN_M] - actors[PATH_S_M, own] - half
    other_front = actors[PATH_S_M, other] + other_half
    other_rest = row[OTHER_OUT_M] - actors[PATH_S_M, other] + other_half
    if to_entry <= 0.0 or other_front <= row[OTHER_IN_M] or other_rest <= 0.0:
        return math.inf
    other_speed = actors[SPEED_MPS, other]
    other_out = other_rest / other_speed if other_speed > STANDS_BELOW_MPS else math.inf
    own_in = to_entry / max(actors[SPEED_MPS, own], 0.5)
    return math.inf if other_out < own_in else max(to_entry - 0.5 * WAIT_BEFORE_M, 0.0)
