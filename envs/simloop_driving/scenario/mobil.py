"""Lane changes by MOBIL (A. Kesting, M. Treiber, D. Helbing, Transportation Research Record 1999, 86-94 (2007)).

A change is made when the new follower need not brake harder than ``SAFE_BRAKING_MPS2`` for it (safety), and when the
own gain in acceleration plus ``POLITENESS`` times that of the new and the old follower is over ``THRESHOLD_MPS2``
(incentive). The paper's symmetric rule with its threshold and safe braking; politeness is in the middle of the
0 to 0.5 that its authors call realistic.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.roads.route import LEFT_EDGE_M, RIGHT_EDGE_M, value_at
from simloop_driving.roads.route import WIDTH_M as LANE_WIDTH_M
from simloop_driving.scenario.actor_state import (
    COMMAND_ACCELERATION_MPS2,
    COMMAND_D_M,
    COMMAND_D_RATE_MPS,
    DESIRED_SPEED_MPS,
    IS_ABSENT,
    IS_MOBIL,
    LENGTH_M,
    PATH,
    PATH_D_M,
    PATH_S_M,
    SPEED_MPS,
)
from simloop_driving.scenario.idm import follower_in_strip, idm_acceleration, leader_in_strip

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

POLITENESS = 0.25
THRESHOLD_MPS2 = 0.1
SAFE_BRAKING_MPS2 = 4.0
BEAT_TICKS = 10
"""An actor weighs a change every so many control ticks, each actor at ticks of its own."""
LATERAL_SPEED_MPS = 1.2
LATERAL_RATIO = 0.15
"""Largest lateral over longitudinal speed: about 9 degrees, so that a long vehicle's ends stay in its two lanes."""
LOOK_AHEAD_S = 4.0
"""A lane is not taken that ends within this time; the lane's end counts as something that stands there."""
END_STEP_M = 5.0
EDGE_TOLERANCE_M = 0.3


@numba.njit(cache=True)
def wants_change(
    own_now_mps2: float,
    own_then_mps2: float,
    new_now_mps2: float,
    new_then_mps2: float,
    old_now_mps2: float,
    old_then_mps2: float,
    politeness: float,
    threshold_mps2: float,
    safe_braking_mps2: float,
) -> bool:
    """Returns whether MOBIL changes, from the accelerations without and with the change.

    Args:
        own_now_mps2, own_then_mps2: Own acceleration, in the present and in the other lane.
        new_now_mps2, new_then_mps2: That of the follower in the other lane.
        old_now_mps2, old_then_mps2: That of the follower in the present lane.
        politeness: Weight of the followers' gains.
        threshold_mps2: Gain below which no change is made.
        safe_braking_mps2: Largest braking that a change may ask of the new follower.
    """
    if new_then_mps2 < -safe_braking_mps2:
        return False
    gain = own_then_mps2 - own_now_mps2
    gain += politeness * (new_then_mps2 - new_now_mps2 + old_then_mps2 - old_now_mps2)
    return bool(gain > threshold_mps2)


@numba.njit(cache=True)
def _has_lane(samples: FloatArray, step_m: float, s_m: float, d_m: float, half_width_m: float) -> bool:
    """Returns whether a lane whose centre is at ``d_m`` is on the road at a station."""
    left = value_at(samples, step_m, LEFT_EDGE_M, s_m)
    right = value_at(samples, step_m, RIGHT_EDGE_M, s_m)
    return bool(
        d_m + half_width_m <= left + EDGE_TOLERANCE_M and d_m - half_width_m >= right - EDGE_TOLERANCE_M
    )


@numba.njit(cache=True)
def _way_to_end(
    samples: FloatArray, step_m: float, s_m: float, d_m: float, half_width_m: float, look_m: float
) -> float:
    """Returns the way to where the lane at ``d_m`` ends, inf if that is farther than ``look_m``."""
    way = 0.0
    while way <= look_m:
        if not _has_lane(samples, step_m, s_m + way, d_m, half_width_m):
            return way
        way += END_STEP_M
    return math.inf


@numba.njit(cache=True)
def _acceleration(actors: FloatArray, actor: int, gap_m: float, leader_speed_mps: float) -> float:
    speed = actors[SPEED_MPS, actor]
    closing = speed - leader_speed_mps if gap_m < math.inf else 0.0
    return float(idm_acceleration(speed, actors[DESIRED_SPEED_MPS, actor], gap_m, closing))


