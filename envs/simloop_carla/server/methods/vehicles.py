"""Vehicles: controls, lamps, physics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.bodies import body_kernel
from simloop_carla.server.library import vehicle_models
from simloop_carla.server.net.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.replies import DONE, failure, success
from simloop_carla.wire.structs import (
    ORIGIN,
    U8,
    U32,
    AckermannControl,
    AckermannSettings,
    Gear,
    Vector2,
    Vector3,
    VehicleControl,
    VehiclePhysics,
    Wheel,
)
from simloop_driving.dynamics.single_track import (
    ACCELERATION_MPS2,
    STEER_RAD,
    VX_MPS,
    VY_MPS,
    YAW_RATE_RADPS,
    tyre_force,
)
from simloop_driving.dynamics.vehicle import VehicleParameters

_IDLE_RPM, _TOP_RPM = 800.0, 5500.0
_WHEEL_RADIUS_M = 0.32
_GRAVITY_MPS2 = 9.81
_LEAST_SLIPPING_MPS = 0.5
"""Below it a wheel has no slip angle."""


def drive(simulator: Simulator, actor: ServerActor, control: VehicleControl) -> None:
    """Takes over a vehicle's controls; values beyond their range are cut."""
    simulator.episode.bodies.drive(np.array([actor.number]), np.array([control], dtype=np.float64))


def drive_ackermann(simulator: Simulator, actor: ServerActor, control: AckermannControl) -> None:
    """Takes over an Ackermann control."""
    if not actor.is_vehicle:
        return
    command = simulator.episode.bodies.commands[actor.number]
    command[body_kernel.ACKERMANN_STEER_RAD] = -control.steer
    command[body_kernel.ACKERMANN_STEER_RATE_RADPS] = abs(control.steer_speed)
    command[body_kernel.ACKERMANN_SPEED_MPS] = max(control.speed, 0.0)
    command[body_kernel.ACKERMANN_ACCELERATION_MPS2] = control.acceleration
    if command[body_kernel.MODE] == body_kernel.DRIVEN:
        command[body_kernel.MODE] = body_kernel.ACKERMANN


def set_lamps(simulator: Simulator, actor: ServerActor, flags: int) -> None:
    """Switches lamps."""
    actor.lights = flags


def physics_control(simulator: Simulator, actor: ServerActor) -> VehiclePhysics:
    """Describes the single-track vehicle in CARLA's terms; what it has no part of is typical of a saloon."""
    own = simulator.episode.bodies.parameters(actor.number)
    curve = simulator.episode.bodies.steering_curve(actor.number)
    pose = simulator.episode.pose(actor)
    track_m = 0.85 * own.width_m
    wheels = []
    for forward_m, steers in ((own.front_axle_m, True), (-own.rear_axle_m, False)):
        for side_m in (-0.5 * track_m, 0.5 * track_m):
            yaw = math.radians(pose.rotation.yaw)
            x = pose.location.x + forward_m * math.cos(yaw) - side_m * math.sin(yaw)
            y = pose.location.y + forward_m * math.sin(yaw) + side_m * math.cos(yaw)
            angle = math.degrees(own.max_steer_rad) if steers else 0.0
            place = Vector3(100.0 * x, 100.0 * y, 32.0)
            wheels.append(
                Wheel(
                    own.friction_ratio / vehicle_models.GRIP_OF_TYRE,
                    0.25,
                    angle,
                    32.0,
                    1500.0,
                    3000.0,
                    2.0,
                    17.0,
                    1000.0,
                    place,
                )
            )
    return VehiclePhysics(
        [Vector2(0.0, 400.0), Vector2(1890.0, 500.0), Vector2(5729.0, 400.0)],
        _TOP_RPM,
        1.0,
        0.15,
        2.0,
        0.35,
        True,
        0.5,
        10.0,
        4.0,
        [Gear(ratio, 0.5, 0.65) for ratio in (2.85, 2.02, 1.35, 1.0, 0.84)],
        own.mass_kg,
        own.drag_area_m2,
        ORIGIN,
        [Vector2(*map(float, point)) for point in zip(vehicle_models.CURVE_KMH, curve, strict=True)],
        wheels,
        False,
    )


def set_physics_control(simulator: Simulator, actor: ServerActor, physics: VehiclePhysics) -> None:
    """Takes over mass, drag, tyres' friction, front wheels' largest angle and the steering curve."""
    if not actor.is_vehicle or physics.mass <= 0.0:
        return
    own = simulator.episode.bodies.parameters(actor.number)
    values = vehicle_models.with_mass(own, physics.mass)
    if physics.drag_coefficient > 0.0:
        values["drag_area_m2"] = physics.drag_coefficient
    angles = [wheel.max_steer_angle for wheel in physics.wheels if 1.0 <= wheel.max_steer_angle <= 80.0]
    if angles:
        values["max_steer_rad"] = math.radians(max(angles))
    tyres = [wheel.tire_friction for wheel in physics.wheels if wheel.tire_friction > 0.0]
    if tyres:
        friction = vehicle_models.GRIP_OF_TYRE * sum(tyres) / len(tyres)
        values["friction_ratio"] = friction
        values["rear_friction_ratio"] = friction * own.rear_friction_ratio / own.friction_ratio
    simulator.episode.bodies.replace_parameters(actor.number, values)
    curve = vehicle_models.curve_of([(point.x, point.y) for point in physics.steering_curve])
    simulator.episode.bodies.set_steering_curve(actor.number, curve)


