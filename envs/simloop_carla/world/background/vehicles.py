"""The vehicles of the background traffic: which cars they are, and how they are measured."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from simloop.errors import WorldError
from simloop_carla.world.background.places import free_places
from simloop_carla.world.boxes import Box, box_of
from simloop_carla.world.link.client import load_client
from simloop_carla.world.link.session import Session
from simloop_driving.scenario.initial_state import InitialState


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """One vehicle.

    Attributes:
        actor: The ``carla.Vehicle``.
        place: Its ``carla.Transform`` at the start.
        box: Its bounding box.
    """

    actor: Any
    place: Any
    box: Box

    def measured(self, pose: Any, velocity: Any, near_yaw_rad: float) -> tuple[float, float, float, float]:
        """Returns x, y and yaw of the box's middle, and speed; the yaw is the one nearest to ``near_yaw_rad``."""
        return *self.box.pose(pose, near_yaw_rad), math.hypot(velocity.x, velocity.y)


def spawn_vehicles(
    session: Session, state: InitialState, num_vehicles: int, draws: np.random.Generator
) -> list[Vehicle]:
    """Spawns cars at spawn points of the map that are in nobody's way, standing.

    Args:
        session: The connection, on the scenario's map.
        state: Start of the scenario.
        num_vehicles: How many.
        draws: Draws their places and blueprints.

    Raises:
        WorldError: There is no room for all of them, or no car.
    """
    blueprints = _cars(session.world.get_blueprint_library())
    if not blueprints:
        raise WorldError(
            f"The CARLA server at {session.address} has no blueprint of a car with four wheels for background traffic. "
            "Leave world.background_vehicles out, or play on a server that has CARLA's own cars."
        )
    places = free_places(session.world.get_map().get_spawn_points(), state)
    vehicles: list[Vehicle] = []
    brake = load_client().VehicleControl(hand_brake=True)
    for number in draws.permutation(len(places)).tolist():
        if len(vehicles) == num_vehicles:
            break
        blueprint = blueprints[int(draws.integers(len(blueprints)))]
        if blueprint.has_attribute("role_name"):
            blueprint.set_attribute("role_name", "background")
        actor = session.world.try_spawn_actor(blueprint, places[number])
        if actor is None:
            continue
        session.spawned(actor.id)
        actor.apply_control(brake)
        vehicles.append(Vehicle(actor=actor, place=places[number], box=box_of(actor)))
    if len(vehicles) < num_vehicles:
        raise WorldError(
            f"The CARLA server at {session.address} has room for {len(vehicles)} of {num_vehicles} background vehicles "
            "(world.background_vehicles): the map has no more free spawn points away from the ego and the scenario's "
            "actors. Ask for fewer."
        )
    return vehicles


def _cars(library: Any) -> list[Any]:
    """Returns the blueprints of cars with four wheels, by id."""
    found = []
    for blueprint in library.filter("vehicle.*"):
        values = {item.id: item for item in blueprint}
        if "base_type" not in values or "number_of_wheels" not in values:
            continue
        if values["base_type"].as_str() == "car" and values["number_of_wheels"].as_int() == 4:
            found.append(blueprint)
    return sorted(found, key=lambda blueprint: str(blueprint.id))
