"""Who has the right of way where two paths meet: signals, signs and the rules that hold without them.

The rules are those that the Vienna Convention on Road Traffic (1968) sets for right-hand traffic: articles 10 and 23
(signs and lights), 14 (whoever changes lane gives way), 18 (right before left; a roundabout's ring by its yield signs)
and 16 (whoever turns left gives way to oncoming traffic).
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from simloop_driving.roads import conflicts
from simloop_driving.roads import route as rows
from simloop_driving.roads.road_map import DRIVING, TRAFFIC_LIGHT, RoadMap
from simloop_driving.roads.route import STOP_EXIT_S_M, STOP_S_M, STOP_SIGNAL, Paths, Route

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

A_FIRST = 1
B_FIRST = -1
BY_SIGNAL = 0

TURN_RAD = math.radians(45.0)
"""A path that turns by more than this through a junction turns left or right."""

ONCOMING_RAD = math.radians(135.0)
MAX_RING_RADIUS_M = 80.0
APPROACH_M = 15.0
"""Outside junctions the heading and the limit of an approach are taken this far before the zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Approach:
    """How a path comes to a zone.

    Attributes:
        signal: Index of the signal that it passes for the zone, or -1.
        kind: Its kind, or -1.
        yaw_rad: Heading on the approach.
        turn_rad: Turn from the approach to the end of the junction (or of the zone), positive to the left.
        is_on_ring: Whether it comes to the zone on the ring of a roundabout.
        changes_lane: Whether it changes lanes in the zone.
        speed_limit_mps: Speed limit on the approach.
        road_width_m: Width of its lanes on the approach.
    """

    signal: int
    kind: int
    yaw_rad: float
    turn_rad: float
    is_on_ring: bool
    changes_lane: bool
    speed_limit_mps: float
    road_width_m: float


def priorities(road_map: RoadMap, paths: Paths, zones: FloatArray) -> IntArray:
    """Returns who goes first in each zone: 1 path a, -1 path b, 0 whom the traffic lights let go.

    The first rule that tells the two apart decides: lights of different phases (0); a stop or yield sign on one of
    them; a roundabout's ring; a lane change; where they merge at a small angle the road with the higher limit, then
    the wider one (main road before ramp); a left turn after oncoming traffic; right before left; the straighter path;
    path a.

    Args:
        road_map: The map that the paths lie on.
        paths: The paths.
        zones: Their (C, 7) conflict zones.

    Returns:
        (C,) int64.
    """
    is_ring = ring_lanes(road_map)
    values = [_first(road_map, is_ring, paths.routes, zone) for zone in zones]
    return np.array(values, dtype=np.int64)


@functools.lru_cache(maxsize=16)
def ring_lanes(road_map: RoadMap) -> npt.NDArray[np.bool_]:
    """Returns which lanes are the ring of a roundabout: a cycle of lanes that all turn left, in one tight circle."""
    is_left = np.zeros(road_map.num_lanes, dtype=np.bool_)
    for lane in range(road_map.num_lanes):
        part = road_map.samples(lane)
        turn_rad = float(road_map.yaw_rad[part.stop - 1] - road_map.yaw_rad[part.start])
        length_m = road_map.length_m(lane)
        is_left[lane] = road_map.lane_kind[lane] == DRIVING and turn_rad * MAX_RING_RADIUS_M > length_m > 0.0
    origin = np.repeat(np.arange(road_map.num_lanes), np.diff(road_map.successor_start))
    is_kept = is_left[origin] & is_left[road_map.successor]
    graph = coo_matrix(
        (np.ones(int(is_kept.sum())), (origin[is_kept], road_map.successor[is_kept])),
        shape=(road_map.num_lanes, road_map.num_lanes),
    )
    _, label = connected_components(graph, directed=True, connection="strong")
    is_ring: npt.NDArray[np.bool_] = is_left & (np.bincount(label)[label] > 1)
    return is_ring


def _first(
    road_map: RoadMap, is_ring: npt.NDArray[np.bool_], routes: tuple[Route, ...], zone: FloatArray
) -> int:
    a, b = (
        _approach(road_map, is_ring, routes[int(zone[path])], float(zone[begin]), float(zone[end]))
        for path, begin, end in (
            (conflicts.PATH_A, conflicts.A_IN_M, conflicts.A_OUT_M),
            (conflicts.PATH_B, conflicts.B_IN_M, conflicts.B_OUT_M),
        )
    )
    by_sign = _by_signals(road_map, a, b)
    if by_sign is not None:
        return by_sign
    for a_yields, b_yields in _rules(a, b, relation=int(zone[conflicts.RELATION])):
        if a_yields != b_yields:
            return B_FIRST if a_yields else A_FIRST
    return A_FIRST if abs(a.turn_rad) <= abs(b.turn_rad) else B_FIRST


