"""Carrying a tray with a rolling ball: take the handles, lift, go to the goal, and tilt the tray against the ball.

While it carries, the plan works in the level frame of the tray: x along the handles' bars, z up. The ball on a tray
with the normal n and the acceleration a rolls with 5/7 (g n - a), less its rolling friction (solid sphere). The plan
wants it back in the middle, critically damped, and tilts the tray accordingly: across the arms by lifting one more than
the other, along the bars by turning both grippers. What the gusts will do it does not know.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from simloop_agents.experts.two_arm.bars import LEAD_S, grasp_bars, predict_fingers
from simloop_agents.experts.two_arm.geometry import (
    STEP_S,
    keep_committed,
    predict_arm,
    read_arms,
    write_pose_delta,
)

_BALL, _TO_GOAL, _FRICTION, _HANDLES, _HANDLE_SIZE = 13, 19, 22, 24, 9
_BALL_RADIUS_M = 0.02
_GRAVITY_MPS2 = 9.81
_ROLL = 5.0 / 7.0
"""Part of a slope's acceleration that a rolling solid sphere has."""

_HELD_OPENING_M, _HELD_NEAR_M = 0.03, 0.05
"""Fingers nearer to each other than this, around a bar, hold it."""
_LATITUDE = 1.8
"""The bars are wide, and the tray is light enough to be pushed into place by the fingers."""
_FREQUENCY_PER_S = 1.8
"""Of the ball's return to the middle, critically damped."""
_LARGEST_TILT_RAD = 0.1
_LEAN_GAIN, _LEAN_TO_PITCH = 0.7, 0.36
"""What a lean across the arms adds to the pitch along the bars, measured: the hands give way as the bars turn in them.
Turning the hands along with the bars makes it worse, as the controllers' uncoupled axes then push the tray back."""
_TILT_GAIN, _LARGEST_TURN_RAD = 1.2, 0.06
_APPROACH_PER_S, _FASTEST_MPS, _RISE_MPS = 1.2, 0.10, 0.12
_LARGEST_ACCELERATION_MPS2 = 0.3
_RESPONSE_S = 0.15
"""How fast a gripper takes up a speed that is asked for."""
_HANDLE_LEVER_M = 0.175
"""From the tray's centre across to each handle's site."""


