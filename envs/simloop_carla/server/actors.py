"""The actors of an episode and their rows of the snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop_carla.server.library.blueprints import Body
from simloop_carla.server.lights import Light
from simloop_carla.wire.streams import ACTOR_RECORD
from simloop_carla.wire.structs import (
    IDENTITY,
    ORIGIN,
    AckermannSettings,
    Actor,
    ActorDescription,
    BoundingBox,
    Rotation,
    Transform,
    Vector3,
    WalkerControl,
)

ACKERMANN = AckermannSettings(0.15, 0.0, 0.25, 0.01, 0.0, 0.01)
"""CARLA's gains."""
STANDING = WalkerControl(ORIGIN, 0.0, False)
NO_BOX = BoundingBox(ORIGIN, ORIGIN, Rotation(0.0, 0.0, 0.0), 0)


@dataclass(slots=True, kw_only=True, eq=False)
class ServerActor:
    """An actor as the server keeps it.

    Attributes:
        id: Never used twice by a server.
        description: What it was spawned from.
        parent: The actor it is attached to, or None.
        relative: Pose relative to the parent.
        pose: World pose of what does not move by itself.
        box: Bounding box in its own frame.
        body: What stands on the road, or None.
        number: Row of ``Bodies``, -1 without a body.
        stream: Stream of a sensor, 0 otherwise.
        token: Token of that stream.
        light: The traffic light or sign that it is.
        walk: Last control of a walker.
        ackermann: Gains of a vehicle's Ackermann controller, which are kept and returned.
        lights: Flags of a vehicle's lamps.
        tags: Semantic tags.
        is_written: Whether its record has its pose, if it does not move by itself.
        sent_ns: When a sensor sent last, None before.
        is_broken: Whether a sensor has failed to measure; it sends nothing more.
        num_draws: How often a sensor has drawn its noise.
        memory: What a sensor keeps from one of its messages to the next.
    """

    id: int
    description: ActorDescription
    parent: ServerActor | None = None
    relative: Transform = IDENTITY
    pose: Transform = IDENTITY
    box: BoundingBox = NO_BOX
    body: Body | None = None
    number: int = -1
    stream: int = 0
    token: bytes = b""
    light: Light | None = None
    walk: WalkerControl = STANDING
    ackermann: AckermannSettings = ACKERMANN
    lights: int = 0
    tags: bytes = b""
    is_written: bool = True
    sent_ns: int | None = None
    is_broken: bool = False
    num_draws: int = 0
    memory: Any = None

    @property
    def type_id(self) -> str:
        """Id of the blueprint."""
        return self.description.id

    @property
    def is_vehicle(self) -> bool:
        """Whether it is driven."""
        return self.type_id.startswith("vehicle.")

    @property
    def is_walker(self) -> bool:
        """Whether it walks."""
        return self.type_id.startswith("walker.")

    def on_wire(self) -> Actor:
        """Returns the struct that the client caches."""
        return Actor(
            self.id,
            self.parent.id if self.parent is not None else 0,
            self.description,
            self.box._replace(actor_id=self.id),
            self.tags,
            self.token,
        )


REMEMBERED = 4096
"""How many actors that are gone have their boxes kept."""


class Roster:
    """Actors in the order in which they came, and their records in the same order.

    Attributes:
        by_id: The actors.
        boxes_of_gone: Boxes of the last that went. The client library asks for boxes of what its last snapshot
            shows, in threads of its own, where a refusal ends the process.
    """

    def __init__(self) -> None:
        self.by_id: dict[int, ServerActor] = {}
        self.boxes_of_gone: dict[int, BoundingBox] = {}
        self.records: npt.NDArray[np.void] = np.zeros(0, dtype=ACTOR_RECORD)
        self._rows: dict[int, int] = {}
        self._kinds: dict[str, tuple[list[ServerActor], npt.NDArray[np.int64]]] = {}

    def add(self, actor: ServerActor) -> None:
        """Adds an actor; its record has its id and says that it is active."""
        record = np.zeros(1, dtype=ACTOR_RECORD)
        record["id"], record["state"] = actor.id, 1
        self._rows[actor.id] = len(self.records)
        self.records = np.concatenate([self.records, record])
        self.by_id[actor.id] = actor
        self._kinds.clear()

    def remove(self, actor: ServerActor) -> None:
        """Takes an actor out."""
        self.records = np.delete(self.records, self._rows[actor.id])
        del self.by_id[actor.id]
        self._remember(actor.id, actor.box)
        self._rows = {one: row for row, one in enumerate(self.by_id)}
        self._kinds.clear()

    def follow(self, earlier: Roster) -> None:
        """Remembers the boxes of an earlier episode."""
        for actor_id, box in earlier.boxes_of_gone.items():
            self._remember(actor_id, box)
        for actor in earlier.by_id.values():
            self._remember(actor.id, actor.box)

    def _remember(self, actor_id: int, box: BoundingBox) -> None:
        self.boxes_of_gone[actor_id] = box
        if len(self.boxes_of_gone) > REMEMBERED:
            del self.boxes_of_gone[next(iter(self.boxes_of_gone))]

    def row(self, actor: ServerActor) -> int:
        """Returns the row of an actor's record."""
        return self._rows[actor.id]

    def of_kind(self, kind: str) -> tuple[list[ServerActor], npt.NDArray[np.int64]]:
        """Returns the actors of a kind and their rows.

        Args:
            kind: ``body`` (in the order of their numbers), ``vehicle``, ``walker``, ``light``, ``sensor``, ``bodiless``
                (whatever has no body and is no light).
        """
        if kind not in self._kinds:
            actors = [actor for actor in self.by_id.values() if _is_of_kind(actor, kind)]
            if kind == "body":
                actors.sort(key=lambda actor: actor.number)
            rows = np.array([self._rows[actor.id] for actor in actors], dtype=np.int64)
            self._kinds[kind] = actors, rows
        return self._kinds[kind]

    def set_pose(self, actor: ServerActor, pose: Transform) -> None:
        """Copies the pose of an actor that does not move by itself to its record."""
        row = self._rows[actor.id]
        self.records["location"][row] = pose.location
        self.records["rotation"][row] = pose.rotation

    def pose(self, actor: ServerActor) -> Transform:
        """Returns the pose that the last snapshot has for an actor."""
        record = self.records[self._rows[actor.id]]
        return Transform(Vector3(*map(float, record["location"])), Rotation(*map(float, record["rotation"])))


def _is_of_kind(actor: ServerActor, kind: str) -> bool:
    if kind == "body":
        return actor.number >= 0
    if kind == "light":
        return actor.light is not None
    if kind == "bodiless":
        return actor.number < 0 and actor.light is None
    if kind == "sensor":
        return actor.type_id.startswith("sensor.")
    return actor.is_vehicle if kind == "vehicle" else actor.is_walker
