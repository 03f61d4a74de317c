"""What an episode on a server logs beside the embedded world's tables: the server's collisions and the tracking."""

from __future__ import annotations

import math
import queue
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simloop.log import Column, Columns, TableSchema
from simloop_carla.world.ego import ServerEgo
from simloop_carla.world.link.client import load_client, server_faults, stop_listening
from simloop_carla.world.link.session import Session

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


class CollisionSensor:
    """The server's collision sensor on the ego.

    Args:
        session: The connection.
        ego: The vehicle that carries it.
    """

    def __init__(self, session: Session, ego: ServerEgo) -> None:
        carla = load_client()
        self._hits: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with server_faults(session.address, "spawning the collision sensor"):
            blueprint = session.world.get_blueprint_library().find("sensor.other.collision")
            self._actor = session.world.spawn_actor(blueprint, carla.Transform(), attach_to=ego.actor)
            session.spawned(self._actor.id)
            self._actor.listen(self._hits.put)

    def take(self) -> list[Any]:
        """Returns and forgets the events that came."""
        events = []
        while not self._hits.empty():
            events.append(self._hits.get())
        return events

    def close(self) -> None:
        """Stops listening."""
        stop_listening(self._actor)


class ServerLog:
    """Rows of both tables."""

    def __init__(self) -> None:
        self._collisions: list[tuple[int, str, bool, float]] = []
        self._tracking: list[tuple[int, float, float]] = []

    def clear(self) -> None:
        """Forgets all rows."""
        self._collisions.clear()
        self._tracking.clear()

    def add_tracking(self, t_ns: int, position_error_m: float, speed_error_mps: float) -> None:
        """Adds a row of ``TRACKING``."""
        self._tracking.append((t_ns, position_error_m, speed_error_mps))

    def add_collision(self, t_ns: int, event: Any, scripted: Sequence[int]) -> bool:
        """Adds a row of ``SERVER_COLLISIONS``; returns whether one of the actors with these ids was hit."""
        other, impulse = event.other_actor, event.normal_impulse
        is_of_scenario = other is not None and other.id in scripted
        size = math.sqrt(impulse.x**2 + impulse.y**2 + impulse.z**2)
        self._collisions.append(
            (t_ns, other.type_id if other is not None else "static", is_of_scenario, size)
        )
        return is_of_scenario

    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows, by table."""
        hits, self._collisions = self._collisions, []
        tracking, self._tracking = self._tracking, []
        errors = np.array(tracking, dtype=np.float64).reshape(-1, 3)
        return {
            "server_collisions": {
                "t_ns": np.array([hit[0] for hit in hits], dtype=np.int64),
                "other": [hit[1] for hit in hits],
                "is_of_scenario": np.array([hit[2] for hit in hits], dtype=bool),
                "impulse_newton_s": np.array([hit[3] for hit in hits], dtype=np.float64),
            },
            "tracking": {
                "t_ns": np.array([row[0] for row in tracking], dtype=np.int64),
                "position_error_m": errors[:, 1],
                "speed_error_mps": errors[:, 2],
            },
        }
