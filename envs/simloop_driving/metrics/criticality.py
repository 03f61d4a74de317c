"""Surrogate measures of safety: how near an episode came to a collision, tick by tick.

Symbols as in the survey of L. Westhofen et al., "Criticality Metrics for Automated Driving", Arch. Comput. Methods
Eng. 30 (2023). One-dimensional measures are along the ego's route and refer to the leader: the nearest actor ahead
whose side overlaps the ego's path and that goes the ego's way or stands. Oncoming and crossing actors are judged in
two dimensions (``first_overlap``, ``encroachment``).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_driving.collisions.footprints import footprints_overlap

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FULL_BRAKING_MPS2 = 0.774 * 9.81
"""Full braking of the competent driver of UN R157, annex 4, appendix 3."""
REACTION_S = 1.0
"""Perception and reaction time of MDRAC, as SUMO's device of safety measures takes it."""
INTRUSION_M = 0.3
"""UN R157, 5.2.5.2: a vehicle cuts in when it is this far inside the lane."""
STANDING_BELOW_MPS = 0.5
"""An actor slower than this stands, whatever way it faces."""
RSS_RESPONSE_S = 1.0
RSS_ACCELERATION_MPS2 = 3.5
RSS_BRAKING_MPS2 = 4.0
RSS_LEADER_MPS2 = 8.0
"""Parameters of responsibility-sensitive safety: the defaults of ad-rss-lib."""

# Columns of ``leader_series``.
GAP_M = 0
THW_S = 1
TTC_S = 2
DRAC_MPS2 = 3
MDRAC_MPS2 = 4
REQUIRED_MPS2 = 5
BTN = 6
RSS_M = 7
NUM_MEASURES = 8


@njit(cache=True)
def time_headway_s(gap_m: float, speed_mps: float) -> float:
    """Returns the time until the ego's front is where the leader's rear is now (THW)."""
    return gap_m / speed_mps if speed_mps > 0.0 else math.inf


@njit(cache=True)
def time_to_collision_s(gap_m: float, closing_mps: float) -> float:
    """Returns the time to collision at constant speeds (Hayward 1972), infinity if the gap does not shrink."""
    return gap_m / closing_mps if closing_mps > 0.0 else math.inf


@njit(cache=True)
def deceleration_to_avoid_mps2(gap_m: float, closing_mps: float) -> float:
    """Returns the constant deceleration that avoids the crash into a leader of constant speed (DRAC)."""
    return closing_mps * closing_mps / (2.0 * gap_m) if closing_mps > 0.0 else 0.0


@njit(cache=True)
def modified_deceleration_to_avoid_mps2(gap_m: float, closing_mps: float, reaction_s: float) -> float:
    """Returns DRAC of what a reaction time leaves of the time to collision (MDRAC); infinity if nothing is left."""
    if closing_mps <= 0.0:
        return 0.0
    left_s = gap_m / closing_mps - reaction_s
    return closing_mps / (2.0 * left_s) if left_s > 0.0 else math.inf


@njit(cache=True)
def required_acceleration_mps2(gap_m: float, closing_mps: float, leader_mps2: float) -> float:
    """Returns the acceleration, <= 0, that makes the speeds equal at contact (Jansson 2005, 5.3.5)."""
    if closing_mps <= 0.0:
        return 0.0
    return min(leader_mps2 - closing_mps * closing_mps / (2.0 * gap_m), 0.0)


@njit(cache=True)
def time_exposed_s(ttc_s: FloatArray, threshold_s: float, period_s: float) -> float:
    """Returns the time spent below a time to collision (TET, Minderhoud and Bovy 2001)."""
    total = 0.0
    for value in ttc_s:
        if value < threshold_s:
            total += period_s
    return total


@njit(cache=True)
def time_integrated_s2(ttc_s: FloatArray, threshold_s: float, period_s: float) -> float:
    """Returns the area between a threshold and the time to collision below it (TIT, Minderhoud and Bovy 2001)."""
    total = 0.0
    for value in ttc_s:
        if value < threshold_s:
            total += (threshold_s - value) * period_s
    return total