class _Flags(NamedTuple):
    """Lamps on the wire."""

    flags: U32


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""

    def on_vehicle(answer: Callable[[Simulator, ServerActor], Any]) -> Callable[..., Any]:
        def call(simulator: Simulator, actor_id: int) -> Any:
            actor = simulator.episode.roster.by_id.get(actor_id)
            if actor is None or not actor.is_vehicle:
                return failure(f"actor {actor_id} is not a vehicle")
            return success(answer(simulator, actor))

        return call

    def to_vehicle(apply: Callable[[Simulator, ServerActor, Any], None]) -> Callable[..., Any]:
        def call(simulator: Simulator, actor_id: int, value: Any) -> Any:
            actor = simulator.episode.roster.by_id.get(actor_id)
            if actor is None or not actor.is_vehicle:
                return [[True, [f"actor {actor_id} is not a vehicle"]]]
            apply(simulator, actor, value)
            return DONE

        return call

    table.add("apply_control_to_vehicle", U32, VehicleControl)(to_vehicle(drive))
    table.add("apply_ackermann_control_to_vehicle", U32, AckermannControl)(to_vehicle(drive_ackermann))
    table.add("get_ackermann_controller_settings", U32)(on_vehicle(lambda _, actor: actor.ackermann))
    table.add("apply_ackermann_controller_settings", U32, AckermannSettings)(to_vehicle(_keep_gains))
    table.add("get_physics_control", U32)(on_vehicle(physics_control))
    table.add("apply_physics_control", U32, VehiclePhysics)(to_vehicle(set_physics_control))
    table.add("get_vehicle_light_state", U32)(on_vehicle(lambda _, actor: [actor.lights]))
    table.add("set_vehicle_light_state", U32, _Flags)(
        to_vehicle(lambda simulator, actor, lamps: set_lamps(simulator, actor, lamps.flags))
    )
    table.add("get_telemetry_data", U32)(on_vehicle(_telemetry))
    table.add("open_vehicle_door", U32, U8)(to_vehicle(lambda *_: None))
    table.add("close_vehicle_door", U32, U8)(to_vehicle(lambda *_: None))
    table.add("show_vehicle_debug_telemetry", U32, bool)(to_vehicle(lambda *_: None))

    @table.add("get_vehicle_light_states")
    def get_vehicle_light_states(simulator: Simulator) -> Any:
        vehicles, _ = simulator.episode.roster.of_kind("vehicle")
        return success([[actor.id, actor.lights] for actor in vehicles])

    @table.add("get_wheel_steer_angle", U32, U8)
    @table.add("get_wheel_pitch_angle", U32, U8)
    def get_wheel_angle(simulator: Simulator, actor_id: int, wheel: int) -> Any:
        actor = simulator.episode.roster.by_id.get(actor_id)
        if actor is None or not actor.is_vehicle:
            return failure(f"actor {actor_id} is not a vehicle")
        state = simulator.episode.bodies.states[actor.number]
        return success(-math.degrees(float(state[STEER_RAD])) if wheel < 2 else 0.0)

    @table.add("set_wheel_steer_direction", U32, U8, float)
    @table.add("set_wheel_pitch_angle", U32, U8, float)
    def set_wheel_angle(simulator: Simulator, actor_id: int, wheel: int, angle_deg: float) -> Any:
        return DONE


def _keep_gains(simulator: Simulator, actor: ServerActor, gains: AckermannSettings) -> None:
    """Keeps the gains of a controller that has none: it reaches what it is asked for as fast as the vehicle can."""
    actor.ackermann = gains


def _telemetry(simulator: Simulator, actor: ServerActor) -> list[Any]:
    own = simulator.episode.bodies
    state, control = own.states[actor.number], own.control(actor.number)
    speed_mps = float(state[VX_MPS])
    rpm = min(_IDLE_RPM + 150.0 * abs(speed_mps), _TOP_RPM)
    gear = -1 if control.reverse else 1
    wheels = [_wheel(own.parameters(actor.number), state, is_front=is_front) for is_front in (True, False)]
    head = [speed_mps, control.steer, control.throttle, control.brake, rpm, gear]
    return [*head, 0.0, [wheels[0], wheels[0], wheels[1], wheels[1]]]


def _wheel(own: VehicleParameters, state: npt.NDArray[np.float64], *, is_front: bool) -> list[float]:
    """Returns the telemetry of a wheel of an axle: half of what the single-track model has there.

    Friction, slip angle to the right in rad, longitudinal slip, turn rate in rad/s, load in N and its share of the
    load at rest, torque in N m, forces forwards and to the right in N, and the forces over the load.
    """
    vx, vy, rate = (float(state[entry]) for entry in (VX_MPS, VY_MPS, YAW_RATE_RADPS))
    wheelbase_m = own.front_axle_m + own.rear_axle_m
    if is_front:
        sideways_mps, steer_rad = vy + rate * own.front_axle_m, float(state[STEER_RAD])
        stiffness, share = own.front_axle_stiffness_nprad, own.rear_axle_m / wheelbase_m
        friction_ratio = own.friction_ratio
    else:
        sideways_mps, steer_rad = vy - rate * own.rear_axle_m, 0.0
        stiffness, share = own.rear_axle_stiffness_nprad, own.front_axle_m / wheelbase_m
        friction_ratio = own.rear_friction_ratio
    slip_rad = math.atan2(sideways_mps, vx) - steer_rad if vx > _LEAST_SLIPPING_MPS else 0.0
    load_n = 0.5 * share * own.mass_kg * _GRAVITY_MPS2
    along_n = 0.5 * share * own.mass_kg * float(state[ACCELERATION_MPS2])
    left_n = float(tyre_force(math.tan(slip_rad), 0.5 * stiffness, friction_ratio * load_n))
    forces = [along_n * _WHEEL_RADIUS_M, along_n, -left_n, along_n / load_n, -left_n / load_n]
    return [friction_ratio, -slip_rad, 0.0, vx / _WHEEL_RADIUS_M, load_n, 1.0, *forces]
