"""An episode: its actors, what time does to them, and its snapshots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop_carla.server import bodies, body_kernel, lights
from simloop_carla.server.actors import Roster, ServerActor
from simloop_carla.server.blueprints import BODIES, SENSOR_PREFIX, definitions
from simloop_carla.server.poses import compose, to_embedded
from simloop_carla.server.town import Town
from simloop_carla.wire import streams
from simloop_carla.wire.structs import (
    ActorDescription,
    AttributeValue,
    BoundingBox,
    EpisodeSettings,
    Rotation,
    Transform,
    Vector3,
    VehicleControl,
)
from simloop_driving.collisions.footprints import footprints_overlap
from simloop_driving.dynamics.single_track import X_M, Y_M, YAW_RAD, YAW_RATE_RADPS

ASYNCHRONOUS_STEP_S = 0.05
"""Length of a tick in asynchronous mode without a fixed one."""
SPAWN_COLLISION = "Spawn failed because of collision at spawn position"
_CONTROL_FIELDS = ("throttle", "steer", "brake", "hand_brake", "reverse", "manual_gear_shift")
LIGHT_AHEAD_M = 8.0
"""A vehicle is held up by a light whose stop line is as far ahead, or nearer."""


class SpawnError(ValueError):
    """An actor cannot be spawned; the text is what the client gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Two bodies that met within a tick.

    Attributes:
        first, second: The actors.
        impulse_newton_s: On the first, CARLA's frame.
    """

    first: ServerActor
    second: ServerActor
    impulse_newton_s: Vector3


class Episode:
    """What lives between two loads of a map.

    Args:
        number: Id of the episode.
        town: The map.
        first_id: Smallest id that no earlier episode used.
        port: Port of the streams.

    Attributes:
        elapsed_ns: Simulated time.
        hits: What met in the last tick.
        spectator: The spectator.
    """

    def __init__(self, *, number: int, town: Town, first_id: int, port: int) -> None:
        self.number = number
        self.town = town
        self.next_id = first_id
        self._port = port
        self.elapsed_ns = 0
        self.last_delta_s = 0.0
        self.roster = Roster()
        self.bodies = bodies.Bodies()
        self._heights_m: list[float] = []
        self.lights = lights.Lights(town.road_map)
        self.hits: list[Hit] = []
        self._velocities = np.zeros((0, 2))
        self._limits_kmh = np.zeros(0)
        self._limits_at = np.zeros((0, 2))
        # What was written to the records last: it is written again when it, or who is there, has changed.
        self._control_rows: npt.NDArray[np.int64] | None = None
        self._controls: list[VehicleControl] = []
        self._light_rows: npt.NDArray[np.int64] | None = None
        self._shown: list[tuple[int, float, float, float]] = []
        self._is_frozen = False
        self.spectator = self._add_plain(
            "spectator", Transform(Vector3(0.0, 0.0, 20.0), Rotation(-90.0, 0.0, 0.0))
        )
        for light in self.lights.items:
            actor = self._add_plain(light.kind, light.pose, box=light.box)
            actor.light = light
        signals, _ = self.roster.of_kind("light")
        self._signal_ids = np.array([*(actor.id for actor in signals), 0], dtype=np.int64)
        self._stops = _StopLines(town, self.lights)
        self._write_lights()

    @property
    def elapsed_s(self) -> float:
        """Simulated time."""
        return self.elapsed_ns * 1e-9

    def _new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _add_plain(self, type_id: str, pose: Transform, box: BoundingBox | None = None) -> ServerActor:
        actor = ServerActor(id=self._new_id(), description=ActorDescription(0, type_id, []), pose=pose)
        if box is not None:
            actor.box = box
        self.roster.add(actor)
        self.roster.set_pose(actor)
        return actor

    # --- spawning ---------------------------------------------------------------------------------------------

    def spawn(
        self, description: ActorDescription, pose: Transform, parent: ServerActor | None = None
    ) -> ServerActor:
        """Adds an actor.

        Args:
            description: What to spawn.
            pose: World pose, or relative to the parent.
            parent: What to attach it to.

        Raises:
            SpawnError: The blueprint is unknown, an attribute is no number, or something is there already.
        """
        definition = definitions().get(description.id)
        if definition is None:
            raise SpawnError(f"invalid actor description: there is no blueprint '{description.id}'")
        description = _completed(description, definition.uid)
        world_pose = pose if parent is None else compose(self.pose(parent), pose)
        body = BODIES.get(description.id)
        actor = ServerActor(
            id=self.next_id, description=description, parent=parent, relative=pose, pose=world_pose, body=body
        )
        if body is not None:
            self._add_body(actor, world_pose)
        elif description.id.startswith(SENSOR_PREFIX) and not description.id.endswith("lane_invasion"):
            actor.stream = streams.WORLD_STREAM + actor.id
            actor.token = streams.token(actor.stream, self._port)
        self._new_id()
        self.roster.add(actor)
        if body is None:
            self.roster.set_pose(actor)
            self.roster.records["location"][self.roster.row(actor)] = 0.0  # appears with the next tick
            self.roster.records["rotation"][self.roster.row(actor)] = 0.0
        return actor

    def _add_body(self, actor: ServerActor, pose: Transform) -> None:
        body = actor.body
        assert body is not None
        x_m, y_m, yaw_rad = to_embedded(pose)
        for state, shape, height_m in zip(
            self.bodies.states, self.bodies.shapes, self._heights_m, strict=True
        ):
            is_level = abs(height_m - pose.location.z) < 3.0
            there = (state[X_M], state[Y_M], state[YAW_RAD], shape[0], shape[1])
            if is_level and footprints_overlap(x_m, y_m, yaw_rad, body.length_m, body.width_m, *there):
                raise SpawnError(SPAWN_COLLISION)
        parameters = bodies.car_parameters(body.length_m, body.width_m, body.height_m, body.mass_kg)
        actor.number = self.bodies.add(parameters, x_m, y_m, yaw_rad)
        self._heights_m.append(pose.location.z)
        if not actor.is_vehicle:
            self.bodies.commands[actor.number, body_kernel.MODE] = (
                body_kernel.HELD if actor.is_walker else body_kernel.STILL
            )
        half = Vector3(0.5 * body.length_m, 0.5 * body.width_m, 0.5 * body.height_m)
        # A walker's origin is its middle, as in CARLA; a vehicle's is on the ground.
        middle = Vector3(0.0, 0.0, 0.0 if actor.is_walker else half.z)
        actor.box = BoundingBox(middle, half, Rotation(0.0, 0.0, 0.0), 0)
        actor.tags = bytes([body.tag])

    def destroy(self, actor: ServerActor) -> None:
        """Takes an actor out; what is attached to it stays where it is."""
        for other in self.roster.by_id.values():
            if other.parent is actor:
                other.pose = self.pose(other)
                other.parent = None
        if actor.number >= 0:
            self.bodies.remove(actor.number)
            del self._heights_m[actor.number]
            for other in self.roster.by_id.values():
                if other.number > actor.number:
                    other.number -= 1
        self.roster.remove(actor)

    # --- poses ------------------------------------------------------------------------------------------------

    def pose(self, actor: ServerActor) -> Transform:
        """Returns the present pose of an actor."""
        if actor.number >= 0:
            state = self.bodies.states[actor.number]
            return Transform(
                Vector3(float(state[X_M]), -float(state[Y_M]), self._heights_m[actor.number]),
                Rotation(0.0, -math.degrees(float(state[YAW_RAD])), 0.0),
            )
        return actor.pose if actor.parent is None else compose(self.pose(actor.parent), actor.relative)

    def place(self, actor: ServerActor, pose: Transform) -> None:
        """Moves an actor at once; its velocity stays."""
        if actor.number >= 0:
            self.bodies.states[actor.number, [X_M, Y_M, YAW_RAD]] = to_embedded(pose)
            self._heights_m[actor.number] = pose.location.z
        elif actor.parent is None:
            actor.pose = pose
        else:
            actor.relative = pose

    # --- time -------------------------------------------------------------------------------------------------

    def advance(self, settings: EpisodeSettings) -> None:
        """Lets one tick pass and writes the records of the snapshot."""
        delta_s = settings.fixed_delta_seconds or ASYNCHRONOUS_STEP_S
        num_steps = 1
        if settings.substepping and settings.max_substep_delta_time > 0.0:
            num_steps = math.ceil(delta_s / settings.max_substep_delta_time - 1e-6)
            num_steps = min(max(num_steps, 1), max(settings.max_substeps, 1))
        hits = self.bodies.step(num_steps, delta_s / num_steps)
        by_number, _ = self.roster.of_kind("body")
        self.hits = [
            Hit(
                first=by_number[int(hit[0])],
                second=by_number[int(hit[1])],
                impulse_newton_s=Vector3(float(hit[2]), -float(hit[3]), 0.0),
            )
            for hit in hits
        ]
        self.lights.advance(delta_s)
        self.elapsed_ns += round(delta_s * 1e9)
        self.last_delta_s = delta_s
        self._write_bodies(delta_s)
        self._write_vehicles()
        self._write_lights()
        self._write_attached()

    def _write_bodies(self, delta_s: float) -> None:
        actors, rows = self.roster.of_kind("body")
        if not actors:
            return
        states, records = self.bodies.states, self.roster.records
        for number, actor in enumerate(actors):
            if actor.is_vehicle and self.bodies.commands[number, body_kernel.MODE] != body_kernel.STILL:
                self._heights_m[number] = 0.0
        velocities = self.bodies.velocities()
        if len(self._velocities) != len(velocities):
            self._velocities = velocities
        location = np.empty((len(rows), 3))
        location[:, 0], location[:, 1], location[:, 2] = states[:, X_M], -states[:, Y_M], self._heights_m
        rotation = np.zeros((len(rows), 3))
        rotation[:, 1] = np.degrees(np.remainder(-states[:, YAW_RAD] + math.pi, 2.0 * math.pi) - math.pi)
        velocity, acceleration = np.zeros((len(rows), 3)), np.zeros((len(rows), 3))
        velocity[:, 0], velocity[:, 1] = velocities[:, 0], -velocities[:, 1]
        change = (velocities - self._velocities) / delta_s
        acceleration[:, 0], acceleration[:, 1] = change[:, 0], -change[:, 1]
        turning = np.zeros((len(rows), 3))
        turning[:, 2] = -np.degrees(states[:, YAW_RATE_RADPS])
        records["location"][rows] = location
        records["rotation"][rows] = rotation
        records["velocity"][rows] = velocity
        records["acceleration"][rows] = acceleration
        records["angular_velocity"][rows] = turning
        self._velocities = velocities

    def _write_vehicles(self) -> None:
        actors, rows = self.roster.of_kind("vehicle")
        walkers, walker_rows = self.roster.of_kind("walker")
        if walkers:
            own = self.roster.records.view(streams.WALKER_RECORD)
            own["direction"][walker_rows] = [actor.walk.direction for actor in walkers]
            own["speed_mps"][walker_rows] = [actor.walk.speed for actor in walkers]
            own["jump"][walker_rows] = [actor.walk.jump for actor in walkers]
        if not actors:
            return
        numbers = np.array([actor.number for actor in actors])
        own = self.roster.records.view(streams.VEHICLE_RECORD)
        controls = [actor.control for actor in actors]
        if rows is not self._control_rows or controls != self._controls:
            self._control_rows, self._controls = rows, controls
            values = np.array(controls, dtype=np.float64)
            for column, name in enumerate(_CONTROL_FIELDS):
                own[name][rows] = values[:, column]
            forward = np.where(values[:, 4] > 0.0, -1, 1)
            own["gear"][rows] = np.where(values[:, 5] > 0.0, values[:, 6], forward)
        states = self.bodies.states[numbers]
        positions = states[:, [X_M, Y_M]]
        if self._limits_at.shape != positions.shape or np.abs(self._limits_at - positions).max() > 2.0:
            self._limits_kmh = 3.6 * self.town.speed_limits_mps(positions)
            self._limits_at = positions.copy()
        own["speed_limit_kmh"][rows] = self._limits_kmh
        held_up_by = self._stops.signals_ahead(states)
        self._stops.write_colours()
        own["has_light"][rows] = self._stops.is_light[held_up_by]
        own["light_state"][rows] = self._stops.colours[held_up_by]
        own["light_id"][rows] = np.where(self._stops.is_light[held_up_by], self._signal_ids[held_up_by], 0)

    def _write_lights(self) -> None:
        actors, rows = self.roster.of_kind("light")
        if not actors:
            return
        items = self.lights.items
        own = self.roster.records.view(streams.LIGHT_RECORD)
        own["elapsed_s"][rows] = [light.elapsed_s if light.group >= 0 else 0.0 for light in items]
        shown = [(light.state, light.green_s, light.yellow_s, light.red_s) for light in items]
        if rows is self._light_rows and shown == self._shown and self._is_frozen == self.lights.is_frozen:
            return
        self._light_rows, self._shown, self._is_frozen = rows, shown, self.lights.is_frozen
        is_light = np.array([light.group >= 0 for light in items])
        values = np.where(is_light[:, None], shown, 0.0)
        for column, name in enumerate(("state", "green_s", "yellow_s", "red_s")):
            own[name][rows] = values[:, column]
        own["sign_id"][rows] = [light.sign_id.encode() for light in items]
        own["pole"][rows] = np.where(is_light, [light.pole for light in items], 0)
        own["is_frozen"][rows] = is_light & self.lights.is_frozen

    def _write_attached(self) -> None:
        for actor in self.roster.by_id.values():
            if actor.number < 0 and actor.light is None:
                pose = self.pose(actor)
                row = self.roster.row(actor)
                self.roster.records["location"][row] = pose.location
                self.roster.records["rotation"][row] = pose.rotation

    def snapshot(self, frame: int, flags: int) -> bytes:
        """Returns the message of the world stream, header included."""
        return streams.header("world", frame, self.elapsed_s) + streams.snapshot(
            self.number, self.elapsed_s, self.last_delta_s, flags, self.roster.records
        )


class _StopLines:
    """Which light or sign holds up whom.

    A sign shows red to who stands before it, without being a light: so CARLA's server tells a traffic manager to give
    way, which then waits for its turn at the junction.

    Attributes:
        is_light: By signal; the last entry is for vehicles that nothing holds up.
        colours: What each signal shows them.
    """

    def __init__(self, town: Town, all_lights: lights.Lights) -> None:
        lanes = town.road_map
        poses, owners = [], []
        for stop, signal in enumerate(lanes.stop_signal):
            lane = int(lanes.stop_lane[stop])
            at = int(lanes.lane_start[lane]) + round(float(lanes.stop_s_m[stop]) / lanes.step_m)
            at = min(at, int(lanes.lane_start[lane + 1]) - 1)
            poses.append((lanes.x_m[at], lanes.y_m[at], lanes.yaw_rad[at], 0.5 * lanes.width_m[at]))
            owners.append(int(signal))
        self._poses: npt.NDArray[np.float64] = np.array(poses, dtype=np.float64).reshape(-1, 4)
        self._owners = np.array(owners, dtype=np.int64)
        self.is_light = np.array([light.group >= 0 for light in all_lights.items] + [False])
        self.colours = np.full(len(all_lights.items) + 1, lights.RED)
        self.colours[-1] = lights.GREEN
        self._lit = [light for light in all_lights.items if light.group >= 0]
        self._at = np.flatnonzero(self.is_light)

    def write_colours(self) -> None:
        """Takes over what the lights show."""
        self.colours[self._at] = [light.state for light in self._lit]

    def signals_ahead(self, states: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Returns for each of (n, NUM_EGO_ENTRIES) states the index of the signal that it stands before, or -1."""
        if not len(self._owners):
            return np.full(len(states), -1)
        dx = self._poses[None, :, 0] - states[:, X_M, None]
        dy = self._poses[None, :, 1] - states[:, Y_M, None]
        cos, sin = np.cos(self._poses[:, 2]), np.sin(self._poses[:, 2])
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        turn = np.cos(states[:, YAW_RAD, None] - self._poses[None, :, 2])
        is_before = (
            (along > -1.0) & (along < LIGHT_AHEAD_M) & (np.abs(across) < self._poses[:, 3]) & (turn > 0.5)
        )
        distance = np.where(is_before, along, np.inf)
        nearest = distance.argmin(axis=1)
        return np.where(distance.min(axis=1) < np.inf, self._owners[nearest], -1)


def _completed(description: ActorDescription, uid: int) -> ActorDescription:
    """Fills in the attributes that a client left out, and checks that numbers are numbers."""
    definition = definitions()[description.id]
    given = {attribute.id: attribute.value for attribute in description.attributes}
    attributes = []
    for attribute in definition.attributes:
        value = given.get(attribute.id, attribute.value)
        if attribute.type in (2, 3):
            try:
                finite = math.isfinite(float(value))
            except ValueError:
                finite = False
            if not finite:
                raise SpawnError(
                    f"attribute '{attribute.id}' of '{description.id}' is '{value[:40]}', not a number"
                )
        attributes.append(AttributeValue(attribute.id, attribute.type, value))
    return ActorDescription(uid, description.id, attributes)
