"""The embedded world's step: one kernel call moves everything by any number of physics steps.

Per control tick the scenario layer commands the actors; per physics step the ego's controller and dynamics, the
actors' motion and the exact footprints are computed. No Python object is touched inside.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.actor_motion import move_actor, place_actor, place_ego
from simloop_driving.collisions.contacts import touch_each_other, touch_ego
from simloop_driving.dynamics import single_track
from simloop_driving.dynamics.single_track import VX_MPS, VY_MPS, step_single_track
from simloop_driving.dynamics.tracking import actuator_commands
from simloop_driving.roads.route import ROAD_LEFT_M, ROAD_RIGHT_M, value_at
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    D_M,
    D_RATE_MPS,
    EGO,
    ELSEWHERE,
    ENTERS_S,
    IS_ABSENT,
    LEAVES,
    LENGTH_M,
    PATH,
    PATH_D_M,
    PATH_S_M,
    ROUTE_SPEED_MPS,
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
    RULE_WAY_M,
    RUNNING,
    SET_SPEED_MPS,
    VERDICT,
    allowed_speed,
    judge,
    judge_conflict_over,
)
from simloop_driving.scenario.manoeuvres import command_manoeuvres
from simloop_driving.scenario.mobil import choose_lanes
from simloop_driving.scenario.on_paths import place_on_route, update_on_paths
from simloop_driving.scenario.signals import fill_states
from simloop_driving.scenario.stop_lines import watch_ego
from simloop_driving.scenario.traffic import command_traffic

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NEAR_M = 25.0
"""Actors farther from the ego than this cannot touch it within a control tick."""
FREE_TO_ENTER_M = 8.0
"""An actor enters when the centres of all others are farther from its place than this and their lengths."""

# Entries of an actor that another simulator moves.
MOVED_X = 0
MOVED_Y = 1
MOVED_YAW = 2
MOVED_SPEED = 3
MOVED_ACCELERATION = 4
NUM_MOVED_ENTRIES = 5
# Columns of the motion record, one row a physics step.
MOTION_X = 0
MOTION_Y = 1
MOTION_VX = 2
MOTION_VY = 3
MOTION_YAW = 4
MOTION_YAW_RATE = 5
NUM_MOTION_COLUMNS = 6
# Columns of the actor record, one row a control tick and actor.
RECORD_X = 0
RECORD_Y = 1
RECORD_YAW = 2
RECORD_SPEED = 3
RECORD_ACCELERATION = 4
RECORD_S = 5
RECORD_D = 6
RECORD_D_RATE = 7
RECORD_ROUTE_SPEED = 8
RECORD_IS_PRESENT = 9
RECORD_LENGTH = 10
RECORD_WIDTH = 11
RECORD_PATH_S = 12
RECORD_PATH_D = 13
NUM_RECORD_COLUMNS = 14


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
        record[actor, RECORD_ROUTE_SPEED] = actors[ROUTE_SPEED_MPS, actor]
        record[actor, RECORD_IS_PRESENT] = 1.0 - actors[IS_ABSENT, actor]
        record[actor, RECORD_LENGTH] = actors[LENGTH_M, actor]
        record[actor, RECORD_WIDTH] = actors[WIDTH_M, actor]
        record[actor, RECORD_PATH_S] = actors[PATH_S_M, actor]
        record[actor, RECORD_PATH_D] = actors[PATH_D_M, actor]
    record[EGO, RECORD_SPEED] = ego[VX_MPS]


@numba.njit(cache=True)
def record_motion(row: FloatArray, ego: FloatArray) -> None:
    """Writes one (NUM_MOTION_COLUMNS,) row of the ego's motion."""
    cos_yaw, sin_yaw = math.cos(ego[single_track.YAW_RAD]), math.sin(ego[single_track.YAW_RAD])
    row[MOTION_X] = ego[single_track.X_M]
    row[MOTION_Y] = ego[single_track.Y_M]
    row[MOTION_VX] = ego[VX_MPS] * cos_yaw - ego[VY_MPS] * sin_yaw
    row[MOTION_VY] = ego[VX_MPS] * sin_yaw + ego[VY_MPS] * cos_yaw
    row[MOTION_YAW] = ego[single_track.YAW_RAD]
    row[MOTION_YAW_RATE] = ego[single_track.YAW_RATE_RADPS]


@numba.njit(cache=True)
def place_everyone(
    actors: FloatArray,
    ego: FloatArray,
    paths: FloatArray,
    num_samples: IntArray,
    path_step_m: float,
    on_paths: FloatArray,
    tick: int,
) -> None:
    """Writes everybody's pose and where they are on all paths at a control tick, in place; see ``run_steps``."""
    samples = paths[0, :, : num_samples[0]]
    place_ego(actors, ego, samples, path_step_m)
    for actor in range(1, actors.shape[1]):
        path = int(actors[PATH, actor])
        if path == 0:
            place_actor(actors, actor, samples, path_step_m)
            _copy_to_route(actors, actor)
        else:
            if path != ELSEWHERE:
                place_actor(actors, actor, paths[path, :, : num_samples[path]], path_step_m)
            place_on_route(actors, actor, on_paths, samples, path_step_m, tick)
            if path == ELSEWHERE:
                _count_route_as_path(actors, actor)
    update_on_paths(on_paths, actors, paths, num_samples, path_step_m, tick)


