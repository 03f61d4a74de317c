"""The map that a server hosts: its OpenDRIVE text, its lanes, where to spawn and how fast to drive."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop_carla.server.poses import from_embedded
from simloop_carla.server.towns.lane_limits import LaneLimits, lane_limits
from simloop_carla.server.towns.navigation import file_name, navigation_mesh
from simloop_carla.server.towns.turning_loops import with_turning_loops
from simloop_carla.wire.map_names import OF_DOCUMENT, without_folders
from simloop_carla.wire.structs import Transform
from simloop_driving.camera import CameraScene
from simloop_driving.roads.geodesy import geographic_position
from simloop_driving.roads.map_files import SUFFIX, check_size, load_map, map_of_document, opendrive_text
from simloop_driving.roads.road_map import DRIVING, RoadMap, shipped_maps

FloatArray = npt.NDArray[np.float64]

SPAWN_EVERY_M = 25.0
CLEAR_OF_ENDS_M = 8.0
"""Vehicles spawn as far from the ends of a lane, or further: clear of junctions and stop lines."""
SPAWN_HEIGHT_M = 0.3
"""Over the road, as in CARLA's maps; vehicles drop at their first tick."""


class Town:
    """A map.

    Args:
        name: Name without folder; ``client.load_world`` finds it by this.
        opendrive: The document.
        road_map: Its lanes.
    """

    def __init__(self, name: str, opendrive: str, road_map: RoadMap) -> None:
        self.name = name
        self.opendrive = opendrive
        self.road_map = road_map

    @functools.cached_property
    def spawn_points(self) -> list[Transform]:
        """Poses on driving lanes outside of junctions, by lane.

        Lanes from which every way leaves the map have none where others are, as a traffic manager takes vehicles out
        that have nowhere to go.
        """
        lanes = self.road_map
        points = []
        goes_on = self._lanes_that_go_on()
        for lane in range(lanes.num_lanes):
            length_m = lanes.length_m(lane)
            if lanes.lane_kind[lane] != DRIVING or lanes.lane_junction_id[lane] >= 0 or length_m < 10.0:
                continue
            if goes_on.any() and not goes_on[lane]:
                continue
            first = int(lanes.lane_start[lane])
            last_m = max(length_m - CLEAR_OF_ENDS_M, 0.5 * length_m + 1e-6)
            for station_m in np.arange(min(CLEAR_OF_ENDS_M, 0.5 * length_m), last_m, SPAWN_EVERY_M):
                at = first + round(station_m / lanes.step_m)
                x_m, y_m, yaw_rad = float(lanes.x_m[at]), float(lanes.y_m[at]), float(lanes.yaw_rad[at])
                points.append(from_embedded(x_m, y_m, yaw_rad, SPAWN_HEIGHT_M))
        return points

    def _lanes_that_go_on(self) -> npt.NDArray[np.bool_]:
        """Returns for each lane whether a way from it never ends."""
        lanes = self.road_map
        goes_on = np.ones(lanes.num_lanes, dtype=bool)
        while True:
            still = np.array([goes_on[lanes.successors(lane)].any() for lane in range(lanes.num_lanes)])
            if (still == goes_on).all():
                return goes_on
            goes_on = still

    @functools.cached_property
    def limits(self) -> LaneLimits:
        """Speed limits by place."""
        return lane_limits(self.road_map)

    @functools.cached_property
    def navigation(self) -> tuple[str, bytes]:
        """Name and content of the file by which walkers find their ways; both empty without sidewalks."""
        mesh = navigation_mesh(self.road_map)
        return (file_name(self.name, mesh), mesh) if mesh else ("", b"")

    @functools.cached_property
    def scene(self) -> CameraScene:
        """What cameras and lidars see of it."""
        return CameraScene(self.road_map, supersampling=1)

    @functools.cached_property
    def _client_map(self) -> Any:
        """The map as the client library has it, or None where that cannot be installed."""
        try:
            import carla
        except ImportError:
            return None
        return carla.Map(self.name, self.opendrive)

    def geographic(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Returns latitude and longitude in degrees of a position in CARLA's frame.

        It is what ``carla.Map.transform_to_geolocation`` says, which takes y (to the right of x) as if it were north;
        without the client library the transverse Mercator projection with the same y.
        """
        if self._client_map is None:
            lanes = self.road_map
            return geographic_position(x_m, y_m, lanes.latitude_deg, lanes.longitude_deg)
        import carla

        at = self._client_map.transform_to_geolocation(carla.Location(x_m, y_m, 0.0))
        return float(at.latitude), float(at.longitude)


def load_town(name_or_path: str) -> Town:
    """Returns a shipped map by its name, or the map of an OpenDRIVE file.

    A shipped map is hosted with turning loops at its streets' loose ends; a file as it is.

    Raises:
        ConfigurationError: There is no such map, or it is not one that can be driven on.
    """
    if name_or_path.endswith(SUFFIX):
        return Town(Path(name_or_path).stem, opendrive_text(name_or_path), load_map(name_or_path))
    name = without_folders(name_or_path)
    road_map, plain = load_map(name), opendrive_text(name)
    looped = with_turning_loops(plain)
    has_sampler = importlib.util.find_spec("carla") is not None  # for maps that are not shipped
    if looped == plain or not has_sampler:
        return Town(name, plain, road_map)
    return Town(name, looped, map_of_document(f"{name}{SUFFIX}", looped.encode()))


def town_of(opendrive: str) -> Town:
    """Returns the map of a document, called ``OpenDriveMap`` as CARLA does; one that is shipped needs no sampling.

    Raises:
        ConfigurationError: It is not a map that can be driven on.
    """
    shipped = next((name for name in shipped_maps() if opendrive_text(name) == opendrive), None)
    if shipped is not None:
        return Town(OF_DOCUMENT, opendrive, load_map(shipped))
    content = opendrive.encode()
    check_size(OF_DOCUMENT, len(content))
    return Town(OF_DOCUMENT, opendrive, map_of_document(OF_DOCUMENT, content))
