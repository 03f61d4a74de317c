"""The embedded world's step: one kernel call moves everything by any number of physics steps.

Per control tick the scenario layer commands the actors; per physics step the ego's controller and dynamics, the
actors' motion and the exact footprints are computed. No Python object is touched inside.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.collisions.footprints import contact_normal
from simloop_driving.dynamics import single_track
from simloop_driving.dynamics.single_track import VX_MPS, VY_MPS, step_single_track
from simloop_driving.dynamics.tracking import actuator_commands
from simloop_driving.roads.route import LEFT_EDGE_M, RIGHT_EDGE_M, centre_at, project, value_at
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    CLASS,
    COMMAND_ACCELERATION_MPS2,
    COMMAND_D_M,
    COMMAND_D_RATE_MPS,
    D_M,
    D_RATE_MPS,
    EGO,
    FIRST_SLOW_CLASS,
    KEEPS_HEADING,
    LATERAL_ACCELERATION_MPS2,
    LENGTH_M,
    S_M,
    SPEED_MPS,
    WIDTH_M,
    X_M,
    Y_M,
    YAW_RAD,
)
from simloop_driving.scenario.criteria import (
    COLLISION,
    CONFLICT_OVER_S,
    RUNNING,
    VERDICT,
    judge,
    judge_conflict_over,
)
from simloop_driving.scenario.manoeuvres import braking_profile_rate, command_actors

FloatArray = npt.NDArray[np.float64]

NEAR_M = 25.0
"""Actors farther along the route than this cannot touch the ego within a control tick."""

# Rows of the contact table, one column an actor.
FIRST_STEP = 0  # -1 before the first touch
STEPS_IN_TOUCH = 1
IMPACT_SPEED_MPS = 2
EGO_POSE = 3  # x, y, yaw
EGO_SPEED_MPS = 6
ACTOR_POSE = 7  # x, y, yaw
ACTOR_SPEED_MPS = 10
EGO_D_M = 11
EGO_S_M = 12
EGO_ROUTE_YAW_RAD = 13
NUM_CONTACT_ROWS = 14

# Columns of the motion record, one row a physics step.
NUM_MOTION_COLUMNS = 4  # x, y, velocity x, velocity y
# Columns of the actor record, one row a control tick and actor.
RECORD_X = 0
RECORD_Y = 1
RECORD_YAW = 2
RECORD_SPEED = 3
RECORD_ACCELERATION = 4
RECORD_S = 5
RECORD_D = 6
RECORD_D_RATE = 7
NUM_RECORD_COLUMNS = 8


@numba.njit(cache=True)
def place_ego(actors: FloatArray, ego: FloatArray, samples: FloatArray, step_m: float) -> None:
    """Writes the ego's column of the actor table from its dynamic state."""
    guess = ego[single_track.TICK_STATION_M]
    s, d = project(samples, step_m, ego[single_track.X_M], ego[single_track.Y_M], guess)
    _, _, yaw, _ = centre_at(samples, step_m, s)
    heading = ego[single_track.YAW_RAD] - yaw
    vx, vy = ego[VX_MPS], ego[VY_MPS]
    actors[S_M, EGO] = s
    actors[D_M, EGO] = d
    actors[SPEED_MPS, EGO] = max(0.0, vx * math.cos(heading) - vy * math.sin(heading))
    actors[D_RATE_MPS, EGO] = vx * math.sin(heading) + vy * math.cos(heading)
    actors[ACCELERATION_MPS2, EGO] = ego[single_track.ACCELERATION_MPS2]
    actors[X_M, EGO] = ego[single_track.X_M]
    actors[Y_M, EGO] = ego[single_track.Y_M]
    actors[YAW_RAD, EGO] = ego[single_track.YAW_RAD]


@numba.njit(cache=True)
def place_actor(actors: FloatArray, actor: int, samples: FloatArray, step_m: float) -> None:
    """Writes the pose of one actor from its position along and across the route."""
    x, y, yaw, _ = centre_at(samples, step_m, actors[S_M, actor])
    d = actors[D_M, actor]
    actors[X_M, actor] = x - d * math.sin(yaw)
    actors[Y_M, actor] = y + d * math.cos(yaw)
    drift = actors[D_RATE_MPS, actor]
    if actors[CLASS, actor] >= FIRST_SLOW_CLASS:
        if drift != 0.0 and actors[KEEPS_HEADING, actor] == 0.0:
            actors[YAW_RAD, actor] = yaw + math.atan2(drift, actors[SPEED_MPS, actor])
        elif actors[SPEED_MPS, actor] > 0.0 or actors[KEEPS_HEADING, actor] > 0.0:
            actors[YAW_RAD, actor] = yaw
        return
    actors[YAW_RAD, actor] = (
        yaw
        if drift == 0.0 or actors[KEEPS_HEADING, actor] > 0.0
        else yaw + math.atan2(drift, max(actors[SPEED_MPS, actor], 1.0))
    )


