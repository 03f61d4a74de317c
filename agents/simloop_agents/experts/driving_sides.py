"""Whom the driving expert could pass, and how far aside: by room on the road, doors, queues and junctions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_agents.experts.driving_actors import (
    ACCELERATION_MPS2,
    DRIFT_MPS,
    IS_CROSSING,
    LATERAL_MARGIN_M,
    LENGTH_M,
    OFFSET_M,
    S_M,
    SHORTEST_VEHICLE_M,
    SIDE_M,
    SPEED_MPS,
    WIDTH_M,
)
from simloop_agents.experts.driving_geometry import (
    IS_JUNCTION,
    OWN_LEFT_M,
    OWN_RIGHT_M,
    narrowest,
    road_value,
)
from simloop_agents.experts.driving_lines import LINE_S_M

FloatArray = npt.NDArray[np.float64]

STANDING_MPS = 0.5
EDGE_MARGIN_M = 0.2
LANE_M = 3.0
"""Width from which room beside the own lane counts as another lane."""
PARKED_SPACE_M = 1.4
"""Space to a standing vehicle, whose door may open."""
RIDER_SPACE_M = 1.3
CAR_SPACE_M = 0.9
LEAST_SPACE_M = 0.45
LOOK_AHEAD_M = 90.0
QUEUE_M = 35.0
"""Who stands this close before a stop line or a junction is queueing."""
SLOWER_RATIO = 0.75
"""A leader is worth passing below this share of the wanted speed."""
PASSING_S = 4.0
"""Who will be faster than that after this time is not worth passing either."""
MAX_DRIFT_MPS = 0.5
"""Who moves sideways faster is not passed but waited for, but for doors."""
DOOR_S = 0.7
"""A door that is opening goes on for this long."""


@njit(cache=True)
def propose_sides(
    tracks: FloatArray,
    route: FloatArray,
    road: FloatArray,
    lines: FloatArray,
    ego_s: float,
    speed: float,
    desired: float,
    ego_size: FloatArray,
) -> bool:
    """Writes ``SIDE_M`` of all who could be passed, if the way were free; returns whether there are any."""
    has_any = False
    for index in range(len(tracks)):
        track = tracks[index]
        ahead = track[S_M] - ego_s
        reach = 0.5 * (ego_size[0] + track[LENGTH_M])
        standing = abs(track[SPEED_MPS]) <= STANDING_MPS
        offset = track[OFFSET_M]
        if abs(track[DRIFT_MPS]) > MAX_DRIFT_MPS and standing and _is_part(tracks, index):
            offset += track[DRIFT_MPS] * DOOR_S
        elif abs(track[DRIFT_MPS]) > MAX_DRIFT_MPS:
            continue
        if track[IS_CROSSING] > 0.0 or track[SPEED_MPS] < -STANDING_MPS:
            continue
        if ahead < -(reach + 30.0) or ahead > LOOK_AHEAD_M:
            continue
        soon = track[SPEED_MPS] + PASSING_S * max(track[ACCELERATION_MPS2], 0.0)
        pace = soon if ahead > reach else track[SPEED_MPS]
        if not standing and pace > SLOWER_RATIO * desired - 0.5:
            continue
        half = 0.5 * (track[WIDTH_M] + ego_size[1])
        space = CAR_SPACE_M
        if standing and track[LENGTH_M] >= SHORTEST_VEHICLE_M:
            space = PARKED_SPACE_M
        elif track[LENGTH_M] < SHORTEST_VEHICLE_M and not standing:
            space = RIDER_SPACE_M
        if abs(offset) - half >= space:
            continue
        side = _side_m(route, road, track[S_M], offset, reach, half, space, ego_size[1])
        if math.isnan(side):
            continue
        own_left = road_value(route, road, OWN_LEFT_M, track[S_M])
        own_right = road_value(route, road, OWN_RIGHT_M, track[S_M])
        leaves_lane = side + 0.5 * ego_size[1] > own_left or side - 0.5 * ego_size[1] < own_right
        blocks = abs(offset) - half < LATERAL_MARGIN_M
        if (leaves_lane or blocks) and _is_queueing(track, route, road, lines):
            continue
        track[SIDE_M] = side
        has_any = True
    return has_any


@njit(cache=True)
def _is_part(tracks: FloatArray, index: int) -> bool:
    """Returns whether something that moves sideways is the door of a standing vehicle, or somebody who gets out."""
    for other in range(len(tracks)):
        is_vehicle = tracks[other, LENGTH_M] >= SHORTEST_VEHICLE_M > tracks[index, LENGTH_M]
        if not is_vehicle or abs(tracks[other, SPEED_MPS]) > STANDING_MPS:
            continue
        along = abs(tracks[other, S_M] - tracks[index, S_M])
        across = abs(tracks[other, OFFSET_M] - tracks[index, OFFSET_M])
        if along < 0.5 * tracks[other, LENGTH_M] and across < 0.5 * tracks[other, WIDTH_M] + 1.0:
            return True
    return False


@njit(cache=True)
def _side_m(
    route: FloatArray,
    road: FloatArray,
    station: float,
    offset: float,
    reach: float,
    half: float,
    space: float,
    width_m: float,
) -> float:
    """Returns the offset at which to pass, on the left if that can be; NaN if there is no room."""
    left, right, _ = narrowest(route, road, station - reach - 5.0, station + reach + 5.0)
    own_left = road_value(route, road, OWN_LEFT_M, station)
    own_right = road_value(route, road, OWN_RIGHT_M, station)
    for wanted in (space, 0.5 * (space + LEAST_SPACE_M), LEAST_SPACE_M):
        to_left, to_right = offset + half + wanted, offset - half - wanted
        if to_left < 0.0 or to_right > 0.0:
            return math.nan  # it is far enough aside
        if abs(offset) - half < LATERAL_MARGIN_M:  # another lane of the own direction is taken whole
            lane = 0.5 * (own_left - own_right)
            if own_left > 0.5 * LANE_M + LANE_M:
                lane = (own_left - 0.5 * 3.5) if own_left < 6.0 else 3.5
                to_left = max(to_left, lane)
            if -own_right > 0.5 * LANE_M + LANE_M:
                lane = (-own_right - 0.5 * 3.5) if -own_right < 6.0 else 3.5
                to_right = min(to_right, -lane)
        has_left = to_left + 0.5 * width_m + EDGE_MARGIN_M <= left
        has_right = to_right - 0.5 * width_m - EDGE_MARGIN_M >= max(right, own_right)
        if offset > half and has_right:
            return float(to_right)
        if has_left:
            return float(to_left)
        if has_right:
            return float(to_right)
    return math.nan


@njit(cache=True)
def _is_queueing(track: FloatArray, route: FloatArray, road: FloatArray, lines: FloatArray) -> bool:
    for line in range(len(lines)):
        if -8.0 < lines[line, LINE_S_M] - track[S_M] < QUEUE_M:
            return True
    for index in range(len(route)):
        if road[index, IS_JUNCTION] > 0.5 and -8.0 < route[index, 3] - track[S_M] < QUEUE_M:
            return True
    return False
