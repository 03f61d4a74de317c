"""Post-encroachment time: by how much two road users missed each other at the same place."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_driving.collisions.footprints import footprints_overlap

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def _overlap_at_lag(pose: FloatArray, size: FloatArray, first: int, second: int, lag: int) -> bool:
    """Whether ``second`` is, ``lag`` ticks later, where ``first`` was."""
    reach = 0.5 * (size[first, 0] + size[first, 1] + size[second, 0] + size[second, 1])
    for tick in range(len(pose) - lag):
        a, b = pose[tick, first], pose[tick + lag, second]
        if abs(a[0] - b[0]) > reach or abs(a[1] - b[1]) > reach:
            continue
        if footprints_overlap(
            a[0],
            a[1],
            a[2],
            size[first, 0],
            size[first, 1],
            b[0],
            b[1],
            b[2],
            size[second, 0],
            size[second, 1],
        ):
            return True
    return False


@njit(cache=True)
def post_encroachment_s(pose: FloatArray, size_m: FloatArray, period_s: float, horizon_s: float) -> float:
    """Returns the least time from when one leaves a place until the other comes there (PET, Allen et al. 1978).

    The conflict area of a pair is all ground that both footprints cover at any time, so crossing, merging and
    following are one case; following, it is the net time gap.

    Args:
        pose: (T, N, 3) x_m, y_m, yaw_rad; actor 0 is the ego, pairs are the ego and each other actor.
        size_m: (N, 2) length and width.
        period_s: Time between two ticks, which is also the resolution.
        horizon_s: Longer times are not looked for.

    Returns:
        Seconds, 0 if two overlap at one instant, infinity if no time up to the horizon was found.
    """
    for lag in range(int(horizon_s / period_s + 0.5) + 1):
        for other in range(1, len(size_m)):
            if _overlap_at_lag(pose, size_m, 0, other, lag) or _overlap_at_lag(pose, size_m, other, 0, lag):
                return lag * period_s
    return math.inf
