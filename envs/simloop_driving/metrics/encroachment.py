"""Encroachment: who was where when, and by how much two road users missed each other at the same place.

The conflict area of a pair is all ground that both footprints cover at any time (Allen et al. 1978 take the area that
two lanes share), so crossing, merging and following are one case. Measures of crossings look only at ground that the
two cover at headings that differ by 30 to 150 degrees, either way round.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_driving.collisions.footprints import footprints_overlap

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CROSSING_RAD = math.radians(30.0)


@njit(cache=True)
def _may_cross(pose: FloatArray, other: int, least_angle_rad: float) -> bool:
    """Whether any heading of the other is at such an angle to any heading of the ego."""
    own, its = pose[:, 0, 2], pose[:, other, 2]
    low, high = its.min() - own.max(), its.max() - own.min()
    first = low % math.pi
    last = first + high - low
    turn = 0.0 if first <= math.pi - least_angle_rad else math.pi
    return bool(last >= turn + least_angle_rad)


@njit(cache=True)
def _share_ground(
    a: FloatArray, a_size: FloatArray, b: FloatArray, b_size: FloatArray, least_angle_rad: float
) -> bool:
    """Whether two footprints overlap at headings that differ by an angle at least, either way round."""
    reach = 0.5 * (a_size[0] + a_size[1] + b_size[0] + b_size[1])
    if abs(a[0] - b[0]) > reach or abs(a[1] - b[1]) > reach:
        return False
    if abs(math.sin(a[2] - b[2])) < math.sin(least_angle_rad):
        return False
    return bool(
        footprints_overlap(
            a[0], a[1], a[2], a_size[0], a_size[1], b[0], b[1], b[2], b_size[0], b_size[1]
        )
    )  # fmt: skip


@njit(cache=True)
def post_encroachment_s(
    pose: FloatArray,
    size_m: FloatArray,
    is_present: BoolArray,
    period_s: float,
    horizon_s: float,
    least_angle_rad: float,
) -> float:
    """Returns the least time from when one leaves a place until the other comes there (PET, Allen et al. 1978).

    Following, it is the net time gap.

    Args:
        pose: (T, N, 3) x_m, y_m, yaw_rad; actor 0 is the ego, pairs are the ego and each other actor.
        size_m: (T, N, 2) length and width.
        is_present: (T, N) actors that are not there are left out.
        period_s: Time between two ticks, which is also the resolution.
        horizon_s: Longer times are not looked for.
        least_angle_rad: Only ground counts that the two cover at headings that differ by this at least, and by this
            less than half a turn at most; 0 for all.

    Returns:
        Seconds, 0 if two overlap at one instant, infinity if no time up to the horizon was found.
    """
    num_ticks, num_actors = pose.shape[:2]
    is_candidate = np.ones(num_actors, dtype=np.bool_)
    if least_angle_rad > 0.0:
        for other in range(1, num_actors):
            is_candidate[other] = _may_cross(pose, other, least_angle_rad)
    for lag in range(min(int(horizon_s / period_s + 0.5), num_ticks - 1) + 1):
        for other in range(1, num_actors):
            if not is_candidate[other]:
                continue
            for tick in range(num_ticks - lag):
                later = tick + lag
                if is_present[later, other] and _share_ground(
                    pose[tick, 0], size_m[tick, 0], pose[later, other], size_m[later, other], least_angle_rad
                ):
                    return lag * period_s
                if is_present[tick, other] and _share_ground(
                    pose[tick, other], size_m[tick, other], pose[later, 0], size_m[later, 0], least_angle_rad
                ):
                    return lag * period_s
    return math.inf


@njit(cache=True)
def encroachment_s(
    pose: FloatArray, size_m: FloatArray, is_present: BoolArray, period_s: float, horizon_s: float
) -> float:
    """Returns the longest time that the ego stayed on ground that another crosses within a horizon (ET, Allen 1978).

    Arguments as for ``post_encroachment_s``; 0 if nobody's way crosses the ego's.
    """
    num_ticks, num_actors = pose.shape[:2]
    horizon = int(horizon_s / period_s + 0.5)
    longest = 0
    for other in range(1, num_actors):
        if not _may_cross(pose, other, CROSSING_RAD):
            continue
        num = 0
        for tick in range(num_ticks):
            for at in range(max(tick - horizon, 0), min(tick + horizon + 1, num_ticks)):
                if is_present[at, other] and _share_ground(
                    pose[tick, 0], size_m[tick, 0], pose[at, other], size_m[at, other], CROSSING_RAD
                ):
                    num += 1
                    break
        longest = max(longest, num)
    return longest * period_s