@numba.njit(cache=True)
def _behind(actors: FloatArray, follower: int, gap_m: float, leader: int) -> float:
    """Returns a follower's acceleration at a gap behind a leader, 0 if there is no follower."""
    if follower < 0:
        return 0.0
    return float(_acceleration(actors, follower, gap_m, actors[SPEED_MPS, leader]))


@numba.njit(cache=True)
def _gain(
    actors: FloatArray, on_path: FloatArray, actor: int, now_d_m: float, then_d_m: float, end_m: float
) -> float:
    """Returns the own gain of a change that MOBIL makes, -inf of one that it does not make."""
    _, gap, leader_speed = leader_in_strip(actors, on_path, actor, now_d_m)
    own_now = _acceleration(actors, actor, gap, leader_speed)
    if end_m < gap:
        own_now = _acceleration(actors, actor, end_m, 0.0)
    _, new_gap, new_speed = leader_in_strip(actors, on_path, actor, then_d_m)
    own_then = _acceleration(actors, actor, new_gap, new_speed)
    if own_then < -SAFE_BRAKING_MPS2:
        return -math.inf
    length = actors[LENGTH_M, actor]
    new, new_behind = follower_in_strip(actors, on_path, actor, then_d_m)
    old, old_behind = follower_in_strip(actors, on_path, actor, now_d_m)
    new_now, old_then = 0.0, 0.0
    if new >= 0:
        new_now = _acceleration(actors, new, new_behind + length + new_gap, new_speed)
    if old >= 0:
        old_then = _acceleration(actors, old, old_behind + length + gap, leader_speed)
    is_wanted = wants_change(
        own_now,
        own_then,
        new_now,
        _behind(actors, new, new_behind, actor),
        _behind(actors, old, old_behind, actor),
        old_then,
        POLITENESS,
        THRESHOLD_MPS2,
        SAFE_BRAKING_MPS2,
    )
    return own_then - own_now if is_wanted else -math.inf


@numba.njit(cache=True)
def choose_lanes(
    actors: FloatArray,
    paths: FloatArray,
    num_samples: IntArray,
    step_m: float,
    on_paths: FloatArray,
    tick: int,
) -> None:
    """Lets actors with MOBIL change lanes of their path, and brake before the end of a lane, in place.

    Call it after the accelerations are commanded. The lanes of a path are as wide as the path's own one.

    Args:
        actors: (actor_state.NUM_ROWS, N) states and commands.
        paths: (P, route.NUM_ROWS, M) samples of the paths.
        num_samples: (P,) samples of each path.
        step_m: Step of the samples.
        on_paths: (P, on_paths.NUM_ON_PATH, N) where everybody is on every path.
        tick: Number of the control tick.
    """
    for actor in range(1, actors.shape[1]):
        if actors[IS_MOBIL, actor] == 0.0 or actors[IS_ABSENT, actor] > 0.0:
            continue
        path = int(actors[PATH, actor])
        samples = paths[path, :, : num_samples[path]]
        s, speed = actors[PATH_S_M, actor], actors[SPEED_MPS, actor]
        width = value_at(samples, step_m, LANE_WIDTH_M, s)
        half = 0.5 * width
        lateral = min(LATERAL_SPEED_MPS, LATERAL_RATIO * speed)
        is_changing = actors[COMMAND_D_RATE_MPS, actor] > 0.0
        if is_changing:
            actors[COMMAND_D_RATE_MPS, actor] = max(lateral, 1e-3)
        lane_d = actors[COMMAND_D_M, actor] if is_changing else actors[PATH_D_M, actor]
        look = max(20.0, LOOK_AHEAD_S * speed)
        end = _way_to_end(samples, step_m, s, lane_d, half, look) - 0.5 * actors[LENGTH_M, actor]
        if end < math.inf:
            bound = _acceleration(actors, actor, end, 0.0)
            actors[COMMAND_ACCELERATION_MPS2, actor] = min(actors[COMMAND_ACCELERATION_MPS2, actor], bound)
        if is_changing or (tick + actor) % BEAT_TICKS != 0 or speed < 1.0:
            continue
        best, best_gain = lane_d, -math.inf
        for side in (1.0, -1.0):
            target = lane_d + side * width
            if _way_to_end(samples, step_m, s, target, half, look) < math.inf:
                continue
            gain = _gain(actors, on_paths[path], actor, lane_d, target, end)
            if gain > best_gain:
                best, best_gain = target, gain
        if best_gain > -math.inf:
            actors[COMMAND_D_M, actor] = best
            actors[COMMAND_D_RATE_MPS, actor] = lateral
