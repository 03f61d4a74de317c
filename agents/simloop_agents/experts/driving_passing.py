"""Passing: round obstacles and slow actors within the road, and through oncoming lanes only when there is time.

Whether to pass is decided anew each time, by rolling the whole manoeuvre out. Once the ego is beside its lane it asks
for less, so that it does not hesitate half way; if even that does not hold it falls back behind whom it passes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_agents.experts.driving_actors import (
    BESIDE_LANE_M,
    LATERAL_MARGIN_M,
    LENGTH_M,
    ROOM_M,
    S_M,
    SIDE_M,
    SPEED_MPS,
    WIDTH_M,
    place_at,
)
from simloop_agents.experts.driving_sides import STANDING_MPS

FloatArray = npt.NDArray[np.float64]

RETURN_DISTANCE_M = 8.0
RETURN_TIME_S = 0.65
"""The ego returns to the centre line over the larger of this distance and speed times this time."""
SHARPEST_DISTANCE_M = 3.0
SHARPEST_PER_M = 0.16
"""Larger moves at walking speed go over the larger of this distance and what this curvature takes."""
SIDEWAYS_MPS2 = 1.5
"""Lateral acceleration of larger moves to the side."""
SETTLE = 4.2
"""A move to the side is done after this many times the inverse of its rate."""
ROOM_TO_PULL_OUT_M = 12.0
ONCOMING_S = 1.5
ONCOMING_WHEN_OUT_S = 0.5
HARD_MPS2 = 5.0
"""Who would have to brake harder to stay behind goes on."""
CLEAR_M = 0.6
"""Space between sides from which two pass each other without a thought."""
BEHIND_S = 2.0
BESIDE_ENOUGH_M = 0.5
OUT_RATIO = 0.6
"""A manoeuvre has begun once the ego is this share of its way to the side."""


@njit(cache=True)
def lateral_rate_per_m(error_m: float, speed: float) -> float:
    """Returns the rate at which a lateral error decays per metre driven; large ones in less way but more time."""
    large = min(max(abs(error_m) - 0.6, 0.0) / 0.6, 1.0)
    sharpest = max(SHARPEST_DISTANCE_M, math.sqrt(abs(error_m) / SHARPEST_PER_M))
    rate = 1.0 / max(RETURN_DISTANCE_M - large * (RETURN_DISTANCE_M - sharpest), RETURN_TIME_S * speed)
    return min(rate, math.sqrt(SIDEWAYS_MPS2 / max(abs(error_m), 1e-3)) / max(speed, 0.1))


@njit(cache=True)
def lateral_target_m(
    tracks: FloatArray,
    ego_s: float,
    ego_offset: float,
    speed: float,
    length_m: float,
    width_m: float,
    t_s: float,
) -> float:
    """Returns the offset that the ego moves to: beside whom it passes, else the centre line."""
    target = 0.0
    for index in range(len(tracks)):
        side = tracks[index, SIDE_M]
        if math.isnan(side):
            continue
        actor_s, _, actor_speed = place_at(tracks[index], t_s)
        ahead = actor_s - ego_s
        reach = 0.5 * (length_m + tracks[index, LENGTH_M])
        share = min(max((speed - actor_speed) / max(speed, 0.1), 0.05), 1.0)
        lead_in = SETTLE / lateral_rate_per_m(side, speed) * share
        if actor_speed > STANDING_MPS:
            lead_in = max(lead_in, 30.0)
        tail = 1.0 if actor_speed <= STANDING_MPS else 4.0 + 0.4 * actor_speed
        if -(reach + tail) < ahead < reach + lead_in and abs(side) > abs(target):
            target = side
    if abs(ego_offset) <= BESIDE_LANE_M:
        return target
    for index in range(len(tracks)):  # not back onto somebody
        actor_s, offset, _ = place_at(tracks[index], t_s)
        if abs(actor_s - ego_s) > 0.5 * (length_m + tracks[index, LENGTH_M]) + 1.5:
            continue
        space = 0.5 * (width_m + tracks[index, WIDTH_M]) + LATERAL_MARGIN_M
        if ego_offset > offset > -BESIDE_LANE_M - 4.0 and ego_offset > 0.0:
            target = max(target, min(offset + space, ego_offset))
        elif ego_offset < offset and ego_offset < 0.0:
            target = min(target, max(offset - space, ego_offset))
    return target


@njit(cache=True)
def can_refrain(tracks: FloatArray, ego_s: float, ego_offset: float, speed: float, length_m: float) -> bool:
    """Returns whether there is still time to stay behind all whom the ego was going to pass."""
    if abs(ego_offset) <= BESIDE_LANE_M:
        return True
    for index in range(len(tracks)):
        if math.isnan(tracks[index, SIDE_M]):
            continue
        gap = tracks[index, S_M] - ego_s - 0.5 * (length_m + tracks[index, LENGTH_M]) - 1.0
        closing = max(speed - tracks[index, SPEED_MPS], 0.0)
        is_standing = abs(tracks[index, SPEED_MPS]) <= STANDING_MPS
        if gap <= 0.0 and is_standing and tracks[index, S_M] > ego_s - length_m:
            return False
        if gap > 0.0 and 0.5 * closing * closing > HARD_MPS2 * gap:
            return False
    return True


@njit(cache=True)
def refrain(tracks: FloatArray, ego_s: float, ego_offset: float, length_m: float) -> None:
    """Takes back the proposals; who could have been passed is waited for with room to pull out.

    Whom the ego is beside already, far enough aside, it passes all the same.
    """
    for index in range(len(tracks)):
        if not math.isnan(tracks[index, SIDE_M]):
            is_beside = tracks[index, S_M] - ego_s < 0.5 * (length_m + tracks[index, LENGTH_M])
            if is_beside and abs(tracks[index, SIDE_M]) < abs(ego_offset) + BESIDE_ENOUGH_M:
                continue
            tracks[index, SIDE_M] = math.nan
            if abs(tracks[index, SPEED_MPS]) <= STANDING_MPS:
                tracks[index, ROOM_M] = ROOM_TO_PULL_OUT_M


@njit(cache=True)
def is_free_to_pass(
    tracks: FloatArray, ways: FloatArray, step_s: float, first_s: float, ego_size: FloatArray
) -> bool:
    """Returns whether a roll-out that passes keeps clear of all others, oncoming and following ones above all.

    Args:
        tracks: (N, NUM_TRACK_COLUMNS) actors at the observation.
        ways: (n, 5) roll-out: station, offset, slope, speed, acceleration.
        step_s: Time between its rows.
        first_s: Time of its first row since the observation.
        ego_size: (2,) length and width.
    """
    farthest = 0.0
    for index in range(len(tracks)):
        if not math.isnan(tracks[index, SIDE_M]):
            farthest = max(farthest, abs(tracks[index, SIDE_M]))
    is_out = abs(ways[0, 1]) > max(BESIDE_LANE_M, OUT_RATIO * farthest)
    oncoming_s = ONCOMING_WHEN_OUT_S if is_out else ONCOMING_S
    has_oncoming = False
    last = len(ways) - 1
    for index in range(len(tracks)):
        track = tracks[index]
        if not math.isnan(track[SIDE_M]):
            continue
        reach = 0.5 * (ego_size[0] + track[LENGTH_M])
        is_oncoming = track[SPEED_MPS] < -STANDING_MPS
        if is_oncoming and track[S_M] > ways[0, 0]:
            has_oncoming = True
        for row in range(0, last + 1, 2):
            s, offset, speed = ways[row, 0], ways[row, 1], ways[row, 3]
            if abs(offset) < 0.5 * BESIDE_LANE_M:
                continue
            actor_s, actor_offset, actor_speed = place_at(track, first_s + row * step_s)
            if abs(actor_offset - offset) - 0.5 * (ego_size[1] + track[WIDTH_M]) > CLEAR_M:
                continue
            gap = abs(actor_s - s) - reach
            if is_oncoming:
                if actor_s > s - reach and gap < oncoming_s * (speed - actor_speed):
                    return False
            elif is_out:
                continue
            elif actor_s < s:
                if gap < 3.0 + BEHIND_S * max(0.0, actor_speed - speed):
                    return False
            elif gap < 0.5:
                return False
    if abs(ways[last, 1]) > BESIDE_LANE_M and has_oncoming and not is_out:
        return False
    for index in range(len(tracks)):  # it has to lead past somebody
        if math.isnan(tracks[index, SIDE_M]):
            continue
        actor_s, _, _ = place_at(tracks[index], first_s + last * step_s)
        if (
            abs(tracks[index, SIDE_M]) > BESIDE_LANE_M
            and ways[last, 0] < actor_s
            and tracks[index, SPEED_MPS] > STANDING_MPS
        ):
            return bool(is_out)
    return True
