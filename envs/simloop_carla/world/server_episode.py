"""What an episode has on the server: ego, scenario actors, background, traffic lights, collision sensor and camera."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import WorldError
from simloop_carla.world.actors import ServerActors
from simloop_carla.world.background.traffic import BackgroundTraffic
from simloop_carla.world.ego import ServerEgo
from simloop_carla.world.ground import ground_of
from simloop_carla.world.lights import ServerLights, note_lights
from simloop_carla.world.link.client import server_faults
from simloop_carla.world.link.session import Session
from simloop_carla.world.pictures import ServerCamera
from simloop_carla.world.server_log import CollisionSensor
from simloop_driving.scenario.actor_state import ELSEWHERE, PATH
from simloop_driving.scenario.initial_state import InitialState

FloatArray = npt.NDArray[np.float64]


class ServerEpisode:
    """Everything of one episode that is on the server.

    Args:
        session: The connection, on the scenario's map and in synchronous mode.
        blueprint: The ego's blueprint.
        vehicle: The embedded world's vehicle that the ego is to be, where the server has those.
        delta_s: Length of a tick.

    Attributes:
        ego: The ego.

    Raises:
        WorldError: The ego cannot be spawned.
    """

    def __init__(self, session: Session, blueprint: str, vehicle: str, delta_s: float) -> None:
        self._session = session
        self._delta_s = delta_s
        self._ground = ground_of(session)
        self.ego = ServerEgo(session, blueprint, vehicle)
        self._actors: ServerActors | None = None
        self._background: BackgroundTraffic | None = None
        self._lights: ServerLights | None = None
        self._collision_sensor: CollisionSensor | None = None
        self._camera: ServerCamera | None = None

    def add_background(
        self, background: BackgroundTraffic, state: InitialState, family: str, seed: int
    ) -> InitialState:
        """Spawns background traffic and returns the scenario's start with it in it.

        Raises:
            WorldError: There is no room for it, or the TrafficManager does not start.
        """
        state = background.enter(self._session, state, family, seed)
        self._background = background
        return state

    def bring_to_start(
        self,
        state: InitialState,
        start: FloatArray,
        throttle: float,
        camera_px: tuple[int, int] | None,
        paints: npt.NDArray[np.int64],
    ) -> Any:
        """Spawns the scenario's actors, brings everybody to the start, once, and returns the snapshot there.

        Args:
            state: Start of the scenario.
            start: (4,) the ego's x, y, yaw and speed.
            throttle: Share of the drive that holds its speed.
            camera_px: Height and width of the front camera; None for no camera.
            paints: Number of each actor's paint.

        Raises:
            WorldError: The server fails, or somebody cannot be spawned.
        """
        session, ego, background = self._session, self.ego, self._background
        if background is not None:
            background.hold(session)
        scripted, ground = _scripted(state.actors), self._ground
        lanes, lane = state.road_map, state.route.lane
        road_id, lane_id = int(lanes.lane_road_id[lane]), int(lanes.lane_opendrive_id[lane])
        height_m = ground.lane_height_m(road_id, lane_id, float(start[0]), float(start[1]))

        def prepare() -> None:
            note_lights(session)
            if background is not None:
                background.drive()  # which starts the lights anew
            self._actors = ServerActors(session, scripted, ground, height_m, paints)
            self._collision_sensor = CollisionSensor(session, ego)
            self._lights = ServerLights(session, state)
            if camera_px is not None:
                self._camera = ServerCamera(session, ego, camera_px)
            session.apply(
                "bringing actors to their start", self._actors.commands(scripted, ego.above_ground_m)
            )
            self.show_lights(0.0)

        ego.settle(start, throttle, self._delta_s, prepare, ground, height_m)
        self.take_hits()  # what was touched on the way to the start
        with server_faults(session.address, "reading the start"):
            return session.world.get_snapshot()

    @property
    def has_camera(self) -> bool:
        """Whether there is a front camera."""
        return self._camera is not None

    @property
    def scripted_ids(self) -> list[int]:
        """Ids of the scenario's actors on the server."""
        return self._actors.ids if self._actors is not None else []

    def tick(self, controls: tuple[float, float, float], actors: FloatArray | None) -> Any:
        """Plays one tick and returns the snapshot after it.

        Args:
            controls: Shares of steer (to the left), drive and brake.
            actors: Actor table of the tick's end; None without actors.

        Raises:
            WorldError: The server fails.
        """
        session = self._session
        commands = [self.ego.command(*controls)]
        if actors is not None and self._actors is not None:
            commands += self._actors.commands(_scripted(actors), self.ego.above_ground_m)
        if self._background is not None:
            return self._background.tick(session, commands)
        session.apply("a tick", commands, num_needed=1)
        session.tick("a tick")
        with server_faults(session.address, "a tick"):
            return session.world.get_snapshot()

    def show_lights(self, time_s: float) -> None:
        """Lets the traffic lights show what they show at that instant of the episode."""
        if self._lights is not None:
            self._lights.show(time_s)

    def picture(self, frame: int) -> npt.NDArray[np.uint8] | None:
        """Returns the camera's picture of a tick, None without a camera."""
        return self._camera.picture(frame) if self._camera is not None else None

    def take_hits(self) -> list[Any]:
        """Returns and forgets the server's collision events."""
        return self._collision_sensor.take() if self._collision_sensor is not None else []

    def close(self) -> None:
        """Stops the sensors and takes the background from its driver; the actors are destroyed by the session."""
        for sensor in (self._camera, self._collision_sensor):
            if sensor is not None:
                sensor.close()
        self._camera = self._collision_sensor = None
        background, self._background = self._background, None
        if background is not None:
            with contextlib.suppress(WorldError):  # a TrafficManager that failed has no vehicles any more
                background.release()


def _scripted(actors: FloatArray) -> FloatArray:
    """Returns the columns of the ego and the scenario's own actors."""
    return actors[:, actors[PATH] != ELSEWHERE]
