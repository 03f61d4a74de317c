"""The embedded driving world: roads, ego, traffic, scripted scenarios and sensors, on a CPU, with no server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
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
from simloop_driving.camera import NUM_PAINTS, CameraScene
from simloop_driving.dynamics import single_track, tracking
from simloop_driving.dynamics.vehicle import load_vehicle
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.roads.route import pose_at
from simloop_driving.scenario import actor_state, criteria, manoeuvres
from simloop_driving.scenario.actor_state import BRAKE_LIGHT_BELOW_MPS2, EGO
from simloop_driving.scenario.initial_state import InitialState, build_initial_state
from simloop_driving.scenario.scene import Scene, read_scene

FloatArray = npt.NDArray[np.float64]

PHYSICS_PERIOD_NS = 10_000_000
CONTROL_PERIOD_NS = 50_000_000
STEPS_PER_TICK = CONTROL_PERIOD_NS // PHYSICS_PERIOD_NS
ROAD_PICTURE_STEP_M = 20.0
STEP_S = PHYSICS_PERIOD_NS / 1e9
TICK_S = CONTROL_PERIOD_NS / 1e9
PAST_TICKS = sensors.PAST_NS // CONTROL_PERIOD_NS


@functools.lru_cache(maxsize=4)
def _lane_borders(road_map: RoadMap) -> list[FloatArray]:
    return road_map.lane_borders(ROAD_PICTURE_STEP_M)


@functools.lru_cache(maxsize=4)
def _camera_scene(road_map: RoadMap, supersampling: int) -> CameraScene:
    return CameraScene(road_map, supersampling=supersampling)


class DrivingWorld(World):
    """An ego in traffic on an OpenDRIVE map; see docs of the scene block in ``simloop_driving.scenario.scene``.

    Args:
        action: Action space: ``waypoints``, ``acceleration`` or ``control``.
        vehicle: Name of the ego's vehicle parameters.
        camera_supersampling: Samples per pixel and axis of the camera.
        maps: Maps by name that are used instead of shipped ones.
        has_history: Whether the world has the privileged sensor ``history``.

    Raises:
        UnknownNameError: The action space or the vehicle does not exist.
        ConfigurationError: The supersampling is not 1 to 4.
    """

    def __init__(
        self,
        *,
        action: str = "waypoints",
        vehicle: str = "midsize_saloon",
        camera_supersampling: int = 2,
        maps: Mapping[str, RoadMap] | None = None,
        has_history: bool = False,
    ) -> None:
        if camera_supersampling not in (1, 2, 3, 4):
            raise ConfigurationError(
                f"camera_supersampling is {camera_supersampling!r}; allowed: 1, 2, 3, 4."
            )
        self._spec = WorldSpec(
            name="driving",
            physics_period_ns=PHYSICS_PERIOD_NS,
            control_period_ns=CONTROL_PERIOD_NS,
            action=action_spec(action),
            sensors=(*sensors.SENSORS, sensors.HISTORY) if has_history else sensors.SENSORS,
            tables=recording.TABLES,
            motion_points=recording.MOTION_POINTS,
            max_interleaved=16,
            versions={"simloop_driving": source_digest("simloop_driving")},
        )
        self._vehicle = load_vehicle(vehicle)
        self._vehicle_entries = self._vehicle.packed(STEP_S)
        self._supersampling = camera_supersampling
        self._maps = dict(maps or {})
        self._action_size = self._spec.action.size
        self._readers: dict[str, Callable[[sensors.Snapshot], npt.NDArray[Any]]] = {
            "front_camera": self._read_camera,
            "front_camera_past": self._read_past_camera,
            "ego_state": sensors.ego_state,
            "objects": sensors.objects,
            "route": self._read_route,
        }
        if has_history:
            self._readers["history"] = self._read_history
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
        vehicle = self._vehicle
        state = build_initial_state(
            scene,
            scenario.family,
            seed,
            (vehicle.length_m, vehicle.width_m, vehicle.height_m),
            self._maps.get(scene.map_name),
        )
        num_actors = state.actors.shape[1]
        self._state = state
        paints = generator(stream_key("driving.paint", scenario.family, seed))
        self._actor_paint = paints.integers(NUM_PAINTS, size=num_actors - 1)
        self._step = 0
        self._ego = self._start_ego(scene, state)
        self._control = np.zeros(tracking.NUM_CONTROL_ENTRIES)
        self._control[tracking.KIND] = tracking.ACTION_KINDS.index(self._spec.action.name)
        self._control[tracking.STEPS_PER_TICK] = STEPS_PER_TICK
        self._contacts = np.zeros((step_kernel.NUM_CONTACT_ROWS, num_actors))
        self._contacts[step_kernel.FIRST_STEP] = -1.0
        self._reserve(int(scenario.time_limit_ns // PHYSICS_PERIOD_NS) + STEPS_PER_TICK, num_actors)
        self._snapshot: sensors.Snapshot | None = None
        self._images: dict[int, npt.NDArray[np.uint8]] = {}
        self._drained_steps = 0
        self._drained_ticks = 0
        self._drained_contacts: set[int] = set()
        self._drained_manoeuvres: set[int] = set()
        samples, step_m = state.route.samples, state.route.step_m
        step_kernel.place_ego(state.actors, self._ego, samples, step_m)
        for actor in range(1, num_actors):
            step_kernel.place_actor(state.actors, actor, samples, step_m)
        step_kernel.record_actors(self._actor_record[0], state.actors, self._ego)
        yaw_rad, speed_mps = self._ego[single_track.YAW_RAD], self._ego[single_track.VX_MPS]
        self._motion_record[0] = (
            self._ego[single_track.X_M],
            self._ego[single_track.Y_M],
            speed_mps * np.cos(yaw_rad),
            speed_mps * np.sin(yaw_rad),
        )

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
        self._reserve(target + STEPS_PER_TICK, state.actors.shape[1])
        step_kernel.run_steps(
            self._step,
            num_steps,
            STEPS_PER_TICK,
            STEP_S,
            self._ego,
            self._vehicle_entries,
            self._control,
            state.actors,
            state.manoeuvres,
            state.criteria,
            state.route.samples,
            state.route.step_m,
            self._contacts,
            self._motion_record,
            self._actor_record,
        )
        self._step = target
        self._snapshot = None

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes the present state; the array is made from it when it is first read. KeyError: no such sensor."""
        state = self._started()
        read = self._readers[sensor]
        snapshot = self._snapshot
        if snapshot is None:
            snapshot = sensors.Snapshot(step=self._step, ego=self._ego.copy(), actors=state.actors.copy())
            self._snapshot = snapshot
        return Frame(
            sensor=sensor,
            index=index,
            captured_at_ns=self._step * PHYSICS_PERIOD_NS,
            render=functools.partial(read, snapshot),
        )

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
        if entries.shape != (self._action_size,) or not np.isfinite(entries).all():
            raise ValueError(
                f"actuate({action!r}): allowed are {self._action_size} finite numbers: "
                f"{', '.join(d.name for d in self._spec.action.dimensions)}."
            )
        tracking.set_action(self._control, entries, self._ego, TICK_S)

    def outcome(self) -> Outcome:
        """Returns the verdict: success ``goal``; fail ``collision``, ``off_road``, ``no_progress``, ``time_limit``."""
        verdict = int(self._started().criteria[criteria.VERDICT])
        return _OUTCOMES[verdict]

    def log_attributes(self) -> Mapping[str, Any]:
        """Returns ``road``, the borders of all lanes as (N, 2) arrays, for pictures of the episode."""
        return {"road": _lane_borders(self._started().road_map)}

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows since the last drain; a contact's duration counts until its drain."""
        state = self._started()
        num_ticks = self._step // STEPS_PER_TICK + 1
        first_step, first_tick = self._drained_steps, self._drained_ticks
        touched = np.flatnonzero(self._contacts[step_kernel.FIRST_STEP] >= 0.0)
        contacts = [int(i) for i in touched if int(i) not in self._drained_contacts]
        contacts.sort(key=lambda i: (float(self._contacts[step_kernel.FIRST_STEP, i]), i))
        started = np.flatnonzero(state.manoeuvres[manoeuvres.STARTED_S] >= 0.0)
        begun = [int(i) for i in started if int(i) not in self._drained_manoeuvres]
        begun.sort(key=lambda i: (float(state.manoeuvres[manoeuvres.STARTED_S, i]), i))
        touch, collision = recording.contact_columns(
            self._contacts, contacts, state.actors, state.route, PHYSICS_PERIOD_NS
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
                state.route,
            ),
            "collisions": collision,
            "manoeuvres": recording.manoeuvre_columns(state.manoeuvres, begun),
        }
        self._drained_steps, self._drained_ticks = self._step + 1, num_ticks
        self._drained_contacts.update(contacts)
        self._drained_manoeuvres.update(begun)
        return rows

    @property
    def progress_ratio(self) -> float:
        """Way travelled so far over the way that traffic allowed; see ``simloop_driving.scenario.criteria``."""
        state = self._started()
        return float(criteria.progress_ratio(state.actors, state.criteria))

    # --- parts of reset and capture --------------------------------------------------------------------------

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

    def _read_route(self, snapshot: sensors.Snapshot) -> FloatArray:
        state = self._started()
        set_speed_mps = float(state.criteria[criteria.SET_SPEED_MPS])
        return sensors.route(snapshot, state.route.samples, state.route.step_m, set_speed_mps)

    def _read_history(self, snapshot: sensors.Snapshot) -> FloatArray:
        return sensors.history(snapshot.actors, self._actor_record[: snapshot.step // STEPS_PER_TICK + 1])

    def _read_camera(self, snapshot: sensors.Snapshot) -> npt.NDArray[np.uint8]:
        actors = snapshot.actors
        poses = actors[actor_state.X_M : actor_state.YAW_RAD + 1].T
        return self._image(snapshot.step, poses, actors[actor_state.ACCELERATION_MPS2])

    def _read_past_camera(self, snapshot: sensors.Snapshot) -> npt.NDArray[np.uint8]:
        tick = max(snapshot.step // STEPS_PER_TICK - PAST_TICKS, 0)
        record = self._actor_record[tick]
        poses = record[:, step_kernel.RECORD_X : step_kernel.RECORD_YAW + 1]
        return self._image(tick * STEPS_PER_TICK, poses, record[:, step_kernel.RECORD_ACCELERATION])

    def _image(self, step: int, poses: FloatArray, acceleration_mps2: FloatArray) -> npt.NDArray[np.uint8]:
        """Draws the camera's picture of a physics step, once."""
        if step not in self._images:
            state = self._started()
            actors = state.actors
            oldest = self._step - 2 * PAST_TICKS * STEPS_PER_TICK
            for old in [known for known in self._images if 0 < known < oldest]:
                del self._images[old]
            self._images[step] = _camera_scene(state.road_map, self._supersampling).render(
                poses[EGO],
                poses[1:],
                actors[actor_state.LENGTH_M : actor_state.HEIGHT_M + 1, 1:].T,
                actors[actor_state.CLASS, 1:].astype(np.int64),
                acceleration_mps2[1:] < BRAKE_LIGHT_BELOW_MPS2,
                self._actor_paint,
            )
        return self._images[step].copy()


def _outcome(verdict: int) -> Outcome:
    reason = criteria.VERDICTS[verdict]
    if verdict == criteria.RUNNING:
        return Outcome(state=OutcomeState.RUNNING)
    is_goal = verdict == criteria.GOAL
    return Outcome(
        state=OutcomeState.SUCCESS if is_goal else OutcomeState.FAIL, reason=reason, is_goal_met=is_goal
    )


_OUTCOMES = tuple(_outcome(verdict) for verdict in range(len(criteria.VERDICTS)))
