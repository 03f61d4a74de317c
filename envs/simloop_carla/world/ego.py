"""The ego on the server: spawned, brought to its start state, driven and measured."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import WorldError
from simloop_carla.world.boxes import box_of
from simloop_carla.world.ground import Ground
from simloop_carla.world.link.client import load_client, server_faults
from simloop_carla.world.link.session import Session
from simloop_carla.world.steering import Steering

FloatArray = npt.NDArray[np.float64]

DEFAULT_BLUEPRINT = "vehicle.lincoln.mkz_2020"
EMBEDDED_VEHICLE = "simloop_vehicle"
"""Attribute of blueprints of ``simloop carla-server``: the embedded world's vehicle that the actor is."""
SETTLING_S = 2.0
"""How long the ego is held at its first speed before an episode, so that drive and gears have settled."""
BRAKED_S = 0.5
"""How long of that one which starts from rest is braked; the brake is released again when the episode begins."""
NUM_MEASURED = 6
NAMED = 5
"""How many blueprints an error names."""


class ServerEgo:
    """The vehicle that the agent drives.

    Args:
        session: The connection.
        blueprint: Its blueprint.
        vehicle: The embedded world's vehicle that ``DEFAULT_BLUEPRINT`` is to be, where the server has those; any other
            blueprint is itself.

    Attributes:
        actor: The ``carla.Vehicle``.
        is_embedded_vehicle: Whether it is that vehicle.
        foreseen_steer_rad: Largest road-wheel angle of the vehicle that foresees it, to be set before ``command``.
        box: Its bounding box.

    Raises:
        WorldError: There is no such blueprint, or no place for it.
    """

    def __init__(self, session: Session, blueprint: str, vehicle: str) -> None:
        self._carla = load_client()
        self._session = session
        with server_faults(session.address, f"spawning the ego ({blueprint})"):
            choice = self._blueprint(blueprint)
            choice.set_attribute("role_name", "hero")
            self.is_embedded_vehicle = blueprint == DEFAULT_BLUEPRINT and choice.has_attribute(
                EMBEDDED_VEHICLE
            )
            if self.is_embedded_vehicle:
                choice.set_attribute(EMBEDDED_VEHICLE, vehicle)
            self.actor = self._spawned(choice, blueprint)
            session.spawned(self.actor.id)
            self.box = box_of(self.actor)
            self._steering = None if self.is_embedded_vehicle else Steering(self.actor.get_physics_control())
        self.above_ground_m = 0.0
        self.foreseen_steer_rad = 0.0
        self._speed_mps = 0.0

    def _blueprint(self, wanted: str) -> Any:
        library = self._session.world.get_blueprint_library()
        vehicles = sorted(one.id for one in library.filter("vehicle.*"))
        if wanted not in vehicles:
            near = difflib.get_close_matches(wanted, vehicles, NAMED, 0.0)
            raise WorldError(
                f"The CARLA server at {self._session.address} has no blueprint {wanted!r} of a vehicle for the ego. "
                f"world.vehicle_blueprint takes the whole id of one of its {len(vehicles)}, such as {', '.join(near)}."
            )
        return library.find(wanted)

    def _spawned(self, choice: Any, blueprint: str) -> Any:
        points = self._session.world.get_map().get_spawn_points()
        for point in points:
            actor = self._session.world.try_spawn_actor(choice, point)
            if actor is not None:
                return actor
        raise WorldError(
            f"The CARLA server at {self._session.address} cannot spawn the ego ({blueprint}): all {len(points)} spawn "
            "points of the map are taken. Destroy what other clients left, or reload the map."
        )

    def settle(
        self,
        start: FloatArray,
        throttle: float,
        delta_s: float,
        before_last: Callable[[], None],
        ground: Ground,
        height_m: float,
    ) -> None:
        """Brings the ego to its start state.

        It is held at its first speed while its drive settles, then put one tick before its start.

        Args:
            start: (>= 4,) x, y, yaw and speed of the start, embedded world's frame.
            throttle: Share of the drive that holds the speed.
            delta_s: Length of a tick.
            before_last: Called with the ego one tick before its start; everything that an episode needs is there then.
            ground: Heights of the map.
            height_m: Height of the road at the start.
        """
        carla, session = self._carla, self._session
        what = "bringing the ego to its start"

        def tick() -> None:
            session.tick(what)

        speed_mps = float(start[3])
        back = start.copy()
        back[0] -= delta_s * speed_mps * math.cos(start[2])
        back[1] -= delta_s * speed_mps * math.sin(start[2])
        with server_faults(session.address, what):
            self.actor.set_transform(self._pose(back, height_m + 0.3))
            tick()
            self.actor.enable_constant_velocity(carla.Vector3D(speed_mps, 0.0, 0.0))
            if speed_mps <= 0.0:
                self.actor.apply_control(carla.VehicleControl(brake=1.0))
                for _ in range(round(BRAKED_S / delta_s)):
                    tick()
            self.actor.apply_control(carla.VehicleControl(throttle=throttle if speed_mps > 0.0 else 0.0))
            for _ in range(round(SETTLING_S / delta_s)):
                tick()
            at = self.actor.get_location()
            self.above_ground_m = float(at.z) - ground.height_m(float(at.x), -float(at.y), float(at.z))
            before_last()
            self.actor.set_transform(self._pose(back, height_m + self.above_ground_m))
            tick()
            self.actor.disable_constant_velocity()

    def _pose(self, state: FloatArray, z_m: float) -> Any:
        carla = self._carla
        x_m, y_m, yaw_deg = self.box.origin(float(state[0]), float(state[1]), float(state[2]))
        return carla.Transform(carla.Location(x_m, y_m, z_m), carla.Rotation(0.0, yaw_deg, 0.0))

    def command(self, steer: float, throttle: float, brake: float) -> Any:
        """Returns the command that drives: ``steer`` to the left, all as shares of what the foreseen vehicle can do."""
        carla = self._carla
        if self._steering is not None:
            steer = self._steering.control(steer * self.foreseen_steer_rad, self._speed_mps)
        return carla.command.ApplyVehicleControl(
            self.actor.id, carla.VehicleControl(throttle=throttle, steer=-steer, brake=brake)
        )

    def measured(self, snapshot: Any, near_yaw_rad: float) -> FloatArray:
        """Returns (6,) x, y and yaw of the box's centre, vx and vy in the body's frame and yaw rate.

        Args:
            snapshot: Snapshot of the world.
            near_yaw_rad: The yaw is the one nearest to this, without a jump at half a turn.

        Raises:
            WorldError: The ego is not in the snapshot.
        """
        own = snapshot.find(self.actor.id)
        if own is None:
            raise WorldError(
                f"The ego (actor {self.actor.id}) is gone from the CARLA server at {self._session.address}; another "
                "client may have destroyed it or loaded a map. Keep others off the server, or leave world.port out for "
                "a server of simloop's own."
            )
        velocity, turning = own.get_velocity(), own.get_angular_velocity()
        x_m, y_m, yaw_rad = self.box.pose(own.get_transform(), near_yaw_rad)
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        vx, vy = velocity.x, -velocity.y
        self._speed_mps = math.hypot(vx, vy)
        return np.array(
            [x_m, y_m, yaw_rad, vx * cos + vy * sin, vy * cos - vx * sin, -math.radians(turning.z)]
        )
