"""One tick of everything solid, compiled: single-track dynamics, backwards driving, and what happens on contact."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_driving.collisions.footprints import contact_normal
from simloop_driving.collisions.impulse import RESTITUTION
from simloop_driving.dynamics.single_track import (
    ACCELERATION_MPS2,
    STEER_RAD,
    VX_MPS,
    VY_MPS,
    X_M,
    Y_M,
    YAW_RAD,
    YAW_RATE_RADPS,
    move_actuators,
    step_single_track,
)
from simloop_driving.dynamics.vehicle import (
    FRONT_AXLE_M,
    MAX_BRAKE_MPS2,
    MAX_DRIVE_MPS2,
    MAX_STEER_RAD,
    REAR_AXLE_M,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Columns of the commands.
THROTTLE, STEER, BRAKE, HAND_BRAKE, REVERSE = 0, 1, 2, 3, 4
MODE = 5
HELD_X_MPS, HELD_Y_MPS = 6, 7
"""Velocity that is held, in the vehicle's frame (mode ``HELD``)."""
ACKERMANN_STEER_RAD, ACKERMANN_SPEED_MPS, ACKERMANN_ACCELERATION_MPS2, ACKERMANN_STEER_RATE_RADPS = (
    8,
    9,
    10,
    11,
)
STEERING_CURVE = 12
"""First of the shares of the full steering angle at 0, 20 ... 120 km/h."""
NUM_CURVE = 7
CURVE_STEP_MPS = 20.0 / 3.6
NUM_COMMANDS = STEERING_CURVE + NUM_CURVE

DRIVEN, STILL, HELD, ACKERMANN = 0.0, 1.0, 2.0, 3.0
"""Modes: by controls; physics off (moved by transforms only); constant velocity; Ackermann control."""

# Columns of the shapes.
LENGTH_M, WIDTH_M, MASS_KG = 0, 1, 2

REVERSE_MPS2 = 2.0
"""Largest acceleration backwards."""
LARGEST_REVERSE_MPS = 8.0
SPEED_GAIN_PER_S = 2.0
"""Of the Ackermann controller, without a limit of acceleration."""
HAND_BRAKE_MPS2 = 5.0


@numba.njit(cache=True)
def _step_back(state: FloatArray, vehicle: FloatArray, drive: float, brake: float, step_s: float) -> None:
    """One kinematic step backwards or to a halt: ``VX_MPS`` is zero or negative."""
    vx = state[VX_MPS]
    slower = min(-vx, brake * step_s)
    new_vx = max(vx + slower - drive * step_s, -LARGEST_REVERSE_MPS)
    wheelbase = vehicle[FRONT_AXLE_M] + vehicle[REAR_AXLE_M]
    mid = 0.5 * (vx + new_vx)
    rate = mid * math.tan(state[STEER_RAD]) / wheelbase
    yaw = state[YAW_RAD] + 0.5 * step_s * rate
    side = rate * vehicle[REAR_AXLE_M]
    state[X_M] += step_s * (mid * math.cos(yaw) - side * math.sin(yaw))
    state[Y_M] += step_s * (mid * math.sin(yaw) + side * math.cos(yaw))
    state[YAW_RAD] += step_s * rate
    state[VX_MPS], state[VY_MPS], state[YAW_RATE_RADPS] = new_vx, side, rate
    state[ACCELERATION_MPS2] = (new_vx - vx) / step_s


@numba.njit(cache=True)
def _steering_share(command: FloatArray, speed_mps: float) -> float:
    """Returns the share of the full steering angle that a vehicle has at a speed."""
    at = min(speed_mps / CURVE_STEP_MPS, NUM_CURVE - 1.0)
    low = min(int(at), NUM_CURVE - 2)
    first, second = command[STEERING_CURVE + low], command[STEERING_CURVE + low + 1]
    return float(first + (at - low) * (second - first))


@numba.njit(cache=True)
def _step_one(state: FloatArray, vehicle: FloatArray, command: FloatArray, step_s: float) -> None:
    mode = command[MODE]
    if mode == STILL:
        return
    if mode == HELD:
        # Steer, drive and brake go on to move, as under the wheels of a car that is pulled.
        move_actuators(
            state,
            vehicle,
            command[STEER] * vehicle[MAX_STEER_RAD],
            command[THROTTLE] * vehicle[MAX_DRIVE_MPS2],
            command[BRAKE] * vehicle[MAX_BRAKE_MPS2],
        )
        cos, sin = math.cos(state[YAW_RAD]), math.sin(state[YAW_RAD])
        vx, vy = command[HELD_X_MPS], command[HELD_Y_MPS]
        state[X_M] += step_s * (vx * cos - vy * sin)
        state[Y_M] += step_s * (vx * sin + vy * cos)
        state[VX_MPS], state[VY_MPS], state[YAW_RATE_RADPS] = vx, vy, 0.0
        return
    if mode == ACKERMANN:
        off = command[ACKERMANN_SPEED_MPS] - state[VX_MPS]
        limit = abs(command[ACKERMANN_ACCELERATION_MPS2])
        wanted = SPEED_GAIN_PER_S * off
        if limit > 0.0:
            wanted = min(max(wanted, -limit), limit)
        steer = command[ACKERMANN_STEER_RAD]
        rate = command[ACKERMANN_STEER_RATE_RADPS]
        if rate > 0.0:
            steer = min(max(steer, state[STEER_RAD] - rate * step_s), state[STEER_RAD] + rate * step_s)
        drive, brake = max(wanted, 0.0), max(-wanted, 0.0)
        is_back = False
    else:
        steer = command[STEER] * vehicle[MAX_STEER_RAD] * _steering_share(command, abs(state[VX_MPS]))
        drive = command[THROTTLE] * vehicle[MAX_DRIVE_MPS2]
        brake = max(command[BRAKE] * vehicle[MAX_BRAKE_MPS2], command[HAND_BRAKE] * HAND_BRAKE_MPS2)
        is_back = command[REVERSE] > 0.0
    if is_back and state[VX_MPS] > 0.1:
        drive, brake = (
            0.0,
            max(brake, command[THROTTLE] * vehicle[MAX_BRAKE_MPS2]),
        )  # stops before it turns back
        is_back = False
    if is_back or state[VX_MPS] < 0.0:
        state[STEER_RAD] = min(max(steer, -vehicle[MAX_STEER_RAD]), vehicle[MAX_STEER_RAD])
        if not is_back:
            drive, brake = 0.0, max(brake, drive)
        _step_back(state, vehicle, drive * REVERSE_MPS2 / vehicle[MAX_DRIVE_MPS2], brake, step_s)
        if not is_back and state[VX_MPS] > -1e-9:
            state[VX_MPS] = 0.0
        return
    step_single_track(state, vehicle, steer, drive, brake, step_s)


