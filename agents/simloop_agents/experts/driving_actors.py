"""Whom the driving expert brakes for: actors on its way, beside it, coming over, and crossing."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_agents.experts.driving_following import (
    MAX_DECELERATION_MPS2,
    following_acceleration_mps2,
    predict_along,
)
from simloop_agents.experts.driving_geometry import locate_on_route

FloatArray = npt.NDArray[np.float64]

MAX_ANTICIPATION_MPS2 = 7.0
"""Hardest braking for an actor that has not entered the ego's path yet."""
LATERAL_MARGIN_M = 0.35
"""Clearance between two sides below which an actor stands in the ego's path."""
ANTICIPATION_S = 4.0
"""An actor that will be in the ego's path within this time, at its lateral speed, counts as in it."""
MIN_LATERAL_SPEED_MPS = 0.1
"""Lateral speeds below this are wandering within a lane."""
BESIDE_LANE_M = 0.8
"""Beyond this lateral offset the ego is not following its centre line but passing somebody."""
CROSSING_HORIZON_S = 2.0
"""How far ahead the ways of crossing and oncoming vehicles are compared with the ego's."""
CROSSING_COURSE_RAD = math.pi / 3.0
SHORTEST_VEHICLE_M = 2.6
FASTEST_ON_FOOT_MPS = 6.0
DROP_BACK_MPS2 = 2.5
DOOR_SPACE_M = 1.6
SLOWEST_PASS_MPS = 5.0
PASS_MPS_PER_M = 6.0
"""Closer than ``DOOR_SPACE_M`` to a standing vehicle the ego passes at this speed, plus this for each metre."""

# Columns of the (N, NUM_TRACK_COLUMNS) tracks.
S_M, OFFSET_M, SPEED_MPS, ACCELERATION_MPS2, DRIFT_MPS, LENGTH_M, WIDTH_M, IS_CROSSING, SIDE_M, ROOM_M = (
    range(10)
)
NUM_TRACK_COLUMNS = 10
"""Place on the route, speed along it, acceleration, drift to the left, extents along and across it; whether it
crosses or comes towards the ego; the lateral offset at which the ego passes it (NaN: not at all); room to leave behind
it for pulling out."""


@njit(cache=True)
def make_tracks(route: FloatArray, actors: FloatArray) -> FloatArray:
    """Returns the tracks of (N, 8) actors: x_m, y_m, velocity x and y, acceleration, length_m, width_m, heading_rad."""
    tracks = np.zeros((len(actors), NUM_TRACK_COLUMNS))
    for index in range(len(actors)):
        s_m, offset_m, yaw_rad = locate_on_route(route, actors[index, 0], actors[index, 1])
        forward_x, forward_y = math.cos(yaw_rad), math.sin(yaw_rad)
        along = actors[index, 2] * forward_x + actors[index, 3] * forward_y
        drift = actors[index, 3] * forward_x - actors[index, 2] * forward_y
        speed = math.hypot(along, drift)
        tracks[index, S_M] = s_m
        tracks[index, OFFSET_M] = offset_m
        tracks[index, SPEED_MPS] = along
        tracks[index, ACCELERATION_MPS2] = actors[index, 4]
        if s_m <= route[-1, 3]:  # beyond the known route a bend would look like a lane change
            tracks[index, DRIFT_MPS] = drift
        length, width = actors[index, 5], actors[index, 6]
        turn = actors[index, 7] - yaw_rad
        turn = (turn + math.pi) % (2.0 * math.pi) - math.pi
        is_across = abs(turn) > CROSSING_COURSE_RAD
        is_vehicle = length >= SHORTEST_VEHICLE_M or speed > FASTEST_ON_FOOT_MPS
        if is_across and is_vehicle and speed > 1.0:
            tracks[index, IS_CROSSING] = 1.0
        if is_across:
            cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
            length, width = cos * length + sin * width, sin * length + cos * width
        tracks[index, LENGTH_M] = length
        tracks[index, WIDTH_M] = width
        tracks[index, SIDE_M] = math.nan
    return tracks


@njit(cache=True)
def place_at(track: FloatArray, t_s: float) -> tuple[float, float, float]:
    """Returns station, offset and speed along the route of a track after ``t_s``.

    Who comes over towards the route is taken to change lanes onto its centre line; who crosses goes straight on.
    """
    along, speed = predict_along(track[SPEED_MPS], track[ACCELERATION_MPS2], t_s)
    offset, drift = track[OFFSET_M], track[DRIFT_MPS]
    if track[IS_CROSSING] > 0.0:
        return track[S_M] + track[SPEED_MPS] * t_s, offset + drift * t_s, track[SPEED_MPS]
    if drift * offset < 0.0:
        offset = offset + math.copysign(min(abs(offset), abs(drift) * t_s), drift)
    else:
        offset = offset + drift * t_s
    return track[S_M] + along, offset, speed


@njit(cache=True)
def _offset_after_m(
    ego_offset: float, slope: float, rate_per_m: float, target_m: float, way_m: float
) -> float:
    """Returns the lateral offset after a way, on the critically damped approach to ``target_m``."""
    error = ego_offset - target_m
    return float(target_m + (error + (slope + rate_per_m * error) * way_m) * math.exp(-rate_per_m * way_m))


