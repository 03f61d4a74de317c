"""What clients send to describe an actor, made complete."""

from __future__ import annotations

from simloop_carla.server.library.blueprints import definitions
from simloop_carla.wire.decoding import LARGEST_FLOAT
from simloop_carla.wire.structs import FLOAT, INT, ActorDescription, AttributeValue

_LARGEST = {INT: 2.0**31 - 1.0, FLOAT: LARGEST_FLOAT}
"""What a number of each type may be, up and down: as CARLA's server reads it."""


class SpawnError(ValueError):
    """An actor cannot be spawned; the text is what the client gets."""


def completed(description: ActorDescription, uid: int) -> ActorDescription:
    """Fills in the attributes that a client left out.

    Raises:
        SpawnError: A number is none, or is beyond what its type holds.
    """
    definition = definitions()[description.id]
    given = {attribute.id: attribute.value for attribute in description.attributes}
    attributes = []
    for attribute in definition.attributes:
        value = given.get(attribute.id, attribute.value)
        if attribute.type in _LARGEST:
            largest = _LARGEST[attribute.type]
            try:
                fits = -largest <= float(value) <= largest
            except ValueError:
                fits = False
            if not fits:
                raise SpawnError(
                    f"attribute '{attribute.id}' of '{description.id}' is '{value[:40]}', not a number from "
                    f"{-largest:g} to {largest:g}"
                )
        attributes.append(AttributeValue(attribute.id, attribute.type, value))
    return ActorDescription(uid, description.id, attributes)
