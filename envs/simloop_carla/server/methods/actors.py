"""Actors: spawning, destroying and moving."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.bodies import body_kernel
from simloop_carla.server.episode import ASYNCHRONOUS_STEP_S
from simloop_carla.server.library.descriptions import SpawnError
from simloop_carla.server.net.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.replies import DONE, failure, success
from simloop_carla.wire.structs import (
    U8,
    U32,
    ActorDescription,
    Transform,
    Vector3,
    WalkerControl,
)
from simloop_driving.dynamics.single_track import YAW_RAD, YAW_RATE_RADPS

MAX_ACTORS = 20_000


def found(simulator: Simulator, actor_id: int) -> ServerActor | None:
    """Returns an actor, or None."""
    return simulator.episode.roster.by_id.get(actor_id)


def spawn(
    simulator: Simulator, description: ActorDescription, pose: Transform, parent_id: int | None
) -> ServerActor:
    """Spawns an actor.

    Raises:
        SpawnError: As ``Episode.spawn``; or the parent is not there, or there are too many actors.
    """
    parent = None
    if parent_id is not None:
        parent = found(simulator, parent_id)
        if parent is None:
            raise SpawnError("unable to attach actor: parent actor not found")
    if len(simulator.episode.roster.by_id) >= MAX_ACTORS:
        raise SpawnError(f"there are {MAX_ACTORS} actors already, more are not allowed")
    return simulator.episode.spawn(description, pose, parent)


def set_velocity(simulator: Simulator, actor: ServerActor, velocity: Vector3) -> None:
    """Gives a body a velocity, CARLA's world frame."""
    if actor.number >= 0:
        simulator.episode.bodies.set_velocity(actor.number, velocity.x, -velocity.y)


def push(simulator: Simulator, actor: ServerActor, impulse_newton_s: Vector3) -> None:
    """Changes a body's velocity by an impulse."""
    if actor.number >= 0 and actor.body is not None:
        own = simulator.episode.bodies
        mass_kg = own.shapes[actor.number, body_kernel.MASS_KG]
        vx, vy = own.velocities()[actor.number]
        own.set_velocity(actor.number, vx + impulse_newton_s.x / mass_kg, vy - impulse_newton_s.y / mass_kg)


def push_at(simulator: Simulator, actor: ServerActor, impulse_newton_s: Vector3, location: Vector3) -> None:
    """Changes a body's velocity and turn rate by an impulse at a place of the world."""
    push(simulator, actor, impulse_newton_s)
    at = simulator.episode.pose(actor).location
    arm_x, arm_y = location.x - at.x, location.y - at.y
    _turn(simulator, actor, arm_x * impulse_newton_s.y - arm_y * impulse_newton_s.x)


def push_at_for_a_tick(simulator: Simulator, actor: ServerActor, force_n: Vector3, location: Vector3) -> None:
    """Changes a body's velocity and turn rate by what a force at a place of the world does in a tick."""
    push_at(simulator, actor, _in_a_tick(simulator, force_n), location)


def turn(simulator: Simulator, actor: ServerActor, impulse: Vector3) -> None:
    """Changes a body's turn rate by an angular impulse as Unreal takes it: kg cm2 deg/s."""
    _turn(simulator, actor, math.radians(impulse.z) * 1e-4)


def turn_for_a_tick(simulator: Simulator, actor: ServerActor, torque: Vector3) -> None:
    """Changes a body's turn rate by what a torque as Unreal takes it does in a tick: kg cm2 deg/s2."""
    turn(simulator, actor, _in_a_tick(simulator, torque))


def _turn(simulator: Simulator, actor: ServerActor, impulse_newton_m_s: float) -> None:
    if actor.number >= 0:
        own = simulator.episode.bodies
        inertia_kgm2 = own.parameters(actor.number).yaw_inertia_kgm2
        own.states[actor.number, YAW_RATE_RADPS] -= impulse_newton_m_s / inertia_kgm2


def _in_a_tick(simulator: Simulator, per_s: Vector3) -> Vector3:
    delta_s = simulator.settings.fixed_delta_seconds or ASYNCHRONOUS_STEP_S
    return Vector3(*(delta_s * part for part in per_s))


def set_turn_rate(simulator: Simulator, actor: ServerActor, rate_degps: Vector3) -> None:
    """Gives a body a turn rate."""
    if actor.number >= 0:
        simulator.episode.bodies.states[actor.number, YAW_RATE_RADPS] = -math.radians(rate_degps.z)


def set_physics(simulator: Simulator, actor: ServerActor, is_on: bool) -> None:
    """Lets a vehicle drive, or keeps it where it is put, without a speed of its own."""
    if actor.number >= 0 and actor.is_vehicle:
        own = simulator.episode.bodies
        own.commands[actor.number, body_kernel.MODE] = body_kernel.DRIVEN if is_on else body_kernel.STILL
        if not is_on:
            own.set_velocity(actor.number, 0.0, 0.0)
            own.states[actor.number, YAW_RATE_RADPS] = 0.0


def walk(simulator: Simulator, actor: ServerActor, control: WalkerControl) -> None:
    """Lets a walker walk."""
    actor.walk = control
    if actor.number >= 0:
        own = simulator.episode.bodies
        across, along = -control.direction.y, control.direction.x
        length = math.hypot(along, across)
        if length > 1e-6:
            own.states[actor.number, YAW_RAD] = math.atan2(across, along)
        own.commands[actor.number, body_kernel.HELD_X_MPS] = control.speed if length > 1e-6 else 0.0


