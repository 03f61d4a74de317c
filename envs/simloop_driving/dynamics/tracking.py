"""Controllers in the world frame: from an action (waypoint, acceleration and curvature, pedals) to actuators.

A waypoint is the pose wanted at the end of the control tick. Between two waypoints the reference moves on the
straight line that joins them; their differences give curvature and acceleration in advance (feed-forward, low-pass
filtered because agents' chunks are not smooth at their joints), and the errors against the reference are fed back:

    curvature = forward - (omega^2 e_y + 2 zeta omega v e_course) / v^2
    acceleration = forward + k_v (v_ref - v) - k_x e_x

which makes the lateral error a second-order system with natural frequency omega (integrator-chain form of path
tracking, see Rajamani, Vehicle Dynamics and Control, ch. 3).
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.dynamics.single_track import (
    BRAKE_MPS2,
    DRIVE_MPS2,
    VX_MPS,
    VY_MPS,
    X_M,
    Y_M,
    YAW_RAD,
    resistance,
    steer_for_curvature,
)
from simloop_driving.dynamics.vehicle import (
    FRICTION,
    GRAVITY_MPS2,
    MAX_BRAKE_MPS2,
    MAX_DRIVE_MPS2,
    MAX_STEER_RAD,
)

FloatArray = npt.NDArray[np.float64]

WAYPOINTS = 0
ACCELERATION = 1
CONTROL = 2
ACTION_KINDS = ("waypoints", "acceleration", "control")
"""Names of the action spaces, by code."""

# Entries of the controller's state array.
TARGET = 0  # 4 entries: the action that acts (waypoint x, y, yaw, speed; or the other spaces' entries)
PREVIOUS = 4  # 4 entries: the waypoint before it
STEPS_SINCE = 8  # physics steps since the action was set
FORWARD_CURVATURE_PER_M = 9
FORWARD_ACCELERATION_MPS2 = 10
HAS_TARGET = 11  # 0 before the first action: the ego coasts at its speed
KIND = 12
STEPS_PER_TICK = 13
NUM_CONTROL_ENTRIES = 14

NATURAL_FREQUENCY_RADPS = 2.0
DAMPING_RATIO = 0.9
SPEED_GAIN_PER_S = 2.0
POSITION_GAIN_PER_S2 = 0.5
CURVATURE_BLEND = 0.25  # of the newest feed-forward value, per tick
ACCELERATION_BLEND = 0.5
LATERAL_GRIP_SHARE = 0.85  # of the friction limit, that the controller may ask for
SLOWEST_FEEDBACK_MPS = 4.0
MAX_FORWARD_CURVATURE_PER_M = 0.2
MAX_FORWARD_ACCELERATION_MPS2 = 9.0


@numba.njit(cache=True)
def wrap_angle(angle_rad: float) -> float:
    """Returns the angle in (-pi, pi]."""
    return angle_rad - 2.0 * math.pi * math.floor((angle_rad + math.pi) / (2.0 * math.pi))


@numba.njit(cache=True)
def set_action(control: FloatArray, action: FloatArray, ego: FloatArray, tick_s: float) -> bool:
    """Makes ``action`` (A,), in the world frame, the one that acts from now on; returns False if it is not finite."""
    for entry in action:
        if not math.isfinite(entry):
            return False
    for i in range(4):
        control[PREVIOUS + i] = control[TARGET + i]
    for i in range(action.shape[0]):
        control[TARGET + i] = action[i]
    if control[KIND] == WAYPOINTS:
        if control[HAS_TARGET] == 0.0:
            control[PREVIOUS] = ego[X_M]
            control[PREVIOUS + 1] = ego[Y_M]
            control[PREVIOUS + 2] = ego[YAW_RAD]
            control[PREVIOUS + 3] = ego[VX_MPS]
        _update_forward(control, tick_s)
    control[HAS_TARGET] = 1.0
    control[STEPS_SINCE] = 0.0
    return True


@numba.njit(cache=True)
def _update_forward(control: FloatArray, tick_s: float) -> None:
    mean_speed = 0.5 * (control[TARGET + 3] + control[PREVIOUS + 3])
    turn = wrap_angle(control[TARGET + 2] - control[PREVIOUS + 2])
    way = max(mean_speed * tick_s, 0.05)
    limit = MAX_FORWARD_CURVATURE_PER_M
    curvature = min(max(turn / way, -limit), limit)
    limit = MAX_FORWARD_ACCELERATION_MPS2
    acceleration = min(max((control[TARGET + 3] - control[PREVIOUS + 3]) / tick_s, -limit), limit)
    if control[HAS_TARGET] == 0.0:
        control[FORWARD_CURVATURE_PER_M] = curvature
        control[FORWARD_ACCELERATION_MPS2] = acceleration
    else:
        control[FORWARD_CURVATURE_PER_M] += CURVATURE_BLEND * (curvature - control[FORWARD_CURVATURE_PER_M])
        control[FORWARD_ACCELERATION_MPS2] += ACCELERATION_BLEND * (
            acceleration - control[FORWARD_ACCELERATION_MPS2]
        )


@numba.njit(cache=True)
def _track_waypoint(
    control: FloatArray, ego: FloatArray, vehicle: FloatArray, step_s: float
) -> tuple[float, float]:
    """Returns the acceleration and curvature that follow the reference at this instant."""
    steps, per_tick = control[STEPS_SINCE], control[STEPS_PER_TICK]
    yaw = control[TARGET + 2]
    speed = control[TARGET + 3]
    if steps < per_tick:
        done = steps / per_tick
        x = control[PREVIOUS] + done * (control[TARGET] - control[PREVIOUS])
        y = control[PREVIOUS + 1] + done * (control[TARGET + 1] - control[PREVIOUS + 1])
        speed = control[PREVIOUS + 3] + done * (speed - control[PREVIOUS + 3])
        yaw = control[PREVIOUS + 2] + done * wrap_angle(yaw - control[PREVIOUS + 2])
    else:
        beyond = (steps - per_tick) * step_s * speed
        x = control[TARGET] + beyond * math.cos(yaw)
        y = control[TARGET + 1] + beyond * math.sin(yaw)
    cos_yaw, sin_yaw = math.cos(yaw), math.sin(yaw)
    dx, dy = ego[X_M] - x, ego[Y_M] - y
    ahead = dx * cos_yaw + dy * sin_yaw
    left = dy * cos_yaw - dx * sin_yaw
    vx = ego[VX_MPS]
    course = wrap_angle(ego[YAW_RAD] + math.atan2(ego[VY_MPS], max(vx, 1.0)) - yaw)
    slow = max(vx, SLOWEST_FEEDBACK_MPS)
    omega = NATURAL_FREQUENCY_RADPS
    feedback = (omega * omega * left + 2.0 * DAMPING_RATIO * omega * slow * course) / (slow * slow)
    curvature = control[FORWARD_CURVATURE_PER_M] - feedback
    acceleration = (
        control[FORWARD_ACCELERATION_MPS2] + SPEED_GAIN_PER_S * (speed - vx) - POSITION_GAIN_PER_S2 * ahead
    )
    if speed < 0.3 and control[TARGET + 3] < 0.3:
        acceleration = min(acceleration, -2.0)  # hold the vehicle at rest instead of creeping
    return acceleration, curvature


@numba.njit(cache=True)
def actuator_commands(
    control: FloatArray, ego: FloatArray, vehicle: FloatArray, step_s: float
) -> tuple[float, float, float]:
    """Returns steer (rad), drive and brake (m/s2, >= 0) for the physics step that begins now; counts the step."""
    kind = int(control[KIND])
    vx = ego[VX_MPS]
    if kind == CONTROL and control[HAS_TARGET] == 1.0:
        control[STEPS_SINCE] += 1.0
        return (
            control[TARGET] * vehicle[MAX_STEER_RAD],
            control[TARGET + 1] * vehicle[MAX_DRIVE_MPS2],
            control[TARGET + 2] * vehicle[MAX_BRAKE_MPS2],
        )
    if control[HAS_TARGET] == 0.0:
        acceleration, curvature = 0.0, 0.0
    elif kind == WAYPOINTS:
        acceleration, curvature = _track_waypoint(control, ego, vehicle, step_s)
    else:
        acceleration, curvature = control[TARGET], control[TARGET + 1]
    control[STEPS_SINCE] += 1.0
    limit = LATERAL_GRIP_SHARE * vehicle[FRICTION] * GRAVITY_MPS2 / max(vx * vx, 1.0)
    curvature = min(max(curvature, -limit), limit)
    force = acceleration + resistance(vx, vehicle)
    return steer_for_curvature(curvature, vx, vehicle), max(force, 0.0), max(-force, 0.0)


@numba.njit(cache=True)
def start_actuators(ego: FloatArray, vehicle: FloatArray) -> None:
    """Sets drive and brake to what holds the present speed."""
    ego[DRIVE_MPS2] = resistance(ego[VX_MPS], vehicle)
    ego[BRAKE_MPS2] = 0.0
