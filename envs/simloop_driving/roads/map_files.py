"""Loads road maps: shipped ones by name, any other OpenDRIVE file by its path.

A path ends in ``.xodr``; a relative one counts from the working directory. A file is read once for each content.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import stat
import zipfile
from pathlib import Path

import numpy as np

from simloop.errors import ConfigurationError, UnknownNameError
from simloop_driving.roads import road_map as shipped
from simloop_driving.roads.map_numbers import refuse
from simloop_driving.roads.map_rules import MAX_POSITION_M, check_map
from simloop_driving.roads.road_map import DRIVING, RoadMap, from_npz_bytes, shipped_maps
from simloop_driving.roads.sampling_process import sample_apart

SUFFIX = ".xodr"
MAX_FILE_BYTES = 64 << 20
MAX_KEPT_MAPS = 16

_MAPS: dict[tuple[str, str], RoadMap] = {}
"""Maps by name and digest of the content, the oldest first."""


def load_map(name_or_path: str) -> RoadMap:
    """Returns a shipped map by its name, or the map of a file by its path.

    Args:
        name_or_path: A shipped map's name, or a path that ends in ``.xodr``.

    Raises:
        UnknownNameError: No map of that name is shipped.
        ConfigurationError: The file is not a map that can be driven on; file, road, key, got, allowed.
        MissingDependencyError: A file needs the ``carla`` package, which is not installed.
    """
    if _is_file(name_or_path):
        return map_of_document(name_or_path, _read(name_or_path))
    return shipped.load_map(name_or_path)


def opendrive_text(name_or_path: str) -> str:
    """Returns the OpenDRIVE document of a shipped map or of a file, whose lanes are not looked at.

    Args:
        name_or_path: As in ``load_map``.

    Raises:
        UnknownNameError: No map of that name is shipped.
        ConfigurationError: There is no such file, or it cannot be read.
    """
    if not _is_file(name_or_path):
        return _shipped_text(name_or_path)
    try:
        return _read(name_or_path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"The map {name_or_path!r} is not UTF-8 text: {error}.") from error


@functools.cache
def _shipped_text(name: str) -> str:
    return (importlib.resources.files("simloop_scenarios") / "maps" / f"{name}{SUFFIX}").read_text("utf-8")


def _is_file(name_or_path: str) -> bool:
    """Whether it is a path and not a shipped map's name; what is neither is refused."""
    if name_or_path.endswith(SUFFIX):
        return True
    if "/" in name_or_path or name_or_path.endswith((".xml", ".npz")):
        refuse(
            f"map {name_or_path!r}",
            "is not a map",
            f"a file that ends in {SUFFIX}, or the name of a shipped map",
        )
    if name_or_path not in (names := shipped_maps()):
        raise UnknownNameError("map", name_or_path, (*names, f"path/to/file{SUFFIX}"))
    return False


def map_of_document(name: str, content: bytes) -> RoadMap:
    """Returns the map of an OpenDRIVE document; it is sampled once for each name and content.

    Args:
        name: Name or path, for messages.
        content: The document.

    Raises:
        ConfigurationError: It is not a map that can be driven on; name, road, key, got, allowed.
        MissingDependencyError: The ``carla`` package is not installed.
    """
    key = (name, hashlib.blake2b(content, digest_size=16).hexdigest())
    if key not in _MAPS:
        road_map = _sampled(name, content)
        while len(_MAPS) >= MAX_KEPT_MAPS:
            del _MAPS[next(iter(_MAPS))]
        _MAPS[key] = road_map
    return _MAPS[key]


def check_size(where: str, num_bytes: int) -> None:
    """Checks that a document is not larger than a file may be.

    Raises:
        ConfigurationError: It is; where, got, allowed.
    """
    if num_bytes > MAX_FILE_BYTES:
        refuse(where, f"holds {num_bytes} bytes", f"up to {MAX_FILE_BYTES}")


def _read(path: str) -> bytes:
    file = Path(path)
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            refuse(path, "is not a file", "an OpenDRIVE file")
        check_size(path, found.st_size)
        return file.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no map {path} in {Path.cwd()}; a relative path counts from the working directory. Shipped "
            f"maps: {', '.join(shipped_maps())}."
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"The map {path!r} cannot be read: {error}.") from error


def _sampled(path: str, content: bytes) -> RoadMap:
    lane_length_m = check_map(path, content)
    try:
        road_map = from_npz_bytes(sample_apart(path, content, lane_length_m))
    except (KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{path}: the sampled arrays cannot be read: {error}.") from error
    check_arrays(path, road_map)
    return road_map


def check_arrays(where: str, road_map: RoadMap) -> None:
    """Checks what kernels rely on: finite positions, and lanes of two samples and more.

    Raises:
        ConfigurationError: Names the road and the lane that break it.
    """
    for lane in range(road_map.num_lanes):
        part = road_map.samples(lane)
        place = f"{where}: road {road_map.lane_road_id[lane]}: lane {road_map.lane_opendrive_id[lane]}"
        if part.stop - part.start < 2:
            refuse(place, f"has {part.stop - part.start} samples", f"lanes longer than {road_map.step_m:g} m")
        values = np.stack([road_map.x_m[part], road_map.y_m[part]])
        if not np.isfinite(values).all() or np.abs(values).max() > 2.0 * MAX_POSITION_M:
            refuse(place, "has positions that are no numbers or out of bounds", f"up to {MAX_POSITION_M:g} m")
        others = np.stack([road_map.yaw_rad[part], road_map.curvature_per_m[part], road_map.width_m[part]])
        if not np.isfinite(others).all():
            refuse(place, "has headings or widths that are no numbers", "finite ones")
    if not (road_map.lane_kind == DRIVING).any():
        refuse(where, "has no lane of type 'driving'", "at least one")
