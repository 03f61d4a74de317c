"""Names of maps, as they travel and as people say them."""

from __future__ import annotations

FOLDER = "Carla/Maps/"
"""What travels before the name of each map."""
OF_DOCUMENT = "OpenDriveMap"
"""Map that a server made of a document which a client sent."""


def without_folders(name: str) -> str:
    """Returns the name as people say it: real servers put their own folders before it, clients any or none."""
    return name.rsplit("/", 1)[-1]
