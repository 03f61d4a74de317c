"""The map of a scene on the server: the scene's own document, or a town that the server has."""

from __future__ import annotations

from simloop.errors import ConfigurationError
from simloop_carla.wire.map_names import without_folders
from simloop_carla.world.link.client import server_faults
from simloop_carla.world.link.session import Session
from simloop_driving.roads.map_files import map_of_document, opendrive_text
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.scenario.scene import Scene

LOADING_PATIENCE_S = 180.0
"""How long a server may take to load or build a map; a large one takes a CARLA server a minute and more."""


def use_map(session: Session, scene: Scene) -> RoadMap | None:
    """Puts the server on the map of a scene.

    Args:
        session: The connection; its ``world`` is the new one afterwards.
        scene: The scene.

    Returns:
        The roads of a town that only the server has, None where the scene's name or path says which they are.

    Raises:
        WorldError: The server does not load the map.
        ConfigurationError: The server has no such town, the document cannot be read, or simloop cannot drive on the
            town's roads.
    """
    if not scene.is_map_of_server:
        _load(session, scene.map_name, opendrive_text(scene.map_name))
        return None
    with server_faults(session.address, "listing its towns"):
        towns = sorted({without_folders(path) for path in session.client.get_available_maps()})
    if scene.map_name not in towns:
        raise ConfigurationError(
            f"{scene.where}.map.server is {scene.map_name!r}; the CARLA server at {session.address} has "
            f"{', '.join(towns) or 'no towns'}. Name one of these, or install the town on the server."
        )
    _load(session, scene.map_name, None)
    with server_faults(session.address, f"reading the roads of {scene.map_name}"):
        document = session.world.get_map().to_opendrive()
    return map_of_document(scene.map_name, document.encode())


def _load(session: Session, name: str, opendrive: str | None) -> None:
    session.client.set_timeout(max(session.address.patience_s, LOADING_PATIENCE_S))
    try:
        session.use_map(name, opendrive)
    finally:
        session.client.set_timeout(session.address.patience_s)
