"""Everything solid of an episode in arrays: vehicles, walkers and props.

Vehicles have the single-track dynamics of the embedded world (``simloop_driving.dynamics``) with the parameters of
``vehicle_models``: throttle and brake are shares of the largest acceleration and deceleration, steer is the share of
the largest road-wheel angle at the present speed, to the right.
Everything here is in the embedded world's frame: y to the left, radians.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from simloop_carla.server.bodies.body_kernel import (
    DRIVEN,
    HELD,
    MODE,
    NUM_COMMANDS,
    STEERING_CURVE,
    STILL,
    step_all,
)
from simloop_carla.server.bodies.control_kernel import NUM_CONTROLS, drive_all, is_taken, place_all
from simloop_carla.server.bodies.record_kernel import PROP, VEHICLE, WALKER
from simloop_carla.wire.structs import VehicleControl
from simloop_driving.dynamics.single_track import NUM_EGO_ENTRIES, VX_MPS, VY_MPS, X_M, Y_M, YAW_RAD
from simloop_driving.dynamics.vehicle import NUM_ENTRIES, VehicleParameters

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


MAX_HITS = 256
_MODES = {VEHICLE: DRIVEN, WALKER: HELD, PROP: STILL}
_ROWS = (
    "states",
    "commands",
    "shapes",
    "is_solid",
    "kinds",
    "heights_m",
    "controls",
    "last_velocities_mps",
)


class Bodies:
    """Vehicles, walkers and props of an episode; a body's number is its row, which falls when a body before it leaves.

    Attributes:
        states, commands, shapes: Arrays of ``step_all``, one row a body.
        is_solid: (N,) whether it collides.
        kinds: (N,) ``record_kernel.VEHICLE``, ``WALKER`` or ``PROP``.
        heights_m: (N,) height of the origin; vehicles with physics are on the ground after each tick.
        controls: (N, 7) fields of the last ``VehicleControl`` of each, as it was sent.
        last_velocities_mps: (N, 2) at the end of the last tick, world frame; NaN for a body that is new.
    """

    def __init__(self) -> None:
        self.states = np.zeros((0, NUM_EGO_ENTRIES))
        self.commands = np.zeros((0, NUM_COMMANDS))
        self.shapes = np.zeros((0, 3))
        self.is_solid = np.zeros(0, dtype=np.int64)
        self.kinds = np.zeros(0, dtype=np.int64)
        self.heights_m = np.zeros(0)
        self.controls = np.zeros((0, NUM_CONTROLS))
        self.last_velocities_mps = np.zeros((0, 2))
        self._parameters: list[VehicleParameters] = []
        self._packed = np.zeros((0, NUM_ENTRIES))
        self._packed_for_s = 0.0
        self._hits = np.zeros((MAX_HITS, 5))

    def add(
        self, parameters: VehicleParameters, pose: tuple[float, float, float], height_m: float, kind: int
    ) -> int:
        """Adds a body at rest and returns its number.

        Args:
            parameters: Its size, mass and dynamics.
            pose: x, y and yaw, embedded world's frame.
            height_m: Height of its origin.
            kind: ``record_kernel.VEHICLE``, ``WALKER`` or ``PROP``.
        """
        state, command = np.zeros(NUM_EGO_ENTRIES), np.zeros(NUM_COMMANDS)
        state[[X_M, Y_M, YAW_RAD]] = pose
        command[MODE] = _MODES[kind]
        command[STEERING_CURVE:] = 1.0
        for name, row in (
            ("states", state),
            ("commands", command),
            ("shapes", (parameters.length_m, parameters.width_m, parameters.mass_kg)),
            ("is_solid", 1),
            ("kinds", kind),
            ("heights_m", height_m),
            ("controls", np.zeros(NUM_CONTROLS)),
            ("last_velocities_mps", (np.nan, np.nan)),
        ):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.array([row], dtype=old.dtype)]))
        self._parameters.append(parameters)
        self._packed_for_s = 0.0
        return len(self.states) - 1

    def remove(self, number: int) -> None:
        """Takes a body out; the numbers above it move down by one."""
        for name in _ROWS:
            setattr(self, name, np.delete(getattr(self, name), number, axis=0))
        del self._parameters[number]
        self._packed_for_s = 0.0

    def parameters(self, number: int) -> VehicleParameters:
        """Returns the parameters of a vehicle."""
        return self._parameters[number]

    def replace_parameters(self, number: int, values: dict[str, float]) -> None:
        """Changes some parameters of a body."""
        parameters = dataclasses.replace(self._parameters[number], **values)  # type: ignore[arg-type]
        self._parameters[number] = parameters
        self.shapes[number] = parameters.length_m, parameters.width_m, parameters.mass_kg
        self._packed_for_s = 0.0

    def set_steering_curve(self, number: int, shares: FloatArray) -> None:
        """Sets the (7,) shares of the full steering angle at ``vehicle_models.CURVE_KMH``; they are 1 at first."""
        self.commands[number, STEERING_CURVE:] = shares

    def steering_curve(self, number: int) -> FloatArray:
        """Returns the (7,) shares of the full steering angle."""
        return self.commands[number, STEERING_CURVE:].copy()

    def step(self, num_steps: int, step_s: float) -> FloatArray:
        """Moves all vehicles and returns the (n, 5) rows of ``hits``."""
        if self._packed_for_s != step_s:
            packed = [parameters.packed(step_s) for parameters in self._parameters]
            self._packed = np.array(packed).reshape(len(packed), NUM_ENTRIES)
            self._packed_for_s = step_s
        count = step_all(
            self.states,
            self._packed,
            self.commands,
            self.shapes,
            self.is_solid,
            num_steps,
            step_s,
            self._hits,
        )
        return self._hits[:count]

    def velocities(self) -> FloatArray:
        """Returns the (N, 2) velocities in the world frame."""
        cos, sin = np.cos(self.states[:, YAW_RAD]), np.sin(self.states[:, YAW_RAD])
        vx, vy = self.states[:, VX_MPS], self.states[:, VY_MPS]
        return np.stack([vx * cos - vy * sin, vx * sin + vy * cos], axis=1)

    def set_velocity(self, number: int, vx_mps: float, vy_mps: float) -> None:
        """Gives a vehicle a velocity, world frame."""
        state = self.states[number]
        cos, sin = math.cos(state[YAW_RAD]), math.sin(state[YAW_RAD])
        state[VX_MPS], state[VY_MPS] = vx_mps * cos + vy_mps * sin, vy_mps * cos - vx_mps * sin

    def drive(self, numbers: IntArray, controls: FloatArray) -> None:
        """Takes over the controls of vehicles, in order.

        Args:
            numbers: (n,) bodies; -1, walkers and props are left out.
            controls: (n, 7) fields of ``VehicleControl``.
        """
        drive_all(self.commands, self.controls, self.kinds, numbers, controls)

    def control(self, number: int) -> VehicleControl:
        """Returns the last controls of a vehicle, as they were sent."""
        throttle, steer, brake, hand_brake, reverse, shifts, gear = self.controls[number].tolist()
        return VehicleControl(throttle, steer, brake, hand_brake > 0, reverse > 0, shifts > 0, int(gear))

    def place(self, numbers: IntArray, poses: FloatArray) -> None:
        """Puts bodies at (n, 6) poses in CARLA's frame, in order; their velocities stay."""
        place_all(self.states, self.heights_m, numbers, poses)

    def is_taken(
        self, place: tuple[float, float, float], height_m: float, length_m: float, width_m: float
    ) -> bool:
        """Whether a body of that size at that x, y and yaw (embedded world's frame) would stand in another one."""
        return bool(is_taken(self.states, self.shapes, self.heights_m, *place, height_m, length_m, width_m))