@njit(cache=True)
def point_to_rectangle_m(x_m: float, y_m: float, pose: FloatArray, size_m: FloatArray) -> float:
    """Returns the distance from a point to a rectangle (x_m, y_m, yaw_rad and length, width); 0 inside."""
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    dx, dy = x_m - pose[0], y_m - pose[1]
    ahead = max(abs(dx * cos + dy * sin) - 0.5 * size_m[0], 0.0)
    aside = max(abs(dy * cos - dx * sin) - 0.5 * size_m[1], 0.0)
    return math.hypot(ahead, aside)


@njit(cache=True)
def rectangle_distance_m(
    pose: FloatArray, size_m: FloatArray, other: FloatArray, other_size_m: FloatArray
) -> float:
    """Returns the distance of two rectangles, 0 if they overlap; else a corner of one is nearest to the other."""
    if footprints_overlap(
        pose[0],
        pose[1],
        pose[2],
        size_m[0],
        size_m[1],
        other[0],
        other[1],
        other[2],
        other_size_m[0],
        other_size_m[1],
    ):
        return 0.0
    least = math.inf
    for turn in range(2):
        here, here_size = (pose, size_m) if turn == 0 else (other, other_size_m)
        there, there_size = (other, other_size_m) if turn == 0 else (pose, size_m)
        cos, sin = math.cos(here[2]), math.sin(here[2])
        for corner in range(4):
            a = 0.5 * here_size[0] * (1.0 if corner < 2 else -1.0)
            b = 0.5 * here_size[1] * (1.0 if corner % 2 == 0 else -1.0)
            x, y = here[0] + a * cos - b * sin, here[1] + a * sin + b * cos
            least = min(least, point_to_rectangle_m(x, y, there, there_size))
    return least


@njit(cache=True)
def rss_safe_distance_m(
    speed_mps: float,
    leader_mps: float,
    response_s: float,
    acceleration_mps2: float,
    braking_mps2: float,
    leader_braking_mps2: float,
) -> float:
    """Returns the least safe gap of responsibility-sensitive safety (S. Shalev-Shwartz et al., arXiv 1708.06374).

    Args:
        speed_mps: Of the follower.
        leader_mps: Of the leader.
        response_s: Time during which the follower may still accelerate.
        acceleration_mps2: By how much at most.
        braking_mps2: What the follower brakes at least after that.
        leader_braking_mps2: What the leader brakes at most.
    """
    faster_mps = speed_mps + response_s * acceleration_mps2
    way_m = 0.5 * (speed_mps + faster_mps) * response_s + faster_mps * faster_mps / (2.0 * braking_mps2)
    return max(way_m - leader_mps * leader_mps / (2.0 * leader_braking_mps2), 0.0)


@njit(cache=True)
def goes_along(speed_mps: float, route_speed_mps: float) -> bool:
    """Whether an actor goes the ego's way (within 60 degrees of its route) or stands; else it cannot be followed."""
    return speed_mps < STANDING_BELOW_MPS or route_speed_mps >= 0.5 * speed_mps


