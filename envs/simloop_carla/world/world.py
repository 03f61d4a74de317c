"""The driving world on a CARLA server: the same scenarios, actors, verdicts and metrics; the server moves the ego."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError, WorldError
from simloop.log import Columns
from simloop.spec import Scenario
from simloop_carla.world.background.traffic import BackgroundTraffic
from simloop_carla.world.connection import Connection
from simloop_carla.world.ego import DEFAULT_BLUEPRINT, NUM_MEASURED
from simloop_carla.world.ego_plan import blend_to, plan_tick
from simloop_carla.world.foresight import STOCK_VEHICLE, Foresight, foreseeing_vehicle
from simloop_carla.world.link.client import load_client
from simloop_carla.world.maps import use_map
from simloop_carla.world.options import words
from simloop_carla.world.pictured_world import PicturedWorld
from simloop_carla.world.server_episode import ServerEpisode
from simloop_carla.world.server_log import ServerLog
from simloop_carla.world.weather import Weather, check_weather, show_weather
from simloop_carla.world.world_spec import spec_on_server
from simloop_driving import recording, step_kernel
from simloop_driving.camera import HEIGHT_PX, WIDTH_PX
from simloop_driving.dynamics.single_track import DRIVE_MPS2, VX_MPS, YAW_RAD
from simloop_driving.dynamics.vehicle import MAX_DRIVE_MPS2, load_vehicle
from simloop_driving.periods import PHYSICS_PERIOD_NS, STEP_S, STEPS_PER_TICK
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.scenario.criteria import COLLISION, RUNNING, VERDICT
from simloop_driving.scenario.initial_state import InitialState
from simloop_driving.scenario.scene import Scene, read_scene

FloatArray = npt.NDArray[np.float64]

FIXED_DELTAS_MS = (10, 50)


class CarlaWorld(PicturedWorld):
    """The driving world with its ego on a CARLA server, in synchronous mode.

    Scenario, traffic, signals, verdict and metrics are those of ``DrivingWorld``; every tick one batch puts the actors
    where the scenario wants them and drives the ego, whose motion the server decides. The map is built from the
    scenario's own OpenDRIVE document. Worlds of one process may share a named server, an episode at a time.

    Args:
        host: Where the server is.
        port: Its port; None starts a ``simloop carla-server`` for this world alone.
        patience_s: How long a call may take.
        fixed_delta_ms: Length of a tick of the server: 50, or 10 for controls in every physics step.
        vehicle_blueprint: The ego's blueprint; its bounding box is the ego's footprint. The default one is ``vehicle``
            on servers that have that one.
        recycle_after: Episodes after which a server of this world's own is started anew.
        recycle_above_mb: Resident memory above which it is.
        foreseen_as: Vehicle parameters that foresee the ego's motion and turn accelerations into shares of throttle
            and brake. None takes ``vehicle`` on a server that has it and ``midsize_saloon`` on others.
        vehicle: The embedded world's vehicle that the ego is on a server that has those (``simloop carla-server``).
        action, camera_supersampling, extra_sensors, camera_size_px: As in ``DrivingWorld``.
        background_vehicles: Number of cars that CARLA's TrafficManager drives beside the scenario's own traffic.
        traffic_manager_port: Port of the TrafficManager; None for a free one.
        weather: Preset of ``carla.WeatherParameters`` by name, or values of its parameters; None for the server's own.

    Raises:
        ConfigurationError: An option has another type, or is out of range.
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
        foreseen_as: str | None = None,
        action: str = "waypoints",
        vehicle: str = STOCK_VEHICLE,
        camera_supersampling: int = 2,
        extra_sensors: Sequence[str] | Mapping[str, Mapping[str, Any] | None] = (),
        camera_size_px: Sequence[int] = (HEIGHT_PX, WIDTH_PX),
        background_vehicles: int = 0,
        traffic_manager_port: int | None = None,
        weather: Weather = None,
    ) -> None:
        if type(fixed_delta_ms) is not int or fixed_delta_ms not in FIXED_DELTAS_MS:
            raise ParameterError(f"World config key 'fixed_delta_ms' is {fixed_delta_ms!r}; allowed: 10, 50.")
        self._delta_s = fixed_delta_ms * 1e-3
        self._connection = Connection(
            host=host,
            port=port,
            patience_s=patience_s,
            fixed_delta_s=self._delta_s,
            recycle_after=recycle_after,
            recycle_above_mb=recycle_above_mb,
        )
        self.shared_server: str | None = None if port is None else f"{host}:{port}"
        load_client()
        if foreseen_as is not None:
            load_vehicle(str(foreseen_as))
        super().__init__(
            action=action,
            vehicle=vehicle,
            camera_supersampling=camera_supersampling,
            extra_sensors=extra_sensors,
            camera_size_px=camera_size_px,
        )
        self._vehicle_name, self._foreseen_as = vehicle, foreseen_as
        self._steps_per_delta = round(fixed_delta_ms * 1_000_000 / PHYSICS_PERIOD_NS)
        self._blueprint = words("vehicle_blueprint", vehicle_blueprint, DEFAULT_BLUEPRINT)
        self._size_px = (int(camera_size_px[0]), int(camera_size_px[1]))
        background = BackgroundTraffic(background_vehicles, traffic_manager_port)
        self._background = background if background.num_vehicles else None
        self._keep_states_of_ticks(self._steps_per_delta)
        self._spec = spec_on_server(
            self._spec,
            tick_ns=fixed_delta_ms * 1_000_000,
            is_server_of_its_own=port is None,
            has_background=self._background is not None,
        )
        self._foresight = Foresight()
        self._server_log = ServerLog()
        self._weather = check_weather(weather)
        self._town: RoadMap | None = None

    # --- World -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Destroys what was spawned, restores the server's settings and ends a server of this world's own."""
        self._connection.close()

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts everyone at the start of a scenario, on the server too.

        Raises:
            ConfigurationError: As ``DrivingWorld.reset``.
            WorldError: The server fails; the next reset connects anew.
        """
        self._begun = dataclasses.replace(scenario, world=self._spec.name), seed
        self._begin()
        self._connection.count_episode()

    def _begin(self) -> None:
        scenario, seed = self._begun
        scene = read_scene(scenario)
        self._server_log.clear()
        try:
            session = self._connection.cleared()
            self._town = use_map(session, scene)
            session.synchronise()
            show_weather(session, self._weather)
            played = ServerEpisode(session, self._blueprint, self._vehicle_name, self._delta_s)
            self._connection.episode = played
            self._vehicle = foreseeing_vehicle(played.ego, self._foreseen_as, self._vehicle_name)
            self._vehicle_entries = self._vehicle.packed(STEP_S)
            super().reset(scenario, seed)
            self._bring_to_start(played)
        except WorldError:
            self._connection.drop()
            raise

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

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows since the last drain; ``motion`` has one row a tick of the server."""
        kept = np.arange(self._drained_steps, self._step + 1)
        rows = dict(super().drain())
        kept = kept[kept % self._steps_per_delta == 0]
        motion = recording.motion_columns(self._motion_record[kept], 0, PHYSICS_PERIOD_NS)
        rows["motion"] = {**motion, "t_ns": kept.astype(np.int64) * PHYSICS_PERIOD_NS}
        if self._background is not None:
            rows["background"] = self._background.drain()
        return {**rows, **self._server_log.drain()}

    def log_attributes(self) -> Mapping[str, Any]:
        """Returns what ``DrivingWorld`` does; ``town_digest`` of a town's roads, ``background`` of its vehicles."""
        attributes = dict(super().log_attributes())
        if self._town is not None:
            attributes["town_digest"] = self._town.digest()
        if self._background is not None:
            attributes["background"] = self._background.attributes()
        return attributes

    # --- the server --------------------------------------------------------------------------------------------

    def _map_of(self, scene: Scene) -> RoadMap | None:
        return self._town if scene.is_map_of_server else super()._map_of(scene)

    def _initial_state(self, scene: Scene, family: str, seed: int) -> InitialState:
        state = super()._initial_state(scene, family, seed)
        played, background = self._connection.episode, self._background
        if played is None or background is None:
            return state
        return played.add_background(background, state, family, seed)

    def _bring_to_start(self, played: ServerEpisode) -> None:
        throttle = float(self._ego[DRIVE_MPS2] / self._vehicle_entries[MAX_DRIVE_MPS2])
        camera_px, start = self._size_px if self._wants_pictures else None, self._ego[: VX_MPS + 1].copy()
        paints = self._episode.actor_paint
        snapshot = played.bring_to_start(self._started(), start, throttle, camera_px, paints)
        self._ego[:NUM_MEASURED] = played.ego.measured(snapshot, float(self._ego[YAW_RAD]))
        step_kernel.record_motion(self._motion_record[0], self._ego)
        self._snapshot, self._frame = None, int(snapshot.frame)
        self._keep_picture(played)

    def _playing(self) -> ServerEpisode:
        played = self._connection.episode
        if played is None:
            raise WorldError(
                "The connection to the CARLA server is gone: it was lost, or another world of this process plays on "
                "that server now. Call reset first."
            )
        return played

    def _run(self, num_steps: int, state: InitialState) -> None:
        played = self._playing()
        try:
            for _ in range(num_steps // self._steps_per_delta):
                self._tick(state, played)
        except WorldError:
            self._connection.drop()
            raise

    def _tick(self, state: InitialState, played: ServerEpisode) -> None:
        """Plays one tick: foresees it, sends everybody's next place, and lets the scenario see where the ego went."""
        count = self._steps_per_delta
        foreseen, *controls = plan_tick(self._control, self._ego, self._vehicle_entries, count, STEP_S)
        background = self._background
        moved = None
        if played.scripted_ids:
            held = foreseen if background is None else np.hstack([foreseen, background.held(count)])
            moved = self._foreseen_actors(held, count)
        snapshot = played.tick((controls[0], controls[1], controls[2]), moved)
        measured = played.ego.measured(snapshot, float(foreseen[-1, YAW_RAD]))
        end_ns = (self._step + count) * PHYSICS_PERIOD_NS
        off_m = math.hypot(measured[0] - foreseen[-1, 0], measured[1] - foreseen[-1, 1])
        self._server_log.add_tracking(end_ns, off_m, float(measured[VX_MPS] - foreseen[-1, VX_MPS]))
        blend_to(foreseen, self._ego, measured, STEP_S)
        if background is not None:
            foreseen = np.hstack([foreseen, background.moved(snapshot, count, self._delta_s, state.actors)])
        self._run_kernel(count, foreseen)
        self._step += count
        self._snapshot, self._frame = None, int(snapshot.frame)
        for event in played.take_hits():  # one with anything beside the scenario's actors ends the episode
            is_of_scenario = self._server_log.add_collision(end_ns, event, played.scripted_ids)
            if not is_of_scenario and state.criteria[VERDICT] == RUNNING:
                state.criteria[VERDICT] = COLLISION
            if background is not None:
                background.note_hit(event, state, self._ego, self._contacts, self._step)
        if self._step % STEPS_PER_TICK == 0:
            played.show_lights(self._step * STEP_S)
            if background is not None:
                background.keep_rows(snapshot, end_ns)
            self._keep_picture(played)

    def _foreseen_actors(self, states: FloatArray, count: int) -> FloatArray:
        return self._foresight.actors(
            self._step,
            count,
            (self._ego, self._control, self._contacts, self._pair_ticks),
            self._vehicle_entries,
            self._kernel_arrays,
            (self._motion_record, self._actor_record),
            states,
        )
