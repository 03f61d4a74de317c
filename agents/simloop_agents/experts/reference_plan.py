"""A reference driver in the full world, as one numba kernel: what it saw so far, what it makes of it, what it does.

A reference model remembers (reaction time that has run, brake force that has built up). An agent must not: the
kernel replays the model over the world's ``history`` at every call, then goes on against predicted actors.

A driver does not see through the car ahead: who is behind it, in the ego's path, does not exist for him. Whoever is in
the ego's lane from the start is no cut-in; for him the human driver of UN R157 brakes below 2 s of headway when the gap
shrinks, 0.4 s of perception later (annex 4, appendix 3, deceleration and cut-out).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from simloop_agents.experts.driving_following import following_acceleration_mps2
from simloop_agents.experts.reference_models import (
    CC_HUMAN_DRIVER,
    FULL_BRAKING_MPS2,
    HAS_REACTED,
    LATENCY_LEFT_S,
    NUM_DRIVER_ENTRIES,
    OVER,
    SAFE,
    UNSAFE,
    brake,
    judge_conflict,
    start_driver,
)

FloatArray = npt.NDArray[np.float64]

STEP_S = 0.05
"""Time between two rows of the history and of a plan."""
CC_CRITICAL_HEADWAY_S = 2.0
CC_PERCEPTION_S = 0.4
RESUME_MPS2 = 1.0
"""Largest acceleration with which a driver who has not reacted returns to the speed of the start."""
LATERAL_FREQUENCY_RADPS = 1.0
LATERAL_DAMPING_RATIO = 0.9
SLOWEST_FEEDBACK_MPS = 4.0

# Columns of the world's ``history``.
_STATION_M, _OFFSET_M, _SPEED_MPS, _RATE_MPS, _ACCELERATION_MPS2, _LENGTH_M, _WIDTH_M = range(7)


@njit(cache=True)
def num_known_rows(history: FloatArray) -> int:
    """Returns how many rows of a (T, N, 7) history have happened; the ego has no length in the others."""
    low, high = 0, len(history)
    while low < high:
        middle = (low + high) // 2
        if history[middle, 0, _LENGTH_M] > 0.0:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _predict(state: FloatArray, acceleration_mps2: float) -> None:
    """Moves (N, 7) states by one step, in place: the ego accelerates, actors keep their speeds."""
    for index in range(len(state)):
        speed = state[index, _SPEED_MPS]
        if index == 0:
            state[index, _SPEED_MPS] = max(0.0, speed + acceleration_mps2 * STEP_S)
            state[index, _ACCELERATION_MPS2] = acceleration_mps2
        state[index, _STATION_M] += 0.5 * (speed + state[index, _SPEED_MPS]) * STEP_S
        moved = state[index, _OFFSET_M] + state[index, _RATE_MPS] * STEP_S
        if moved * state[index, _OFFSET_M] < 0.0:  # a lane change ends on the ego's lane
            moved, state[index, _RATE_MPS] = 0.0, 0.0
        state[index, _OFFSET_M] = moved


@njit(cache=True)
def _follow_mps2(state: FloatArray, nominal_mps: float) -> float:
    """Returns the acceleration, never positive, of following whoever is ahead in the ego's path."""
    gap, leader = math.inf, -1
    for other in range(1, len(state)):
        ahead = state[other, _STATION_M] - state[0, _STATION_M]
        aside = abs(state[other, _OFFSET_M] - state[0, _OFFSET_M])
        is_in_path = aside < 0.5 * (state[other, _WIDTH_M] + state[0, _WIDTH_M])
        free = ahead - 0.5 * (state[other, _LENGTH_M] + state[0, _LENGTH_M])
        if state[other, _LENGTH_M] > 0.0 and ahead > 0.0 and is_in_path and free < gap:
            gap, leader = free, other
    if leader < 0:
        return 0.0
    wanted = following_acceleration_mps2(
        state[0, _SPEED_MPS],
        max(nominal_mps, 0.1),
        max(gap, 0.5),
        state[leader, _SPEED_MPS],
        state[leader, _ACCELERATION_MPS2],
    )
    return float(min(max(wanted, -FULL_BRAKING_MPS2), 0.0))


@njit(cache=True)
def _lateral_gap_m(state: FloatArray, other: int) -> float:
    aside = abs(state[other, _OFFSET_M] - state[0, _OFFSET_M])
    return float(aside - 0.5 * (state[other, _WIDTH_M] + state[0, _WIDTH_M]))


@njit(cache=True)
def _is_hidden(state: FloatArray, other: int) -> bool:
    """Whether somebody stands in the ego's path between the ego and ``other``, who is in it too."""
    if _lateral_gap_m(state, other) > 0.0:
        return False
    for nearer in range(1, len(state)):
        is_there = nearer != other and state[nearer, _LENGTH_M] > 0.0
        is_between = state[0, _STATION_M] < state[nearer, _STATION_M] < state[other, _STATION_M]
        if is_there and is_between and _lateral_gap_m(state, nearer) <= 0.0:
            return True
    return False