@njit(cache=True)
def leader_series(
    along_m: FloatArray,
    across_m: FloatArray,
    speed_mps: FloatArray,
    route_speed_mps: FloatArray,
    acceleration_mps2: FloatArray,
    size_m: FloatArray,
    is_present: BoolArray,
) -> FloatArray:
    """Returns (T, NUM_MEASURES) measures against the leader; see the column constants. No leader: no danger.

    Arguments are the arrays of ``TrafficGrid``. Speeds are taken along the ego's route.
    """
    num_ticks, num_actors = along_m.shape
    out = np.empty((num_ticks, NUM_MEASURES))
    for tick in range(num_ticks):
        leader, gap = -1, math.inf
        for other in range(1, num_actors):
            ahead = along_m[tick, other] - along_m[tick, 0]
            if ahead <= 0.0 or not is_present[tick, other]:
                continue
            aside = abs(across_m[tick, other] - across_m[tick, 0])
            if aside >= 0.5 * (size_m[tick, other, 1] + size_m[tick, 0, 1]):
                continue
            if not goes_along(speed_mps[tick, other], route_speed_mps[tick, other]):
                continue
            free = ahead - 0.5 * (size_m[tick, other, 0] + size_m[tick, 0, 0])
            if free < gap:
                leader, gap = other, free
        out[tick, :DRAC_MPS2] = math.inf
        out[tick, DRAC_MPS2:] = 0.0
        if leader < 0:
            continue
        room = max(gap, 1e-3)  # in touch, the measures of braking lose their meaning
        own, leading = route_speed_mps[tick, 0], max(route_speed_mps[tick, leader], 0.0)
        closing = own - leading
        required = required_acceleration_mps2(room, closing, acceleration_mps2[tick, leader])
        out[tick, GAP_M] = max(gap, 0.0)
        out[tick, THW_S] = time_headway_s(max(gap, 0.0), own)
        out[tick, TTC_S] = time_to_collision_s(max(gap, 0.0), closing)
        out[tick, RSS_M] = rss_safe_distance_m(
            max(own, 0.0), leading, RSS_RESPONSE_S, RSS_ACCELERATION_MPS2, RSS_BRAKING_MPS2, RSS_LEADER_MPS2
        )
        if gap > 0.0:
            out[tick, DRAC_MPS2] = deceleration_to_avoid_mps2(room, closing)
            out[tick, MDRAC_MPS2] = modified_deceleration_to_avoid_mps2(room, closing, REACTION_S)
            out[tick, REQUIRED_MPS2] = required
            out[tick, BTN] = -required / FULL_BRAKING_MPS2
    return out


@njit(cache=True)
def min_distance_m(pose: FloatArray, size_m: FloatArray, is_present: BoolArray) -> float:
    """Returns the least distance of the ego's footprint to another, infinity if it is alone."""
    least = math.inf
    for tick in range(len(pose)):
        x, y, half = pose[tick, 0, 0], pose[tick, 0, 1], 0.5 * (size_m[tick, 0, 0] + size_m[tick, 0, 1])
        for other in range(1, pose.shape[1]):
            if not is_present[tick, other]:
                continue
            dx, dy = pose[tick, other, 0] - x, pose[tick, other, 1] - y
            reach = least + half + 0.5 * (size_m[tick, other, 0] + size_m[tick, other, 1])
            if abs(dx) < reach and dx * dx + dy * dy < reach * reach:
                distance = rectangle_distance_m(
                    pose[tick, 0], size_m[tick, 0], pose[tick, other], size_m[tick, other]
                )
                least = min(least, distance)
    return least


@njit(cache=True)
def intrusion_ttc_s(
    along_m: FloatArray,
    across_m: FloatArray,
    speed_mps: FloatArray,
    route_speed_mps: FloatArray,
    size_m: FloatArray,
    is_present: BoolArray,
    lane_width_m: FloatArray,
) -> FloatArray:
    """Returns the times to collision at which actors ahead came ``INTRUSION_M`` inside the route's lane.

    Arguments as for ``leader_series``; ``lane_width_m`` is the width of the route's lane beside each actor, (T, N).
    Only actors that go the ego's way cut in.
    """
    num_ticks, num_actors = along_m.shape
    found = np.empty(num_actors)
    num = 0
    for other in range(1, num_actors):
        for tick in range(1, num_ticks):
            reach = 0.5 * (lane_width_m[tick, other] + size_m[tick, other, 1]) - INTRUSION_M
            reach_before = 0.5 * (lane_width_m[tick - 1, other] + size_m[tick - 1, other, 1]) - INTRUSION_M
            gap = (
                along_m[tick, other] - along_m[tick, 0] - 0.5 * (size_m[tick, other, 0] + size_m[tick, 0, 0])
            )
            came_in = abs(across_m[tick - 1, other]) >= reach_before and abs(across_m[tick, other]) < reach
            if not came_in or gap <= 0.0 or not is_present[tick, other]:
                continue
            if goes_along(speed_mps[tick, other], route_speed_mps[tick, other]):
                found[num] = time_to_collision_s(gap, route_speed_mps[tick, 0] - route_speed_mps[tick, other])
                num += 1
                break
    return found[:num]
