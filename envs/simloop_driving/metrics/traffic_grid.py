"""The log table ``world.actors`` as arrays of ticks by actors, read once for all metrics of traffic."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction
from simloop_driving.metrics.criticality import leader_series
from simloop_driving.metrics.encroachment import encroachments
from simloop_driving.metrics.first_overlap import first_overlap_series

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

TABLE = "world.actors"
"""One row for each actor and control tick; actor 0 is the ego; the rows of one tick lie together."""
LANE_WIDTHS = "route_lane_widths_m"
"""Log attribute: station along the ego's route and width of the route's lane there, straight lines between."""
TTC_HORIZON_S = 10.0
"""Longer times to collision are not looked for: a conflict farther off says nothing about an episode's risk."""
PET_HORIZON_S = 5.0
"""Longer post-encroachment times are not looked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrafficGrid:
    """``world.actors`` as arrays; actor 0 is the ego.

    Attributes:
        t_ns: (T,) int64 virtual instants.
        period_s: Time between two ticks; 0 if there is one tick only.
        pose: (T, N, 3) x_m, y_m, yaw_rad of the footprints' centres, world frame.
        along_m: (T, N) along the ego's route.
        across_m: (T, N) across it, positive to the left.
        speed_mps: (T, N) along the heading.
        route_speed_mps: (T, N) component of the velocity along the ego's route; negative for oncoming actors.
        acceleration_mps2: (T, N) along the heading.
        size_m: (T, N, 2) length and width.
        is_present: (T, N) whether the actor was on the road.
        is_ego_opposite: (T,) whether the ego was in a lane of the opposite direction.
        actor_class: (N,) index into ``ACTOR_CLASSES``.
        lane_widths_m: (K, 2) station along the ego's route and width of its lane there, straight lines between;
            without rows if the log does not say.
    """

    t_ns: IntArray
    period_s: float
    pose: FloatArray
    along_m: FloatArray
    across_m: FloatArray
    speed_mps: FloatArray
    route_speed_mps: FloatArray
    acceleration_mps2: FloatArray
    size_m: FloatArray
    is_present: BoolArray
    is_ego_opposite: BoolArray
    actor_class: IntArray
    lane_widths_m: FloatArray

    @classmethod
    def from_log(cls, log: EpisodeLog) -> TrafficGrid:
        """Reads the table of a log; it has a row for every actor and tick, whether the actor is there or not.

        Raises:
            LogError: The log has no such table, or the table lacks a column.
        """
        num = int(np.max(log.column(TABLE, "actor"), initial=0)) + 1

        def grid(name: str) -> npt.NDArray[Any]:
            return log.column(TABLE, name).reshape(-1, num)

        t_ns = grid("t_ns")[:, 0]
        period_s = float(t_ns[1] - t_ns[0]) * 1e-9 if len(t_ns) > 1 else 0.0
        return cls(
            t_ns=t_ns,
            period_s=period_s,
            pose=np.stack([grid("x_m"), grid("y_m"), grid("yaw_rad")], axis=2),
            along_m=grid("station_m"),
            across_m=grid("lateral_offset_m"),
            speed_mps=grid("speed_mps"),
            route_speed_mps=grid("route_speed_mps"),
            acceleration_mps2=grid("acceleration_mps2"),
            size_m=np.stack([grid("length_m"), grid("width_m")], axis=2),
            is_present=grid("is_present"),
            is_ego_opposite=grid("is_in_opposite_lane")[:, 0],
            actor_class=grid("actor_class")[0],
            lane_widths_m=np.array(log.attributes.get(LANE_WIDTHS, ()), dtype=np.float64).reshape(-1, 2),
        )


class Traffic:
    """A grid and what several metrics derive from it, each computed when it is first asked for.

    Attributes:
        grid: The arrays.
    """

    def __init__(self, grid: TrafficGrid) -> None:
        self.grid = grid

    @functools.cached_property
    def leader(self) -> FloatArray:
        """(T, NUM_MEASURES) measures against the leader; see the columns in ``criticality``."""
        grid = self.grid
        series: FloatArray = leader_series(
            grid.along_m,
            grid.across_m,
            grid.speed_mps,
            grid.route_speed_mps,
            grid.acceleration_mps2,
            grid.size_m,
            grid.is_present,
        )
        return series

    @functools.cached_property
    def time_to_overlap_s(self) -> FloatArray:
        """(T,) least time until the ego's footprint overlaps another one at constant velocities, or infinity."""
        grid = self.grid
        series: FloatArray = first_overlap_series(
            grid.pose, grid.speed_mps, grid.size_m, grid.is_present, TTC_HORIZON_S
        )
        return series

    @functools.cached_property
    def encroachments_s(self) -> FloatArray:
        """(3,) post-encroachment and encroachment times; see ``encroachment``. One tick alone has none."""
        grid = self.grid
        times: FloatArray = encroachments(
            grid.pose, grid.size_m, grid.is_present, grid.period_s or PET_HORIZON_S, PET_HORIZON_S
        )
        return times


def read_traffic(log: EpisodeLog) -> Traffic | MetricValue:
    """Returns the traffic of a log, or an invalid value if it has no ego."""
    if log.num_rows(TABLE) == 0 or log.column(TABLE, "actor")[0] != 0:
        return MetricValue.invalid(f"{TABLE} has no row of the ego (actor 0)")
    return Traffic(TrafficGrid.from_log(log))


class TrafficMetric(Reduction):
    """A metric made of ``Traffic``; all such metrics share one reading of a log."""

    tables = (TABLE,)
    read = staticmethod(read_traffic)

    def __init__(self) -> None:
        """Has its name, unit and description as class attributes."""

    def reduce(self, reading: Traffic | MetricValue) -> MetricValue:
        """Returns the value of what ``read_traffic`` returned."""
        if isinstance(reading, MetricValue):
            return reading
        value = self.value_of(reading)
        return value if isinstance(value, MetricValue) else MetricValue(value=value)

    @abstractmethod
    def value_of(self, traffic: Traffic) -> float | MetricValue:
        """Returns the metric's value for an episode's traffic."""
