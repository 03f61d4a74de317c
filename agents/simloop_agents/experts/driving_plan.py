"""The driving expert's planner: a roll-out of its own closed loop against predicted actors, as one numba kernel.

A plan is made in three steps: decide whether to pass whom is in the way (``driving_passing``), decide whom to give way
to (``driving_priority``), each by rolling out some seconds ahead, and roll the chunk itself out. Lateral control goes
to its target, mostly the route's centre line, critically damped over distance driven.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_agents.experts.driving_actors import actors_demand_mps2
from simloop_agents.experts.driving_following import MAX_ACCELERATION_MPS2, MAX_DECELERATION_MPS2
from simloop_agents.experts.driving_geometry import CAP_MPS, locate_on_route, point_on_route, road_value
from simloop_agents.experts.driving_lines import make_lines
from simloop_agents.experts.driving_passing import (
    can_refrain,
    is_free_to_pass,
    lateral_rate_per_m,
    lateral_target_m,
    refrain,
)
from simloop_agents.experts.driving_priority import (
    make_zones,
    note_conflicts,
    priority_demand_mps2,
)
from simloop_agents.experts.driving_sides import propose_sides

FloatArray = npt.NDArray[np.float64]

STEP_S = 0.05
"""Time between two rows of a plan."""
BRAKE_JERK_MPS3 = 25.0
RELEASE_JERK_MPS3 = 10.0
CAP_PREVIEW_S = 0.5
"""The speed follows the cap this far ahead within this time."""
DECISION_STEP_S = 0.1
DECISION_ROWS = 140
MAX_DECISIONS = 6


class Surroundings(NamedTuple):
    """What a plan is made against; everything in one frame that stands still in the world.

    Attributes:
        route: (M, 4) centre line x_m, y_m, yaw_rad (not wrapped), arc length.
        road: (M, NUM_ROAD_COLUMNS) what the road allows there, with caps that can be kept.
        tracks: (N, NUM_TRACK_COLUMNS) actors at the observation.
        controls: (4, 6) as the world's sensor; all zero without.
        conflicts: (24, 9) as the world's sensor; all zero without.
        anchor_s_m: Station that the sensors' distances count from.
        lag_s: How much older ``conflicts`` is than the plan's zero.
        ego_size_m: (2,) length and width.
        desired_speed_mps: Speed on a free road.
    """

    route: FloatArray
    road: FloatArray
    tracks: FloatArray
    controls: FloatArray
    conflicts: FloatArray
    anchor_s_m: float
    lag_s: float
    ego_size_m: FloatArray
    desired_speed_mps: float


@njit(cache=True)
def _drive(
    around: Surroundings,
    lines: FloatArray,
    zones: FloatArray,
    start: FloatArray,
    start_acceleration: float,
    first_s: float,
    step_s: float,
    ways: FloatArray,
) -> None:
    """Fills (n, 5) station, offset, slope, speed and acceleration, from a start (s, offset, slope, speed) on."""
    s, offset, slope, speed = start[0], start[1], start[2], start[3]
    acceleration = start_acceleration
    length, width = around.ego_size_m[0], around.ego_size_m[1]
    desired = around.desired_speed_mps
    for row in range(len(ways)):
        t_s = first_s + row * step_s
        target = lateral_target_m(around.tracks, s, offset, speed, length, width, t_s)
        rate = lateral_rate_per_m(offset - target, speed)
        demand = actors_demand_mps2(
            around.tracks, s, offset, slope, rate, target, speed, desired, around.ego_size_m, t_s
        )
        demand = min(demand, priority_demand_mps2(lines, zones, s, speed, desired, length, t_s))
        cap = road_value(around.route, around.road, CAP_MPS, s + speed * CAP_PREVIEW_S)
        demand = max(min(demand, (cap - speed) / CAP_PREVIEW_S), -MAX_DECELERATION_MPS2)
        change = min(max(demand - acceleration, -BRAKE_JERK_MPS3 * step_s), RELEASE_JERK_MPS3 * step_s)
        acceleration += change
        next_speed = speed + acceleration * step_s
        if next_speed <= 0.0:
            next_speed, acceleration = 0.0, max(acceleration, 0.0)
        ds = 0.5 * (speed + next_speed) * step_s
        error = offset - target
        decay, lead = math.exp(-rate * ds), slope + rate * error
        error, slope = decay * (error + lead * ds), decay * (slope - rate * lead * ds)
        offset = target + error
        s += ds / math.sqrt(1.0 + slope * slope)
        speed = next_speed
        ways[row, 0], ways[row, 1], ways[row, 2] = s, offset, slope
        ways[row, 3], ways[row, 4] = speed, acceleration


@njit(cache=True)
def roll_out(
    plan: FloatArray, first_row: int, start: FloatArray, acceleration_mps2: float, around: Surroundings
) -> None:
    """Fills ``plan[first_row:]`` with the expert's own closed loop from a start state.

    Args:
        plan: (H, 4) x_m, y_m, yaw_rad, speed_mps; row i is the state at (i + 1) ``STEP_S`` after the observation.
        first_row: First row to fill; ``start`` holds at ``first_row`` steps after the observation.
        start: (4,) x_m, y_m, yaw_rad, speed_mps.
        acceleration_mps2: Acceleration at the start.
        around: What it is made against; decisions are noted in its tracks.
    """
    s, offset, route_yaw = locate_on_route(around.route, start[0], start[1])
    turn = start[2] - route_yaw
    turn = (turn + math.pi) % (2.0 * math.pi) - math.pi
    slope = math.tan(min(max(turn, -0.7), 0.7))
    speed = max(start[3], 0.0)
    acceleration = min(max(acceleration_mps2, -MAX_DECELERATION_MPS2), MAX_ACCELERATION_MPS2)
    state = np.array([s, offset, slope, speed])
    first_s = first_row * STEP_S
    length = around.ego_size_m[0]
    lines = make_lines(around.controls, s, speed, acceleration, around.anchor_s_m, length)
    zones = make_zones(around.conflicts, lines, s, around.anchor_s_m, around.lag_s, length)
    may_pass = propose_sides(
        around.tracks, around.route, around.road, lines, s, speed, around.desired_speed_mps, around.ego_size_m
    )
    if may_pass or len(zones) > 0:
        ahead = np.empty((DECISION_ROWS, 5))
        for _ in range(MAX_DECISIONS):
            _drive(around, lines, zones, state, acceleration, first_s, DECISION_STEP_S, ahead)
            if may_pass and not is_free_to_pass(
                around.tracks, ahead, DECISION_STEP_S, first_s, around.ego_size_m
            ):
                may_pass = False
                if can_refrain(around.tracks, s, offset, speed, length):
                    refrain(around.tracks, s, offset, length)
                    continue
            if not note_conflicts(zones, ahead, DECISION_STEP_S, first_s, length):
                break
    ways = np.empty((len(plan) - first_row, 5))
    _drive(around, lines, zones, state, acceleration, first_s, STEP_S, ways)
    for row in range(first_row, len(plan)):
        way = ways[row - first_row]
        x, y, route_yaw = point_on_route(around.route, way[0], way[1])
        plan[row, 0], plan[row, 1] = x, y
        plan[row, 2] = route_yaw + math.atan(way[2])
        plan[row, 3] = way[3]
