"""The embedded driving world: roads, ego, traffic, scripted scenarios and sensors, on a CPU, with no server."""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop.log import Columns
from simloop.randomness import generator, stream_key
from simloop.source_digest import source_digest
from simloop.spec import Scenario
from simloop.world import Anchor, Frame, Outcome, OutcomeState, World, WorldSpec
from simloop_driving import recording, sensors, step_kernel
from simloop_driving.actions import action_spec
from simloop_driving.camera import HEIGHT_PX, NUM_PAINTS, WIDTH_PX
from simloop_driving.collisions import contacts
from simloop_driving.dynamics import single_track, tracking
from simloop_driving.dynamics.vehicle import load_vehicle
from simloop_driving.kernel_arrays import KernelArrays
from simloop_driving.periods import (
    CONTROL_PERIOD_NS as CONTROL_PERIOD_NS,
)
from simloop_driving.periods import (
    PHYSICS_PERIOD_NS,
    STEP_S,
    STEPS_PER_TICK,
    TICK_S,
)
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.roads.route import pose_at
from simloop_driving.scenario import actor_state, criteria, manoeuvres, stop_lines
from simloop_driving.scenario.initial_state import InitialState, build_initial_state
from simloop_driving.scenario.on_paths import NUM_ON_PATH, start_on_paths
from simloop_driving.scenario.right_of_way import NUM_DECISION_ROWS
from simloop_driving.scenario.scene import Scene, read_scene
from simloop_driving.scenario.signals import fill_states
from simloop_driving.scenario.stop_lines import watch_ego
from simloop_driving.scenario.traffic import start_decisions

FloatArray = npt.NDArray[np.float64]

ROAD_PICTURE_STEP_M = 20.0
SMALLEST_CAMERA_PX, LARGEST_CAMERA_PX = 16, 1024
NS_PER_MS = 1_000_000
_MOVED_HERE: FloatArray = np.empty((0, single_track.NUM_EGO_ENTRIES))
"""The kernel moves the ego itself."""


@functools.lru_cache(maxsize=4)
def _lane_borders(road_map: RoadMap) -> list[FloatArray]:
    return road_map.lane_borders(ROAD_PICTURE_STEP_M)


