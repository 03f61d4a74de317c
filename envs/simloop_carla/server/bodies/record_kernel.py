"""The snapshot's records of everything that moves by itself, written in one compiled pass."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simloop_carla.server.bodies.body_kernel import LENGTH_M, MODE, STILL
from simloop_carla.wire.streams import ACTOR_RECORD, VEHICLE_RECORD
from simloop_driving.dynamics.single_track import VX_MPS, VY_MPS, X_M, Y_M, YAW_RAD, YAW_RATE_RADPS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

VEHICLE, WALKER, PROP = 0, 1, 2
"""Kinds of bodies."""
LIGHT_AHEAD_M, LIGHT_BEHIND_M = 8.0, 1.5
"""A vehicle is held up by a light whose stop line is as far ahead of its front end, or nearer, or as far behind it."""
_DEGREES = 180.0 / math.pi


def _body_record() -> np.dtype[np.void]:
    """Layout of ``ACTOR_RECORD`` with vectors taken apart and a vehicle's own part."""
    names: list[str] = []
    formats: list[str] = []
    offsets: list[int] = []
    for field, parts in (
        ("location", ("x", "y", "z")),
        ("rotation", ("pitch", "yaw", "roll")),
        ("velocity", ("vx", "vy", "vz")),
        ("angular_velocity", ("rate_x", "rate_y", "rate_z")),
        ("acceleration", ("ax", "ay", "az")),
    ):
        _, offset = ACTOR_RECORD.fields[field][:2]  # type: ignore[index]
        names += parts
        formats += ["<f4"] * 3
        offsets += [offset, offset + 4, offset + 8]
    for name in VEHICLE_RECORD.names or ():
        kind, offset = VEHICLE_RECORD.fields[name][:2]  # type: ignore[index]
        names.append(name)
        formats.append(kind.str)
        offsets.append(offset)
    return np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": ACTOR_RECORD.itemsize}
    )


BODY_RECORD = _body_record()
"""What ``write_bodies`` takes ``ACTOR_RECORD`` for."""


@numba.njit(cache=True)
def _signal_ahead(state: FloatArray, length_m: float, stop_poses: FloatArray, owners: IntArray) -> int:
    """Returns the signal of the nearest stop line that a vehicle's front end stands before, or -1."""
    nearest_m, signal = math.inf, -1
    for stop in range(len(owners)):
        dx, dy = stop_poses[stop, 0] - state[X_M], stop_poses[stop, 1] - state[Y_M]
        cos, sin = stop_poses[stop, 3], stop_poses[stop, 4]
        along = dx * cos + dy * sin - 0.5 * length_m
        if not (-LIGHT_BEHIND_M < along < LIGHT_AHEAD_M) or along >= nearest_m:
            continue
        across = dy * cos - dx * sin
        if abs(across) < stop_poses[stop, 5] and math.cos(state[YAW_RAD] - stop_poses[stop, 2]) > 0.5:
            nearest_m, signal = along, owners[stop]
    return signal


@numba.njit(cache=True)
def write_bodies(
    records: Any,
    rows: IntArray,
    kinds: IntArray,
    states: FloatArray,
    commands: FloatArray,
    shapes: FloatArray,
    controls: FloatArray,
    heights_m: FloatArray,
    velocities_mps: FloatArray,
    limits_kmh: FloatArray,
    stop_poses: FloatArray,
    owners: IntArray,
    is_light: BoolArray,
    colours: IntArray,
    signal_ids: IntArray,
    delta_s: float,
) -> None:
    """Writes the records of N bodies at the end of a tick, in CARLA's frame and units.

    Args:
        records: ``BODY_RECORD`` view of all records.
        rows: (N,) record of each body.
        kinds: (N,) ``VEHICLE``, ``WALKER`` or ``PROP``.
        states, commands, shapes: Arrays of ``step_all``.
        controls: (N, 7) vehicles' controls as they were sent.
        heights_m: (N,) set to 0 for vehicles whose physics are on.
        velocities_mps: (N, 2) at the end of the last tick, NaN for a body that is new; replaced by those of this one.
        limits_kmh: (N,) speed limits.
        stop_poses, owners, is_light, colours, signal_ids: As ``StopLines`` has them.
        delta_s: Length of the tick.
    """
    for i in range(len(rows)):
        state, record = states[i], records[rows[i]]
        if kinds[i] == VEHICLE and commands[i, MODE] != STILL:
            heights_m[i] = 0.0
        record.x, record.y, record.z = state[X_M], -state[Y_M], heights_m[i]
        yaw_rad = np.remainder(-state[YAW_RAD] + math.pi, 2.0 * math.pi) - math.pi
        record.pitch, record.yaw, record.roll = 0.0, yaw_rad * _DEGREES, 0.0
        cos, sin = math.cos(state[YAW_RAD]), math.sin(state[YAW_RAD])
        vx = state[VX_MPS] * cos - state[VY_MPS] * sin
        vy = state[VX_MPS] * sin + state[VY_MPS] * cos
        if math.isnan(velocities_mps[i, 0]):
            velocities_mps[i, 0], velocities_mps[i, 1] = vx, vy
        record.vx, record.vy, record.vz = vx, -vy, 0.0
        record.ax = (vx - velocities_mps[i, 0]) / delta_s
        record.ay = -(vy - velocities_mps[i, 1]) / delta_s
        record.az = 0.0
        velocities_mps[i, 0], velocities_mps[i, 1] = vx, vy
        record.rate_x, record.rate_y = 0.0, 0.0
        record.rate_z = -(state[YAW_RATE_RADPS] * _DEGREES)
        if kinds[i] != VEHICLE:
            continue
        own = controls[i]
        record.throttle, record.steer, record.brake = own[0], own[1], own[2]
        record.hand_brake, record.reverse, record.manual_gear_shift = own[3] > 0.0, own[4] > 0.0, own[5] > 0.0
        if own[5] > 0.0:
            record.gear = own[6]
        else:
            record.gear = -1 if own[4] > 0.0 else 1
        record.speed_limit_kmh = limits_kmh[i]
        signal = _signal_ahead(state, shapes[i, LENGTH_M], stop_poses, owners)
        record.has_light = is_light[signal]
        record.light_state = colours[signal]
        record.light_id = signal_ids[signal]
