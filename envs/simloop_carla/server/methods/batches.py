"""Batches of commands: one after the other, and long runs of the same command at once, with the same result."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop_carla.server.actors import ServerActor
from simloop_carla.server.bodies.control_kernel import NUM_CONTROLS, are_controls
from simloop_carla.server.library.descriptions import SpawnError
from simloop_carla.server.methods import actors, lights, vehicles
from simloop_carla.server.net.rpc_server import MethodTable
from simloop_carla.server.simulator import Simulator
from simloop_carla.wire.decoding import LARGEST_FLOAT, MalformedMessageError, decoder
from simloop_carla.wire.replies import failure
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

MAX_NESTED = 8
Apply = Callable[[Simulator, ServerActor, Any], None]


def _set_light(simulator: Simulator, actor: ServerActor, state: int) -> None:
    if actor.light is not None:
        lights.set_state(simulator, actor.light, state)


_COMMANDS: dict[int, tuple[Any, Apply]] = {
    2: (VehicleControl, vehicles.drive),
    3: (AckermannControl, vehicles.drive_ackermann),
    4: (WalkerControl, actors.walk),
    5: (VehiclePhysics, vehicles.set_physics_control),
    6: (Transform, actors.put),
    8: (Vector3, actors.set_velocity),
    9: (Vector3, actors.set_turn_rate),
    10: (Vector3, actors.push),
    11: (Vector3, actors.push_for_a_tick),
    12: (Vector3, actors.turn),
    13: (Vector3, actors.turn_for_a_tick),
    14: (bool, actors.set_physics),
    15: (bool, actors.ignore),
    16: (bool, actors.ignore),
    17: (bool, actors.ignore),
    18: (U32, vehicles.set_lamps),
    19: (Vector3, actors.move),
    21: (U8, _set_light),
}
"""Type of the value and effect of each command on one actor, by its number on the wire."""
_SPAWN, _DESTROY, _DRIVE, _PUT, _WALK_FROM, _CONSOLE = 0, 1, 2, 6, 7, 20
_DECODERS = {number: (decoder(kind), apply) for number, (kind, apply) in _COMMANDS.items()}
_ID = decoder(U32)
_SPEED = decoder(float)
_DESCRIPTION, _POSE, _PARENT = decoder(ActorDescription), decoder(Transform), decoder(U32 | None)

AT_ONCE_FROM = 3
"""Shortest run of the same command that is worth taking at once."""
_LARGEST_ID = 2**32 - 1
_POSE_NUMBERS = 6
_CONTROL_TYPES = [float, float, float, bool, bool, bool, int]


def run_batch(simulator: Simulator, commands: list[Any]) -> list[Any]:
    """Runs the commands of a batch in order and returns their responses."""
    responses: list[Any] = []
    try:
        numbers = [number for [[number, _]] in commands]
    except (TypeError, ValueError):  # something that is no command is among them
        return [_response(simulator, command) for command in commands]
    at = 0
    for number, same in itertools.groupby(numbers):
        run = commands[at : at + sum(1 for _ in same)]
        at += len(run)
        together = None
        if len(run) >= AT_ONCE_FROM and number in (_DRIVE, _PUT):
            together = _run_together(simulator, number, run)
        responses += together or [_response(simulator, command) for command in run]
    return responses


def _response(simulator: Simulator, command: Any) -> Any:
    try:
        return [run_command(simulator, command)]
    except MalformedMessageError as error:
        return failure(f"malformed command: {error}")


def _run_together(simulator: Simulator, number: int, run: list[Any]) -> list[Any] | None:
    """Runs commands with the same number at once; returns None, with nothing done, where one is not as usual."""
    try:
        ids = [actor_id for [[_, [actor_id, _]]] in run]
        fields = [value for [[_, [_, value]]] in run]
        values = _controls(fields) if number == _DRIVE else _poses(fields)
    except (TypeError, ValueError, OverflowError):
        return None
    if values is None or set(map(type, ids)) != {int} or not 0 <= min(ids) <= max(ids) <= _LARGEST_ID:
        return None
    targets = list(map(simulator.episode.roster.by_id.get, ids))
    rows = [-1 if target is None else target.number for target in targets]
    own, bodies = simulator.episode.bodies, np.array(rows)
    if number == _DRIVE:
        own.drive(bodies, values)
    elif -1 not in rows:
        own.place(bodies, values)
    else:
        return None
    if None in targets:
        return [
            [[1, actor_id] if target is not None else _not_found(actor_id)]
            for actor_id, target in zip(ids, targets, strict=True)
        ]
    return [[[1, actor_id]] for actor_id in ids]


def _controls(fields: list[Any]) -> npt.NDArray[np.float64] | None:
    """Returns (n, 7) fields of ``VehicleControl``, or None if one of them is not as a client sends it."""
    flat = list(itertools.chain.from_iterable(fields))
    if set(map(len, fields)) != {NUM_CONTROLS} or list(map(type, flat)) != _CONTROL_TYPES * len(fields):
        return None
    values = np.fromiter(flat, np.float64, len(flat)).reshape(-1, NUM_CONTROLS)
    return values if are_controls(values) else None


def _poses(fields: list[Any]) -> npt.NDArray[np.float64] | None:
    """Returns (n, 6) numbers of ``Transform``, or None if one of them is not as a client sends it."""
    vectors = list(itertools.chain.from_iterable(fields))
    flat = list(itertools.chain.from_iterable(vectors))
    if set(map(len, fields)) != {2} or set(map(len, vectors)) != {3} or set(map(type, flat)) != {float}:
        return None
    values = np.fromiter(flat, np.float64, len(flat)).reshape(-1, _POSE_NUMBERS)
    return values if (np.abs(values) <= LARGEST_FLOAT).all() else None


def _not_found(actor_id: int) -> list[Any]:
    return [0, [f"unable to apply command: actor {actor_id} not found"]]


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
    if type(number) is not int:
        raise MalformedMessageError(f"there is no command {number!r}")
    if number == _SPAWN:
        if len(fields) < 6 or depth > MAX_NESTED or not isinstance(fields[5], list):
            raise MalformedMessageError("SpawnActor has 6 fields and is not nested deeper than 8 times")
        try:
            actor = actors.spawn(simulator, _DESCRIPTION(fields[0]), _POSE(fields[1]), _PARENT(fields[2]))
        except SpawnError as error:
            return failure(str(error))[0]
        try:
            for following in fields[5]:
                run_command(simulator, following, own_id=actor.id, depth=depth + 1)
        except MalformedMessageError:
            for one in [one for one in simulator.episode.roster.by_id if one >= actor.id]:
                actors.destroy(simulator, one)  # what it spawned in turn, too: ids only grow
            raise
        return [1, actor.id]
    if number == _CONSOLE:
        return [1, 0]
    actor_id = own_id if own_id is not None else _ID(fields[0])
    if number == _DESTROY:
        return (
            [1, actor_id]
            if actors.destroy(simulator, actor_id)
            else [0, ["unable to destroy actor: not found"]]
        )
    target = actors.found(simulator, actor_id)
    if target is None:
        return _not_found(actor_id)
    if number == _WALK_FROM and len(fields) == 3:
        actors.walk_from(simulator, target, _POSE(fields[1]), _SPEED(fields[2]))
        return [1, actor_id]
    if number not in _DECODERS or len(fields) < 2:
        raise MalformedMessageError(f"there is no command {number!r} with {len(fields)} fields")
    decode, apply = _DECODERS[number]
    apply(simulator, target, decode(fields[1]))
    return [1, actor_id]


def register(table: MethodTable) -> None:
    """Adds the methods of this module."""

    @table.add("apply_batch", list[object], bool, ticks=True)
    def apply_batch(simulator: Simulator, commands: list[Any], do_tick: bool) -> Any:
        responses = run_batch(simulator, commands)
        if do_tick:
            simulator.tick()
        return responses