class DrivingWorld(World):
    """An ego in traffic on an OpenDRIVE map; see docs of the scene block in ``simloop_driving.scenario.scene``.

    Args:
        action: Action space: ``waypoints``, ``acceleration`` or ``control``.
        vehicle: Name of the ego's vehicle parameters.
        camera_supersampling: Samples per pixel and axis of the camera.
        maps: Maps by name that are used instead of shipped ones.
        extra_sensors: Sensors that the world has beyond its standard ones: names, or options by name; see
            docs/sensors.md.
        camera_size_px: Height and width of the front camera's pictures; the horizontal field of view stays.

    Raises:
        UnknownNameError: The action space, the vehicle or a sensor does not exist.
        ConfigurationError: The supersampling is not 1 to 4, the camera's size is not 16 to 1024 pixels along both
            sides, or a sensor's options do not fit.
    """

    def __init__(
        self,
        *,
        action: str = "waypoints",
        vehicle: str = "midsize_saloon",
        camera_supersampling: int = 2,
        maps: Mapping[str, RoadMap] | None = None,
        extra_sensors: Sequence[str] | Mapping[str, Mapping[str, Any] | None] = (),
        camera_size_px: Sequence[int] = (HEIGHT_PX, WIDTH_PX),
    ) -> None:
        if isinstance(camera_supersampling, bool) or camera_supersampling not in (1, 2, 3, 4):
            raise ConfigurationError(
                f"camera_supersampling is {camera_supersampling!r}; allowed: 1, 2, 3, 4."
            )
        front_camera = sensors.FrontCamera(int(camera_supersampling), _size_px(camera_size_px))
        extra = sensors.extra_sensors(extra_sensors)
        self._spec = WorldSpec(
            name="driving",
            physics_period_ns=PHYSICS_PERIOD_NS,
            control_period_ns=CONTROL_PERIOD_NS,
            action=action_spec(str(action)),
            sensors=(*front_camera.specs, *sensors.STATE_SENSORS, *(sensor.spec for sensor in extra)),
            tables=recording.TABLES,
            motion_points=recording.MOTION_POINTS,
            max_interleaved=16,
            versions={"simloop_driving": source_digest("simloop_driving")},
        )
        self._vehicle = load_vehicle(str(vehicle))
        self._vehicle_entries = self._vehicle.packed(STEP_S)
        self._maps = dict(maps or {})
        self._action_size = self._spec.action.size
        self._readers: dict[str, Callable[[sensors.Snapshot, int], npt.NDArray[Any]]] = {
            **front_camera.readers,
            "ego_state": sensors.ego_state,
            "objects": sensors.objects,
            "route": sensors.route,
            **{sensor.name: sensor.read for sensor in extra},
        }
        aged = [sensor for sensor in extra if sensor.age_ms > 0]
        self._age_steps = {sensor.name: sensor.age_ms * NS_PER_MS // PHYSICS_PERIOD_NS for sensor in aged}
        cut_ms = [step_ms for sensor in aged for step_ms in (sensor.age_ms, sensor.period_ms)]
        self._steps_between_kept = math.gcd(*cut_ms) * NS_PER_MS // PHYSICS_PERIOD_NS
        self._keep_states_of_ticks(1)
        self._state: InitialState | None = None
        self._motion_record: FloatArray = np.empty((0, step_kernel.NUM_MOTION_COLUMNS))
        self._actor_record: FloatArray = np.empty((0, 0, step_kernel.NUM_RECORD_COLUMNS))

    @property
    def spec(self) -> WorldSpec:
        """The world's fixed properties."""
        return self._spec

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts everyone at the start of a scenario.

        Raises:
            ConfigurationError: The scenario is not for this world, or its scene does not fit (family, key, got,
                allowed).
        """
        if scenario.world != self._spec.name:
            raise ConfigurationError(
                f"{scenario.family} is for the world {scenario.world!r}; this is the world {self._spec.name!r}."
            )
        scene = read_scene(scenario)
        state = self._initial_state(scene, scenario.family, seed)
        num_actors = state.actors.shape[1]
        self._state = state
        paints = generator(stream_key("driving.paint", scenario.family, seed))
        actor_paint = paints.integers(NUM_PAINTS, size=num_actors - 1)
        for body, part in state.attached:
            actor_paint[part - 1] = actor_paint[body - 1]
        self._step = 0
        self._ego = self._start_ego(scene, state)
        self._control = np.zeros(tracking.NUM_CONTROL_ENTRIES)
        self._control[tracking.KIND] = tracking.ACTION_KINDS.index(self._spec.action.name)
        self._control[tracking.STEPS_PER_TICK] = STEPS_PER_TICK
        self._contacts = np.zeros((contacts.NUM_CONTACT_ROWS, num_actors))
        self._contacts[contacts.FIRST_STEP] = -1.0
        self._pair_ticks = np.full((num_actors, num_actors), -1.0)
        for pair in state.attached:
            self._pair_ticks[pair] = contacts.TOGETHER
        self._reserve(int(scenario.time_limit_ns // PHYSICS_PERIOD_NS) + STEPS_PER_TICK, num_actors)
        self._episode = sensors.Episode(
            family=scenario.family,
            seed=seed,
            start=state,
            actor_paint=actor_paint,
            actor_record=self._actor_record,
            motion_record=self._motion_record,
        )
        self._snapshot: sensors.Snapshot | None = None
        self._kept.clear()
        self._drained_steps = 0
        self._drained_ticks = 0
        self._drained_contacts: set[int] = set()
        self._drained_manoeuvres: set[int] = set()
        self._drained_stops: set[int] = set()
        self._start_kernel(state)
        self._keep()

    def advance(self, until_ns: int) -> None:
        """Moves the state to ``until_ns``, a multiple of the physics period and not in the past, else ValueError."""
        state = self._started()
        target, rest = divmod(until_ns, PHYSICS_PERIOD_NS)
        num_steps = target - self._step
        if rest or num_steps < 0:
            raise ValueError(
                f"advance({until_ns}): allowed are multiples of {PHYSICS_PERIOD_NS} ns from "
                f"{self._step * PHYSICS_PERIOD_NS} ns on."
            )
        if num_steps == 0:
            return
        reserved = target + STEPS_PER_TICK
        if len(self._motion_record) <= reserved or len(self._actor_record) <= reserved // STEPS_PER_TICK + 1:
            self._reserve(reserved, state.actors.shape[1])
            self._episode.actor_record, self._episode.motion_record = self._actor_record, self._motion_record
        if not self._age_steps:
            self._run(num_steps, state)
            return
        while self._step < target:
            to_kept = self._steps_between_kept - self._step % self._steps_between_kept
            self._run(min(to_kept, target - self._step), state)
            self._keep()

    def _run(self, num_steps: int, state: InitialState) -> None:
        self._run_kernel(num_steps, _MOVED_HERE)
        self._step += num_steps
        self._snapshot = None

    def _run_kernel(self, num_steps: int, ego_states: FloatArray) -> None:
        step_kernel.run_steps(
            self._step,
            num_steps,
            STEPS_PER_TICK,
            STEP_S,
            self._ego,
            self._vehicle_entries,
            self._control,
            *self._kernel_arrays,
            self._contacts,
            self._pair_ticks,
            self._motion_record,
            self._actor_record,
            ego_states,
        )

    def _keep_states_of_ticks(self, steps: int) -> None:
        """Keeps states for sensors that show older ones at multiples of ``steps`` only; the next older one is shown."""
        if self._steps_between_kept % steps:
            self._steps_between_kept = steps
        oldest = max(self._age_steps.values(), default=0)
        self._kept: deque[sensors.Snapshot] = deque(maxlen=-(-oldest // max(self._steps_between_kept, 1)) + 1)

    def _keep(self) -> None:
        """Keeps the present state for sensors that show an older one."""
        if self._age_steps and self._step % self._steps_between_kept == 0:
            self._kept.append(self._frozen())

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes the present state; the array is made from it when it is first read. KeyError: no such sensor."""
        self._started()
        read = self._readers[sensor]
        snapshot = self._shown_when_old(sensor) if sensor in self._age_steps else self._frozen()
        return Frame(
            sensor=sensor,
            index=index,
            captured_at_ns=snapshot.step * PHYSICS_PERIOD_NS,
            render=functools.partial(read, snapshot, index),
        )

    def captured_at_ns(self, sensor: str, index: int) -> int:
        """Returns the instant of the state that ``capture`` would show, without freezing it."""
        step = self._shown_when_old(sensor).step if sensor in self._age_steps else self._step
        return step * PHYSICS_PERIOD_NS

    def _shown_when_old(self, sensor: str) -> sensors.Snapshot:
        due = self._step - self._age_steps[sensor]
        return next((kept for kept in reversed(self._kept) if kept.step <= due), self._kept[0])

    def anchor(self) -> Anchor:
        """Returns the ego's present pose and speed (x_m, y_m, yaw_rad, speed_mps)."""
        self._started()
        return Anchor(
            captured_at_ns=self._step * PHYSICS_PERIOD_NS, pose=self._ego[: single_track.VX_MPS + 1].copy()
        )

    def actuate(self, action: FloatArray) -> None:
        """Sets the (A,) world-frame action that acts from now on; ValueError if it has NaN or another shape."""
        self._started()
        entries = np.asarray(action, dtype=np.float64)
        if entries.shape != (self._action_size,) or not tracking.set_action(
            self._control, entries, self._ego, TICK_S
        ):
            raise ValueError(
                f"actuate({action!r}): allowed are {self._action_size} finite numbers: "
                f"{', '.join(d.name for d in self._spec.action.dimensions)}."
            )

    def outcome(self) -> Outcome:
        """Returns the verdict: success ``goal``; otherwise a failure, one of ``criteria.VERDICTS``."""
        verdict = int(self._started().criteria[criteria.VERDICT])
        return _OUTCOMES[verdict]

    def log_attributes(self) -> Mapping[str, Any]:
        """Returns what pictures and metrics of the episode read besides its tables.

        ``road``: borders of all lanes, (N, 2) arrays in metres. ``paths``: centre lines, the ego's route first.
        ``signals``: kind and pose of those on any path. ``stop_lines``: two ends and an index into ``signals``.
        ``ego_mass_kg``. ``route_lane_widths_m``: stations along the ego's route and the width of its lane there.
        """
        state = self._started()
        used = recording.used_signals(state.network.stops)
        return {
            "road": _lane_borders(state.road_map),
            "paths": recording.path_lines(state.network.paths),
            "signals": recording.signal_attributes(state.road_map, used),
            "stop_lines": recording.stop_line_attributes(state.network, used),
            "ego_mass_kg": self._vehicle.mass_kg,
            "route_lane_widths_m": recording.lane_widths_m(state.route),
        }

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows since the last drain; a contact's duration counts until its drain."""
        state = self._started()
        num_ticks = self._step // STEPS_PER_TICK + 1
        first_step, first_tick = self._drained_steps, self._drained_ticks
        first_touch_step, started_s = (
            self._contacts[contacts.FIRST_STEP],
            state.manoeuvres[manoeuvres.STARTED_S],
        )
        infraction_s = np.where(
            state.stops[:, stop_lines.INFRACTION] > 0.0, state.stops[:, stop_lines.PASSED_S], -1.0
        )
        touched = _new_in_order(first_touch_step, self._drained_contacts)
        touch, collision = recording.contact_columns(
            self._contacts, touched, state.actors, state.route, PHYSICS_PERIOD_NS, self._vehicle.mass_kg
        )
        rows = {
            "motion": recording.motion_columns(
                self._motion_record[first_step : self._step + 1], first_step, PHYSICS_PERIOD_NS
            ),
            "contacts": touch,
            "actors": recording.actor_columns(
                self._actor_record[first_tick:num_ticks],
                first_tick,
                CONTROL_PERIOD_NS,
                state.actors,
                state.network.paths.routes,
            ),
            "collisions": collision,
            "manoeuvres": recording.manoeuvre_columns(
                state.manoeuvres, _new_in_order(started_s, self._drained_manoeuvres)
            ),
            "infractions": recording.infraction_columns(
                state.stops, _new_in_order(infraction_s, self._drained_stops)
            ),
            "signals": recording.signal_columns(
                state.signal_program,
                recording.used_signals(state.network.stops),
                first_tick,
                num_ticks,
                CONTROL_PERIOD_NS,
            ),
            "actor_contacts": recording.actor_contact_columns(
                self._pair_ticks, first_tick, CONTROL_PERIOD_NS
            ),
        }
        self._drained_steps, self._drained_ticks = self._step + 1, num_ticks
        return rows

    @property
    def progress_ratio(self) -> float:
        """Way travelled so far over the way that traffic allowed; see ``simloop_driving.scenario.criteria``."""
        state = self._started()
        return float(criteria.progress_ratio(state.actors, state.criteria))

    # --- parts of reset and capture --------------------------------------------------------------------------

    def _initial_state(self, scene: Scene, family: str, seed: int) -> InitialState:
        """Returns who is where at t = 0; a world with actors of its own appends them."""
        vehicle = self._vehicle
        dimensions_m = (vehicle.length_m, vehicle.width_m, vehicle.height_m)
        return build_initial_state(scene, family, seed, dimensions_m, self._map_of(scene))

    def _map_of(self, scene: Scene) -> RoadMap | None:
        """Returns the map of a scene where it is not one that everybody can load by its name."""
        if scene.is_map_of_server:
            raise ConfigurationError(
                f"{scene.where}.map.server is {scene.map_name!r}, a town that a CARLA server has; this is the "
                f"world {self._spec.name!r}, which has none. Play it with world=carla (docs/carla.md), or name a "
                "shipped map or an .xodr file."
            )
        return self._maps.get(scene.map_name)

    def _start_kernel(self, state: InitialState) -> None:
        """Places everybody and gathers the arrays that the kernel moves and reads until the next reset."""
        network, actors = state.network, state.actors
        num_actors, num_paths = actors.shape[1], len(network.paths.num_samples)
        on_paths = np.empty((num_paths, NUM_ON_PATH, num_actors))
        start_on_paths(on_paths)
        decisions = np.empty((NUM_DECISION_ROWS, num_actors))
        start_decisions(decisions)
        paths, num_samples, step_m = network.paths.samples, network.paths.num_samples, network.paths.step_m
        spare = np.zeros(num_paths + num_actors + len(state.signal_program), dtype=np.int64)
        numbers = np.concatenate([num_samples, network.crossing_start, network.stop_start, spare])
        *_, signal_states = step_kernel.split_numbers(numbers, num_paths, num_actors)
        fill_states(state.signal_program, 0.0, signal_states)
        step_kernel.place_everyone(actors, self._ego, paths, num_samples, step_m, on_paths, 0)
        watch_ego(actors, state.stops, network.stop_start, signal_states, 0.0)
        step_kernel.record_actors(self._actor_record[0], actors, self._ego)
        step_kernel.record_motion(self._motion_record[0], self._ego)
        self._kernel_arrays = KernelArrays(
            actors=actors,
            manoeuvres=state.manoeuvres,
            conditions=state.conditions,
            criteria=state.criteria,
            paths=paths,
            path_step_m=step_m,
            profiles=network.profiles,
            on_paths=on_paths,
            decisions=decisions,
            crossings=network.crossings,
            stops=state.stops,
            signal_program=state.signal_program,
            numbers=numbers,
            comes_or_goes=bool(actors[[actor_state.IS_ABSENT, actor_state.LEAVES]].any()),
        )

    def _frozen(self) -> sensors.Snapshot:
        snapshot = self._snapshot
        if snapshot is None:
            snapshot = sensors.Snapshot(
                episode=self._episode,
                step=self._step,
                ego=self._ego.copy(),
                actors=self._started().actors.copy(),
            )
            self._snapshot = snapshot
        return snapshot

    def _started(self) -> InitialState:
        if self._state is None:
            raise ValueError("The driving world has no scenario yet; call reset first.")
        return self._state

    def _start_ego(self, scene: Scene, state: InitialState) -> FloatArray:
        ego = np.zeros(single_track.NUM_EGO_ENTRIES)
        start = scene.ego
        x_m, y_m, yaw_rad = pose_at(
            state.route.samples, state.route.step_m, start.station_m, start.lateral_offset_m
        )
        ego[single_track.X_M], ego[single_track.Y_M] = x_m, y_m
        ego[single_track.YAW_RAD] = yaw_rad + start.heading_offset_rad
        ego[single_track.VX_MPS] = start.initial_speed_mps
        ego[single_track.TICK_STATION_M] = start.station_m
        tracking.start_actuators(ego, self._vehicle_entries)
        return ego

    def _reserve(self, num_steps: int, num_actors: int) -> None:
        """Makes the records long enough for ``num_steps``; keeps what they hold of this episode."""
        if len(self._motion_record) <= num_steps:
            grown = np.empty((2 * num_steps, step_kernel.NUM_MOTION_COLUMNS))
            grown[: len(self._motion_record)] = self._motion_record
            self._motion_record = grown
        num_ticks = num_steps // STEPS_PER_TICK + 1
        old = self._actor_record
        if old.shape[1] != num_actors:
            self._actor_record = np.empty((num_ticks + 1, num_actors, step_kernel.NUM_RECORD_COLUMNS))
        elif len(old) <= num_ticks:
            self._actor_record = np.empty((2 * num_ticks, num_actors, step_kernel.NUM_RECORD_COLUMNS))
            self._actor_record[: len(old)] = old


def _size_px(given: object) -> tuple[int, int]:
    allowed = range(SMALLEST_CAMERA_PX, LARGEST_CAMERA_PX + 1)
    if not isinstance(given, (list, tuple)) or len(given) != 2 or any(side not in allowed for side in given):
        raise ConfigurationError(
            f"camera_size_px is {given!r}; allowed: height and width, whole numbers from {SMALLEST_CAMERA_PX} to "
            f"{LARGEST_CAMERA_PX}."
        )
    return int(given[0]), int(given[1])


def _new_in_order(since: FloatArray, drained: set[int]) -> list[int]:
    """Returns the indices of what has happened (``since`` >= 0) and was not drained, in order; adds them to those."""
    new = [int(i) for i in np.flatnonzero(since >= 0.0) if int(i) not in drained]
    new.sort(key=lambda i: (float(since[i]), i))
    drained.update(new)
    return new


def _outcome(verdict: int) -> Outcome:
    reason = criteria.VERDICTS[verdict]
    if verdict == criteria.RUNNING:
        return Outcome(state=OutcomeState.RUNNING)
    is_goal = verdict == criteria.GOAL
    return Outcome(
        state=OutcomeState.SUCCESS if is_goal else OutcomeState.FAIL, reason=reason, is_goal_met=is_goal
    )


_OUTCOMES = tuple(_outcome(verdict) for verdict in range(len(criteria.VERDICTS)))
