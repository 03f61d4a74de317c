"""The sensor ``road_ahead``: how far the road reaches to both sides, speed limits and junctions, from the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numba
import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving.roads.route import (
    JUNCTION,
    LEFT_EDGE_M,
    RIGHT_EDGE_M,
    ROAD_LEFT_M,
    ROAD_RIGHT_M,
    SPEED_LIMIT_MPS,
    value_at,
)
from simloop_driving.scenario.actor_state import EGO, S_M
from simloop_driving.sensors.options import ExtraSensor
from simloop_driving.sensors.snapshot import Snapshot
from simloop_driving.sensors.standard import NUM_ROUTE_POINTS, ROUTE_SPACING_M

FloatArray = npt.NDArray[np.float64]

ROAD_AHEAD_COLUMNS = (
    "left_edge_m",
    "right_edge_m",
    "own_left_edge_m",
    "own_right_edge_m",
    "speed_limit_mps",
    "is_junction",
)
"""Columns of ``road_ahead``, at the points of ``route``: where the road ends, the lanes of oncoming traffic included;
where the lanes of the own direction end; all across the route, positive to the left. Then the speed limit (100 where
there is none) and 1 inside a junction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadAhead(ExtraSensor):
    """Road edges, speed limit and junctions along the route."""

    type_name: ClassVar[str] = "road_ahead"

    @property
    def spec(self) -> SensorSpec:
        """Layout: (32, 6), see ``ROAD_AHEAD_COLUMNS``."""
        return self.make_spec(
            SensorKind.OBJECTS,
            (NUM_ROUTE_POINTS, len(ROAD_AHEAD_COLUMNS)),
            "at the points of route, from the map; columns: " + ", ".join(ROAD_AHEAD_COLUMNS),
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (32, 6) array."""
        route = snapshot.episode.start.route
        out = np.empty((NUM_ROUTE_POINTS, len(ROAD_AHEAD_COLUMNS)))
        _fill(out, snapshot.actors[S_M, EGO], route.samples, route.step_m)
        return out


@numba.njit(cache=True)
def _fill(out: FloatArray, station_m: float, samples: FloatArray, step_m: float) -> None:
    last = samples.shape[1] - 1
    for i in range(out.shape[0]):
        s = station_m + i * ROUTE_SPACING_M
        out[i, 0] = value_at(samples, step_m, ROAD_LEFT_M, s)
        out[i, 1] = value_at(samples, step_m, ROAD_RIGHT_M, s)
        out[i, 2] = value_at(samples, step_m, LEFT_EDGE_M, s)
        out[i, 3] = value_at(samples, step_m, RIGHT_EDGE_M, s)
        nearest = min(max(int(s / step_m + 0.5), 0), last)  # these two change in steps
        out[i, 4] = samples[SPEED_LIMIT_MPS, nearest]
        out[i, 5] = samples[JUNCTION, nearest]
