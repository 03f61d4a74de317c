"""What clients send to describe an actor, made complete."""

from __future__ import annotations

import math

from simloop_carla.server.blueprints import definitions
from simloop_carla.wire.structs import ActorDescription, AttributeValue


class SpawnError(ValueError):
    """An actor cannot be spawned; the text is what the client gets."""


def completed(description: ActorDescription, uid: int) -> ActorDescription:
    """Fills in the attributes that a client left out.

    Raises:
        SpawnError: A number is none.
    """
    definition = definitions()[description.id]
    given = {attribute.id: attribute.value for attribute in description.attributes}
    attributes = []
    for attribute in definition.attributes:
        value = given.get(attribute.id, attribute.value)
        if attribute.type in (2, 3):
            try:
                finite = math.isfinite(float(value))
            except ValueError:
                finite = False
            if not finite:
                raise SpawnError(
                    f"attribute '{attribute.id}' of '{description.id}' is '{value[:40]}', not a number"
                )
        attributes.append(AttributeValue(attribute.id, attribute.type, value))
    return ActorDescription(uid, description.id, attributes)
