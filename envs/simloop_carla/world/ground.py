"""How high the road of a map is on the server: scenarios are played in the plane, servers have hills and bridges."""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ElementTree
from typing import Any

from simloop_carla.world.link.client import load_client, server_faults
from simloop_carla.world.link.session import Session

_COEFFICIENTS = ("a", "b", "c", "d")


class Ground:
    """Heights of a map's roads.

    Args:
        client_map: ``carla.Map``; None for a map that is flat and at height 0 everywhere.
    """

    def __init__(self, client_map: Any = None) -> None:
        self._map = client_map

    @property
    def is_flat(self) -> bool:
        """Whether the height is 0 everywhere."""
        return self._map is None

    def height_m(self, x_m: float, y_m: float, near_m: float) -> float:
        """Returns the height of the road nearest to a place.

        Args:
            x_m: The place, world frame.
            y_m: Its other coordinate.
            near_m: About how high it is: where roads cross over each other this says which one counts.
        """
        if self._map is None:
            return 0.0
        carla = load_client()
        point = self._map.get_waypoint(carla.Location(x_m, -y_m, near_m), True, carla.LaneType.Any)
        return near_m if point is None else float(point.transform.location.z)

    def lane_height_m(self, road_id: int, lane_id: int, x_m: float, y_m: float) -> float:
        """Returns the height of a road at the place of it that is nearest to a point.

        Args:
            road_id: OpenDRIVE road.
            lane_id: OpenDRIVE lane.
            x_m: The point, world frame.
            y_m: Its other coordinate.
        """
        if self._map is None:
            return 0.0
        best_m, height_m = float("inf"), 0.0
        station_m = 0.1
        while (point := self._map.get_waypoint_xodr(road_id, lane_id, station_m)) is not None:
            at = point.transform.location
            away_m = float((at.x - x_m) ** 2 + (at.y + y_m) ** 2)
            if away_m < best_m:
                best_m, height_m = away_m, float(at.z)
            station_m += 2.0
        return height_m


def ground_of(session: Session) -> Ground:
    """Returns the ground of the server's present map.

    Raises:
        WorldError: The server fails.
    """
    with server_faults(session.address, "reading the map"):
        client_map = session.world.get_map()
        document = client_map.to_opendrive()
    return Ground() if is_flat(document) else Ground(client_map)


@functools.lru_cache(maxsize=16)
def is_flat(document: str) -> bool:
    """Whether no road of an OpenDRIVE document has a height other than 0."""
    root = ElementTree.fromstring(document.encode())
    return not any(
        float(item.get(name, "0")) != 0.0
        for tag in ("elevation", "superelevation")
        for item in root.iter(tag)
        for name in _COEFFICIENTS
    )
