"""The server's state: settings, the episode, subscribers, and what a tick does."""

from __future__ import annotations

import asyncio
import logging

import numpy as np

from simloop.errors import UnknownNameError
from simloop_carla.server.actors import ServerActor
from simloop_carla.server.bodies.control_kernel import NUM_CONTROLS, are_controls
from simloop_carla.server.episode import ASYNCHRONOUS_STEP_S, Episode
from simloop_carla.server.net.stream_server import StreamServer, StreamSession
from simloop_carla.server.sensors import MEASURES
from simloop_carla.server.sensors.view import View
from simloop_carla.server.towns.town import Town, load_town, town_of
from simloop_carla.wire import streams
from simloop_carla.wire.map_names import FOLDER, OF_DOCUMENT, without_folders
from simloop_carla.wire.structs import (
    DEFAULT_SETTINGS,
    ActorDescription,
    EpisodeSettings,
    Rotation,
    Transform,
    Vector3,
    Weather,
)
from simloop_driving.roads.road_map import shipped_maps

LOG = logging.getLogger("simloop.carla")

DEFAULT_WEATHER = Weather(0.0, 0.0, 0.0, 5.0, 0.0, 45.0, 2.0, 0.75, 0.1, 0.0, 1.0, 0.03, 0.0331, 0.0)
_FIRST_ID = 1