@numba.njit(cache=True)
def _move_actor(
    actors: FloatArray, actor: int, samples: FloatArray, route_step_m: float, step_s: float
) -> None:
    speed = actors[SPEED_MPS, actor]
    new_speed = max(0.0, speed + step_s * actors[COMMAND_ACCELERATION_MPS2, actor])
    actors[ACCELERATION_MPS2, actor] = (new_speed - speed) / step_s
    actors[SPEED_MPS, actor] = new_speed
    position = min(max(actors[S_M, actor] / route_step_m, 0.0), samples.shape[1] - 1.0)
    curvature = samples[3, int(position)]
    actors[S_M, actor] += step_s * 0.5 * (speed + new_speed) / max(1.0 - curvature * actors[D_M, actor], 0.2)
    remaining = actors[COMMAND_D_M, actor] - actors[D_M, actor]
    rate = actors[D_RATE_MPS, actor]
    if remaining == 0.0 and rate == 0.0:
        return
    wanted = braking_profile_rate(remaining, actors[COMMAND_D_RATE_MPS, actor], LATERAL_ACCELERATION_MPS2)
    change = LATERAL_ACCELERATION_MPS2 * step_s
    rate += min(max(wanted - rate, -change), change)
    move = step_s * rate
    if abs(remaining - move) < 2e-3 and abs(rate) < 0.1:
        actors[D_M, actor] = actors[COMMAND_D_M, actor]
        actors[D_RATE_MPS, actor] = 0.0
        actors[COMMAND_D_RATE_MPS, actor] = 0.0
    else:
        actors[D_M, actor] += move
        actors[D_RATE_MPS, actor] = rate


@numba.njit(cache=True)
def _touch(
    actors: FloatArray,
    actor: int,
    ego: FloatArray,
    contacts: FloatArray,
    criteria: FloatArray,
    samples: FloatArray,
    route_step_m: float,
    step: int,
) -> None:
    dx, dy = actors[X_M, actor] - ego[single_track.X_M], actors[Y_M, actor] - ego[single_track.Y_M]
    length, width = actors[LENGTH_M, actor], actors[WIDTH_M, actor]
    ego_length, ego_width = actors[LENGTH_M, EGO], actors[WIDTH_M, EGO]
    reach = 0.5 * (length + width + ego_length + ego_width)
    if dx * dx + dy * dy > reach * reach:
        return
    ego_yaw, yaw = ego[single_track.YAW_RAD], actors[YAW_RAD, actor]
    speed = math.hypot(actors[SPEED_MPS, actor], actors[D_RATE_MPS, actor])
    cos_yaw, sin_yaw = math.cos(ego_yaw), math.sin(ego_yaw)
    closing_x = ego[VX_MPS] * cos_yaw - ego[VY_MPS] * sin_yaw - speed * math.cos(yaw)
    closing_y = ego[VX_MPS] * sin_yaw + ego[VY_MPS] * cos_yaw - speed * math.sin(yaw)
    is_touching, normal_x, normal_y = contact_normal(
        ego[single_track.X_M],
        ego[single_track.Y_M],
        ego_yaw,
        ego_length,
        ego_width,
        actors[X_M, actor],
        actors[Y_M, actor],
        yaw,
        length,
        width,
        closing_x,
        closing_y,
    )
    if not is_touching:
        return
    contacts[STEPS_IN_TOUCH, actor] += 1.0
    if contacts[FIRST_STEP, actor] >= 0.0:
        return
    contacts[FIRST_STEP, actor] = step
    contacts[IMPACT_SPEED_MPS, actor] = max(0.0, closing_x * normal_x + closing_y * normal_y)
    contacts[EGO_POSE, actor] = ego[single_track.X_M]
    contacts[EGO_POSE + 1, actor] = ego[single_track.Y_M]
    contacts[EGO_POSE + 2, actor] = ego_yaw
    contacts[EGO_SPEED_MPS, actor] = math.hypot(ego[VX_MPS], ego[VY_MPS])
    contacts[ACTOR_POSE, actor] = actors[X_M, actor]
    contacts[ACTOR_POSE + 1, actor] = actors[Y_M, actor]
    contacts[ACTOR_POSE + 2, actor] = yaw
    contacts[ACTOR_SPEED_MPS, actor] = speed
    guess = ego[single_track.TICK_STATION_M]
    s, d = project(samples, route_step_m, ego[single_track.X_M], ego[single_track.Y_M], guess)
    _, _, route_yaw, _ = centre_at(samples, route_step_m, s)
    contacts[EGO_D_M, actor] = d
    contacts[EGO_S_M, actor] = s
    contacts[EGO_ROUTE_YAW_RAD, actor] = route_yaw
    if criteria[VERDICT] == RUNNING:
        criteria[VERDICT] = COLLISION


