"""The driving world on a CARLA server: the same scenarios, actors, verdicts and metrics; the server moves the ego."""

from __future__ import annotations

import dataclasses
import importlib.resources
import math
import queue
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, ParameterError, WorldError
from simloop.log import Column, Columns, TableSchema
from simloop.source_digest import source_digest
from simloop.spec import Scenario
from simloop.world import Determinism, Frame
from simloop_carla.world.actors import ServerActors
from simloop_carla.world.ego import NUM_MEASURED, ServerEgo
from simloop_carla.world.ego_plan import blend_to, plan_tick
from simloop_carla.world.own_server import OwnServer
from simloop_carla.world.pictures import ServerCamera
from simloop_carla.world.session import SUPPORTED_VERSION, Address, Session, load_client, server_faults
from simloop_driving import recording, step_kernel
from simloop_driving.camera import HEIGHT_PX, WIDTH_PX
from simloop_driving.dynamics.single_track import DRIVE_MPS2, VX_MPS, YAW_RAD
from simloop_driving.dynamics.vehicle import MAX_DRIVE_MPS2, load_vehicle
from simloop_driving.periods import PHYSICS_PERIOD_NS, STEP_S, STEPS_PER_TICK
from simloop_driving.roads.road_map import TRAFFIC_LIGHT, shipped_maps
from simloop_driving.scenario.criteria import COLLISION, RUNNING, VERDICT
from simloop_driving.scenario.initial_state import InitialState
from simloop_driving.scenario.scene import read_scene
from simloop_driving.scenario.signals import AMBER, GREEN, RED, fill_states
from simloop_driving.world import DrivingWorld

FloatArray = npt.NDArray[np.float64]

FIXED_DELTAS_MS = (10, 50)
DEFAULT_BLUEPRINT = "vehicle.lincoln.mkz_2020"
CAMERAS = ("front_camera", "front_camera_past")
KEPT_PICTURES = 20

SERVER_COLLISIONS = TableSchema(
    description="Collisions of the ego that the server's collision sensor reported.",
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant"),
        Column(name="other", dtype="text", description="blueprint of what was hit"),
        Column(name="is_of_scenario", dtype="bool", description="whether it is one of the scenario's actors"),
        Column(
            name="impulse_newton_s", dtype="float64", description="size of the impulse, as the server says"
        ),
    ),
)
TRACKING = TableSchema(
    description="One row a tick of the server: how far the ego is from where the embedded vehicle model foresaw it.",
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant at the tick's end"),
        Column(name="position_error_m", dtype="float64", description="distance to the foreseen position"),
        Column(name="speed_error_mps", dtype="float64", description="speed minus foreseen speed"),
    ),
)


