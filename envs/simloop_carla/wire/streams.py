"""Binary messages of the streams: tokens, the header, snapshots of the world and the sensors' data.

Everything is little-endian and packed. The sizes are those of CARLA 0.9.16; later releases have others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from simloop_carla.wire.structs import Actor, Vector3

WORLD_STREAM = 1
"""Stream of the world's snapshots; sensors have the numbers after it."""

_TCP, _NO_ADDRESS = 1, 0
_TOKEN = struct.Struct("<IHBB16x")
_HEADER = struct.Struct("<QQd6f")
_SNAPSHOT_HEADER = struct.Struct("<Qdf3iI")
_PICTURE_HEADER = struct.Struct("<IIf")
_LENGTH = struct.Struct("<I")

SENSOR_TYPES = {
    "collision": 0,
    "depth": 1,
    "normals": 2,
    "dvs": 3,
    "gnss": 4,
    "imu": 5,
    "obstacle": 7,
    "optical_flow": 8,
    "radar": 9,
    "semantic_lidar": 10,
    "lidar": 11,
    "rgb": 13,
    "semantic_segmentation": 14,
    "instance_segmentation": 15,
    "world": 17,
}
"""First number of a message's header, by what the message carries."""

MAP_CHANGE = 1
"""Flag of the first snapshot after a load."""

ACTOR_RECORD = np.dtype(
    [
        ("id", "<u4"),
        ("state", "u1"),
        ("location", "<f4", 3),
        ("rotation", "<f4", 3),
        ("velocity", "<f4", 3),
        ("angular_velocity", "<f4", 3),
        ("acceleration", "<f4", 3),
        ("own", "V54"),
    ]
)
"""One actor of a snapshot (119 bytes). ``own`` has one of the layouts below; ``state`` is 1 for an active actor."""


def _own(names: list[str], formats: list[str]) -> np.dtype[Any]:
    """Layout of an actor's record with its last 54 bytes taken apart."""
    offset, offsets = ACTOR_RECORD.itemsize - 54, []
    for entry in formats:
        offsets.append(offset)
        offset += np.dtype(entry).itemsize
    layout: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": ACTOR_RECORD.itemsize}
    return np.dtype(layout)


VEHICLE_RECORD = _own(
    [
        "throttle",
        "steer",
        "brake",
        "hand_brake",
        "reverse",
        "manual_gear_shift",
        "gear",
        "speed_limit_kmh",
        "light_state",
        "has_light",
        "light_id",
        "failure",
    ],
    ["<f4", "<f4", "<f4", "u1", "u1", "u1", "<i4", "<f4", "u1", "u1", "<u4", "u1"],
)
LIGHT_RECORD = _own(
    ["sign_id", "green_s", "yellow_s", "red_s", "elapsed_s", "pole", "is_frozen", "state"],
    ["S32", "<f4", "<f4", "<f4", "<f4", "<u4", "u1", "u1"],
)
WALKER_RECORD = _own(["direction", "speed_mps", "jump"], ["3<f4", "<f4", "u1"])


def token(stream: int, port: int) -> bytes:
    """Returns the token of a stream on the host that the client is connected to."""
    return _TOKEN.pack(stream, port, _TCP, _NO_ADDRESS)


def framed(payload: bytes) -> bytes:
    """Puts a message's length before it."""
    return _LENGTH.pack(len(payload)) + payload


def header(kind: str, frame: int, elapsed_s: float, pose: Iterable[float] = (0.0,) * 6) -> bytes:
    """Returns the header of a message.

    Args:
        kind: A key of ``SENSOR_TYPES``.
        frame: Number of the tick.
        elapsed_s: Simulated time of the episode.
        pose: x, y, z, pitch, yaw and roll of the sensor.
    """
    return _HEADER.pack(SENSOR_TYPES[kind], frame, elapsed_s, *pose)


def snapshot(episode: int, platform_s: float, delta_s: float, flags: int, records: npt.NDArray[Any]) -> bytes:
    """Returns the body of a snapshot.

    Args:
        episode: Number of the episode.
        platform_s: Time stamp; a deterministic server sends simulated time.
        delta_s: Length of the last tick.
        flags: 0 or ``MAP_CHANGE``.
        records: (n,) of ``ACTOR_RECORD``, every live actor.
    """
    return _SNAPSHOT_HEADER.pack(episode, platform_s, delta_s, 0, 0, 0, flags) + records.tobytes()


def picture(bgra: npt.NDArray[np.uint8], horizontal_fov_deg: float) -> bytes:
    """Returns the body of an image message of (height, width, 4) bytes: blue, green, red, alpha."""
    height, width = bgra.shape[:2]
    return _PICTURE_HEADER.pack(width, height, horizontal_fov_deg) + bgra.tobytes()


EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("t_ns", "<i8"), ("is_brighter", "?")])
"""One event of the event camera (13 bytes): column, row, time and direction of the change."""


def events(width_px: int, height_px: int, horizontal_fov_deg: float, content: npt.NDArray[Any]) -> bytes:
    """Returns the body of an event camera's message: (n,) of ``EVENT``, by time."""
    return _PICTURE_HEADER.pack(width_px, height_px, horizontal_fov_deg) + content.tobytes()


def flow(displacement: npt.NDArray[np.float32], horizontal_fov_deg: float) -> bytes:
    """Returns the body of an optical flow message of (height, width, 2) x and y."""
    height, width = displacement.shape[:2]
    return _PICTURE_HEADER.pack(width, height, horizontal_fov_deg) + displacement.astype("<f4").tobytes()


def lidar(horizontal_angle_rad: float, counts: npt.NDArray[np.uint32], points: npt.NDArray[Any]) -> bytes:
    """Returns the body of a lidar message.

    Args:
        horizontal_angle_rad: Where the sweep ended.
        counts: (channels,) points of each channel.
        points: (sum of counts, 4) float32 x, y, z, intensity in the sensor's frame, or a structured array of x, y, z,
            cosine, object id and tag; ordered by channel.
    """
    return struct.pack("<fI", horizontal_angle_rad, len(counts)) + counts.tobytes() + points.tobytes()


SEMANTIC_POINT = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("cosine", "<f4"), ("object", "<u4"), ("tag", "<u4")]
)
"""One point of the semantic lidar."""


def collision(own: Actor, other: Actor, impulse_newton_s: Vector3) -> bytes:
    """Returns the body of a collision message."""
    return _packed([own, other, impulse_newton_s])


def obstacle(own: Actor, other: Actor, distance_m: float) -> bytes:
    """Returns the body of an obstacle message."""
    return _packed([own, other, distance_m])


def imu(acceleration_mps2: Vector3, rate_radps: Vector3, compass_rad: float) -> bytes:
    """Returns the body of an IMU message; the acceleration has gravity's 9.81 in it."""
    return _packed([acceleration_mps2, rate_radps, compass_rad])


def gnss(latitude_deg: float, longitude_deg: float, altitude_m: float) -> bytes:
    """Returns the body of a GNSS message."""
    return _packed([latitude_deg, longitude_deg, altitude_m])


def radar(detections: npt.NDArray[np.float32]) -> bytes:
    """Returns the body of a radar message: (n, 4) velocity m/s, azimuth rad, altitude rad, depth m."""
    return np.ascontiguousarray(detections, dtype="<f4").tobytes()


def _packed(value: Any) -> bytes:
    return bytes(msgpack.Packer().pack(value))