def _by_signals(road_map: RoadMap, a: _Approach, b: _Approach) -> int | None:
    """Returns who goes first by lights and signs, or None if they say nothing."""
    has_light = (a.kind == TRAFFIC_LIGHT, b.kind == TRAFFIC_LIGHT)
    if all(has_light):
        program, phase = road_map.signal_controller, road_map.signal_phase
        is_together = (
            program[a.signal] == program[b.signal] >= 0 and phase[a.signal] == phase[b.signal]
        ) or a.signal == b.signal
        return None if is_together else BY_SIGNAL
    a_has_sign, b_has_sign = a.kind > TRAFFIC_LIGHT, b.kind > TRAFFIC_LIGHT
    if a_has_sign != b_has_sign:
        return B_FIRST if a_has_sign else A_FIRST
    return BY_SIGNAL if any(has_light) else None


def _rules(a: _Approach, b: _Approach, *, relation: int) -> list[tuple[bool, bool]]:
    """Returns rule by rule whether a and whether b has to give way."""
    crossing_rad = math.remainder(b.yaw_rad - a.yaw_rad, 2.0 * math.pi)
    rules = [(not a.is_on_ring, not b.is_on_ring), (a.changes_lane, b.changes_lane)]
    if relation == conflicts.MERGING and abs(crossing_rad) < TURN_RAD:
        rules.append((a.speed_limit_mps < b.speed_limit_mps, b.speed_limit_mps < a.speed_limit_mps))
        rules.append((a.road_width_m < b.road_width_m - 1.0, b.road_width_m < a.road_width_m - 1.0))
    if abs(crossing_rad) > ONCOMING_RAD:
        rules.append((a.turn_rad > TURN_RAD, b.turn_rad > TURN_RAD))
    elif abs(crossing_rad) > TURN_RAD:
        # Who comes from the right drives to the left as the other sees it.
        rules.append((crossing_rad > 0.0, crossing_rad < 0.0))
    return rules


def _approach(
    road_map: RoadMap, is_ring: npt.NDArray[np.bool_], route: Route, in_m: float, out_m: float
) -> _Approach:
    step_m, last = route.step_m, route.samples.shape[1] - 1

    def index(s_m: float) -> int:
        return min(max(round(s_m / step_m), 0), last)

    is_inside = route.samples[rows.JUNCTION] > 0.0
    entry, leave = index(in_m - APPROACH_M), index(out_m)
    inside = np.flatnonzero(is_inside[index(in_m) : index(out_m) + 1])
    if len(inside):
        entry = leave = index(in_m) + int(inside[0])
        while entry > 0 and is_inside[entry - 1]:
            entry -= 1
        while leave < last and is_inside[leave]:
            leave += 1
    before = index(entry * step_m - APPROACH_M) if len(inside) else entry
    passed = [
        stop
        for stop in route.stops
        if stop[STOP_S_M] <= out_m and stop[STOP_EXIT_S_M] > stop[STOP_S_M] and in_m <= stop[STOP_EXIT_S_M]
    ]
    signal = int(passed[-1][STOP_SIGNAL]) if passed else -1
    lanes = route.path_lanes[index(in_m) : index(out_m) + 1]
    pairs = {(int(one), int(other)) for one, other in itertools.pairwise(lanes) if one != other}
    yaw = route.samples[rows.YAW_RAD]
    return _Approach(
        signal=signal,
        kind=int(road_map.signal_kind[signal]) if passed else -1,
        yaw_rad=float(yaw[entry]),
        turn_rad=float(yaw[leave] - yaw[entry]),
        is_on_ring=bool(is_ring[lanes[0]]),
        changes_lane=any(
            other in (road_map.lane_left[one], road_map.lane_right[one]) for one, other in pairs
        ),
        speed_limit_mps=float(route.samples[rows.SPEED_LIMIT_MPS, before]),
        road_width_m=float(
            route.samples[rows.LEFT_EDGE_M, before] - route.samples[rows.RIGHT_EDGE_M, before]
        ),
    )
