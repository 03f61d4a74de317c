"""The driving expert's planner: a roll-out of its own closed loop against predicted actors, as one numba kernel.

Longitudinal control is the improved intelligent driver model (Treiber, Hennecke and Helbing 2000; Kesting,
Treiber and Helbing 2010, "Enhanced intelligent driver model to access the impact of driving strategies"): the
constant-acceleration heuristic keeps it from panicking when a car cuts in that is not slower. Lateral control
returns to the route's centre line, critically damped over distance driven.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]

STEP_S = 0.05
"""Time between two rows of a plan."""

MAX_ACCELERATION_MPS2 = 1.8
COMFORTABLE_DECELERATION_MPS2 = 2.5
MAX_DECELERATION_MPS2 = 8.0
MAX_ANTICIPATION_MPS2 = 7.0
"""Hardest braking for an actor that has not entered the ego's path yet."""
STANDSTILL_GAP_M = 3.0
TIME_GAP_S = 1.3
COOLNESS = 0.99
"""Weight c of the constant-acceleration heuristic (Kesting et al. 2010)."""
HEURISTIC_MARGIN_M = 2.0
"""Part of the gap that the constant-acceleration heuristic must not use up."""
BRAKE_JERK_MPS3 = 25.0
RELEASE_JERK_MPS3 = 10.0
LATERAL_MARGIN_M = 0.35
"""Clearance between two sides below which an actor stands in the ego's path."""
ANTICIPATION_S = 4.0
"""An actor that will be in the ego's path within this time, at its lateral speed, counts as in it."""
MIN_LATERAL_SPEED_MPS = 0.1
"""Lateral speeds below this are wandering within a lane."""
RETURN_DISTANCE_M = 8.0
RETURN_TIME_S = 0.65
"""The ego returns to the centre line over the larger of this distance and speed times this time."""


@njit(cache=True)
def locate_on_route(route: FloatArray, x_m: float, y_m: float) -> tuple[float, float, float]:
    """Returns arc length, lateral offset (left positive) and route heading of the route point nearest to a point.

    Args:
        route: (M, 4) x_m, y_m, yaw_rad, arc length in m; straight beyond both ends.
        x_m: The point, in the route's frame.
        y_m: The point, in the route's frame.
    """
    last = len(route) - 2
    best = math.inf
    best_s, best_offset, best_yaw = 0.0, 0.0, 0.0
    for index in range(last + 1):
        along_x, along_y = route[index + 1, 0] - route[index, 0], route[index + 1, 1] - route[index, 1]
        length = math.hypot(along_x, along_y)
        if length < 1e-9:
            continue
        along_x, along_y = along_x / length, along_y / length
        to_x, to_y = x_m - route[index, 0], y_m - route[index, 1]
        along = to_x * along_x + to_y * along_y
        if index > 0:
            along = max(along, 0.0)
        if index < last:
            along = min(along, length)
        away_x, away_y = to_x - along * along_x, to_y - along * along_y
        distance = away_x * away_x + away_y * away_y
        if distance < best:
            best = distance
            share = min(max(along / length, 0.0), 1.0)
            turn = route[index + 1, 2] - route[index, 2]
            best_s = route[index, 3] + along
            best_offset = along_x * to_y - along_y * to_x
            best_yaw = route[index, 2] + share * turn
    return best_s, best_offset, best_yaw


@njit(cache=True)
def point_on_route(route: FloatArray, s_m: float, offset_m: float) -> tuple[float, float, float]:
    """Returns x_m, y_m and route heading at an arc length and lateral offset; inverse of ``locate_on_route``."""
    last = len(route) - 2
    index = 0
    while index < last and route[index + 1, 3] <= s_m:
        index += 1
    length = route[index + 1, 3] - route[index, 3]
    share = (s_m - route[index, 3]) / length
    turn = route[index + 1, 2] - route[index, 2]
    yaw = route[index, 2] + min(max(share, 0.0), 1.0) * turn
    x = route[index, 0] + share * (route[index + 1, 0] - route[index, 0])
    y = route[index, 1] + share * (route[index + 1, 1] - route[index, 1])
    return x - offset_m * math.sin(yaw), y + offset_m * math.cos(yaw), yaw