@numba.njit(cache=True)
def _copy_to_route(actors: FloatArray, actor: int) -> None:
    actors[S_M, actor] = actors[PATH_S_M, actor]
    actors[D_M, actor] = actors[PATH_D_M, actor]
    actors[ROUTE_SPEED_MPS, actor] = actors[SPEED_MPS, actor]


@numba.njit(cache=True)
def _take_over(actors: FloatArray, actor: int, moved: FloatArray) -> None:
    """Puts an actor where another simulator moved it; ``moved`` has its (NUM_MOVED_ENTRIES,)."""
    actors[X_M, actor] = moved[MOVED_X]
    actors[Y_M, actor] = moved[MOVED_Y]
    actors[YAW_RAD, actor] = moved[MOVED_YAW]
    actors[SPEED_MPS, actor] = moved[MOVED_SPEED]
    actors[ACCELERATION_MPS2, actor] = moved[MOVED_ACCELERATION]


@numba.njit(cache=True)
def _count_route_as_path(actors: FloatArray, actor: int) -> None:
    actors[PATH_S_M, actor] = actors[S_M, actor]
    actors[PATH_D_M, actor] = actors[D_M, actor]


@numba.njit(cache=True)
def _come_and_go(actors: FloatArray, num_samples: IntArray, path_step_m: float, time_s: float) -> None:
    """Lets actors enter at their time, once their place is free, and takes out those at the end of their path."""
    for actor in range(1, actors.shape[1]):
        if actors[IS_ABSENT, actor] == 0.0:
            end = (num_samples[int(actors[PATH, actor])] - 1) * path_step_m
            if actors[LEAVES, actor] > 0.0 and actors[PATH_S_M, actor] > end:
                actors[IS_ABSENT, actor] = 1.0
                actors[ENTERS_S, actor] = math.inf
            continue
        if time_s < actors[ENTERS_S, actor] - 1e-9:
            continue
        is_free = True
        for other in range(actors.shape[1]):
            if other == actor or actors[IS_ABSENT, other] > 0.0:
                continue
            dx, dy = actors[X_M, other] - actors[X_M, actor], actors[Y_M, other] - actors[Y_M, actor]
            lengths = 0.5 * (actors[LENGTH_M, other] + actors[LENGTH_M, actor])
            room = FREE_TO_ENTER_M + lengths + actors[SPEED_MPS, actor]
            if dx * dx + dy * dy < room * room:
                is_free = False
                break
        if is_free:
            actors[IS_ABSENT, actor] = 0.0


