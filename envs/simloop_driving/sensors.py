"""Sensors of the driving world: their layout, and the arrays made from a frozen snapshot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving import step_kernel
from simloop_driving.camera import HEIGHT_PX, WIDTH_PX
from simloop_driving.dynamics import single_track
from simloop_driving.roads.route import (
    LEFT_EDGE_M,
    RIGHT_EDGE_M,
    centre_at,
    value_at,
)
from simloop_driving.roads.route import (
    WIDTH_M as ROUTE_WIDTH_M,
)
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    CLASS,
    D_RATE_MPS,
    EGO,
    FIRST_SLOW_CLASS,
    KEEPS_HEADING,
    LENGTH_M,
    S_M,
    SPEED_MPS,
    WIDTH_M,
    X_M,
    Y_M,
    YAW_RAD,
)

FloatArray = npt.NDArray[np.float64]

SENSOR_PERIOD_NS = 50_000_000
PAST_NS = 400_000_000
"""How much earlier ``front_camera_past`` looks than ``front_camera``."""

NUM_OBJECTS = 16
OBJECT_COLUMNS = (
    "is_present",
    "x_m",
    "y_m",
    "heading_rad",
    "speed_mps",
    "acceleration_mps2",
    "length_m",
    "width_m",
)
"""Columns of ``objects``: centre and heading of travel in the ego's frame (x forward, y left); speed and acceleration
are the actor's own, along its heading, not relative ones. Rows are sorted by distance; rows without an actor are
zero."""

NUM_ROUTE_POINTS = 32
ROUTE_SPACING_M = 4.0
ROUTE_COLUMNS = (
    "x_m",
    "y_m",
    "heading_rad",
    "curvature_per_m",
    "lane_width_m",
    "has_left_lane",
    "has_right_lane",
    "set_speed_mps",
)
"""Columns of ``route``: points of the target lane's centre line in the ego's frame, every 4 m from the point nearest
to the ego; lane width, whether there are driving lanes beside it, and the speed that the route asks for."""

EGO_STATE_ENTRIES = ("speed_mps", "acceleration_mps2", "yaw_rate_radps", "steering_angle_rad")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """The state at one physics instant, copied.

    Attributes:
        step: Physics steps since the start.
        ego: (single_track.NUM_EGO_ENTRIES,) float64.
        actors: (actor_state.NUM_ROWS, N) float64.
    """

    step: int
    ego: FloatArray
    actors: FloatArray


def _float_sensor(
    name: str, kind: SensorKind, shape: tuple[int, ...], description: str, *, is_privileged: bool = False
) -> SensorSpec:
    return SensorSpec(
        name=name,
        kind=kind,
        shape=shape,
        dtype="float64",
        period_ns=SENSOR_PERIOD_NS,
        payload_bytes=8 * math.prod(shape),
        is_privileged=is_privileged,
        description=description,
    )


def _camera(name: str, description: str) -> SensorSpec:
    shape = (HEIGHT_PX, WIDTH_PX, 3)
    return SensorSpec(
        name=name,
        kind=SensorKind.CAMERA,
        shape=shape,
        dtype="uint8",
        period_ns=SENSOR_PERIOD_NS,
        payload_bytes=math.prod(shape),
        description=description,
    )


SENSORS = (
    _camera("front_camera", "RGB, behind the windscreen, looking ahead"),
    _camera("front_camera_past", "the same camera 0.4 s earlier; before that, the first picture"),
    _float_sensor(
        "ego_state",
        SensorKind.PROPRIOCEPTION,
        (len(EGO_STATE_ENTRIES),),
        "entries: " + ", ".join(EGO_STATE_ENTRIES),
    ),
    _float_sensor(
        "objects",
        SensorKind.OBJECTS,
        (NUM_OBJECTS, len(OBJECT_COLUMNS)),
        "nearest actors first; columns: " + ", ".join(OBJECT_COLUMNS),
        is_privileged=True,
    ),
    _float_sensor(
        "route",
        SensorKind.OBJECTS,
        (NUM_ROUTE_POINTS, len(ROUTE_COLUMNS)),
        "target lane ahead, from the map; columns: " + ", ".join(ROUTE_COLUMNS),
    ),
)

NUM_HISTORY_ROWS = 800
NUM_HISTORY_ACTORS = 3
HISTORY_COLUMNS = (
    "station_m",
    "lateral_offset_m",
    "speed_mps",
    "lateral_speed_mps",
    "acceleration_mps2",
    "length_m",
    "width_m",
)
"""Columns of ``history``: position along and across the ego's route (left positive), speeds along and across it,
acceleration, size. A row is a control tick, the first one t = 0; rows that are still to come are zero. The ego comes
first, then the first actors of the scene; an actor that does not exist has no length."""
HISTORY = _float_sensor(
    "history",
    SensorKind.OBJECTS,
    (NUM_HISTORY_ROWS, 1 + NUM_HISTORY_ACTORS, len(HISTORY_COLUMNS)),
    "all control ticks so far; the ego and the first actors; columns: " + ", ".join(HISTORY_COLUMNS),
    is_privileged=True,
)


def history(actors: FloatArray, record: FloatArray) -> FloatArray:
    """Returns the (800, 4, 7) ``history``.

    Args:
        actors: (actor_state.NUM_ROWS, N) of a snapshot.
        record: (ticks, N, step_kernel.NUM_RECORD_COLUMNS) up to the snapshot's control tick.
    """
    out = np.zeros((NUM_HISTORY_ROWS, 1 + NUM_HISTORY_ACTORS, len(HISTORY_COLUMNS)))
    num_rows, num_actors = min(len(record), NUM_HISTORY_ROWS), min(record.shape[1], 1 + NUM_HISTORY_ACTORS)
    known, part = record[:num_rows, :num_actors], out[:num_rows, :num_actors]
    part[:, :, 0] = known[:, :, step_kernel.RECORD_S]
    part[:, :, 1] = known[:, :, step_kernel.RECORD_D]
    rate = known[:, :, step_kernel.RECORD_D_RATE]
    speed = known[:, :, step_kernel.RECORD_SPEED]
    part[:, :, 2] = np.sqrt(np.maximum(speed * speed - rate * rate, 0.0))
    part[:, :, 3] = rate
    part[:, :, 4] = known[:, :, step_kernel.RECORD_ACCELERATION]
    part[:, :, 5] = actors[LENGTH_M, :num_actors]
    part[:, :, 6] = actors[WIDTH_M, :num_actors]
    return out


def ego_state(snapshot: Snapshot) -> FloatArray:
    """Returns the (4,) ``ego_state``."""
    ego = snapshot.ego
    return np.array(
        [
            ego[single_track.VX_MPS],
            ego[single_track.ACCELERATION_MPS2],
            ego[single_track.YAW_RATE_RADPS],
            ego[single_track.STEER_RAD],
        ]
    )


def objects(snapshot: Snapshot) -> FloatArray:
    """Returns the (16, 8) ``objects``."""
    out = np.zeros((NUM_OBJECTS, len(OBJECT_COLUMNS)))
    _fill_objects(out, snapshot.actors)
    return out


def route(snapshot: Snapshot, samples: FloatArray, step_m: float, set_speed_mps: float) -> FloatArray:
    """Returns the (32, 8) ``route``."""
    out = np.empty((NUM_ROUTE_POINTS, len(ROUTE_COLUMNS)))
    _fill_route(out, snapshot.actors, samples, step_m, set_speed_mps)
    return out


@numba.njit(cache=True)
def _fill_objects(out: FloatArray, actors: FloatArray) -> None:
    num = actors.shape[1] - 1
    square = np.empty(num)
    for i in range(num):
        square[i] = (actors[X_M, i + 1] - actors[X_M, EGO]) ** 2 + (
            actors[Y_M, i + 1] - actors[Y_M, EGO]
        ) ** 2
    order = np.argsort(square, kind="mergesort")
    yaw = actors[YAW_RAD, EGO]
    cos_yaw, sin_yaw = math.cos(yaw), math.sin(yaw)
    for row in range(min(num, out.shape[0])):
        actor = order[row] + 1
        dx, dy = actors[X_M, actor] - actors[X_M, EGO], actors[Y_M, actor] - actors[Y_M, EGO]
        turn = actors[YAW_RAD, actor] - yaw
        speed = actors[SPEED_MPS, actor]
        if actors[KEEPS_HEADING, actor] > 0.0:  # its motion is what tells where it goes
            turn += math.atan2(actors[D_RATE_MPS, actor], speed)
        if actors[KEEPS_HEADING, actor] > 0.0 or actors[CLASS, actor] >= FIRST_SLOW_CLASS:
            speed = math.hypot(speed, actors[D_RATE_MPS, actor])
        out[row, 0] = 1.0
        out[row, 1] = dx * cos_yaw + dy * sin_yaw
        out[row, 2] = dy * cos_yaw - dx * sin_yaw
        out[row, 3] = turn - 2.0 * math.pi * math.floor((turn + math.pi) / (2.0 * math.pi))
        out[row, 4] = speed
        out[row, 5] = actors[ACCELERATION_MPS2, actor]
        out[row, 6] = actors[LENGTH_M, actor]
        out[row, 7] = actors[WIDTH_M, actor]


@numba.njit(cache=True)
def _fill_route(
    out: FloatArray, actors: FloatArray, samples: FloatArray, step_m: float, set_speed_mps: float
) -> None:
    ego_yaw = actors[YAW_RAD, EGO]
    cos_yaw, sin_yaw = math.cos(ego_yaw), math.sin(ego_yaw)
    for i in range(out.shape[0]):
        s = actors[S_M, EGO] + i * ROUTE_SPACING_M
        x, y, yaw, curvature = centre_at(samples, step_m, s)
        dx, dy = x - actors[X_M, EGO], y - actors[Y_M, EGO]
        turn = yaw - ego_yaw
        width = value_at(samples, step_m, ROUTE_WIDTH_M, s)
        out[i, 0] = dx * cos_yaw + dy * sin_yaw
        out[i, 1] = dy * cos_yaw - dx * sin_yaw
        out[i, 2] = turn - 2.0 * math.pi * math.floor((turn + math.pi) / (2.0 * math.pi))
        out[i, 3] = curvature
        out[i, 4] = width
        out[i, 5] = 1.0 if value_at(samples, step_m, LEFT_EDGE_M, s) > width else 0.0
        out[i, 6] = 1.0 if value_at(samples, step_m, RIGHT_EDGE_M, s) < -width else 0.0
        out[i, 7] = set_speed_mps
