"""The mesh on which the client library lets walkers find their ways: Recast's format, as CARLA's servers send it.

The sidewalks of the map are cut into strips of quadrangles; a strip goes on where a sidewalk has a successor. Layout of
the file: the set and tile headers of CARLA's client (``LibCarla/source/carla/nav``), the tile of Detour version 7
(``DetourNavMesh.h`` of github.com/recastnavigation). Everything is little-endian; Recast's axes are CARLA's x, z, y.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import numpy.typing as npt

from simloop_driving.roads.road_map import LANE_KINDS, RoadMap

FloatArray = npt.NDArray[np.float64]

SIDEWALK = LANE_KINDS.index("sidewalk")
PIECE_M = 3.0
"""Length of a quadrangle."""
JOINED_WITHIN_M = 1.0
"""Corners of two strips that are to be joined are at most as far apart."""
MAX_CORNERS = 0xFFFF
SIDEWALK_AREA, SIDEWALK_FLAGS = 1, 2
"""Kind and flags of a sidewalk in CARLA's navigation."""
WALKABLE_HEIGHT_M, WALKABLE_RADIUS_M, WALKABLE_CLIMB_M = 1.8, 0.3, 0.4

_SET_HEADER = struct.Struct("<iii3fffii")
_TILE_HEADER = struct.Struct("<Ii")
_MESH_HEADER = struct.Struct("<iiiiiIiiiiiiiii3f3f3ff")
_SET_MAGIC, _SET_VERSION = int.from_bytes(b"MSET", "big"), 1
_MESH_MAGIC, _MESH_VERSION = int.from_bytes(b"DNAV", "big"), 7
_POLYGON = np.dtype(
    [
        ("first_link", "<u4"),
        ("corners", "<u2", 6),
        ("neighbours", "<u2", 6),
        ("flags", "<u2"),
        ("num_corners", "u1"),
        ("area_and_type", "u1"),
    ]
)
_DETAIL = np.dtype(
    [
        ("first_corner", "<u4"),
        ("first_triangle", "<u4"),
        ("num_corners", "u1"),
        ("num_triangles", "u1"),
        ("_", "V2"),
    ]
)
_LINK_SIZE = 12
_TRIANGLES = np.array([[0, 1, 2, 5], [0, 2, 3, 20]], dtype=np.uint8)
"""The two triangles of a quadrangle, and which of their edges are its own."""


def navigation_mesh(road_map: RoadMap) -> bytes:
    """Returns the file of a map; empty if the map has no sidewalks, or more than a tile can hold."""
    strips = {
        lane: _strip(road_map, lane)
        for lane in range(road_map.num_lanes)
        if road_map.lane_kind[lane] == SIDEWALK and road_map.length_m(lane) > 0.5
    }
    num_corners = sum(2 * len(strip) for strip in strips.values())
    if not strips or num_corners > MAX_CORNERS:
        return b""
    first_corner, first_piece = {}, {}
    corners, pieces = 0, 0
    for lane, strip in strips.items():
        first_corner[lane], first_piece[lane] = corners, pieces
        corners, pieces = corners + 2 * len(strip), pieces + len(strip) - 1
    polygons = np.zeros(pieces, dtype=_POLYGON)
    polygons["first_link"] = 0xFFFF_FFFF
    polygons["flags"], polygons["num_corners"], polygons["area_and_type"] = SIDEWALK_FLAGS, 4, SIDEWALK_AREA
    for lane, strip in strips.items():
        own = first_piece[lane] + np.arange(len(strip) - 1)
        left = first_corner[lane] + 2 * np.arange(len(strip) - 1)
        # Clockwise: begin (left to right), right side, end (right to left), left side.
        polygons["corners"][own, :4] = np.stack([left, left + 1, left + 3, left + 2], axis=1)
        polygons["neighbours"][own[:-1], 2] = own[1:] + 1
        polygons["neighbours"][own[1:], 0] = own[:-1] + 1
    for lane, strip in strips.items():
        last = first_piece[lane] + len(strip) - 2
        for following in road_map.successors(lane).tolist():
            first = first_piece.get(following)
            if first is None or polygons["neighbours"][first, 0] or polygons["neighbours"][last, 2]:
                continue
            if np.linalg.norm(strips[following][0] - strip[-1], axis=1).max() <= JOINED_WITHIN_M:
                strip[-1] = strips[following][0]
                polygons["neighbours"][last, 2], polygons["neighbours"][first, 0] = first + 1, last + 1
    flat = np.concatenate([strip.reshape(-1, 2) for strip in strips.values()])
    return _file(np.insert(flat, 1, 0.0, axis=1), polygons)


def _strip(road_map: RoadMap, lane: int) -> FloatArray:
    """Returns (n, 2, 2) left and right corners along a lane, CARLA's x and y."""
    samples = road_map.samples(lane)
    count = samples.stop - samples.start
    pieces = max(round(road_map.length_m(lane) / PIECE_M), 1)
    at = samples.start + np.unique(np.linspace(0, count - 1, pieces + 1).round().astype(np.int64))
    yaw = road_map.yaw_rad[at]
    centre = np.stack([road_map.x_m[at], road_map.y_m[at]], axis=1)
    left = 0.5 * road_map.width_m[at, None] * np.stack([-np.sin(yaw), np.cos(yaw)], axis=1)
    corners: FloatArray = np.stack([centre + left, centre - left], axis=1) * (1.0, -1.0)
    return corners


def _file(corners: FloatArray, polygons: npt.NDArray[np.void]) -> bytes:
    """Returns the file of (n, 3) corners, Recast's axes, and polygons of four corners."""
    low, high = corners.min(axis=0) - 1.0, corners.max(axis=0) + 1.0
    count = len(polygons)
    bits = max(count - 1, 1).bit_length()
    detail = np.zeros(count, dtype=_DETAIL)
    detail["first_triangle"], detail["num_triangles"] = 2 * np.arange(count), 2
    header = _MESH_HEADER.pack(
        *(_MESH_MAGIC, _MESH_VERSION, 0, 0, 0, 0),
        *(count, len(corners), 4 * count, count, 0, 2 * count),
        *(0, 0, count),
        *(WALKABLE_HEIGHT_M, WALKABLE_RADIUS_M, WALKABLE_CLIMB_M),
        *(*low, *high, 1.0),
    )
    tile = b"".join(
        [
            header,
            corners.astype("<f4").tobytes(),
            polygons.tobytes(),
            bytes(_LINK_SIZE * 4 * count),
            detail.tobytes(),
            np.tile(_TRIANGLES, (count, 1)).tobytes(),
        ]
    )
    width, depth = float(high[0] - low[0]), float(high[2] - low[2])
    content = _SET_HEADER.pack(_SET_MAGIC, _SET_VERSION, 1, *low, width, depth, 1, 1 << bits)
    return content + _TILE_HEADER.pack(1 << bits, len(tile)) + tile


def file_name(map_name: str, mesh: bytes) -> str:
    """Returns the name under which a client asks for a mesh; other contents have other names, as clients keep files."""
    return f"simloop/Nav/{map_name}_{hashlib.sha256(mesh).hexdigest()[:12]}.bin"