def walk_from(simulator: Simulator, actor: ServerActor, pose: Transform, speed_mps: float) -> None:
    """Puts a walker at a pose, at the height where it is, and lets it walk where it looks, as CARLA's server does."""
    height_m = simulator.episode.pose(actor).location.z
    simulator.episode.place(actor, pose._replace(location=pose.location._replace(z=height_m)))
    yaw = math.radians(pose.rotation.yaw)
    if actor.is_walker:
        walk(simulator, actor, WalkerControl(Vector3(math.cos(yaw), math.sin(yaw), 0.0), speed_mps, False))


def put(simulator: Simulator, actor: ServerActor, pose: Transform) -> None:
    """Moves an actor to a pose, relative to its parent if it has one."""
    simulator.episode.place(actor, pose)


def move(simulator: Simulator, actor: ServerActor, location: Vector3) -> None:
    """Moves an actor to a location; it keeps its rotation."""
    simulator.episode.place(actor, simulator.episode.pose(actor)._replace(location=location))


def push_for_a_tick(simulator: Simulator, actor: ServerActor, force_n: Vector3) -> None:
    """Changes a body's velocity by what a force does in a tick."""
    push(simulator, actor, _in_a_tick(simulator, force_n))


def ignore(simulator: Simulator, actor: ServerActor, value: Any) -> None:
    """For what has no counterpart on flat roads."""


def destroy(simulator: Simulator, actor_id: int) -> bool:
    """Destroys an actor and returns whether it was there; map furniture and the spectator stay."""
    actor = found(simulator, actor_id)
    if actor is None or actor.light is not None or actor is simulator.episode.spectator:
        return False
    simulator.episode.destroy(actor)
    return True


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""

    @table.add("get_spectator")
    def get_spectator(simulator: Simulator) -> Any:
        return success(simulator.episode.spectator.on_wire())

    @table.add("get_actors_by_id", list[U32])
    def get_actors_by_id(simulator: Simulator, ids: list[int]) -> Any:
        there = (found(simulator, actor_id) for actor_id in ids)
        return success([actor.on_wire() for actor in there if actor is not None])

    @table.add("spawn_actor", ActorDescription, Transform)
    def spawn_actor(simulator: Simulator, description: ActorDescription, pose: Transform) -> Any:
        try:
            return success(spawn(simulator, description, pose, None).on_wire())
        except SpawnError as error:
            return failure(str(error))

    @table.add("spawn_actor_with_parent", ActorDescription, Transform, U32, U8, str)
    def spawn_actor_with_parent(
        simulator: Simulator,
        description: ActorDescription,
        pose: Transform,
        parent: int,
        kind: int,
        socket: str,
    ) -> Any:
        try:
            return success(spawn(simulator, description, pose, parent).on_wire())
        except SpawnError as error:
            return failure(str(error))

    @table.add("destroy_actor", U32)
    def destroy_actor(simulator: Simulator, actor_id: int) -> Any:
        if destroy(simulator, actor_id):
            return success(True)
        return failure("unable to destroy actor: not found")

    @table.add("get_actor_bounding_box", U32)
    def get_actor_bounding_box(simulator: Simulator, actor_id: int) -> Any:
        actor = found(simulator, actor_id)
        box = simulator.episode.roster.boxes_of_gone.get(actor_id) if actor is None else actor.box
        if box is None:
            return failure(f"unable to get actor bounding box: actor {actor_id} not found")
        return success(box._replace(actor_id=actor_id))

    for name, kind, apply in (
        ("set_actor_transform", Transform, put),
        ("set_actor_location", Vector3, move),
        ("set_actor_target_velocity", Vector3, set_velocity),
        ("set_actor_target_angular_velocity", Vector3, set_turn_rate),
        ("add_actor_impulse", Vector3, push),
        ("add_actor_force", Vector3, push_for_a_tick),
        ("add_actor_angular_impulse", Vector3, turn),
        ("add_actor_torque", Vector3, turn_for_a_tick),
        ("set_actor_simulate_physics", bool, set_physics),
        ("set_actor_collisions", bool, _set_solid),
        ("set_actor_enable_gravity", bool, ignore),
        ("apply_control_to_walker", WalkerControl, walk),
        ("enable_actor_constant_velocity", Vector3, _hold_velocity),
        ("set_actor_autopilot", bool, ignore),
    ):
        table.add(name, U32, kind)(_on_actor(apply))
    table.add("add_actor_impulse_at_location", U32, Vector3, Vector3)(_on_actor(push_at))
    table.add("add_actor_force_at_location", U32, Vector3, Vector3)(_on_actor(push_at_for_a_tick))
    table.add("disable_actor_constant_velocity", U32)(
        _on_actor(lambda sim, actor: set_physics(sim, actor, True))
    )
    table.add("set_actor_dead", U32)(_on_actor(lambda sim, actor: None))


def _on_actor(apply: Callable[..., None]) -> Callable[..., Any]:
    def call(simulator: Simulator, actor_id: int, *values: Any) -> Any:
        actor = found(simulator, actor_id)
        if actor is None:
            return [[True, [f"actor {actor_id} not found"]]]
        apply(simulator, actor, *values)
        return DONE

    return call


def _set_solid(simulator: Simulator, actor: ServerActor, is_on: bool) -> None:
    if actor.number >= 0:
        simulator.episode.bodies.is_solid[actor.number] = int(is_on)


def _hold_velocity(simulator: Simulator, actor: ServerActor, velocity: Vector3) -> None:
    if actor.number >= 0:
        command = simulator.episode.bodies.commands[actor.number]
        command[body_kernel.MODE] = body_kernel.HELD
        command[body_kernel.HELD_X_MPS], command[body_kernel.HELD_Y_MPS] = velocity.x, -velocity.y