@njit(cache=True)
def _crossing_demand_mps2(
    track: FloatArray,
    ego_s: float,
    ego_offset: float,
    slope: float,
    rate_per_m: float,
    target_m: float,
    speed: float,
    ego_size: FloatArray,
    t_s: float,
) -> float:
    """Acceleration that a crossing or oncoming vehicle asks for: stop short of where the ways would meet.

    The ego's way is the one to its lateral target: who is on the way back out of an oncoming lane drives on, as
    standing there would block it.
    """
    reach = 0.5 * (track[LENGTH_M] + ego_size[0])
    side = 0.5 * (track[WIDTH_M] + ego_size[1]) + LATERAL_MARGIN_M
    pace = max(speed, 1.5)
    for step in range(9):
        tau = step * CROSSING_HORIZON_S / 8.0
        s, offset, _ = place_at(track, t_s + tau)
        ahead = s - ego_s - pace * tau
        ego_there = _offset_after_m(ego_offset, slope, rate_per_m, target_m, pace * tau)
        if abs(offset - ego_there) < side and abs(ahead) < reach + 0.5 and s > ego_s:
            way = s - ego_s - reach - 0.5
            if way <= 0.2:
                return -MAX_DECELERATION_MPS2
            return float(max(-0.5 * speed * speed / way - 0.5, -MAX_DECELERATION_MPS2))
    return math.inf


@njit(cache=True)
def clearance_when_there_m(
    track: FloatArray,
    offset_there: float,
    ego_offset: float,
    slope: float,
    rate_per_m: float,
    gap_m: float,
    speed: float,
    target_m: float,
    ego_size: FloatArray,
) -> float:
    """Returns the space between the sides when the ego, on its way to ``target_m``, will have closed the gap."""
    closing = speed - max(track[SPEED_MPS], 0.0)
    if closing <= 0.05:
        predicted = target_m if gap_m > 0.0 else ego_offset
    else:
        way = max(gap_m, 0.0) * speed / closing
        predicted = _offset_after_m(ego_offset, slope, rate_per_m, target_m, way)
    return float(abs(offset_there - predicted) - 0.5 * (ego_size[1] + track[WIDTH_M]))


@njit(cache=True)
def _passing_demand_mps2(track: FloatArray, speed: float, way_m: float, space_m: float) -> float:
    """Acceleration to pass a standing vehicle slowly where there is little space for its door."""
    if track[LENGTH_M] < SHORTEST_VEHICLE_M or abs(track[SPEED_MPS]) > 0.5 or space_m > DOOR_SPACE_M:
        return math.inf
    pace = SLOWEST_PASS_MPS + PASS_MPS_PER_M * max(space_m - 0.4, 0.0)
    return float((math.sqrt(pace * pace + 3.0 * max(way_m, 0.0)) - speed) / 0.5)


@njit(cache=True)
def actors_demand_mps2(
    tracks: FloatArray,
    ego_s: float,
    ego_offset: float,
    slope: float,
    rate_per_m: float,
    target_m: float,
    speed: float,
    desired: float,
    ego_size: FloatArray,
    t_s: float,
) -> float:
    """Returns the least acceleration that any actor asks for.

    Args:
        tracks: (N, NUM_TRACK_COLUMNS) actors at the observation.
        ego_s: The ego's station.
        ego_offset: The ego's lateral offset.
        slope: Its change per metre.
        rate_per_m: Rate at which the ego approaches its lateral target.
        target_m: That target.
        speed: The ego's speed.
        desired: Its speed on a free road.
        ego_size: (2,) length and width.
        t_s: Time since the observation.
    """
    demand = following_acceleration_mps2(speed, desired, math.inf, 0.0, 0.0)
    for index in range(len(tracks)):
        track = tracks[index]
        if track[IS_CROSSING] > 0.0:
            asked = _crossing_demand_mps2(
                track, ego_s, ego_offset, slope, rate_per_m, target_m, speed, ego_size, t_s
            )
            demand = min(demand, asked)
            continue
        actor_s, offset, actor_speed = place_at(track, t_s)
        ahead = actor_s - ego_s
        reach = 0.5 * (ego_size[0] + track[LENGTH_M])
        is_passing = not math.isnan(track[SIDE_M])
        is_out = abs(ego_offset) > BESIDE_LANE_M
        is_beside = abs(ahead) < reach + 1.0 and abs(offset) < BESIDE_LANE_M and actor_speed > 0.5
        if is_out and not is_passing and is_beside:  # in the lane that the ego has to return to: fall back
            demand = min(demand, -DROP_BACK_MPS2)
        if ahead <= 0.0:
            continue
        drift = track[DRIFT_MPS]
        clearance = abs(offset - ego_offset) - 0.5 * (ego_size[1] + track[WIDTH_M]) - LATERAL_MARGIN_M
        if is_passing or is_out:
            target = track[SIDE_M] if is_passing else target_m
            there = clearance_when_there_m(
                track, offset, ego_offset, slope, rate_per_m, ahead - reach, speed, target, ego_size
            )
            clearance = there - 0.6 * LATERAL_MARGIN_M
            if clearance > 0.0 and is_passing:
                demand = min(demand, _passing_demand_mps2(track, speed, ahead - reach, there))
                continue
        limit = MAX_DECELERATION_MPS2
        if clearance > 0.0:
            approach = drift if offset < ego_offset else -drift
            if approach < MIN_LATERAL_SPEED_MPS or clearance > approach * ANTICIPATION_S:
                continue
            limit = MAX_ANTICIPATION_MPS2
        gap = max(ahead - reach - track[ROOM_M], 0.5)
        wanted = following_acceleration_mps2(speed, desired, gap, actor_speed, track[ACCELERATION_MPS2])
        demand = min(demand, max(wanted, -limit))
    return float(demand)