@numba.njit(cache=True)
def record_actors(record: FloatArray, actors: FloatArray, ego: FloatArray) -> None:
    """Writes one (N, NUM_RECORD_COLUMNS) snapshot."""
    for actor in range(actors.shape[1]):
        record[actor, RECORD_X] = actors[X_M, actor]
        record[actor, RECORD_Y] = actors[Y_M, actor]
        record[actor, RECORD_YAW] = actors[YAW_RAD, actor]
        record[actor, RECORD_SPEED] = math.hypot(actors[SPEED_MPS, actor], actors[D_RATE_MPS, actor])
        record[actor, RECORD_ACCELERATION] = actors[ACCELERATION_MPS2, actor]
        record[actor, RECORD_S] = actors[S_M, actor]
        record[actor, RECORD_D] = actors[D_M, actor]
        record[actor, RECORD_D_RATE] = actors[D_RATE_MPS, actor]
    record[EGO, RECORD_SPEED] = ego[VX_MPS]


@numba.njit(cache=True)
def run_steps(
    first_step: int,
    num_steps: int,
    steps_per_tick: int,
    step_s: float,
    ego: FloatArray,
    vehicle: FloatArray,
    control: FloatArray,
    actors: FloatArray,
    manoeuvres: FloatArray,
    criteria: FloatArray,
    samples: FloatArray,
    route_step_m: float,
    contacts: FloatArray,
    motion_record: FloatArray,
    actor_record: FloatArray,
) -> None:
    """Moves the world by ``num_steps`` physics steps, in place.

    Args:
        first_step: Number of physics steps done so far.
        num_steps: Physics steps to do.
        steps_per_tick: Physics steps in a control tick.
        step_s: Physics step.
        ego: (single_track.NUM_EGO_ENTRIES,) the ego's dynamic state.
        vehicle: Packed vehicle parameters.
        control: (tracking.NUM_CONTROL_ENTRIES,) controller state.
        actors: (actor_state.NUM_ROWS, N) actor table.
        manoeuvres: (manoeuvres.NUM_ROWS, M) manoeuvre table.
        criteria: (criteria.NUM_ENTRIES,) criteria.
        samples: (route.NUM_ROWS, S) samples of the ego's route.
        route_step_m: Step of the samples.
        contacts: (NUM_CONTACT_ROWS, N) contact table.
        motion_record: (steps, NUM_MOTION_COLUMNS) record of the ego; row k is the state after k steps.
        actor_record: (ticks, N, NUM_RECORD_COLUMNS) record; row k is the state after k control ticks.
    """
    num_actors = actors.shape[1]
    tick_s = steps_per_tick * step_s
    for step in range(first_step, first_step + num_steps):
        if step % steps_per_tick == 0:
            command_actors(actors, manoeuvres, step * step_s, tick_s)
        steer, drive, brake = actuator_commands(control, ego, vehicle, step_s)
        step_single_track(ego, vehicle, steer, drive, brake, step_s)
        done = step + 1
        is_tick_end = done % steps_per_tick == 0
        is_last = done == first_step + num_steps
        if is_tick_end or is_last:
            place_ego(actors, ego, samples, route_step_m)
        for actor in range(1, num_actors):
            _move_actor(actors, actor, samples, route_step_m, step_s)
            is_near = abs(actors[S_M, actor] - ego[single_track.TICK_STATION_M]) < NEAR_M
            if is_near or is_tick_end or is_last:
                place_actor(actors, actor, samples, route_step_m)
            if is_near:
                _touch(actors, actor, ego, contacts, criteria, samples, route_step_m, done)
        cos_yaw, sin_yaw = math.cos(ego[single_track.YAW_RAD]), math.sin(ego[single_track.YAW_RAD])
        motion_record[done, 0] = ego[single_track.X_M]
        motion_record[done, 1] = ego[single_track.Y_M]
        motion_record[done, 2] = ego[VX_MPS] * cos_yaw - ego[VY_MPS] * sin_yaw
        motion_record[done, 3] = ego[VX_MPS] * sin_yaw + ego[VY_MPS] * cos_yaw
        if is_tick_end:
            ego[single_track.TICK_STATION_M] = actors[S_M, EGO]
            record_actors(actor_record[done // steps_per_tick], actors, ego)
            s = actors[S_M, EGO]
            left = value_at(samples, route_step_m, LEFT_EDGE_M, s)
            right = value_at(samples, route_step_m, RIGHT_EDGE_M, s)
            judge(actors, criteria, left, right, done * step_s, tick_s)
            if criteria[CONFLICT_OVER_S] > 0.0:
                judge_conflict_over(actors, manoeuvres, criteria, tick_s)
