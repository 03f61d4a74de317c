"""What batches of controls and poses do to bodies, compiled; a single command is a batch of one."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop_carla.server.bodies.body_kernel import (
    ACKERMANN,
    BRAKE,
    DRIVEN,
    HAND_BRAKE,
    LENGTH_M,
    MODE,
    REVERSE,
    STEER,
    THROTTLE,
    WIDTH_M,
)
from simloop_carla.server.bodies.record_kernel import VEHICLE
from simloop_carla.wire.decoding import LARGEST_FLOAT
from simloop_driving.collisions.footprints import footprints_overlap
from simloop_driving.dynamics.single_track import X_M, Y_M, YAW_RAD

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NUM_CONTROLS = 7
"""Numbers of a ``VehicleControl``."""
GEAR = 6
_LARGEST_GEAR = 2.0**31 - 1.0
_RADIANS = math.pi / 180.0
SAME_LEVEL_M = 3.0
"""Bodies whose origins are as far apart in height, or further, are not in each other's way."""


@numba.njit(cache=True)
def are_controls(values: FloatArray) -> bool:
    """Whether all of (n, 7) controls are numbers of single precision and their gears fit on the wire."""
    for row in range(values.shape[0]):
        for column in range(NUM_CONTROLS):
            if not abs(values[row, column]) <= LARGEST_FLOAT:
                return False
        if not -_LARGEST_GEAR - 1.0 <= values[row, GEAR] <= _LARGEST_GEAR:
            return False
    return True


@numba.njit(cache=True)
def drive_all(
    commands: FloatArray, controls: FloatArray, kinds: IntArray, numbers: IntArray, values: FloatArray
) -> None:
    """Takes over vehicles' controls, one after the other; values beyond their range are cut.

    Args:
        commands: (N, NUM_COMMANDS) of ``step_all``, changed.
        controls: (N, 7) controls as they were sent, changed.
        kinds: (N,) kinds of the bodies; only vehicles are driven.
        numbers: (n,) bodies; -1 for what is none.
        values: (n, 7) fields of ``VehicleControl``.
    """
    for row in range(len(numbers)):
        number, value = numbers[row], values[row]
        if number < 0 or kinds[number] != VEHICLE:
            continue
        controls[number] = value
        command = commands[number]
        command[THROTTLE] = min(max(value[0], 0.0), 1.0)
        command[STEER] = -min(max(value[1], -1.0), 1.0)
        command[BRAKE] = min(max(value[2], 0.0), 1.0)
        command[HAND_BRAKE] = value[3]
        is_back = value[4] > 0.0 or (value[5] > 0.0 and value[GEAR] < 0.0)
        command[REVERSE] = 1.0 if is_back else 0.0
        if command[MODE] == ACKERMANN:
            command[MODE] = DRIVEN


@numba.njit(cache=True)
def place_all(states: FloatArray, heights_m: FloatArray, numbers: IntArray, poses: FloatArray) -> None:
    """Puts bodies at poses, one after the other; their velocities stay.

    Args:
        states: (N, NUM_EGO_ENTRIES), changed.
        heights_m: (N,), changed.
        numbers: (n,) bodies, none of them -1.
        poses: (n, 6) x, y, z, pitch, yaw and roll, CARLA's frame.
    """
    for row in range(len(numbers)):
        number = numbers[row]
        states[number, X_M], states[number, Y_M] = poses[row, 0], -poses[row, 1]
        states[number, YAW_RAD] = -(poses[row, 4] * _RADIANS)
        heights_m[number] = poses[row, 2]


@numba.njit(cache=True)
def is_taken(
    states: FloatArray,
    shapes: FloatArray,
    heights_m: FloatArray,
    x_m: float,
    y_m: float,
    yaw_rad: float,
    z_m: float,
    length_m: float,
    width_m: float,
) -> bool:
    """Whether a body of that size would stand in another one at that place, given in the embedded world's frame."""
    for other in range(states.shape[0]):
        if abs(heights_m[other] - z_m) < SAME_LEVEL_M and footprints_overlap(
            x_m,
            y_m,
            yaw_rad,
            length_m,
            width_m,
            states[other, X_M],
            states[other, Y_M],
            states[other, YAW_RAD],
            shapes[other, LENGTH_M],
            shapes[other, WIDTH_M],
        ):
            return True
    return False
