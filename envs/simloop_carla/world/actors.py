"""The scenario's actors on the server: one blueprint a class, moved by transforms, one batch a tick."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import WorldError
from simloop_carla.world.boxes import Box, box_of
from simloop_carla.world.ground import Ground
from simloop_carla.world.link.client import load_client, server_faults
from simloop_carla.world.link.session import Session
from simloop_driving.camera import PAINTS
from simloop_driving.scenario.actor_state import (
    ACTOR_CLASSES,
    CLASS,
    HEIGHT_M,
    IS_ABSENT,
    LENGTH_M,
    WIDTH_M,
    X_M,
    Y_M,
    YAW_RAD,
)

FloatArray = npt.NDArray[np.float64]

BLUEPRINTS = {
    "car": "vehicle.tesla.model3",
    "truck": "vehicle.carlamotors.carlacola",
    "motorcycle": "vehicle.kawasaki.ninja",
    "bicycle": "vehicle.bh.crossbike",
    "pedestrian": "walker.pedestrian.0001",
    "door": "static.prop.streetbarrier",
    "barrier": "static.prop.streetbarrier",
    "cone": "static.prop.trafficcone01",
}
"""Blueprint of each class of actors."""
OUTER_SIZE = "simloop_size_m"
"""Attribute of blueprints of ``simloop carla-server``: length, width and height of the actor."""
PARKED_M = 200.0
"""Height at which actors wait until they are there, each 20 m from the next."""


class ServerActors:
    """The bodies of an episode's actors; they are shown and not solid, as the scenario's footprints decide who touches.

    Args:
        session: The connection.
        actors: (actor_state.NUM_ROWS, N) table; column 0 is the ego, which is not spawned here.
        ground: Heights of the map.
        start_height_m: Height of the road where the ego starts.
        paints: (N - 1,) number of each actor's paint in ``PAINTS`` of the embedded world's camera.

    Raises:
        WorldError: The server has not the blueprint of a class, or an actor cannot be spawned.
    """

    def __init__(
        self,
        session: Session,
        actors: FloatArray,
        ground: Ground,
        start_height_m: float,
        paints: npt.NDArray[np.int64],
    ) -> None:
        carla = load_client()
        self._carla = carla
        self.ids: list[int] = []
        self._boxes: list[tuple[Box, float]] = []
        """Each with the height of the actor's origin over that of a vehicle's."""
        self._ground = ground
        self._height_m = [start_height_m] * (actors.shape[1] - 1)
        with server_faults(session.address, "spawning the scenario's actors"):
            library = session.world.get_blueprint_library()
            for actor in range(1, actors.shape[1]):
                blueprint = _blueprint(session, library, ACTOR_CLASSES[int(actors[CLASS, actor])])
                if blueprint.has_attribute(OUTER_SIZE):
                    size_m = actors[[LENGTH_M, WIDTH_M, HEIGHT_M], actor].tolist()
                    blueprint.set_attribute(OUTER_SIZE, ",".join(f"{side:g}" for side in size_m))
                if blueprint.has_attribute("color"):
                    paint = PAINTS[int(paints[actor - 1])]
                    blueprint.set_attribute("color", ",".join(str(round(255.0 * part)) for part in paint))
                body = self._spawn(session, blueprint, actor)
                session.spawned(body.id)
                self.ids.append(body.id)
                # A walker's origin is its middle.
                is_walker = body.type_id.startswith("walker.")
                lift_m = 0.5 * float(actors[HEIGHT_M, actor]) if is_walker else 0.0
                self._boxes.append((box_of(body), lift_m))
                body.set_collisions(False)
                if not body.type_id.startswith("static."):
                    body.set_simulate_physics(False)
        # Kept and changed in place, which costs a tenth of making them anew.
        self._commands = [carla.command.ApplyTransform(one, carla.Transform()) for one in self.ids]
        poses = [command.transform for command in self._commands]
        self._places = [(pose.location, pose.rotation) for pose in poses]

    def _spawn(self, session: Session, blueprint: Any, number: int) -> Any:
        pose = self._carla.Transform(self._carla.Location(20.0 * number, 0.0, PARKED_M))
        body = session.world.try_spawn_actor(blueprint, pose)
        if body is None:
            raise WorldError(
                f"The CARLA server at {session.address} cannot spawn actor {number} ({blueprint.id}) at {PARKED_M:g} m "
                "over the map: something is in its place. Destroy what other clients left, or reload the map."
            )
        return body

    def commands(self, actors: FloatArray, above_ground_m: float) -> list[Any]:
        """Returns the commands that put everybody where the table says; absent ones are parked over the map.

        They are the same objects at each call.

        Args:
            actors: (actor_state.NUM_ROWS, N) table.
            above_ground_m: Height of vehicles' origins over the road.
        """
        poses = actors[[X_M, Y_M, YAW_RAD, IS_ABSENT], 1:].T.tolist()
        for number, (place, (box, lift_m), pose) in enumerate(
            zip(self._places, self._boxes, poses, strict=True)
        ):
            location, rotation = place
            x_m, y_m, yaw_rad, is_absent = pose
            if is_absent:
                location.x, location.y, location.z = 20.0 * (number + 1), 0.0, PARKED_M
                continue
            height_m = self._ground.height_m(x_m, y_m, self._height_m[number])
            self._height_m[number] = height_m
            location.x, location.y, rotation.yaw = box.origin(x_m, y_m, yaw_rad)
            location.z = height_m + above_ground_m + lift_m
        return self._commands


def _blueprint(session: Session, library: Any, class_name: str) -> Any:
    """Returns the blueprint of a class of actors."""
    wanted = BLUEPRINTS[class_name]
    found = library.filter(wanted)
    if not len(found):
        raise WorldError(
            f"The CARLA server at {session.address} has no blueprint {wanted!r}, which stands for actors of class "
            f"{class_name!r}. Play on a server that has CARLA's blueprints, or leave world.port out for simloop's."
        )
    blueprint = found[0]
    if blueprint.has_attribute("role_name"):
        blueprint.set_attribute("role_name", "scenario")
    return blueprint
