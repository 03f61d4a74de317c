"""The driving expert in the action space ``acceleration``: its plan of poses as accelerations and curvatures.

Here it also brakes in emergencies, as the regulations' scenarios ask of it: as soon as the fuzzy safety model finds a
conflict (``reference_models``), with no time to react, the harder of plan and model counts.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop.agent import InferenceRequest
from simloop_agents.experts.driving import (
    EGO_SIZE_M,
    DrivingExpert,
    actors_in_anchor_frame,
    route_in_anchor_frame,
)
from simloop_agents.experts.driving_geometry import locate_on_route
from simloop_agents.experts.driving_plan import STEP_S
from simloop_agents.experts.reference_models import (
    FSM,
    FSM_COMFORTABLE_MPS2,
    FSM_REACTION_S,
    UNSAFE,
    critical_fuzzy_metric,
    judge_conflict,
)

FloatArray = npt.NDArray[np.float64]

MAX_CURVATURE_PER_M = 0.2
EMERGENCY_BRAKING_MPS2 = 8.8
"""As hard as the tyres of the default vehicle can brake."""
BUILD_UP_S = 0.3
"""Time that is lost until the brakes are at their full."""
FAST_APPROACH_MPS = 1.3
"""Who has only begun to come over may come over this fast."""
PASS_FIRST = -1.0
SLOWEST_TURN_M = 0.05
"""Way in one step below which a change of heading says nothing of the curvature."""


@njit(cache=True)
def waypoints_of(actions: FloatArray, speed_mps: float, waypoints: FloatArray) -> None:
    """Fills (n, 4) waypoints with where (n, 2) accelerations and curvatures lead from the origin."""
    x, y, yaw, speed = 0.0, 0.0, 0.0, speed_mps
    for row in range(len(actions)):
        later = max(0.0, speed + actions[row, 0] * STEP_S)
        way = 0.5 * (speed + later) * STEP_S
        turn = way * actions[row, 1]
        x += way * np.cos(yaw + 0.5 * turn)
        y += way * np.sin(yaw + 0.5 * turn)
        yaw, speed = yaw + turn, later
        waypoints[row] = np.array([x, y, yaw, speed])


@njit(cache=True)
def actions_of(waypoints: FloatArray, speed_mps: float, actions: FloatArray) -> None:
    """Fills (H, 2) accelerations and curvatures that lead along (H, 4) waypoints from the origin.

    A plan begins where the ego is but not along its heading (side slip), so the first row turns as the second.
    """
    speed = speed_mps
    for row in range(len(waypoints)):
        later = waypoints[row, 3]
        way = 0.5 * (speed + later) * STEP_S
        first = max(row, 1)
        turn = waypoints[first, 2] - waypoints[first - 1, 2]
        curvature = turn / way if way >= SLOWEST_TURN_M else 0.0
        actions[row, 0] = (later - speed) / STEP_S
        actions[row, 1] = min(max(curvature, -MAX_CURVATURE_PER_M), MAX_CURVATURE_PER_M)
        speed = later


@njit(cache=True)
def emergency_deceleration_mps2(
    objects: FloatArray, route: FloatArray, ego_state: FloatArray, objects_lag_s: float, route_lag_s: float
) -> float:
    """Returns the deceleration that the worst conflict asks for; arguments as ``plan_chunk``.

    Without a conflict it is 0. ``PASS_FIRST`` says that the ego must not brake: it can no longer stop behind an actor
    that is coming over, but will have passed it in time.
    """
    centre_line = route_in_anchor_frame(route, ego_state, route_lag_s)
    actors = actors_in_anchor_frame(objects, ego_state, objects_lag_s)
    speed, acceleration = ego_state[0], ego_state[1]
    ego_s, ego_offset, _ = locate_on_route(centre_line, 0.0, 0.0)
    hardest, must_pass = 0.0, False
    for index in range(len(actors)):
        s, offset, yaw = locate_on_route(centre_line, actors[index, 0], actors[index, 1])
        if s > centre_line[-1, 3]:  # beyond the known route a bend would look like a lane change
            continue
        cos, sin = np.cos(yaw), np.sin(yaw)
        along = actors[index, 2] * cos + actors[index, 3] * sin
        drift = actors[index, 3] * cos - actors[index, 2] * sin
        aside = offset - ego_offset
        length_m = 0.5 * (actors[index, 5] + EGO_SIZE_M[0])
        side_gap = abs(aside) - 0.5 * (actors[index, 6] + EGO_SIZE_M[1])
        approach, closing = -drift if aside > 0.0 else drift, speed - along
        is_ahead = s - ego_s > -length_m
        if is_ahead and closing > 0.0 and approach > 0.0 and side_gap > 0.0:
            usable_m = s - ego_s - length_m
            room_mps2 = 2.0 * EMERGENCY_BRAKING_MPS2
            can_stop = closing * closing < room_mps2 * max(usable_m, 0.0)
            will_stop = closing * closing < room_mps2 * max(usable_m - closing * BUILD_UP_S, 0.0)
            passed_s = (usable_m + 2.0 * length_m) / closing
            is_in_time = passed_s < side_gap / approach
            is_in_good_time = passed_s < side_gap / max(approach, FAST_APPROACH_MPS)
            if (not can_stop and is_in_time) or (not will_stop and is_in_good_time):
                must_pass = True
                continue
        verdict, target = judge_conflict(
            FSM,
            speed,
            acceleration,
            along,
            s - ego_s,
            length_m,
            side_gap,
            approach,
        )
        if verdict != UNSAFE:
            continue
        critical = critical_fuzzy_metric(speed, acceleration, along, s - ego_s - length_m, FSM_REACTION_S)
        if critical > 0.0:
            target = FSM_COMFORTABLE_MPS2 + critical * (EMERGENCY_BRAKING_MPS2 - FSM_COMFORTABLE_MPS2)
        hardest = max(hardest, target)
    return PASS_FIRST if must_pass and hardest == 0.0 else float(hardest)


class AccelerationExpert:
    """Plans chunks for ``acceleration``; reads what ``DrivingExpert`` reads.

    Args:
        horizon: Rows H of a chunk.
    """

    def __init__(self, *, horizon: int) -> None:
        self._expert = DrivingExpert(horizon=horizon)

    def chunk(self, request: InferenceRequest) -> FloatArray:
        """Returns the (H, 2) chunk for a request; rows committed by its conditioning come back bit for bit."""
        speed_mps = float(request.observation["ego_state"][0])
        conditioning, committed = request.conditioning, 0
        if conditioning is not None:
            committed = conditioning.num_committed
            waypoints = np.zeros((len(conditioning.actions), 4))
            waypoints_of(np.ascontiguousarray(conditioning.actions[:committed]), speed_mps, waypoints)
            conditioning = dataclasses.replace(conditioning, actions=waypoints)
        plan = self._expert.chunk(dataclasses.replace(request, conditioning=conditioning))
        actions = np.empty((len(plan), 2))
        actions_of(plan, speed_mps, actions)
        observation, age_ns = request.observation, request.age_ns
        emergency_mps2 = emergency_deceleration_mps2(
            np.array(observation["objects"], dtype=np.float64),
            np.array(observation["route"], dtype=np.float64),
            np.array(observation["ego_state"], dtype=np.float64),
            (age_ns["objects"] - age_ns["ego_state"]) * 1e-9,
            (age_ns["route"] - age_ns["ego_state"]) * 1e-9,
        )
        if emergency_mps2 == PASS_FIRST:
            actions[:, 0] = np.maximum(actions[:, 0], 0.0)
        elif emergency_mps2 > 0.0:
            actions[:, 0] = np.minimum(actions[:, 0], -emergency_mps2)
        if request.conditioning is not None:
            actions[:committed] = request.conditioning.actions[:committed]
        return actions