@numba.njit(cache=True)
def _clipped(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


@numba.njit(cache=True)
def _carry(
    to_goal: Any, ball: Any, roll: Any, normal: Any, speed: Any, lever: Any, offsets: Any, turns: Any
) -> None:
    """Writes how each gripper should move, all in the tray's level frame.

    Args:
        to_goal: (3,) way of the tray's centre to its goal, metres.
        ball, roll: (2,) position on the tray, metres, and velocity, m/s.
        normal: (2,) horizontal part of the tray's normal.
        speed: (3,) velocity of the tray's centre, m/s.
        lever: (2, 2) of the handles from the tray's centre, metres.
        offsets, turns: (2, 3) metres and radians, written.
    """
    turn, move = np.zeros(3), np.empty(3)
    distance = math.sqrt(to_goal[0] ** 2 + to_goal[1] ** 2)
    pace = min(_APPROACH_PER_S, _FASTEST_MPS / max(distance, 1e-6))
    tilt = np.empty(2)
    for i in range(2):
        change = _clipped(pace * to_goal[i] - speed[i], _LARGEST_ACCELERATION_MPS2 * _RESPONSE_S)
        move[i] = LEAD_S * (speed[i] + change)
        wanted = -(_FREQUENCY_PER_S**2) * ball[i] - 2.0 * _FREQUENCY_PER_S * roll[i]
        tilt[i] = wanted / (_ROLL * _GRAVITY_MPS2) + change / _RESPONSE_S / _GRAVITY_MPS2
    move[2] = LEAD_S * _clipped(2.0 * to_goal[2], _RISE_MPS)
    steep = math.sqrt(tilt[0] ** 2 + tilt[1] ** 2)
    if steep > _LARGEST_TILT_RAD:
        tilt *= _LARGEST_TILT_RAD / steep
    turn[0] = _clipped(-_TILT_GAIN * (tilt[1] - normal[1]), _LARGEST_TURN_RAD)
    turn[1] = _clipped(_TILT_GAIN * (tilt[0] - normal[0]), _LARGEST_TURN_RAD)
    for arm in range(2):
        offsets[arm, 0] = move[0]
        offsets[arm, 1] = move[1]
        offsets[arm, 2] = move[2] + turn[0] * lever[arm, 1] - turn[1] * lever[arm, 0]
        turns[arm, 0], turns[arm, 1], turns[arm, 2] = 0.0, turn[1], 0.0


@numba.njit(cache=True)
def _roll_on(ball: Any, roll: Any, normal: Any, acceleration: Any, friction_m: float) -> None:
    """Moves the ball on by one row."""
    braking = _ROLL * _GRAVITY_MPS2 * friction_m / _BALL_RADIUS_M * STEP_S
    pushed = np.empty(2)
    for i in range(2):
        pushed[i] = roll[i] + _ROLL * (_GRAVITY_MPS2 * normal[i] - acceleration[i]) * STEP_S
    faster = math.sqrt(pushed[0] ** 2 + pushed[1] ** 2)
    left = max(0.0, 1.0 - braking / max(faster, 1e-9))
    for i in range(2):
        ball[i] += 0.5 * (roll[i] + left * pushed[i]) * STEP_S
        roll[i] = left * pushed[i]


@numba.njit(cache=True)
def plan(robot: Any, objects: Any, committed: Any, num_committed: int, out: Any) -> None:
    """Fills the (H, 14) chunk ``out``: committed rows as they are, then the rule on the predicted state."""
    position, rotation = np.empty((2, 3)), np.empty((2, 3, 3))
    linear, angular = np.empty((2, 3)), np.empty((2, 3))
    opening, handle, bar = np.empty(2), np.empty((2, 3)), np.empty((2, 3))
    still = np.zeros((2, 3))
    offsets, turns = np.empty((2, 3)), np.empty((2, 3))
    read_arms(robot, position, rotation, linear, angular, opening)
    normal, axis = np.zeros(2), np.empty((2, 2))
    for arm in range(2):
        where = objects[_HANDLES + _HANDLE_SIZE * arm :]
        for i in range(3):
            handle[arm, i] = where[i]
            bar[arm, i] = where[3 + i]
        flat = math.sqrt(bar[arm, 0] ** 2 + bar[arm, 1] ** 2)
        axis[arm, 0], axis[arm, 1] = bar[arm, 0] / flat, bar[arm, 1] / flat
        normal[0] += 0.5 * (where[6] * axis[arm, 0] + where[7] * axis[arm, 1])
        normal[1] += 0.5 * (where[7] * axis[arm, 0] - where[6] * axis[arm, 1])
    leaning = math.acos(min(max(objects[_HANDLES + 8], -1.0), 1.0))
    # The tray's x axis in the world, from its quaternion, and with it goal and speed in the level frame.
    w, x, y, z = objects[3], objects[4], objects[5], objects[6]
    ax, ay = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)
    flat = math.sqrt(ax * ax + ay * ay)
    ax, ay = ax / flat, ay / flat
    to_goal, speed = np.empty(3), np.empty(3)
    goal = objects[_TO_GOAL:]
    to_goal[0], to_goal[1], to_goal[2] = ax * goal[0] + ay * goal[1], ax * goal[1] - ay * goal[0], goal[2]
    speed[0], speed[1] = ax * objects[7] + ay * objects[8], ax * objects[8] - ay * objects[7]
    speed[2] = objects[9]
    ball, roll = objects[_BALL : _BALL + 2].copy(), objects[_BALL + 3 : _BALL + 5].copy()
    lever = np.zeros((2, 2))
    lever[0, 1], lever[1, 1] = _HANDLE_LEVER_M, -_HANDLE_LEVER_M
    action, gone, moved = np.empty(14), np.empty(3), np.empty((2, 3))
    acceleration, before = np.zeros(2), np.empty(2)
    for row in range(len(out)):
        held = True
        for arm in range(2):
            away = 0.0
            for i in range(3):
                away += (handle[arm, i] - position[arm, i]) ** 2
            held = held and opening[arm] < _HELD_OPENING_M and away < _HELD_NEAR_M**2
        if held:
            _carry(to_goal, ball, roll, normal, speed, lever, offsets, turns)
            for arm in range(2):
                c, s = axis[arm, 0], axis[arm, 1]
                for vector in (offsets[arm], turns[arm]):
                    vector[0], vector[1] = c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]
            ready = True
        else:
            ready, _ = grasp_bars(
                position, rotation, opening, handle, bar, still, leaning, _LATITUDE, offsets, turns
            )
        for arm in range(2):
            write_pose_delta(offsets[arm], turns[arm], action[7 * arm :])
            action[7 * arm + 6] = 1.0 if ready else -1.0
        keep_committed(row, committed, num_committed, action)
        for i in range(14):
            out[row, i] = action[i]
        pitch = 0.0
        for arm in range(2):
            c, s = axis[arm, 0], axis[arm, 1]
            old = c * rotation[arm, 0, 2] + s * rotation[arm, 1, 2]
            predict_arm(action[7 * arm :], position[arm], rotation[arm], linear[arm], angular[arm], gone)
            # The grippers point down, against the tray's normal.
            pitch -= 0.5 * (c * rotation[arm, 0, 2] + s * rotation[arm, 1, 2] - old)
            moved[arm, 0] = c * gone[0] + s * gone[1]
            moved[arm, 1] = c * gone[1] - s * gone[0]
            moved[arm, 2] = gone[2]
            if held:
                for i in range(3):
                    handle[arm, i] += gone[i]
            opening[arm] = predict_fingers(position[arm], handle[arm], action[7 * arm + 6], opening[arm])
        if held:
            before[:] = speed[:2]
            for i in range(3):
                gone[i] = 0.5 * (moved[0, i] + moved[1, i])
                to_goal[i] -= gone[i]
            for i in range(2):
                speed[i] = 0.0
            for arm in range(2):
                c, s = axis[arm, 0], axis[arm, 1]
                speed[0] += 0.5 * (c * linear[arm, 0] + s * linear[arm, 1])
                speed[1] += 0.5 * (c * linear[arm, 1] - s * linear[arm, 0])
            for i in range(2):
                acceleration[i] = (speed[i] - before[i]) / STEP_S
            _roll_on(ball, roll, normal, acceleration, objects[_FRICTION])
            lean = _LEAN_GAIN * (moved[1, 2] - moved[0, 2]) / (lever[0, 1] - lever[1, 1])
            normal[0] += pitch + _LEAN_TO_PITCH * lean
            normal[1] += lean
