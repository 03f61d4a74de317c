"""Background traffic on the server: vehicles beside the scenario's own, driven by CARLA's TrafficManager.

In the scenario they are actors that move ``ELSEWHERE``: they are measured on the server after every tick, and sensors,
metrics, collisions and the scenario's own drivers see them as they see all others.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop import wall_clock
from simloop.errors import WorldError
from simloop.log import Column, Columns, TableSchema
from simloop.randomness import generator, stream_key
from simloop_carla.world.background.traffic_link import TrafficLink
from simloop_carla.world.background.vehicles import Vehicle, spawn_vehicles
from simloop_carla.world.link.client import load_client, server_faults
from simloop_carla.world.link.session import Session
from simloop_carla.world.options import whole_number
from simloop_driving.collisions.contacts import FIRST_STEP, note_touch
from simloop_driving.dynamics.single_track import X_M, Y_M
from simloop_driving.scenario import actor_state
from simloop_driving.scenario.initial_state import InitialState
from simloop_driving.step_kernel import MOVED_SPEED, MOVED_YAW, NUM_MOVED_ENTRIES

FloatArray = npt.NDArray[np.float64]

MOST_VEHICLES = 200
POLL_S = 5e-5

BACKGROUND = TableSchema(
    description="One row a control tick and vehicle of the background traffic that is there.",
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant"),
        Column(name="actor", dtype="int64", description="number in the table actors"),
        Column(name="x_m", description="middle of its bounding box, world frame"),
        Column(name="y_m", description="middle of its bounding box, world frame"),
        Column(name="z_m", description="its origin, on the server"),
        Column(name="yaw_rad", description="heading, world frame, not wrapped"),
        Column(name="speed_mps", description="in the plane"),
    ),
)


class BackgroundTraffic:
    """The background traffic of one world; its vehicles are those of the present episode.

    Args:
        num_vehicles: How many there are.
        traffic_manager_port: Port of the TrafficManager, None for a free one.

    Raises:
        ParameterError: One of them is no whole number, or out of range.
    """

    def __init__(self, num_vehicles: int, traffic_manager_port: int | None) -> None:
        self.num_vehicles = whole_number("background_vehicles", num_vehicles, 0, MOST_VEHICLES)
        self._port = traffic_manager_port
        if traffic_manager_port is not None:
            self._port = whole_number(
                "traffic_manager_port", traffic_manager_port, 1024, 65535, or_=", or null"
            )
        self._link: TrafficLink | None = None
        self._linked_to: tuple[Session, int] | None = None
        self._vehicles: list[Vehicle] = []
        self._seed = 0
        self._first_column = 0
        self._now: FloatArray = np.empty((0, NUM_MOVED_ENTRIES))
        self._rows: list[tuple[float, ...]] = []

    # --- the start of an episode -------------------------------------------------------------------------------

    def enter(self, session: Session, state: InitialState, family: str, seed: int) -> InitialState:
        """Spawns the vehicles away from everybody, and returns the scenario's start with them in it.

        Args:
            session: The connection, on the scenario's map.
            state: Start of the scenario.
            family: Name of the scenario's family.
            seed: Seed of the episode.

        Raises:
            WorldError: There is no room for them, or the TrafficManager does not start.
        """
        draws = generator(stream_key("carla.background", family, seed))
        self._seed = int(draws.integers(1, 2**31))
        self._rows.clear()
        self._first_column = state.actors.shape[1]
        with server_faults(session.address, "spawning background traffic"):
            self._vehicles = spawn_vehicles(session, state, self.num_vehicles, draws)
        self._connect(session)
        columns = np.zeros((actor_state.NUM_ROWS, self.num_vehicles))
        self._now = np.zeros((self.num_vehicles, NUM_MOVED_ENTRIES))
        still = load_client().Vector3D()
        for number, vehicle in enumerate(self._vehicles):
            pose = vehicle.measured(vehicle.place, still, 0.0)
            self._now[number, : MOVED_SPEED + 1] = pose
            column = columns[:, number]
            column[[actor_state.X_M, actor_state.Y_M, actor_state.YAW_RAD]] = pose[: MOVED_YAW + 1]
            column[actor_state.LENGTH_M : actor_state.HEIGHT_M + 1] = vehicle.box.size_m
        columns[actor_state.CLASS] = actor_state.ACTOR_CLASSES.index("car")
        columns[actor_state.PATH] = actor_state.ELSEWHERE
        return dataclasses.replace(state, actors=np.ascontiguousarray(np.hstack([state.actors, columns])))

    def _connect(self, session: Session) -> None:
        """Starts a TrafficManager, unless one is there that knows the present map."""
        present = session, int(session.world.id)
        if self._link is not None and self._link.is_alive and self._linked_to == present:
            return
        if self._link is not None:
            self._link.close()
        self._link, self._linked_to = TrafficLink(session.address, self._port), present
        session.at_end("traffic manager", self._link.close)

    def hold(self, session: Session) -> None:
        """Puts the vehicles where they start, standing."""
        self.release()
        carla = load_client()
        commands: list[Any] = []
        for vehicle in self._vehicles:
            number = vehicle.actor.id
            commands += [
                carla.command.ApplyTransform(number, vehicle.place),
                carla.command.ApplyTargetVelocity(number, carla.Vector3D()),
                carla.command.ApplyVehicleControl(number, carla.VehicleControl(hand_brake=True)),
            ]
        session.apply("holding background traffic", commands)

    def drive(self) -> None:
        """Hands the vehicles to the TrafficManager; its first controls act in the second tick from now."""
        numbers = [vehicle.actor.id for vehicle in self._vehicles]
        driven = self._asked("drive", numbers, self._seed)
        if driven != numbers:
            raise WorldError(
                f"The TrafficManager took {len(driven)} of {len(numbers)} background vehicles: the others are gone. "
                "Keep clients that destroy vehicles off the server."
            )

    def release(self) -> None:
        """Takes the vehicles from the TrafficManager, as must be before they are destroyed.

        Raises:
            WorldError: The TrafficManager fails; it is gone then, and has none.
        """
        if self._link is not None and self._link.is_alive and self._vehicles:
            self._asked("release")

    # --- ticks -------------------------------------------------------------------------------------------------

    def tick(self, session: Session, commands: list[Any]) -> Any:
        """Plays one tick of the server and returns its snapshot.

        Raises:
            WorldError: The server or the TrafficManager fails.
        """
        try:
            session.apply("a tick", commands, num_needed=1)
            frame = session.tick("a tick", lambda: int(self._asked("tick")))
        except WorldError:
            if self._link is not None:
                self._link.kill()
            raise
        with server_faults(session.address, "a tick"):
            until_s = wall_clock.monotonic_s() + session.address.patience_s
            while (snapshot := session.world.get_snapshot()).frame < frame:
                if wall_clock.monotonic_s() > until_s:
                    raise WorldError(
                        f"The CARLA server at {session.address} did not send the state of frame {frame} within "
                        f"{session.address.patience_s:g} s. For a server that is slow raise world.patience_s."
                    )
                wall_clock.sleep_s(POLL_S)
        return snapshot

    def held(self, num_steps: int) -> FloatArray:
        """Returns (num_steps, n) entries for the step kernel with everybody where it is now."""
        return np.tile(self._now.reshape(1, -1), (num_steps, 1))

    def moved(self, snapshot: Any, num_steps: int, delta_s: float, actors: FloatArray) -> FloatArray:
        """Measures everybody after a tick, and returns (num_steps, n) entries for the step kernel.

        Args:
            snapshot: Snapshot after the tick.
            num_steps: Physics steps in the tick.
            delta_s: Length of the tick.
            actors: (actor_state.NUM_ROWS, N) table; whom the TrafficManager took out is made absent in it.
        """
        before, after = self._now, self._now.copy()
        for number, vehicle in enumerate(self._vehicles):
            seen = snapshot.find(vehicle.actor.id)
            if seen is None:
                actors[actor_state.IS_ABSENT, self._first_column + number] = 1.0
                actors[actor_state.ENTERS_S, self._first_column + number] = math.inf
                continue
            pose = vehicle.measured(
                seen.get_transform(), seen.get_velocity(), float(before[number, MOVED_YAW])
            )
            after[number, : MOVED_SPEED + 1] = pose
            after[number, MOVED_SPEED + 1] = (pose[MOVED_SPEED] - before[number, MOVED_SPEED]) / delta_s
        self._now = after
        share = np.arange(1, num_steps + 1).reshape(-1, 1, 1) / num_steps
        entries = before + share * (after - before)
        entries[-1] = after
        return np.asarray(entries.reshape(num_steps, -1), dtype=np.float64)

    def note_hit(
        self, event: Any, state: InitialState, ego: FloatArray, contacts: FloatArray, step: int
    ) -> None:
        """Notes a collision that the server saw in the contact table, where the footprints did not touch.

        Args:
            event: ``carla.CollisionEvent`` of the ego.
            state: Start of the scenario; its actors are those of now.
            ego: (single_track.NUM_EGO_ENTRIES,) state.
            contacts: (contacts.NUM_CONTACT_ROWS, N) contact table, changed in place.
            step: Number of physics steps done.
        """
        hit = event.other_actor.id if event.other_actor is not None else -1
        for number, vehicle in enumerate(self._vehicles):
            column = self._first_column + number
            if vehicle.actor.id != hit or contacts[FIRST_STEP, column] >= 0.0:
                continue
            dx, dy = (float(self._now[number, entry] - ego[entry]) for entry in (X_M, Y_M))
            apart_m = max(math.hypot(dx, dy), 1e-9)
            samples, step_m = state.route.samples, state.route.step_m
            note_touch(state.actors, column, ego, contacts, samples, step_m, step, dx / apart_m, dy / apart_m)

    # --- the log -----------------------------------------------------------------------------------------------

    def keep_rows(self, snapshot: Any, t_ns: int) -> None:
        """Keeps the rows of ``BACKGROUND`` at a control tick."""
        for number, vehicle in enumerate(self._vehicles):
            seen = snapshot.find(vehicle.actor.id)
            if seen is None:
                continue
            x_m, y_m, yaw_rad, speed_mps = (float(value) for value in self._now[number, : MOVED_SPEED + 1])
            z_m = float(seen.get_transform().location.z)
            column = self._first_column + number
            self._rows.append((t_ns, column, x_m, y_m, z_m, yaw_rad, speed_mps))

    def drain(self) -> Columns:
        """Returns and forgets the rows of ``BACKGROUND``."""
        rows, self._rows = self._rows, []
        values = list(zip(*rows, strict=True)) if rows else [()] * len(BACKGROUND.columns)
        return {
            column.name: np.array(kept, dtype=column.dtype)
            for column, kept in zip(BACKGROUND.columns, values, strict=True)
        }

    def attributes(self) -> list[Mapping[str, Any]]:
        """Returns number in the actor table and blueprint of each vehicle."""
        return [
            {"actor": self._first_column + number, "blueprint": vehicle.actor.type_id}
            for number, vehicle in enumerate(self._vehicles)
        ]

    def _asked(self, name: str, *words: object) -> Any:
        if self._link is None:
            raise WorldError("There is no TrafficManager; call reset first.")
        return self._link.ask(name, *words)