@numba.njit(cache=True)
def step_all(
    states: FloatArray,
    vehicles: FloatArray,
    commands: FloatArray,
    shapes: FloatArray,
    is_solid: IntArray,
    num_steps: int,
    step_s: float,
    hits: FloatArray,
) -> int:
    """Moves N vehicles by ``num_steps`` physics steps, in place, and lets those that meet exchange momentum.

    Args:
        states: (N, NUM_EGO_ENTRIES).
        vehicles: (N, NUM_ENTRIES) parameters, packed for ``step_s``.
        commands: (N, NUM_COMMANDS).
        shapes: (N, 3) length, width and mass.
        is_solid: (N,) 0 where collisions are off.
        num_steps: Physics steps.
        step_s: Physics step.
        hits: (K, 5) room for one row a meeting: both numbers, impulse x and y on the first in N s, step.

    Returns:
        Number of rows of ``hits`` that were written; a pair has one row a step in which it meets while closing.
    """
    count, num = 0, states.shape[0]
    places = np.empty((3, num))  # x, y and a radius around the footprint, side by side
    for i in range(num):
        places[2, i] = 0.5 * (shapes[i, LENGTH_M] + shapes[i, WIDTH_M])
    for step in range(num_steps):
        for i in range(num):
            _step_one(states[i], vehicles[i], commands[i], step_s)
        for i in range(num):
            places[0, i], places[1, i] = states[i, X_M], states[i, Y_M]
        for i in range(num):
            if is_solid[i] == 0:
                continue
            for j in range(i + 1, num):
                reach = places[2, i] + places[2, j]
                if abs(places[0, j] - places[0, i]) > reach or abs(places[1, j] - places[1, i]) > reach:
                    continue
                if is_solid[j] == 0:
                    continue
                if count < hits.shape[0] and _meet(states, commands, shapes, i, j, hits[count]):
                    hits[count, 4] = step
                    count += 1
    return count


@numba.njit(cache=True)
def _meet(
    states: FloatArray, commands: FloatArray, shapes: FloatArray, i: int, j: int, hit: FloatArray
) -> bool:
    a, b = states[i], states[j]
    ca, sa = math.cos(a[YAW_RAD]), math.sin(a[YAW_RAD])
    cb, sb = math.cos(b[YAW_RAD]), math.sin(b[YAW_RAD])
    vax, vay = a[VX_MPS] * ca - a[VY_MPS] * sa, a[VX_MPS] * sa + a[VY_MPS] * ca
    vbx, vby = b[VX_MPS] * cb - b[VY_MPS] * sb, b[VX_MPS] * sb + b[VY_MPS] * cb
    touching, nx, ny = contact_normal(
        a[X_M],
        a[Y_M],
        a[YAW_RAD],
        shapes[i, LENGTH_M],
        shapes[i, WIDTH_M],
        b[X_M],
        b[Y_M],
        b[YAW_RAD],
        shapes[j, LENGTH_M],
        shapes[j, WIDTH_M],
        vax - vbx,
        vay - vby,
    )
    closing = (vax - vbx) * nx + (vay - vby) * ny
    if not touching or closing <= 1e-3:
        return False
    inverse_a = 0.0 if commands[i, MODE] == STILL else 1.0 / shapes[i, MASS_KG]
    inverse_b = 0.0 if commands[j, MODE] == STILL else 1.0 / shapes[j, MASS_KG]
    if inverse_a + inverse_b == 0.0:
        return False
    impulse = (1.0 + RESTITUTION) * closing / (inverse_a + inverse_b)
    vax, vay = vax - impulse * inverse_a * nx, vay - impulse * inverse_a * ny
    vbx, vby = vbx + impulse * inverse_b * nx, vby + impulse * inverse_b * ny
    a[VX_MPS], a[VY_MPS] = vax * ca + vay * sa, vay * ca - vax * sa
    b[VX_MPS], b[VY_MPS] = vbx * cb + vby * sb, vby * cb - vbx * sb
    hit[0], hit[1], hit[2], hit[3] = i, j, -impulse * nx, -impulse * ny
    return True
