"""The paths of a scene and everything that follows from them alone: zones, priorities, stop lines, speeds in bends."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop_driving.roads.conflicts import conflict_zones
from simloop_driving.roads.priority import priorities
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.roads.route import Paths, Route, stack_routes
from simloop_driving.scenario.right_of_way import build_crossings
from simloop_driving.scenario.stop_lines import build_stops
from simloop_driving.scenario.traffic import speed_profiles

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """Paths of one scene; nothing in it changes during an episode.

    Attributes:
        paths: The paths; path 0 is the ego's route.
        zones: (C, 7) float64 of ``roads.conflicts.conflict_zones``.
        priorities: (C,) int64 of ``roads.priority.priorities``.
        crossings: (Z, right_of_way.NUM_CROSSING_COLUMNS) float64.
        crossing_start: (P + 1,) int64.
        stops: (n, stop_lines.NUM_STOP_COLUMNS) float64, as they are at the start of an episode.
        stop_start: (P + 1,) int64.
        profiles: (P, M) float64 of ``traffic.speed_profiles``.
    """

    paths: Paths
    zones: FloatArray
    priorities: IntArray
    crossings: FloatArray
    crossing_start: IntArray
    stops: FloatArray
    stop_start: IntArray
    profiles: FloatArray


@functools.lru_cache(maxsize=32)
def build_network(road_map: RoadMap, routes: tuple[Route, ...], lengths_m: tuple[float, ...]) -> Network:
    """Returns what follows from routes of a map and the longest vehicle on each; cached by the routes' identity."""
    paths = stack_routes(routes)
    zones = conflict_zones(paths)
    order = priorities(road_map, paths, zones)
    crossings, crossing_start = build_crossings(routes, zones, order, lengths_m)
    stops, stop_start = build_stops(routes, road_map)
    return Network(
        paths=paths,
        zones=zones,
        priorities=order,
        crossings=crossings,
        crossing_start=crossing_start,
        stops=stops,
        stop_start=stop_start,
        profiles=speed_profiles(paths),
    )
