"""Least time headway of an episode."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics.actor_rows import TABLE, ActorRows

MIN_SPEED_MPS = 1.0
"""Below this the headway of a car that is about to stop says nothing."""


@njit(cache=True)
def min_headway_s(
    t_ns: npt.NDArray[np.int64],
    actor: npt.NDArray[np.int64],
    pose: npt.NDArray[np.float64],
    speed_mps: npt.NDArray[np.float64],
    size_m: npt.NDArray[np.float64],
    lane: npt.NDArray[np.int64],
) -> float:
    """Returns the least bumper-to-bumper gap over ego speed to an actor ahead in the ego's lane, or infinity.

    The gap is measured along the ego's heading; overlapping footprints count as 0. Arguments as in
    ``first_overlap.min_first_overlap_s``, and ``lane``: (rows,) int64.
    """
    least = math.inf
    start = 0
    while start < len(t_ns):
        stop = start
        ego = -1
        while stop < len(t_ns) and t_ns[stop] == t_ns[start]:
            if actor[stop] == 0:
                ego = stop
            stop += 1
        if ego >= 0 and speed_mps[ego] >= MIN_SPEED_MPS:
            forward_x, forward_y = math.cos(pose[ego, 2]), math.sin(pose[ego, 2])
            for row in range(start, stop):
                if row == ego or lane[row] != lane[ego]:
                    continue
                ahead_m = (pose[row, 0] - pose[ego, 0]) * forward_x + (
                    pose[row, 1] - pose[ego, 1]
                ) * forward_y
                if ahead_m > 0.0:
                    gap_m = max(ahead_m - 0.5 * (size_m[ego, 0] + size_m[row, 0]), 0.0)
                    least = min(least, gap_m / speed_mps[ego])
        start = stop
    return least


class MinThw(Metric):
    """Least time headway: bumper-to-bumper gap to the nearest actor ahead in the ego's lane over ego speed.

    Ticks at which the ego is slower than ``MIN_SPEED_MPS`` do not count. Not valid when nobody ever was ahead
    in the ego's lane.
    """

    name = "min_thw_s"
    unit = "s"
    description = (
        "Least time headway (bumper-to-bumper gap over ego speed) to an actor ahead in the ego's lane."
    )
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the least headway over all ticks."""
        rows = ActorRows.from_log(log)
        least = min_headway_s(rows.t_ns, rows.actor, rows.pose, rows.speed_mps, rows.size_m, rows.lane)
        if math.isinf(least):
            return MetricValue.invalid(
                f"no actor ahead in the ego's lane while it drove {MIN_SPEED_MPS:g} m/s or more"
            )
        return MetricValue(value=float(least))
