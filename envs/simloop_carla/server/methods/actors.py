"""Actors: spawning, destroying, moving, and batches of commands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from simloop_carla.server import body_kernel
from simloop_carla.server.actors import ServerActor
from simloop_carla.server.episode import SpawnError
from simloop_carla.server.methods import vehicles
from simloop_carla.server.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.decoding import MalformedMessageError, decoder
from simloop_carla.wire.replies import DONE, failure, success
from simloop_carla.wire.structs import (
    U8,
    U32,
    AckermannControl,
    ActorDescription,
    Transform,
    Vector3,
    VehicleControl,
    VehiclePhysics,
    WalkerControl,
)
from simloop_driving.dynamics.single_track import YAW_RAD, YAW_RATE_RADPS

MAX_ACTORS = 20_000
MAX_NESTED = 8


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


def set_turn_rate(simulator: Simulator, actor: ServerActor, rate_degps: Vector3) -> None:
    """Gives a body a turn rate."""
    if actor.number >= 0:
        simulator.episode.bodies.states[actor.number, YAW_RATE_RADPS] = -math.radians(rate_degps.z)


def set_physics(simulator: Simulator, actor: ServerActor, is_on: bool) -> None:
    """Lets a vehicle drive, or keeps it where it is put."""
    if actor.number >= 0 and actor.is_vehicle:
        own = simulator.episode.bodies
        own.commands[actor.number, body_kernel.MODE] = body_kernel.DRIVEN if is_on else body_kernel.STILL


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


Apply = Callable[[Simulator, ServerActor, Any], None]


def _walk_to(simulator: Simulator, actor: ServerActor, pose: Transform) -> None:
    simulator.episode.place(actor, pose)


def _move(simulator: Simulator, actor: ServerActor, location: Vector3) -> None:
    simulator.episode.place(actor, simulator.episode.pose(actor)._replace(location=location))


def _place(simulator: Simulator, actor: ServerActor, pose: Transform) -> None:
    simulator.episode.place(actor, pose)


def _push_for_a_tick(simulator: Simulator, actor: ServerActor, force_n: Vector3) -> None:
    delta_s = simulator.settings.fixed_delta_seconds or 0.05
    push(simulator, actor, Vector3(*(delta_s * part for part in force_n)))


def _ignore(simulator: Simulator, actor: ServerActor, value: Any) -> None:
    """For what has no counterpart on flat roads."""


_COMMANDS: dict[int, tuple[Any, Apply]] = {
    2: (VehicleControl, vehicles.drive),
    3: (AckermannControl, vehicles.drive_ackermann),
    4: (WalkerControl, walk),
    5: (VehiclePhysics, vehicles.set_physics_control),
    6: (Transform, _place),
    7: (Transform, _walk_to),
    8: (Vector3, set_velocity),
    9: (Vector3, set_turn_rate),
    10: (Vector3, push),
    11: (Vector3, _push_for_a_tick),
    12: (Vector3, _ignore),
    13: (Vector3, _ignore),
    14: (bool, set_physics),
    15: (bool, _ignore),
    16: (bool, _ignore),
    17: (bool, _ignore),
    18: (U32, vehicles.set_lamps),
    19: (Vector3, _move),
}
"""Type of the value and effect of each command on one actor, by its number on the wire."""
_SPAWN, _DESTROY, _CONSOLE, _LIGHT_STATE = 0, 1, 20, 21
_DECODERS = {number: (decoder(kind), apply) for number, (kind, apply) in _COMMANDS.items()}
_ID = decoder(U32)
_DESCRIPTION, _POSE, _PARENT = decoder(ActorDescription), decoder(Transform), decoder(U32 | None)


def destroy(simulator: Simulator, actor_id: int) -> bool:
    """Destroys an actor and returns whether it was there; map furniture and the spectator stay."""
    actor = found(simulator, actor_id)
    if actor is None or actor.light is not None or actor is simulator.episode.spectator:
        return False
    simulator.episode.destroy(actor)
    return True


def run_command(simulator: Simulator, command: Any, own_id: int | None = None, depth: int = 0) -> Any:
    """Runs one command of a batch and returns its ``Response<u32>``.

    Args:
        simulator: The server.
        command: ``[[number, fields]]``.
        own_id: Id in place of the first field, for commands that follow a spawn.
        depth: How many spawns the command is nested in.

    Raises:
        MalformedMessageError: It is no command.
    """
    inner = command[0] if isinstance(command, list) and command else None
    if not isinstance(inner, list) or len(inner) != 2 or not isinstance(inner[1], list) or not inner[1]:
        raise MalformedMessageError("a command is [[number, [fields]]]")
    number, fields = inner
    if number == _SPAWN:
        if len(fields) < 6 or depth > MAX_NESTED or not isinstance(fields[5], list):
            raise MalformedMessageError("SpawnActor has 6 fields and is not nested deeper than 8 times")
        try:
            actor = spawn(simulator, _DESCRIPTION(fields[0]), _POSE(fields[1]), _PARENT(fields[2]))
        except SpawnError as error:
            return failure(str(error))[0]
        for following in fields[5]:
            run_command(simulator, following, own_id=actor.id, depth=depth + 1)
        return [1, actor.id]
    if number == _CONSOLE:
        return [1, 0]
    actor_id = own_id if own_id is not None else _ID(fields[0])
    if number == _DESTROY:
        return [1, actor_id] if destroy(simulator, actor_id) else [0, ["unable to destroy actor: not found"]]
    target = found(simulator, actor_id)
    if target is None:
        return [0, [f"unable to apply command: actor {actor_id} not found"]]
    if number == _LIGHT_STATE:
        if target.light is not None:
            target.light.state = decoder(U8)(fields[1])
        return [1, actor_id]
    if number not in _DECODERS or len(fields) < 2:
        raise MalformedMessageError(f"there is no command {number!r} with {len(fields)} fields")
    decode, apply = _DECODERS[number]
    apply(simulator, target, decode(fields[1]))
    return [1, actor_id]


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

    @table.add("apply_batch", list[object], bool, ticks=True)
    def apply_batch(simulator: Simulator, commands: list[Any], do_tick: bool) -> Any:
        results = []
        for command in commands:
            try:
                results.append([run_command(simulator, command)])
            except MalformedMessageError as error:
                results.append(failure(f"malformed command: {error}"))
        if do_tick:
            simulator.tick()
        return results

    @table.add("get_actor_bounding_box", U32)
    def get_actor_bounding_box(simulator: Simulator, actor_id: int) -> Any:
        actor = found(simulator, actor_id)
        if actor is None:
            return failure(f"unable to get actor bounding box: actor {actor_id} not found")
        return success(actor.box._replace(actor_id=actor.id))

    for name, kind, apply in (
        ("set_actor_transform", Transform, _place),
        ("set_actor_location", Vector3, _move),
        ("set_actor_target_velocity", Vector3, set_velocity),
        ("set_actor_target_angular_velocity", Vector3, set_turn_rate),
        ("add_actor_impulse", Vector3, push),
        ("add_actor_force", Vector3, _push_for_a_tick),
        ("add_actor_angular_impulse", Vector3, _ignore),
        ("add_actor_torque", Vector3, _ignore),
        ("set_actor_simulate_physics", bool, set_physics),
        ("set_actor_collisions", bool, _set_solid),
        ("set_actor_enable_gravity", bool, _ignore),
        ("apply_control_to_walker", WalkerControl, walk),
        ("enable_actor_constant_velocity", Vector3, _hold_velocity),
        ("set_actor_autopilot", bool, _ignore),
    ):
        table.add(name, U32, kind)(_on_actor(apply))
    for name in ("add_actor_impulse_at_location", "add_actor_force_at_location"):
        apply = push if "impulse" in name else _push_for_a_tick
        table.add(name, U32, Vector3, Vector3)(_on_actor(apply))
    table.add("disable_actor_constant_velocity", U32)(
        _on_actor(lambda sim, actor: set_physics(sim, actor, True))
    )
    table.add("set_actor_dead", U32)(_on_actor(lambda sim, actor: None))


def _on_actor(apply: Callable[..., None]) -> Callable[..., Any]:
    def call(simulator: Simulator, actor_id: int, *values: Any) -> Any:
        actor = found(simulator, actor_id)
        if actor is None:
            return [[True, [f"actor {actor_id} not found"]]]
        apply(simulator, actor, *values[:1])
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