@njit(cache=True)
def following_acceleration_mps2(
    speed_mps: float,
    desired_speed_mps: float,
    gap_m: float,
    lead_speed_mps: float,
    lead_acceleration_mps2: float,
) -> float:
    """Returns the improved intelligent driver model's acceleration behind one leader.

    At speeds above the desired one the free-road term is that of Kesting et al. (2010), which brakes gently.

    Args:
        speed_mps: Own speed, >= 0.
        desired_speed_mps: Speed on a free road, > 0.
        gap_m: Bumper-to-bumper gap, > 0; infinite on a free road.
        lead_speed_mps: Speed of the leader along the route.
        lead_acceleration_mps2: Acceleration of the leader.
    """
    if speed_mps <= desired_speed_mps:
        free = MAX_ACCELERATION_MPS2 * (1.0 - (speed_mps / desired_speed_mps) ** 4)
    else:
        power = MAX_ACCELERATION_MPS2 * 4.0 / COMFORTABLE_DECELERATION_MPS2
        free = -COMFORTABLE_DECELERATION_MPS2 * (1.0 - (desired_speed_mps / speed_mps) ** power)
    if math.isinf(gap_m):
        return free
    closing = speed_mps - lead_speed_mps
    braking_root = 2.0 * math.sqrt(MAX_ACCELERATION_MPS2 * COMFORTABLE_DECELERATION_MPS2)
    wanted_gap = STANDSTILL_GAP_M + max(0.0, speed_mps * TIME_GAP_S + speed_mps * closing / braking_root)
    ratio = wanted_gap / gap_m
    if ratio >= 1.0:
        model = min(free, 0.0) + MAX_ACCELERATION_MPS2 * (1.0 - ratio * ratio)
    else:
        model = free if free <= 0.0 else free * (1.0 - ratio * ratio)
    usable = max(gap_m - HEURISTIC_MARGIN_M, 0.1)
    lead = min(lead_acceleration_mps2, MAX_ACCELERATION_MPS2)
    if lead < 0.0 and lead_speed_mps * closing <= -2.0 * usable * lead:
        heuristic = speed_mps * speed_mps * lead / (lead_speed_mps * lead_speed_mps - 2.0 * usable * lead)
    else:
        heuristic = lead - max(closing, 0.0) ** 2 / (2.0 * usable)
    if model >= heuristic:
        return model
    comfort = COMFORTABLE_DECELERATION_MPS2
    return (1.0 - COOLNESS) * model + COOLNESS * (
        heuristic + comfort * math.tanh((model - heuristic) / comfort)
    )


@njit(cache=True)
def predict_along(speed_mps: float, acceleration_mps2: float, t_s: float) -> tuple[float, float]:
    """Returns distance and speed after ``t_s`` at constant acceleration; a braking actor stops and stays."""
    if acceleration_mps2 < 0.0 and speed_mps + acceleration_mps2 * t_s < 0.0:
        return -0.5 * speed_mps * speed_mps / acceleration_mps2, 0.0
    return speed_mps * t_s + 0.5 * acceleration_mps2 * t_s * t_s, speed_mps + acceleration_mps2 * t_s


@njit(cache=True)
def _demand_mps2(
    ego_s: float,
    ego_offset: float,
    speed: float,
    desired: float,
    ego_size: FloatArray,
    tracks: FloatArray,
    t_s: float,
) -> float:
    """Least acceleration that any actor asks for at ``t_s`` of the roll-out; ``tracks`` as in ``roll_out``."""
    demand = following_acceleration_mps2(speed, desired, math.inf, 0.0, 0.0)
    for index in range(len(tracks)):
        along, actor_speed = predict_along(tracks[index, 2], tracks[index, 3], t_s)
        actor_s = tracks[index, 0] + along
        offset, drift = tracks[index, 1], tracks[index, 4]
        if drift * offset < 0.0:  # towards the route: a lane change ends on its centre line
            offset = offset + math.copysign(min(abs(offset), abs(drift) * t_s), drift)
        else:
            offset = offset + drift * t_s
        ahead = actor_s - ego_s
        if ahead <= 0.0:
            continue
        clearance = abs(offset - ego_offset) - 0.5 * (ego_size[1] + tracks[index, 6]) - LATERAL_MARGIN_M
        limit = MAX_DECELERATION_MPS2
        if clearance > 0.0:
            approach = drift if offset < ego_offset else -drift
            if approach < MIN_LATERAL_SPEED_MPS or clearance > approach * ANTICIPATION_S:
                continue
            limit = MAX_ANTICIPATION_MPS2
        gap = max(ahead - 0.5 * (ego_size[0] + tracks[index, 5]), 0.5)
        wanted = following_acceleration_mps2(speed, desired, gap, actor_speed, tracks[index, 3])
        demand = min(demand, max(wanted, -limit))
    return float(demand)