@njit(cache=True)
def _judge_lead(state: FloatArray, other: int) -> int:
    """Returns SAFE or UNSAFE as the human driver sees an actor that has been in his lane from the start."""
    ahead = state[other, _STATION_M] - state[0, _STATION_M]
    gap = ahead - 0.5 * (state[other, _LENGTH_M] + state[0, _LENGTH_M])
    speed = state[0, _SPEED_MPS]
    is_closing = speed > state[other, _SPEED_MPS] and _lateral_gap_m(state, other) <= 0.0
    return UNSAFE if ahead > 0.0 and is_closing and gap < CC_CRITICAL_HEADWAY_S * speed else SAFE


@njit(cache=True)
def plan_accelerations(
    history: FloatArray, lag_rows: int, model: int, added_latency_s: float, chunk: FloatArray
) -> None:
    """Fills the first column of a (H, 2) chunk with accelerations.

    Args:
        history: (T, N, 7) as the world's sensor.
        lag_rows: By how many control ticks the chunk begins after the history's last row.
        model: Code of the reference model.
        added_latency_s: Dead time on top of the model's reaction time.
        chunk: (H, 2) acceleration in m/s^2 and curvature in 1/m.
    """
    known = num_known_rows(history)
    driver = np.empty(NUM_DRIVER_ENTRIES)
    start_driver(driver, model, added_latency_s)
    state = history[0].copy()
    nominal = history[0, 0, _SPEED_MPS]
    is_over = False
    previous_speed = nominal
    command = 0.0
    for row in range(known + lag_rows + len(chunk) - 1):
        if row < known:
            state[:] = history[row]
        else:
            _predict(state, command)
        speed = state[0, _SPEED_MPS]
        acceleration = (speed - previous_speed) / STEP_S
        previous_speed = speed
        is_unsafe, target = False, 0.0
        for other in range(1, len(state)):
            if state[other, _LENGTH_M] <= 0.0 or is_over or _is_hidden(state, other):
                continue
            if model == CC_HUMAN_DRIVER and _lateral_gap_m(history[0], other) <= 0.0:
                if _judge_lead(state, other) == UNSAFE:
                    if driver[HAS_REACTED] == 0.0:
                        driver[LATENCY_LEFT_S] += CC_PERCEPTION_S
                    is_unsafe, target = True, FULL_BRAKING_MPS2
                continue
            offset = state[other, _OFFSET_M] - state[0, _OFFSET_M]
            drift = state[other, _RATE_MPS] - state[0, _RATE_MPS]
            verdict, aim = judge_conflict(
                model,
                speed,
                acceleration,
                state[other, _SPEED_MPS],
                state[other, _STATION_M] - state[0, _STATION_M],
                0.5 * (state[other, _LENGTH_M] + state[0, _LENGTH_M]),
                _lateral_gap_m(state, other),
                -drift if offset > 0.0 else drift,
                added_latency_s,
            )
            if verdict == UNSAFE:
                is_unsafe, target = True, max(target, aim)
            elif verdict == OVER:
                is_over = True
        if is_over:
            command = _follow_mps2(state, nominal)
        elif is_unsafe:
            command = -brake(driver, model, target, STEP_S)
        elif driver[HAS_REACTED] == 0.0:
            command = min(max((nominal - speed) / STEP_S, -RESUME_MPS2), RESUME_MPS2)
        else:
            command = 0.0
        if row >= known + lag_rows - 1:
            chunk[row - known - lag_rows + 1, 0] = command


@njit(cache=True)
def lane_keeping_curvature_per_m(route: FloatArray, speed_mps: float, s_m: float) -> float:
    """Returns the curvature that follows a route, critically damped; ``route`` is (M, 8) as the world's sensor.

    Args:
        route: Points of the lane's centre in the ego's frame, a column of curvature.
        speed_mps: Speed of the ego.
        s_m: How far ahead of the ego the curvature is for.
    """
    spacing = math.hypot(route[1, 0] - route[0, 0], route[1, 1] - route[0, 1])
    point = min(int(s_m / max(spacing, 1e-3)), len(route) - 1)
    heading, slow = route[0, 2], max(speed_mps, SLOWEST_FEEDBACK_MPS)
    left = route[0, 0] * math.sin(heading) - route[0, 1] * math.cos(
        heading
    )  # of the ego from the centre line
    omega = LATERAL_FREQUENCY_RADPS
    feedback = omega * omega * left - 2.0 * LATERAL_DAMPING_RATIO * omega * slow * heading
    return float(route[point, 3] - feedback / (slow * slow))


@njit(cache=True)
def plan_curvatures(route: FloatArray, speed_mps: float, chunk: FloatArray) -> None:
    """Fills the second column of a (H, 2) chunk from the route and the first column."""
    speed, s = speed_mps, 0.0
    for row in range(len(chunk)):
        chunk[row, 1] = min(max(lane_keeping_curvature_per_m(route, speed_mps, s), -0.2), 0.2)
        speed = max(0.0, speed + chunk[row, 0] * STEP_S)
        s += speed * STEP_S
