"""The driving world on a CARLA server: the same scenarios, actors, verdicts and metrics; the server moves the ego."""

from __future__ import annotations

import dataclasses
import importlib.resources
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, ParameterError, WorldError
from simloop.log import Columns
from simloop.source_digest import source_digest
from simloop.spec import Scenario
from simloop.world import Determinism, Frame
from simloop_carla.world.connection import Connection
from simloop_carla.world.ego import DEFAULT_BLUEPRINT, NUM_MEASURED, ServerEgo
from simloop_carla.world.ego_plan import blend_to, plan_tick
from simloop_carla.world.server_episode import ServerEpisode
from simloop_carla.world.server_log import SERVER_COLLISIONS, TRACKING, ServerLog
from simloop_carla.world.session import SUPPORTED_VERSION, Session, load_client
from simloop_driving import recording, step_kernel
from simloop_driving.camera import HEIGHT_PX, WIDTH_PX
from simloop_driving.dynamics.single_track import DRIVE_MPS2, VX_MPS, YAW_RAD
from simloop_driving.dynamics.vehicle import MAX_DRIVE_MPS2, load_vehicle
from simloop_driving.periods import PHYSICS_PERIOD_NS, STEP_S, STEPS_PER_TICK
from simloop_driving.roads.road_map import shipped_maps
from simloop_driving.scenario.criteria import COLLISION, RUNNING, VERDICT
from simloop_driving.scenario.initial_state import InitialState
from simloop_driving.scenario.scene import Scene, read_scene
from simloop_driving.world import DrivingWorld

FloatArray = npt.NDArray[np.float64]

FIXED_DELTAS_MS = (10, 50)
STOCK_VEHICLE = "midsize_saloon"
"""Foresees an ego that is no vehicle of the embedded world."""
CAMERAS = ("front_camera", "front_camera_past")
KEPT_PICTURES = 20