class Simulator:
    """What the methods act on.

    Args:
        town: The first map.
        stream_port: Port of the streams, as tokens name it.
        seed: Seed of the sensors' noise.

    Attributes:
        settings: Present settings.
        weather: Kept and returned.
        episode: Present episode.
        frame: Number of the last tick; never falls.
        traffic_managers: Host of each traffic manager that registered, by its port.
        pending_opendrive: Document for the next load of ``OpenDriveMap``.
    """

    def __init__(self, town: Town, stream_port: int, seed: int = 0) -> None:
        self.stream_port = stream_port
        self._first_town = town
        self.settings: EpisodeSettings = DEFAULT_SETTINGS
        self.weather = DEFAULT_WEATHER
        self.frame = 1
        self.seed = seed
        self.num_loads = 0
        self.traffic_managers: dict[int, str] = {}
        self.pending_opendrive: Town | None = None
        self.streams = StreamServer(self._greet)
        self.episode = Episode(number=1, town=town, first_id=_FIRST_ID, port=stream_port)
        self._timer: asyncio.TimerHandle | None = None

    # --- time -------------------------------------------------------------------------------------------------

    def tick(self) -> int:
        """Lets one tick pass, sends what it brought and returns its number."""
        episode = self.episode
        episode.advance(self.settings)
        self.frame += 1
        drops = not self.settings.synchronous_mode
        sessions = self.streams.sessions(streams.WORLD_STREAM)
        if sessions:
            is_new = self.num_loads > 0 and any(session.is_first for session in sessions)
            flags = streams.MAP_CHANGE if is_new else 0
            self.streams.send(streams.WORLD_STREAM, episode.snapshot(self.frame, flags), drops=drops)
        self._measure(drops=drops)
        return self.frame

    def _measure(self, *, drops: bool) -> None:
        sensors, _ = self.episode.roster.of_kind("sensor")
        view = View(self.episode, self.seed)
        for sensor in sensors:
            if sensor.is_broken or not sensor.stream or not self.streams.sessions(sensor.stream):
                continue
            if self.settings.no_rendering_mode and sensor.type_id.startswith("sensor.camera."):
                continue
            try:
                messages = self._messages(view, sensor) if self._is_due(sensor) else []
            except Exception:  # one sensor must not stop the time of everybody
                LOG.exception("%s %d cannot measure and sends nothing more.", sensor.type_id, sensor.id)
                sensor.is_broken = True
                continue
            for message in messages:
                self.streams.send(sensor.stream, message, drops=drops)

    def _messages(self, view: View, sensor: ServerActor) -> list[bytes]:
        kind, measure = MEASURES[sensor.type_id]
        pose = self.episode.pose(sensor)
        place = (*pose.location, *pose.rotation)
        return [
            streams.header(kind, self.frame, self.episode.elapsed_s, place) + body
            for body in measure(view, sensor)
        ]

    def _is_due(self, sensor: ServerActor) -> bool:
        period_ns = round(float(sensor.description.value("sensor_tick", "0")) * 1e9)
        now_ns, last_ns = self.episode.elapsed_ns, sensor.sent_ns
        if period_ns > 0 and last_ns is not None and now_ns - last_ns < period_ns - 1000:
            return False
        sensor.sent_ns = now_ns
        return True

    def _greet(self, session: StreamSession) -> None:
        """Sends the present snapshot to a new subscriber of the world, which waits for one."""
        if session.stream == streams.WORLD_STREAM and session.transport is not None:
            flags = streams.MAP_CHANGE if self.num_loads > 0 else 0
            session.transport.write(streams.framed(self.episode.snapshot(self.frame, flags)))
            session.is_first = False

    def run_free(self) -> None:
        """Ticks by the wall clock while no client does, whatever becomes of a tick; called once the servers listen."""
        loop = asyncio.get_running_loop()
        period_s = self.settings.fixed_delta_seconds or ASYNCHRONOUS_STEP_S
        due_s = self._timer.when() if self._timer is not None else loop.time()
        try:
            if not self.settings.synchronous_mode:
                self.tick()
        finally:
            self._timer = loop.call_at(max(due_s + period_s, loop.time()), self.run_free)

    def warm_up(self) -> None:
        """Builds the scene and compiles what a tick and each sensor call, on an episode that nobody sees."""
        trial = Episode(number=0, town=self.episode.town, first_id=_FIRST_ID, port=0)
        cars = [
            trial.spawn(ActorDescription(0, "vehicle.lincoln.mkz_2020", []), pose)
            for pose in self.episode.town.spawn_points[:2]
        ]
        for car in cars:
            trial.place(car, trial.pose(car))
            at_rest = np.zeros((1, NUM_CONTROLS))
            if are_controls(at_rest):
                trial.bodies.drive(np.array([car.number]), at_rest)
        trial.advance(self.settings)
        for name, (_, measure) in MEASURES.items():
            above = Transform(Vector3(0.0, 0.0, 2.0), Rotation(0.0, 0.0, 0.0))
            sensor = trial.spawn(ActorDescription(0, name, []), above, cars[0] if cars else None)
            measure(View(trial, self.seed), sensor)

    def stop(self) -> None:
        """Stops ticking and closes the streams."""
        if self._timer is not None:
            self._timer.cancel()
        self.streams.close()

    # --- settings and maps -------------------------------------------------------------------------------------

    def set_settings(self, settings: EpisodeSettings) -> None:
        """Takes over settings from the next tick on."""
        self.settings = settings

    def load(self, name: str, *, reset_settings: bool) -> None:
        """Starts a new episode.

        Args:
            name: A shipped map, the one that the server was started with, ``OpenDriveMap`` for the last document that
                was sent, or empty for the present map.
            reset_settings: Whether settings return to the default.

        Raises:
            UnknownNameError: There is no such map.
        """
        town = self.episode.town
        wanted = without_folders(name)
        if wanted == OF_DOCUMENT and self.pending_opendrive is not None:
            town = self.pending_opendrive
        elif wanted and wanted != town.name:
            if wanted == self._first_town.name:
                town = self._first_town
            elif wanted in shipped_maps():  # never a path: a client may not name files of this machine
                town = load_town(wanted)
            else:
                raise UnknownNameError("map", wanted, shipped_maps())
        if reset_settings:
            self.settings = DEFAULT_SETTINGS
        self.num_loads += 1
        old = self.episode
        self.episode = Episode(number=old.number + 1, town=town, first_id=old.next_id, port=self.stream_port)
        self.episode.roster.follow(old.roster)
        for session in self.streams.sessions(streams.WORLD_STREAM):
            session.is_first = True

    def take_opendrive(self, document: str) -> None:
        """Reads a document for the next load of ``OpenDriveMap``.

        Raises:
            ConfigurationError: It is not a map that can be driven on.
        """
        self.pending_opendrive = town_of(document)

    def map_names(self) -> list[str]:
        """Returns the maps that can be loaded."""
        return [f"{FOLDER}{name}" for name in sorted({*shipped_maps(), self._first_town.name})]
