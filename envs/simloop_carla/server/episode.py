"""An episode: its actors, what time does to them, and its snapshots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simloop_carla.server import lights
from simloop_carla.server.actors import Roster, ServerActor
from simloop_carla.server.bodies import bodies
from simloop_carla.server.bodies.record_kernel import PROP, VEHICLE, WALKER
from simloop_carla.server.bodies.records import RecordWriter
from simloop_carla.server.library.blueprints import BODIES, SENSOR_PREFIX, definitions
from simloop_carla.server.library.descriptions import SpawnError, completed
from simloop_carla.server.library.vehicle_models import body_of, parameters_of
from simloop_carla.server.poses import compose, to_embedded
from simloop_carla.server.towns.stop_lines import StopLines
from simloop_carla.server.towns.town import Town
from simloop_carla.wire import streams
from simloop_carla.wire.structs import (
    ActorDescription,
    BoundingBox,
    EpisodeSettings,
    Rotation,
    Transform,
    Vector3,
)
from simloop_driving.dynamics.single_track import X_M, Y_M, YAW_RAD

ASYNCHRONOUS_STEP_S = 0.05
"""Length of a tick in asynchronous mode without a fixed one."""
SPAWN_COLLISION = "Spawn failed because of collision at spawn position"


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
        imu_gravity_mps2: What IMUs measure at rest.
        stop_lines: Where lights and signs hold vehicles up.
        spectator: The spectator.
    """

    def __init__(self, *, number: int, town: Town, first_id: int, port: int) -> None:
        self.number = number
        self.town = town
        self.next_id = first_id
        self._port = port
        self.elapsed_ns = 0
        self.last_delta_s = 0.0
        self.imu_gravity_mps2 = 9.81
        self.roster = Roster()
        self.bodies = bodies.Bodies()
        self.lights = lights.Lights(town.road_map)
        self._hit_rows = np.zeros((0, 5))
        self._who_was_there: list[ServerActor] = []
        self.spectator = self._add_plain(
            "spectator", Transform(Vector3(0.0, 0.0, 20.0), Rotation(-90.0, 0.0, 0.0))
        )
        for light in self.lights.items:
            actor = self._add_plain(light.kind, light.pose, box=light.box)
            actor.light, actor.tags = light, bytes([light.tag])
        self.stop_lines = StopLines(town, self.lights, [a.id for a in self.roster.of_kind("light")[0]])
        self._records = RecordWriter(town, self.roster, self.bodies, self.lights, self.stop_lines)

    @property
    def elapsed_s(self) -> float:
        """Simulated time."""
        return self.elapsed_ns * 1e-9

    @property
    def hits(self) -> list[Hit]:
        """What met in the last tick."""
        return [
            Hit(
                first=self._who_was_there[int(hit[0])],
                second=self._who_was_there[int(hit[1])],
                impulse_newton_s=Vector3(float(hit[2]), -float(hit[3]), 0.0),
            )
            for hit in self._hit_rows
        ]

    def _new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _add_plain(self, type_id: str, pose: Transform, box: BoundingBox | None = None) -> ServerActor:
        actor = ServerActor(id=self._new_id(), description=ActorDescription(0, type_id, []), pose=pose)
        if box is not None:
            actor.box = box
        self.roster.add(actor)
        self.roster.set_pose(actor, pose)
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
        description = completed(description, definition.uid)
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
            actor.is_written = False  # its pose appears with the next tick
        return actor

    def _add_body(self, actor: ServerActor, pose: Transform) -> None:
        body = actor.body
        assert body is not None
        actor.body = body = body_of(actor.description, body)
        place = to_embedded(pose)
        if self.bodies.is_taken(place, pose.location.z, body.length_m, body.width_m):
            raise SpawnError(SPAWN_COLLISION)
        parameters, curve = parameters_of(actor.description, body)
        kind = VEHICLE if actor.is_vehicle else WALKER if actor.is_walker else PROP
        half = Vector3(0.5 * body.length_m, 0.5 * body.width_m, 0.5 * body.height_m)
        # A walker's origin is its middle, as in CARLA; a vehicle's is on the ground. Scripts spawn walkers where they
        # may walk, which is on the ground, too.
        height_m = max(pose.location.z, half.z) if actor.is_walker else pose.location.z
        actor.number = self.bodies.add(parameters, place, height_m, kind)
        self.bodies.set_steering_curve(actor.number, curve)
        middle = Vector3(0.0, 0.0, 0.0 if actor.is_walker else half.z)
        actor.box = BoundingBox(middle, half, Rotation(0.0, 0.0, 0.0), 0)
        actor.tags = bytes([body.tag])

    def destroy(self, actor: ServerActor) -> None:
        """Takes an actor out; what is attached to it stays where it is."""
        for other in self.roster.by_id.values():
            if other.parent is actor:
                other.pose, other.is_written = self.pose(other), False
                other.parent = None
        if actor.number >= 0:
            self.bodies.remove(actor.number)
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
                Vector3(float(state[X_M]), -float(state[Y_M]), float(self.bodies.heights_m[actor.number])),
                Rotation(0.0, -math.degrees(float(state[YAW_RAD])), 0.0),
            )
        return actor.pose if actor.parent is None else compose(self.pose(actor.parent), actor.relative)

    def place(self, actor: ServerActor, pose: Transform) -> None:
        """Moves an actor at once; its velocity stays."""
        if actor.number >= 0:
            self.bodies.place(np.array([actor.number]), np.array([[*pose.location, *pose.rotation]]))
        elif actor.parent is None:
            actor.pose, actor.is_written = pose, False
        else:
            actor.relative = pose

    # --- time -------------------------------------------------------------------------------------------------

    def advance(self, settings: EpisodeSettings) -> None:
        """Lets one tick pass and writes the records of the snapshot."""
        delta_s = settings.fixed_delta_seconds or ASYNCHRONOUS_STEP_S
        num_steps = 1
        if settings.substepping:
            most = settings.max_substeps
            num_steps = math.ceil(min(max(delta_s / settings.max_substep_delta_time - 1e-6, 1.0), most))
        self._hit_rows = self.bodies.step(num_steps, delta_s / num_steps)
        self._who_was_there, _ = self.roster.of_kind("body")
        self.lights.advance(delta_s)
        self.elapsed_ns += round(delta_s * 1e9)
        self.last_delta_s = delta_s
        self._records.write(delta_s)
        self._write_attached()

    def _write_attached(self) -> None:
        """Writes the poses of what is attached to something, and of what was moved since the last tick."""
        for actor in self.roster.of_kind("bodiless")[0]:
            if actor.parent is not None or not actor.is_written:
                actor.is_written = True
                self.roster.set_pose(actor, self.pose(actor))

    def snapshot(self, frame: int, flags: int) -> bytes:
        """Returns the message of the world stream, header included."""
        return streams.header("world", frame, self.elapsed_s) + streams.snapshot(
            self.number, self.elapsed_s, self.last_delta_s, flags, self.roster.records
        )
