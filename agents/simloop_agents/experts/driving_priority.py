"""The right of way: whom the driving expert lets go first, and where it waits for them.

Gap acceptance compares times: when the ego would be in a zone that it shares with another path, by a roll-out of its
own way, and when the other one would. It gives way where the other one has priority and the times are too close, and
where it has priority itself but the other one can no longer stop.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_agents.experts.driving_following import (
    following_acceleration_mps2,
    predict_along,
    stopping_acceleration_mps2,
)
from simloop_agents.experts.driving_lines import LINE_EXIT_S_M, LINE_HOLDS, LINE_MARGIN_M, LINE_S_M

FloatArray = npt.NDArray[np.float64]

# Columns of the world's ``conflicts`` sensor.
(
    _Z_PRESENT,
    _Z_EGO_IN_M,
    _Z_EGO_OUT_M,
    _Z_ACTOR_IN_M,
    _Z_ACTOR_OUT_M,
    _Z_SPEED,
    _Z_PRIORITY,
    _Z_MERGE,
    _Z_ACC,
) = range(9)

# Columns of the (C, NUM_ZONE_COLUMNS) zones: the ego's stations, the actor's ways, and what is made of them.
(
    IN_S_M,
    OUT_S_M,
    ACTOR_IN_M,
    ACTOR_OUT_M,
    ACTOR_MPS,
    ACTOR_MPS2,
    PRIORITY,
    IS_MERGE,
    WAIT_S_M,
    ARRIVES_S,
    CLEARS_S,
    GIVES_WAY,
) = range(12)
NUM_ZONE_COLUMNS = 12

ZONE_MARGIN_M = 0.7
HALF_ACTOR_M = 2.6
TRAFFIC_MPS = 12.0
"""Speed up to which somebody who speeds up is taken to go on doing so."""
BEFORE_S = 1.0
"""The ego is out of a zone this long before somebody with priority comes."""
AFTER_S = 0.5
"""The ego comes into a zone this long after somebody with priority has left it."""
CLOSE_S = 0.3
"""As both, where the ego has priority and the other one does not stop, or the ego can hardly wait any more."""
COMMITTED_MPS2 = 3.5
"""Who would have to brake harder to wait goes on, if that is not too close."""
MERGE_GAP_S = 1.0
MERGE_MPS2 = 3.0
"""What a faster follower is asked to brake when the ego comes in ahead of it, roughly."""
FOLLOW_IN_MPS2 = 4.0
"""Hardest braking to come in behind somebody who is still on the other path."""
POLITE_MPS2 = 2.0
WILL_STOP_MPS2 = 2.5
STOPS_BEFORE_M = 4.0
"""Who would have to brake harder to wait this far before the zone, and does not, is taken to go on."""


@njit(cache=True)
def make_zones(
    conflicts: FloatArray, lines: FloatArray, ego_s: float, anchor_s: float, lag_s: float, length_m: float
) -> FloatArray:
    """Returns the zones that the ego shares with others; where it would wait does not block other zones.

    Args:
        conflicts: (24, 9) as the world's sensor.
        lines: (K, 4) lines.
        ego_s: Station of the ego's centre where the plan begins.
        anchor_s: Station that the ego's distances count from.
        lag_s: How long ago the actors were where the sensor says.
        length_m: The ego's length.
    """
    num = 0
    for row in range(len(conflicts)):
        if conflicts[row, _Z_PRESENT] > 0.5:
            num += 1
    zones = np.zeros((num, NUM_ZONE_COLUMNS))
    half = 0.5 * length_m
    index = 0
    for row in range(len(conflicts)):
        if conflicts[row, _Z_PRESENT] <= 0.5:
            continue
        zone = zones[index]
        moved, speed = predict_along(conflicts[row, _Z_SPEED], conflicts[row, _Z_ACC], lag_s)
        zone[IN_S_M] = anchor_s + conflicts[row, _Z_EGO_IN_M]
        zone[OUT_S_M] = anchor_s + conflicts[row, _Z_EGO_OUT_M]
        zone[ACTOR_IN_M] = conflicts[row, _Z_ACTOR_IN_M] - moved
        zone[ACTOR_OUT_M] = conflicts[row, _Z_ACTOR_OUT_M] - moved
        zone[ACTOR_MPS] = speed
        zone[ACTOR_MPS2] = conflicts[row, _Z_ACC]
        zone[PRIORITY] = conflicts[row, _Z_PRIORITY]
        zone[IS_MERGE] = conflicts[row, _Z_MERGE]
        zone[WAIT_S_M] = zone[IN_S_M] - half - ZONE_MARGIN_M
        zone[ARRIVES_S], zone[CLEARS_S] = _times_of_actor(zone)
        index += 1
    for _ in range(3):
        for index in range(num):
            wait = zones[index, WAIT_S_M]
            for other in range(num):
                is_ahead = ego_s + half < zones[other, IN_S_M]
                if is_ahead and wait + half > zones[other, IN_S_M] and wait - half < zones[other, OUT_S_M]:
                    wait = min(wait, zones[other, IN_S_M] - half - ZONE_MARGIN_M)
            for line in range(len(lines)):
                is_before = ego_s < lines[line, LINE_S_M] + LINE_MARGIN_M
                if is_before and lines[line, LINE_S_M] < wait < lines[line, LINE_EXIT_S_M]:
                    wait = lines[line, LINE_S_M]
            zones[index, WAIT_S_M] = wait
    return zones


@njit(cache=True)
def _time_for(way_m: float, speed: float, acceleration: float) -> float:
    """Returns the time for a way with the present acceleration, if it speeds up, until ``TRAFFIC_MPS`` is reached."""
    gain = min(acceleration, 2.0)
    if gain < 0.1 or speed >= TRAFFIC_MPS:
        return way_m / speed
    until_s = (TRAFFIC_MPS - speed) / gain
    moved = speed * until_s + 0.5 * gain * until_s * until_s
    if moved < way_m:
        return until_s + (way_m - moved) / TRAFFIC_MPS
    return (math.sqrt(speed * speed + 2.0 * gain * way_m) - speed) / gain


@njit(cache=True)
def _times_of_actor(zone: FloatArray) -> tuple[float, float]:
    """Returns when the actor comes to the zone at the earliest and has left it at the latest; inf: never."""
    to_in, to_out = zone[ACTOR_IN_M] - HALF_ACTOR_M, zone[ACTOR_OUT_M] + HALF_ACTOR_M
    speed, acceleration = zone[ACTOR_MPS], zone[ACTOR_MPS2]
    is_inside = to_in <= 0.0
    if to_out <= 0.0:
        return math.inf, math.inf
    if speed < 0.2 and acceleration < 0.1:  # who stands does not take its right of way
        return (0.0, math.inf) if is_inside else (math.inf, math.inf)
    if not is_inside and acceleration < -0.3 and 0.5 * speed * speed / -acceleration < to_in:
        return math.inf, math.inf  # it is stopping short of the zone
    slow = max(speed + min(acceleration, 0.0) * 1.0, 0.5 * speed, 1.0)
    return (0.0 if is_inside else _time_for(to_in, max(speed, 0.5), acceleration)), to_out / slow


@njit(cache=True)
def _will_not_stop(zone: FloatArray) -> bool:
    way = zone[ACTOR_IN_M] - HALF_ACTOR_M - STOPS_BEFORE_M
    if way <= 0.0:
        return bool(zone[ACTOR_MPS] > 1.0)
    needed = 0.5 * zone[ACTOR_MPS] ** 2 / way
    return bool(needed > WILL_STOP_MPS2 and zone[ACTOR_MPS2] > -0.6 * needed)


@njit(cache=True)
def _needs_to_brake_mps2(zone: FloatArray, ego_s: float, speed: float) -> float:
    """Returns the deceleration that stops the ego where it would wait; inf beyond that place."""
    way = zone[WAIT_S_M] - ego_s
    if way <= 0.0:
        return 0.0 if speed < 0.5 and way > -LINE_MARGIN_M else math.inf
    return float(0.5 * speed * speed / way)


@njit(cache=True)
def note_conflicts(
    zones: FloatArray, ways: FloatArray, step_s: float, first_s: float, length_m: float
) -> bool:
    """Marks those to whom the ego has to give way, after a roll-out; returns whether there are more of them.

    Args:
        zones: (C, NUM_ZONE_COLUMNS), changed in place.
        ways: (n, 5) roll-out: station, offset, slope, speed, acceleration.
        step_s: Time between its rows.
        first_s: Time of its first row since the observation.
        length_m: The ego's length.
    """
    has_more = False
    half = 0.5 * length_m
    for index in range(len(zones)):
        zone = zones[index]
        if zone[GIVES_WAY] > 0.5 or math.isinf(zone[ARRIVES_S]):
            continue
        enters, leaves, speed_in = math.inf, math.inf, 0.0
        for row in range(len(ways)):
            if math.isinf(enters) and ways[row, 0] + half > zone[IN_S_M]:
                enters, speed_in = first_s + row * step_s, ways[row, 3]
            if ways[row, 0] - half > zone[OUT_S_M]:
                leaves = first_s + row * step_s
                break
        if math.isinf(enters):
            continue
        before, after, gap = BEFORE_S, AFTER_S, MERGE_GAP_S
        if _needs_to_brake_mps2(zone, ways[0, 0], ways[0, 3]) > COMMITTED_MPS2:
            before = after = gap = CLOSE_S
        if zone[PRIORITY] >= 0.0:
            if not _will_not_stop(zone):
                continue
            before = after = gap = CLOSE_S
        elif enters <= first_s + step_s:  # it is in there already
            continue
        is_conflict = False
        if zone[IS_MERGE] > 0.5:
            # The other one comes in first, or too soon after the ego.
            gap += max(0.0, zone[ACTOR_MPS] - speed_in) / MERGE_MPS2
            is_conflict = zone[ARRIVES_S] < enters + gap
        else:
            is_conflict = leaves + before > zone[ARRIVES_S] and enters - after < zone[CLEARS_S]
        if is_conflict:
            zone[GIVES_WAY] = 1.0
            has_more = True
    return has_more


@njit(cache=True)
def priority_demand_mps2(
    lines: FloatArray,
    zones: FloatArray,
    ego_s: float,
    speed: float,
    desired: float,
    length_m: float,
    t_s: float,
) -> float:
    """Returns the least acceleration that a line or somebody's right of way asks for; inf for none."""
    demand = math.inf
    for index in range(len(lines)):
        way = lines[index, LINE_S_M] - ego_s
        if lines[index, LINE_HOLDS] > 0.5 and way > -LINE_MARGIN_M:
            demand = min(demand, stopping_acceleration_mps2(speed, way))
    for index in range(len(zones)):
        zone = zones[index]
        if zone[IS_MERGE] > 0.5:
            demand = min(demand, _merge_demand_mps2(zone, ego_s, speed, desired, length_m, t_s))
        elif zone[GIVES_WAY] > 0.5 and t_s < zone[CLEARS_S] + AFTER_S:
            demand = min(demand, _waiting_demand_mps2(zone, ego_s, speed, length_m))
    return demand