@njit(cache=True)
def roll_out(
    plan: FloatArray,
    first_row: int,
    start: FloatArray,
    acceleration_mps2: float,
    desired_speed_mps: float,
    ego_size_m: FloatArray,
    route: FloatArray,
    actors: FloatArray,
) -> None:
    """Fills ``plan[first_row:]`` with the expert's own closed loop from a start state.

    Args:
        plan: (H, 4) x_m, y_m, yaw_rad, speed_mps; row i is the state at (i + 1) ``STEP_S`` after the observation.
        first_row: First row to fill; ``start`` holds at ``first_row`` steps after the observation.
        start: (4,) x_m, y_m, yaw_rad, speed_mps.
        acceleration_mps2: Acceleration at the start.
        desired_speed_mps: Speed on a free road.
        ego_size_m: (2,) length and width.
        route: (M, 4) centre line x_m, y_m, yaw_rad (not wrapped), arc length.
        actors: (N, 7) x_m, y_m, velocity x and y in m/s, acceleration along the heading in m/s^2, length_m,
            width_m, at the observation. All in one frame that stands still in the world.
    """
    tracks = np.zeros((len(actors), 7))  # s, offset, speed along route, acceleration, drift to the left, size
    for index in range(len(actors)):
        s_m, offset_m, yaw_rad = locate_on_route(route, actors[index, 0], actors[index, 1])
        forward_x, forward_y = math.cos(yaw_rad), math.sin(yaw_rad)
        tracks[index, 0] = s_m
        tracks[index, 1] = offset_m
        tracks[index, 2] = actors[index, 2] * forward_x + actors[index, 3] * forward_y
        tracks[index, 3] = actors[index, 4]
        if s_m <= route[-1, 3]:  # beyond the known route a bend would look like a lane change
            tracks[index, 4] = actors[index, 3] * forward_x - actors[index, 2] * forward_y
        tracks[index, 5] = actors[index, 5]
        tracks[index, 6] = actors[index, 6]

    s, offset, route_yaw = locate_on_route(route, start[0], start[1])
    turn = start[2] - route_yaw
    turn = (turn + math.pi) % (2.0 * math.pi) - math.pi
    slope = math.tan(min(max(turn, -0.7), 0.7))
    speed = max(start[3], 0.0)
    acceleration = min(max(acceleration_mps2, -MAX_DECELERATION_MPS2), MAX_ACCELERATION_MPS2)
    for row in range(first_row, len(plan)):
        demand = _demand_mps2(s, offset, speed, desired_speed_mps, ego_size_m, tracks, row * STEP_S)
        change = min(max(demand - acceleration, -BRAKE_JERK_MPS3 * STEP_S), RELEASE_JERK_MPS3 * STEP_S)
        acceleration += change
        next_speed = speed + acceleration * STEP_S
        if next_speed <= 0.0:
            next_speed, acceleration = 0.0, max(acceleration, 0.0)
        ds = 0.5 * (speed + next_speed) * STEP_S
        rate = 1.0 / max(RETURN_DISTANCE_M, RETURN_TIME_S * speed)
        decay, lead = math.exp(-rate * ds), slope + rate * offset
        offset, slope = decay * (offset + lead * ds), decay * (slope - rate * lead * ds)
        s += ds / math.sqrt(1.0 + slope * slope)
        speed = next_speed
        x, y, route_yaw = point_on_route(route, s, offset)
        plan[row, 0], plan[row, 1] = x, y
        plan[row, 2] = route_yaw + math.atan(slope)
        plan[row, 3] = speed
