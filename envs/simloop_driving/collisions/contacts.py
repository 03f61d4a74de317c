"""First touch of the ego with each actor, and of actors with each other, by exact footprints."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.collisions.footprints import contact_normal, footprints_overlap
from simloop_driving.dynamics import single_track
from simloop_driving.dynamics.single_track import VX_MPS, VY_MPS
from simloop_driving.roads.route import centre_at, project
from simloop_driving.scenario.actor_state import (
    D_RATE_MPS,
    EGO,
    IS_ABSENT,
    LENGTH_M,
    SPEED_MPS,
    WIDTH_M,
    X_M,
    Y_M,
    YAW_RAD,
)

FloatArray = npt.NDArray[np.float64]

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
EGO_WIDTH_M = 14
ACTOR_WIDTH_M = 15
NUM_CONTACT_ROWS = 16

TOGETHER = -2.0
"""Mark of a pair of actors that belong together, a car and its door."""


@numba.njit(cache=True)
def _closing(actors: FloatArray, actor: int, ego: FloatArray) -> tuple[float, float, float]:
    """Returns the ego's velocity minus an actor's, and the actor's speed."""
    ego_yaw, yaw = ego[single_track.YAW_RAD], actors[YAW_RAD, actor]
    speed = math.hypot(actors[SPEED_MPS, actor], actors[D_RATE_MPS, actor])
    cos_yaw, sin_yaw = math.cos(ego_yaw), math.sin(ego_yaw)
    closing_x = ego[VX_MPS] * cos_yaw - ego[VY_MPS] * sin_yaw - speed * math.cos(yaw)
    closing_y = ego[VX_MPS] * sin_yaw + ego[VY_MPS] * cos_yaw - speed * math.sin(yaw)
    return closing_x, closing_y, speed


@numba.njit(cache=True)
def touch_ego(
    actors: FloatArray,
    actor: int,
    ego: FloatArray,
    contacts: FloatArray,
    samples: FloatArray,
    route_step_m: float,
    step: int,
) -> bool:
    """Notes a touch of the ego with an actor in the contact table, in place; returns whether it is the first."""
    dx, dy = actors[X_M, actor] - ego[single_track.X_M], actors[Y_M, actor] - ego[single_track.Y_M]
    length, width = actors[LENGTH_M, actor], actors[WIDTH_M, actor]
    ego_length, ego_width = actors[LENGTH_M, EGO], actors[WIDTH_M, EGO]
    reach = 0.5 * (length + width + ego_length + ego_width)
    if dx * dx + dy * dy > reach * reach:
        return False
    ego_yaw, yaw = ego[single_track.YAW_RAD], actors[YAW_RAD, actor]
    closing_x, closing_y, _ = _closing(actors, actor, ego)
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
        return False
    return bool(note_touch(actors, actor, ego, contacts, samples, route_step_m, step, normal_x, normal_y))


@numba.njit(cache=True)
def note_touch(
    actors: FloatArray,
    actor: int,
    ego: FloatArray,
    contacts: FloatArray,
    samples: FloatArray,
    route_step_m: float,
    step: int,
    normal_x: float,
    normal_y: float,
) -> bool:
    """Notes a touch of the ego with an actor in the contact table, in place; returns whether it is the first.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        actor: The actor.
        ego: (single_track.NUM_EGO_ENTRIES,) state.
        contacts: (NUM_CONTACT_ROWS, N) contact table.
        samples: (route.NUM_ROWS, M) samples of the ego's route.
        route_step_m: Step of the samples.
        step: Number of physics steps done.
        normal_x: Direction of the contact from the ego to the actor, of length 1.
        normal_y: Its other component.
    """
    contacts[STEPS_IN_TOUCH, actor] += 1.0
    if contacts[FIRST_STEP, actor] >= 0.0:
        return False
    ego_yaw, yaw = ego[single_track.YAW_RAD], actors[YAW_RAD, actor]
    closing_x, closing_y, speed = _closing(actors, actor, ego)
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
    contacts[EGO_WIDTH_M, actor] = actors[WIDTH_M, EGO]
    contacts[ACTOR_WIDTH_M, actor] = actors[WIDTH_M, actor]
    guess = ego[single_track.TICK_STATION_M]
    s, d = project(samples, route_step_m, ego[single_track.X_M], ego[single_track.Y_M], guess)
    _, _, route_yaw, _ = centre_at(samples, route_step_m, s)
    contacts[EGO_D_M, actor] = d
    contacts[EGO_S_M, actor] = s
    contacts[EGO_ROUTE_YAW_RAD, actor] = route_yaw
    return True


@numba.njit(cache=True)
def touch_each_other(actors: FloatArray, tick: int, pair_ticks: FloatArray) -> None:
    """Notes which actors overlap at the end of a control tick, in place; the ego and attached parts are left out.

    Args:
        actors: (actor_state.NUM_ROWS, N) states.
        tick: Number of the control tick.
        pair_ticks: (N, N) first tick at which the actors of row < column overlapped, -1 before; ``TOGETHER`` for a
            pair that belongs together.
    """
    num_actors = actors.shape[1]
    for one in range(1, num_actors):
        if actors[IS_ABSENT, one] > 0.0:
            continue
        x, y = actors[X_M, one], actors[Y_M, one]
        length, width = actors[LENGTH_M, one], actors[WIDTH_M, one]
        for other in range(one + 1, num_actors):
            dx, dy = actors[X_M, other] - x, actors[Y_M, other] - y
            reach = 0.5 * (length + width + actors[LENGTH_M, other] + actors[WIDTH_M, other])
            if dx * dx + dy * dy > reach * reach or pair_ticks[one, other] != -1.0:
                continue
            if actors[IS_ABSENT, other] == 0.0 and footprints_overlap(
                x,
                y,
                actors[YAW_RAD, one],
                length,
                width,
                actors[X_M, other],
                actors[Y_M, other],
                actors[YAW_RAD, other],
                actors[LENGTH_M, other],
                actors[WIDTH_M, other],
            ):
                pair_ticks[one, other] = tick