class CarlaWorld(DrivingWorld):
    """The driving world with its ego on a CARLA server, in synchronous mode.

    Scenario, traffic, signals, verdict and metrics are those of ``DrivingWorld``; every tick one batch puts the actors
    where the scenario wants them and drives the ego, whose motion the server decides. The map is built from the
    scenario's own OpenDRIVE document. Worlds of one process may share a named server, an episode at a time.

    Args:
        host: Where the server is.
        port: Its port; None starts a ``simloop carla-server`` for this world alone.
        patience_s: How long a call may take.
        fixed_delta_ms: Length of a tick of the server: 50, or 10 for controls in every physics step.
        vehicle_blueprint: The ego's blueprint; its bounding box is the ego's footprint.
        recycle_after: Episodes after which a server of this world's own is started anew.
        recycle_above_mb: Resident memory above which it is.
        foreseen_as: Vehicle parameters that foresee the ego's motion and turn accelerations into shares of throttle
            and brake. None takes ``vehicle`` on a server that has it and ``midsize_saloon`` on others.
        vehicle: The embedded world's vehicle that the ego is, on a server that has those (``simloop carla-server``);
            on others the ego is what its blueprint makes it.
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
        foreseen_as: str | None = None,
        action: str = "waypoints",
        vehicle: str = STOCK_VEHICLE,
        camera_supersampling: int = 2,
        extra_sensors: Sequence[str] | Mapping[str, Mapping[str, Any] | None] = (),
        camera_size_px: Sequence[int] = (HEIGHT_PX, WIDTH_PX),
    ) -> None:
        if fixed_delta_ms not in FIXED_DELTAS_MS:
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
        load_client()
        if foreseen_as is not None:
            load_vehicle(foreseen_as)
        super().__init__(
            action=action,
            vehicle=vehicle,
            camera_supersampling=camera_supersampling,
            extra_sensors=extra_sensors,
            camera_size_px=camera_size_px,
        )
        self._vehicle_name, self._foreseen_as = vehicle, foreseen_as
        self._steps_per_delta = round(fixed_delta_ms * 1_000_000 / PHYSICS_PERIOD_NS)
        self._blueprint = vehicle_blueprint
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
        self._wants_pictures = False
        self._server_log = ServerLog()

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
        scene = read_scene(scenario)
        scenario = dataclasses.replace(scenario, world=self._spec.name)
        self._server_log.clear()
        try:
            session = self._connection.cleared()
            self._use_map(session, scene)
            session.synchronise()
            played = ServerEpisode(session, self._blueprint, self._vehicle_name, self._delta_s)
            self._connection.episode = played
            self._foresee(played.ego)
            super().reset(scenario, seed)
            self._bring_to_start(played)
        except WorldError:
            self._connection.drop()
            raise
        self._connection.count_episode()

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

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes the present state; pictures of the front camera are the server's."""
        if sensor in CAMERAS and not self._wants_pictures:
            self._wants_pictures = True
            played = self._connection.episode
            if self._step == 0 and played is not None:
                self._bring_to_start(played)  # again, with a camera
        return super().capture(sensor, index)

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows since the last drain; ``motion`` has one row a tick of the server."""
        first = self._drained_steps
        rows = dict(super().drain())
        kept = np.arange(first, self._step + 1)
        kept = kept[kept % self._steps_per_delta == 0]
        motion = recording.motion_columns(self._motion_record[kept], 0, PHYSICS_PERIOD_NS)
        rows["motion"] = {**motion, "t_ns": kept.astype(np.int64) * PHYSICS_PERIOD_NS}
        return {**rows, **self._server_log.drain()}

    # --- the server --------------------------------------------------------------------------------------------

    def _use_map(self, session: Session, scene: Scene) -> None:
        session.use_map(scene.map_name, _document(scene.map_name))

    def _foresee(self, ego: ServerEgo) -> None:
        """Takes over the ego's size, and the vehicle that foresees its motion."""
        foreseen_as = self._foreseen_as or (self._vehicle_name if ego.is_embedded_vehicle else STOCK_VEHICLE)
        length_m, width_m, height_m = (round(float(side), 4) for side in ego.size_m)
        self._vehicle = dataclasses.replace(
            load_vehicle(foreseen_as), length_m=length_m, width_m=width_m, height_m=height_m
        )
        self._vehicle_entries = self._vehicle.packed(STEP_S)

    def _bring_to_start(self, played: ServerEpisode) -> None:
        throttle = float(self._ego[DRIVE_MPS2] / self._vehicle_entries[MAX_DRIVE_MPS2])
        camera_px = self._size_px if self._wants_pictures else None
        start = self._ego[: VX_MPS + 1].copy()
        snapshot = played.bring_to_start(self._started(), start, throttle, camera_px)
        self._ego[:NUM_MEASURED] = played.ego.measured(snapshot, float(self._ego[YAW_RAD]))
        step_kernel.record_motion(self._motion_record[0], self._ego)
        self._snapshot = None
        self._keep_picture(played, int(snapshot.frame))

    def _run(self, num_steps: int, state: InitialState) -> None:
        played = self._connection.episode
        if played is None:
            raise WorldError(
                "The connection to the CARLA server is gone: it was lost, or another world of this process plays on "
                "that server now. Call reset first."
            )
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
        moved = self._foreseen_actors(foreseen, count) if played.scripted_ids else None
        snapshot = played.tick((controls[0], controls[1], controls[2]), moved)
        measured = played.ego.measured(snapshot, float(foreseen[-1, YAW_RAD]))
        end_ns = (self._step + count) * PHYSICS_PERIOD_NS
        off_m = math.hypot(measured[0] - foreseen[-1, 0], measured[1] - foreseen[-1, 1])
        self._server_log.add_tracking(end_ns, off_m, float(measured[VX_MPS] - foreseen[-1, VX_MPS]))
        blend_to(foreseen, self._ego, measured, STEP_S)
        self._run_kernel(count, foreseen)
        self._step += count
        self._snapshot = None
        for event in played.take_hits():  # one with anything beside the scenario's actors ends the episode
            is_of_scenario = self._server_log.add_collision(end_ns, event, played.scripted_ids)
            if not is_of_scenario and state.criteria[VERDICT] == RUNNING:
                state.criteria[VERDICT] = COLLISION
        if self._step % STEPS_PER_TICK == 0:
            played.show_lights(self._step * STEP_S)
            self._keep_picture(played, int(snapshot.frame))

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

    def _keep_picture(self, played: ServerEpisode, frame: int) -> None:
        picture = played.picture(frame)
        if picture is None:
            return
        images = self._episode.images
        images[self._step] = picture
        for old in sorted(images)[:-KEPT_PICTURES]:
            if old > 0:
                del images[old]


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
