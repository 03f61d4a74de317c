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

# Entries of what ``encroachments`` returns.
LEAST_S = 0
LEAST_CROSSING_S = 1
LONGEST_CROSSING_S = 2


@njit(cache=True)
def _longest_step_m(pose: FloatArray, actor: int) -> float:
    """Returns how far an actor's centre moves between two ticks at most."""
    longest = 0.0
    for tick in range(1, len(pose)):
        dx, dy = (
            pose[tick, actor, 0] - pose[tick - 1, actor, 0],
            pose[tick, actor, 1] - pose[tick - 1, actor, 1],
        )
        longest = max(longest, dx * dx + dy * dy)
    return math.sqrt(longest)


@njit(cache=True)
def _radius_m(size_m: FloatArray, actor: int) -> float:
    """Returns half the diagonal of an actor's largest footprint."""
    return 0.5 * math.hypot(size_m[:, actor, 0].max(), size_m[:, actor, 1].max())


@njit(cache=True)
def _may_cross(pose: FloatArray, other: int) -> bool:
    """Whether any heading of the other is at 30 to 150 degrees to any heading of the ego."""
    own, its = pose[:, 0, 2], pose[:, other, 2]
    low, high = its.min() - own.max(), its.max() - own.min()
    first = low % math.pi
    turn = 0.0 if first <= math.pi - CROSSING_RAD else math.pi
    return bool(first + high - low >= turn + CROSSING_RAD)


@njit(cache=True)
def encroachments(
    pose: FloatArray, size_m: FloatArray, is_present: BoolArray, period_s: float, horizon_s: float
) -> FloatArray:
    """Returns by how much the ego and others missed each other at the same places, in one pass over all pairs.

    For each tick of the ego and each other actor the ticks at which the other covers ground that the ego covers are
    looked for from that tick outwards, over those at which the other cannot have come near yet.

    Args:
        pose: (T, N, 3) x_m, y_m, yaw_rad; actor 0 is the ego, pairs are the ego and each other actor.
        size_m: (T, N, 2) length and width.
        is_present: (T, N) actors that are not there are left out.
        period_s: Time between two ticks, which is also the resolution.
        horizon_s: Longer times are not looked for.

    Returns:
        (3,) seconds. ``LEAST_S``: least time from when one leaves a place until the other comes there (PET, Allen et
        al. 1978; following, it is the net time gap), 0 if two overlap at one instant, infinity if there is none up to
        the horizon. ``LEAST_CROSSING_S``: the same where ways cross. ``LONGEST_CROSSING_S``: longest time that the ego
        stayed on ground that one other crosses within the horizon (ET), 0 if nobody does.
    """
    beyond = int(horizon_s / period_s + 0.5) + 1
    least, least_crossing, longest = beyond, beyond, 0
    crossing_sine = math.sin(CROSSING_RAD)
    own_radius = _radius_m(size_m, 0)
    for other in range(1, pose.shape[1]):
        step_m, reach_m = _longest_step_m(pose, other), own_radius + _radius_m(size_m, other)
        num_crossing = 0
        can_cross = _may_cross(pose, other)
        for tick in range(len(pose)):
            x, y, yaw = pose[tick, 0, 0], pose[tick, 0, 1], pose[tick, 0, 2]
            length, width = size_m[tick, 0, 0], size_m[tick, 0, 1]
            is_crossed = False
            for turn in range(2):
                way = 1 - 2 * turn
                at = tick + (way if turn else 0)
                while 0 <= at < len(pose) and abs(at - tick) < (beyond if can_cross else least):
                    dx, dy = pose[at, other, 0] - x, pose[at, other, 1] - y
                    free_m = math.hypot(dx, dy) - reach_m
                    if free_m > 0.0:
                        if step_m <= 0.0:
                            break
                        at += way * int(min(1.0 + free_m / step_m, 1e6))
                        continue
                    lag, its_yaw = abs(at - tick), pose[at, other, 2]
                    may_cross = can_cross and abs(math.sin(its_yaw - yaw)) >= crossing_sine
                    is_wanted = lag < least or (may_cross and (lag < least_crossing or not is_crossed))
                    if is_wanted and is_present[at, other]:
                        its_length, its_width = size_m[at, other, 0], size_m[at, other, 1]
                        if footprints_overlap(
                            x, y, yaw, length, width, x + dx, y + dy, its_yaw, its_length, its_width
                        ):
                            least = min(least, lag)
                            if may_cross:
                                least_crossing = min(least_crossing, lag)
                                is_crossed = True
                    at += way
            num_crossing += int(is_crossed)
        longest = max(longest, num_crossing)
    out = np.full(3, math.inf)
    if least < beyond:
        out[LEAST_S] = least * period_s
    if least_crossing < beyond:
        out[LEAST_CROSSING_S] = least_crossing * period_s
    out[LONGEST_CROSSING_S] = longest * period_s
    return out