@numba.njit(cache=True)
def split_numbers(
    numbers: IntArray, num_paths: int, num_actors: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Returns views of the integers of an episode, which travel as one array: a call costs time by the array.

    Returns:
        (P,) samples of each path; (P + 1,) first crossing and (P + 1,) first stop line of each path; (P,) and (N,) to
        list the actors of each path in; (K,) states of the signals.
    """
    crossings = num_paths
    stops = crossings + num_paths + 1
    lists = stops + num_paths + 1
    actors = lists + num_paths
    states = actors + num_actors
    return (
        numbers[:crossings],
        numbers[crossings:stops],
        numbers[stops:lists],
        numbers[lists:actors],
        numbers[actors:states],
        numbers[states:],
    )


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
    conditions: FloatArray,
    criteria: FloatArray,
    paths: FloatArray,
    path_step_m: float,
    profiles: FloatArray,
    on_paths: FloatArray,
    decisions: FloatArray,
    crossings: FloatArray,
    stops: FloatArray,
    signal_program: FloatArray,
    numbers: IntArray,
    comes_or_goes: bool,
    contacts: FloatArray,
    pair_ticks: FloatArray,
    motion_record: FloatArray,
    actor_record: FloatArray,
    ego_states: FloatArray,
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
        conditions: (triggers.NUM_ROWS, C) conditions of their triggers.
        criteria: (criteria.NUM_ENTRIES,) criteria.
        paths: (P, route.NUM_ROWS, longest) samples of all paths.
        path_step_m: Step of the samples.
        profiles: (P, longest) highest speed along every path.
        on_paths: (P, on_paths.NUM_ON_PATH, N) where everybody is on every path.
        decisions: (right_of_way.NUM_DECISION_ROWS, N) decisions of traffic.
        crossings: (Z, right_of_way.NUM_CROSSING_COLUMNS) conflict zones as each path sees them.
        stops: (n, stop_lines.NUM_STOP_COLUMNS) stop lines of all paths.
        signal_program: (K, signals.NUM_COLUMNS) program of the signals.
        numbers: All integers in one array, see ``split_numbers``.
        comes_or_goes: Whether an actor may enter or leave during the episode.
        contacts: (contacts.NUM_CONTACT_ROWS, N) contact table.
        pair_ticks: (N, N) contacts of actors with each other.
        motion_record: (steps, NUM_MOTION_COLUMNS) record of the ego; row k is the state after k steps.
        actor_record: (ticks, N, NUM_RECORD_COLUMNS) record; row k is the state after k control ticks.
        ego_states: (num_steps, single_track.NUM_EGO_ENTRIES) where another simulator moved the ego; (0, ...) moves it
            here. ``TICK_STATION_M`` of them is not read. After these entries come the NUM_MOVED_ENTRIES of each
            actor that moves ``ELSEWHERE``.
    """
    num_actors = actors.shape[1]
    num_samples, crossing_start, stop_start, first_on_path, next_on_path, signal_states = split_numbers(
        numbers, paths.shape[0], num_actors
    )
    samples = paths[0, :, : num_samples[0]]
    tick_s = steps_per_tick * step_s
    first_elsewhere = num_actors - (ego_states.shape[1] - single_track.NUM_EGO_ENTRIES) // NUM_MOVED_ENTRIES
    for step in range(first_step, first_step + num_steps):
        if step % steps_per_tick == 0:
            time_s = step * step_s
            if signal_program.shape[0] > 0:
                fill_states(signal_program, time_s, signal_states)
            if comes_or_goes:
                _come_and_go(actors, num_samples, path_step_m, time_s)
            command_manoeuvres(actors, manoeuvres, conditions, signal_states, time_s)
            criteria[RULE_WAY_M] = command_traffic(
                actors,
                on_paths,
                profiles,
                path_step_m,
                decisions,
                crossings,
                crossing_start,
                stops,
                stop_start,
                signal_states,
                first_on_path,
                next_on_path,
                tick_s,
            )
            choose_lanes(actors, paths, num_samples, path_step_m, on_paths, step // steps_per_tick)
        steer, drive, brake = actuator_commands(control, ego, vehicle, step_s)
        if ego_states.shape[0] > 0:
            for entry in range(single_track.TICK_STATION_M):
                ego[entry] = ego_states[step - first_step, entry]
        else:
            step_single_track(ego, vehicle, steer, drive, brake, step_s)
        done = step + 1
        is_tick_end = done % steps_per_tick == 0
        is_placed = is_tick_end or done == first_step + num_steps
        if is_placed:
            place_ego(actors, ego, samples, path_step_m)
        for actor in range(1, num_actors):
            if actors[IS_ABSENT, actor] > 0.0:
                continue
            path = int(actors[PATH, actor])
            if path == 0:
                move_actor(actors, actor, samples, path_step_m, step_s)
                _copy_to_route(actors, actor)
                is_near = abs(actors[S_M, actor] - ego[single_track.TICK_STATION_M]) < NEAR_M
                if is_near or is_placed:
                    place_actor(actors, actor, samples, path_step_m)
            else:
                dx, dy = (
                    actors[X_M, actor] - ego[single_track.X_M],
                    actors[Y_M, actor] - ego[single_track.Y_M],
                )
                is_near = dx * dx + dy * dy < NEAR_M * NEAR_M
                if path == ELSEWHERE:
                    first = single_track.NUM_EGO_ENTRIES + (actor - first_elsewhere) * NUM_MOVED_ENTRIES
                    _take_over(actors, actor, ego_states[step - first_step, first:])
                else:
                    own = paths[path, :, : num_samples[path]]
                    move_actor(actors, actor, own, path_step_m, step_s)
                    if is_near or is_placed:
                        place_actor(actors, actor, own, path_step_m)
                if is_placed:
                    tick = (done - 1) // steps_per_tick
                    place_on_route(actors, actor, on_paths, samples, path_step_m, tick + 1)
                    if path == ELSEWHERE:
                        _count_route_as_path(actors, actor)
            is_first_touch = is_near and touch_ego(actors, actor, ego, contacts, samples, path_step_m, done)
            if is_first_touch and criteria[VERDICT] == RUNNING:
                criteria[VERDICT] = COLLISION
        record_motion(motion_record[done], ego)
        if is_tick_end:
            tick = done // steps_per_tick
            ego[single_track.TICK_STATION_M] = actors[S_M, EGO]
            update_on_paths(on_paths, actors, paths, num_samples, path_step_m, tick)
            touch_each_other(actors, tick, pair_ticks)
            record_actors(actor_record[tick], actors, ego)
            infraction = 0
            if stops.shape[0] > 0:
                infraction = watch_ego(actors, stops, stop_start, signal_states, done * step_s)
            s = actors[S_M, EGO]
            left = value_at(samples, path_step_m, ROAD_LEFT_M, s)
            right = value_at(samples, path_step_m, ROAD_RIGHT_M, s)
            bend = profiles[0, min(max(int(s / path_step_m), 0), profiles.shape[1] - 1)]
            allowed = allowed_speed(actors, on_paths[0], criteria[SET_SPEED_MPS], bend, criteria[RULE_WAY_M])
            judge(actors, criteria, allowed, left, right, infraction, done * step_s, tick_s)
            if criteria[CONFLICT_OVER_S] > 0.0:
                judge_conflict_over(actors, manoeuvres, criteria, tick_s)