class CarlaWorld(DrivingWorld):
    """The driving world with its ego on a CARLA server, in synchronous mode.

    Scenario, traffic, signals, verdict and metrics are those of ``DrivingWorld``; every tick one batch puts the actors
    where the scenario wants them and drives the ego, whose motion the server decides. The map is built from the
    scenario's own OpenDRIVE document.

    Args:
        host: Where the server is.
        port: Its port; None starts a ``simloop carla-server`` for this world alone.
        patience_s: How long a call may take.
        fixed_delta_ms: Length of a tick of the server: 50, or 10 for controls in every physics step.
        vehicle_blueprint: The ego's blueprint; its bounding box is the ego's footprint.
        recycle_after: Episodes after which a server of this world's own is started anew.
        recycle_above_mb: Resident memory above which it is.
        foreseen_as: Vehicle parameters that foresee the ego's motion and turn accelerations into shares of throttle
            and brake.
        vehicle: Taken from families that choose one for the embedded world; the ego here is ``vehicle_blueprint``.
        action, camera_supersampling, extra_sensors, camera_size_px: As in ``DrivingWorld``.

    Raises:
        ConfigurationError: An option is out of range.
        MissingDependencyError: The client library is not installed.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        patience_s: float = 20.0,
        fixed_delta_ms: int = 50,
        vehicle_blueprint: str = DEFAULT_BLUEPRINT,
        recycle_after: int = 1000,
        recycle_above_mb: float = 2000.0,
        foreseen_as: str = "midsize_saloon",
        action: str = "waypoints",
        vehicle: str = "midsize_saloon",
        camera_supersampling: int = 2,
        extra_sensors: Sequence[str] | Mapping[str, Mapping[str, Any] | None] = (),
        camera_size_px: Sequence[int] = (HEIGHT_PX, WIDTH_PX),
    ) -> None:
        if fixed_delta_ms not in FIXED_DELTAS_MS:
            raise ParameterError(f"World config key 'fixed_delta_ms' is {fixed_delta_ms!r}; allowed: 10, 50.")
        if port is not None and not 1 <= port <= 65535:
            raise ParameterError(f"World config key 'port' is {port!r}; allowed: 1 to 65535, or null.")
        if not 0.0 < patience_s <= 600.0:
            raise ParameterError(
                f"World config key 'patience_s' is {patience_s!r}; allowed: above 0, to 600 s."
            )
        if recycle_after < 1 or recycle_above_mb <= 0.0:
            raise ParameterError(
                f"World config keys 'recycle_after' and 'recycle_above_mb' are {recycle_after!r} and "
                f"{recycle_above_mb!r}; allowed: at least 1 and above 0."
            )
        load_client()
        load_vehicle(vehicle)  # refuses a name that does not exist, as the embedded world does
        super().__init__(
            action=action,
            vehicle=foreseen_as,
            camera_supersampling=camera_supersampling,
            extra_sensors=extra_sensors,
            camera_size_px=camera_size_px,
        )
        self._address = None if port is None else Address(host=host, port=port, patience_s=patience_s)
        self._patience_s = patience_s
        self._delta_s = fixed_delta_ms * 1e-3
        self._steps_per_delta = round(fixed_delta_ms * 1_000_000 / PHYSICS_PERIOD_NS)
        self._blueprint = vehicle_blueprint
        self._recycle_after, self._recycle_above_mb = recycle_after, recycle_above_mb
        self._size_px = (int(camera_size_px[0]), int(camera_size_px[1]))
        self._spec = dataclasses.replace(
            self._spec,
            name="carla",
            physics_period_ns=fixed_delta_ms * 1_000_000,
            tables={**self._spec.tables, "server_collisions": SERVER_COLLISIONS, "tracking": TRACKING},
            max_interleaved=1,
            determinism=Determinism.STATISTICAL,
            versions={
                **self._spec.versions,
                "carla": SUPPORTED_VERSION,
                "simloop_carla": source_digest("simloop_carla"),
            },
        )
        self._own: OwnServer | None = None
        self._session: Session | None = None
        self._ego_on_server: ServerEgo | None = None
        self._actors_on_server: ServerActors | None = None
        self._camera: ServerCamera | None = None
        self._collision_sensor: Any = None
        self._wants_pictures = False
        self._hits: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._collision_rows: list[tuple[int, str, bool, float]] = []
        self._tracking_rows: list[tuple[int, float, float]] = []
        self._lights: dict[int, Any] = {}
        self._shown: list[int] = []

    # --- the server --------------------------------------------------------------------------------------------

    def _connected(self) -> Session:
        """Returns the session, on a fresh server where the last one is gone or used up."""
        own = self._own
        if own is not None and (
            not own.is_alive
            or own.num_episodes >= self._recycle_after
            or own.resident_mb() > self._recycle_above_mb
        ):
            self._disconnect()
            own.close()
            self._own = None
        if self._session is None:
            address = self._address
            if address is None:
                if self._own is None:
                    self._own = OwnServer()
                address = Address(host="127.0.0.1", port=self._own.port, patience_s=self._patience_s)
            self._session = Session(address, self._delta_s)
        return self._session

    def _disconnect(self) -> None:
        """Forgets a session; the next reset connects anew, as a client does not survive its server."""
        self._stop_sensors()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def close(self) -> None:
        """Destroys what was spawned, restores the server's settings and ends a server of this world's own."""
        self._disconnect()
        if self._own is not None:
            self._own.close()
            self._own = None

    # --- World -------------------------------------------------------------------------------------------------

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts everyone at the start of a scenario, on the server too.

        Raises:
            ConfigurationError: As ``DrivingWorld.reset``.
            WorldError: The server fails; the next reset connects anew.
        """
        scene = read_scene(scenario)
        scenario = dataclasses.replace(scenario, world=self._spec.name)
        try:
            session = self._connected()
            self._clear_server(session)
            session.use_map(scene.map_name, _document(scene.map_name))
            session.synchronise()
            ego = ServerEgo(session, self._blueprint)
            self._ego_on_server = ego
            length_m, width_m, height_m = (round(float(side), 4) for side in ego.size_m)
            self._vehicle = dataclasses.replace(
                self._vehicle, length_m=length_m, width_m=width_m, height_m=height_m
            )
            super().reset(scenario, seed)
            self._bring_to_start(session, ego)
        except WorldError:
            self._disconnect()
            raise
        if self._own is not None:
            self._own.num_episodes += 1

    def _stop_sensors(self) -> None:
        if self._camera is not None:
            self._camera.close()
        if self._collision_sensor is not None and self._collision_sensor.is_listening:
            self._collision_sensor.stop()
        self._camera = self._ego_on_server = self._actors_on_server = self._collision_sensor = None

    def _clear_server(self, session: Session) -> None:
        self._stop_sensors()
        session.destroy_spawned()
        self._collision_rows.clear()
        self._tracking_rows.clear()

    def _bring_to_start(self, session: Session, ego: ServerEgo) -> None:
        state = self._started()
        throttle = float(self._ego[DRIVE_MPS2] / self._vehicle_entries[MAX_DRIVE_MPS2])
        hits: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def prepare() -> None:
            if self._actors_on_server is None:
                self._actors_on_server = ServerActors(session, state.actors)
                self._watch_collisions(session, ego, hits)
                self._find_lights(session, state)
            if self._wants_pictures and self._camera is None:
                self._camera = ServerCamera(session, ego, self._size_px)
            commands = self._actors_on_server.commands(state.actors, ego.ground_m)
            session.client.apply_batch_sync(commands, False)
            self._show_lights(state, 0.0)

        ego.settle(self._ego[: VX_MPS + 1].copy(), throttle, self._delta_s, prepare)
        while not hits.empty():  # what was touched on the way to the start
            hits.get()
        self._hits = hits
        snapshot = session.world.get_snapshot()
        self._ego[:NUM_MEASURED] = ego.measured(snapshot, float(self._ego[YAW_RAD]))
        step_kernel.record_motion(self._motion_record[0], self._ego)
        self._snapshot = None
        self._keep_picture(int(snapshot.frame))

    def _watch_collisions(self, session: Session, ego: ServerEgo, hits: queue.SimpleQueue[Any]) -> None:
        carla = load_client()
        blueprint = session.world.get_blueprint_library().find("sensor.other.collision")
        sensor = session.world.spawn_actor(blueprint, carla.Transform(), attach_to=ego.actor)
        session.spawned(sensor.id)
        sensor.listen(hits.put)
        self._collision_sensor = sensor

    def _find_lights(self, session: Session, state: InitialState) -> None:
        """Finds the server's actor of each traffic light of the map and stops their own cycles."""
        road_map = state.road_map
        number_of = {
            str(int(road_map.signal_id[signal])): signal
            for signal in np.flatnonzero(road_map.signal_kind == TRAFFIC_LIGHT).tolist()
        }
        self._lights = {}
        for light in session.world.get_actors().filter("traffic.traffic_light*"):
            signal = number_of.get(str(light.get_opendrive_id()))
            if signal is not None:
                self._lights[signal] = light
        self._shown = [-2] * len(road_map.signal_kind)
        if self._lights:
            next(iter(self._lights.values())).freeze(True)

    def _show_lights(self, state: InitialState, time_s: float) -> None:
        if not self._lights:
            return
        carla = load_client()
        colours = {
            GREEN: carla.TrafficLightState.Green,
            AMBER: carla.TrafficLightState.Yellow,
            RED: carla.TrafficLightState.Red,
        }
        states = np.empty(len(state.signal_program), dtype=np.int64)
        fill_states(state.signal_program, time_s, states)
        for signal, light in self._lights.items():
            shown = int(states[signal])
            if shown != self._shown[signal]:
                self._shown[signal] = shown
                light.set_state(colours[shown])

    def advance(self, until_ns: int) -> None:
        """Moves the state to ``until_ns``, a multiple of the server's tick and not in the past, else ValueError.

        Raises:
            WorldError: The server fails; the next reset connects anew.
        """
        if until_ns % self._spec.physics_period_ns:
            raise ValueError(
                f"advance({until_ns}): allowed are multiples of {self._spec.physics_period_ns} ns, the server's tick."
            )
        super().advance(until_ns)

    def _run(self, num_steps: int, state: InitialState) -> None:
        try:
            for _ in range(num_steps // self._steps_per_delta):
                self._tick(state)
        except WorldError:
            self._disconnect()
            raise

    def _tick(self, state: InitialState) -> None:
        """Plays one tick: foresees it, sends everybody's next place, and lets the scenario see where the ego went."""
        session, ego, others = self._session, self._ego_on_server, self._actors_on_server
        if session is None or ego is None or others is None:
            raise WorldError("The connection to the CARLA server was lost; call reset first.")
        count = self._steps_per_delta
        foreseen, steer, drive, brake = plan_tick(
            self._control, self._ego, self._vehicle_entries, count, STEP_S
        )
        moved = self._foreseen_actors(foreseen, count)
        if others.ids:
            commands = [ego.command(steer, drive, brake), *others.commands(moved, ego.ground_m)]
        else:
            commands = [ego.command(steer, drive, brake)]
        with server_faults(session.address, "a tick"):
            session.client.apply_batch_sync(commands, True)
            snapshot = session.world.get_snapshot()
        measured = ego.measured(snapshot, float(foreseen[-1, YAW_RAD]))
        end_ns = (self._step + count) * PHYSICS_PERIOD_NS
        off_m = math.hypot(measured[0] - foreseen[-1, 0], measured[1] - foreseen[-1, 1])
        self._tracking_rows.append((end_ns, off_m, float(measured[VX_MPS] - foreseen[-1, VX_MPS])))
        blend_to(foreseen, self._ego, measured, STEP_S)
        self._run_kernel(count, foreseen)
        self._step += count
        self._snapshot = None
        self._read_hits(state, end_ns)
        if self._step % STEPS_PER_TICK == 0:
            with server_faults(session.address, "setting the traffic lights"):
                self._show_lights(state, self._step * STEP_S)
            self._keep_picture(int(snapshot.frame))

    def _foreseen_actors(self, foreseen: FloatArray, count: int) -> FloatArray:
        """Returns the actor table at the end of the tick; how actors move in it does not depend on the ego's way.

        The rows that it writes into the records are written again by the tick itself.
        """
        kept = self._ego, self._control, self._kernel_arrays, self._contacts, self._pair_ticks
        self._ego, self._control = self._ego.copy(), self._control.copy()
        self._kernel_arrays = tuple(
            item.copy() if index in _MOVING_ARRAYS else item for index, item in enumerate(self._kernel_arrays)
        )
        self._contacts, self._pair_ticks = self._contacts.copy(), self._pair_ticks.copy()
        self._run_kernel(count, foreseen)
        actors: FloatArray = self._kernel_arrays[0]
        self._ego, self._control, self._kernel_arrays, self._contacts, self._pair_ticks = kept
        return actors

    def _read_hits(self, state: InitialState, end_ns: int) -> None:
        """Takes over the server's collisions; one with anything beside the scenario's actors ends the episode."""
        scripted = set(self._actors_on_server.ids) if self._actors_on_server is not None else set()
        while not self._hits.empty():
            event = self._hits.get()
            is_scripted = event.other_actor is not None and event.other_actor.id in scripted
            name = event.other_actor.type_id if event.other_actor is not None else "static"
            impulse = event.normal_impulse
            size = math.sqrt(impulse.x**2 + impulse.y**2 + impulse.z**2)
            self._collision_rows.append((end_ns, name, is_scripted, size))
            if not is_scripted and state.criteria[VERDICT] == RUNNING:
                state.criteria[VERDICT] = COLLISION

    # --- pictures ----------------------------------------------------------------------------------------------

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes the present state; pictures of the front camera are the server's."""
        if sensor in CAMERAS and not self._wants_pictures:
            self._wants_pictures = True
            if self._step == 0 and self._session is not None and self._ego_on_server is not None:
                self._bring_to_start(self._session, self._ego_on_server)  # again, with a camera
        return super().capture(sensor, index)

    def _keep_picture(self, frame: int) -> None:
        if self._camera is None:
            return
        images = self._episode.images
        images[self._step] = self._camera.picture(frame)
        for old in sorted(images)[:-KEPT_PICTURES]:
            if old > 0:
                del images[old]

    # --- the log -----------------------------------------------------------------------------------------------

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows since the last drain; ``motion`` has one row a tick of the server."""
        first = self._drained_steps
        rows = dict(super().drain())
        kept = np.arange(first, self._step + 1)
        kept = kept[kept % self._steps_per_delta == 0]
        motion = recording.motion_columns(self._motion_record[kept], 0, PHYSICS_PERIOD_NS)
        rows["motion"] = {**motion, "t_ns": kept.astype(np.int64) * PHYSICS_PERIOD_NS}
        hits, self._collision_rows = self._collision_rows, []
        rows["server_collisions"] = {
            "t_ns": np.array([hit[0] for hit in hits], dtype=np.int64),
            "other": [hit[1] for hit in hits],
            "is_of_scenario": np.array([hit[2] for hit in hits], dtype=bool),
            "impulse_newton_s": np.array([hit[3] for hit in hits], dtype=np.float64),
        }
        tracking, self._tracking_rows = self._tracking_rows, []
        columns = np.array(tracking, dtype=np.float64).reshape(-1, 3)
        rows["tracking"] = {
            "t_ns": np.array([row[0] for row in tracking], dtype=np.int64),
            "position_error_m": columns[:, 1],
            "speed_error_mps": columns[:, 2],
        }
        return rows


_MOVING_ARRAYS = frozenset({0, 1, 2, 3, 7, 8, 10, 12})
"""What of ``DrivingWorld._kernel_arrays`` the kernel writes: actors, manoeuvres, conditions, criteria, places on paths,
decisions, stop lines and numbers."""


def _document(map_name: str) -> str:
    """Returns the OpenDRIVE text of a scene's map."""
    if map_name in shipped_maps():
        folder = importlib.resources.files("simloop_scenarios") / "maps"
        return (folder / f"{map_name}.xodr").read_text("utf-8")
    try:
        return Path(map_name).read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"The map {map_name!r} cannot be read: {error}.") from error