@njit(cache=True)
def _waiting_demand_mps2(zone: FloatArray, ego_s: float, speed: float, length_m: float) -> float:
    way = zone[WAIT_S_M] - ego_s
    if way < -LINE_MARGIN_M:  # past the place to wait: at least stay out of the zone
        way = zone[IN_S_M] - 0.5 * length_m - 0.2 - ego_s
        if way < -0.3:
            return math.inf
    return float(stopping_acceleration_mps2(speed, way))


@njit(cache=True)
def _merge_demand_mps2(
    zone: FloatArray, ego_s: float, speed: float, desired: float, length_m: float, t_s: float
) -> float:
    """Who comes in ahead is a leader by its way to the merge; who comes in beside has to be waited for."""
    moved, actor_speed = predict_along(zone[ACTOR_MPS], zone[ACTOR_MPS2], t_s)
    actor_s = zone[IN_S_M] - (zone[ACTOR_IN_M] - moved)
    if actor_s > zone[OUT_S_M]:
        return math.inf
    reach = 0.5 * length_m + HALF_ACTOR_M
    gap = actor_s - ego_s - reach
    has_to = zone[GIVES_WAY] > 0.5
    if gap > 0.0 and (has_to or zone[ARRIVES_S] < math.inf):
        # There is no need to brake harder than for waiting.
        limit = min(FOLLOW_IN_MPS2 if has_to else POLITE_MPS2, _needs_to_brake_mps2(zone, ego_s, speed) + 0.3)
        wanted = following_acceleration_mps2(speed, desired, max(gap, 0.5), actor_speed, zone[ACTOR_MPS2])
        return float(max(wanted, -limit))
    if has_to and ego_s + 0.5 * length_m < zone[IN_S_M]:
        return float(_waiting_demand_mps2(zone, ego_s, speed, length_m))
    return math.inf
