"""Sensors that every driving world has, except its cameras: layout, and arrays made from a frozen snapshot."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
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
from simloop_driving.scenario import criteria
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    CLASS,
    D_RATE_MPS,
    EGO,
    FIRST_SLOW_CLASS,
    IS_ABSENT,
    KEEPS_HEADING,
    LENGTH_M,
    S_M,
    SPEED_MPS,
    WIDTH_M,
    X_M,
    Y_M,
    YAW_RAD,
)
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]

SENSOR_PERIOD_NS = 50_000_000

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


STATE_SENSORS = (
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


def ego_state(snapshot: Snapshot, index: int) -> FloatArray:
    """Returns the (4,) ``ego_state`` of capture ``index``."""
    ego = snapshot.ego
    return np.array(
        [
            ego[single_track.VX_MPS],
            ego[single_track.ACCELERATION_MPS2],
            ego[single_track.YAW_RATE_RADPS],
            ego[single_track.STEER_RAD],
        ]
    )


def objects(snapshot: Snapshot, index: int) -> FloatArray:
    """Returns the (16, 8) ``objects`` of capture ``index``."""
    out = np.zeros((NUM_OBJECTS, len(OBJECT_COLUMNS)))
    _fill_objects(out, snapshot.actors)
    return out


def route(snapshot: Snapshot, index: int) -> FloatArray:
    """Returns the (32, 8) ``route`` of capture ``index``."""
    out = np.empty((NUM_ROUTE_POINTS, len(ROUTE_COLUMNS)))
    start = snapshot.episode.start
    set_speed_mps = float(start.criteria[criteria.SET_SPEED_MPS])
    _fill_route(out, snapshot.actors, start.route.samples, start.route.step_m, set_speed_mps)
    return out


@numba.njit(cache=True)
def _fill_objects(out: FloatArray, actors: FloatArray) -> None:
    num = actors.shape[1] - 1
    num_present = 0
    square = np.empty(num)
    for i in range(num):
        if actors[IS_ABSENT, i + 1] > 0.0:
            square[i] = math.inf
            continue
        num_present += 1
        square[i] = (actors[X_M, i + 1] - actors[X_M, EGO]) ** 2 + (
            actors[Y_M, i + 1] - actors[Y_M, EGO]
        ) ** 2
    order = np.argsort(square, kind="mergesort")
    yaw = actors[YAW_RAD, EGO]
    cos_yaw, sin_yaw = math.cos(yaw), math.sin(yaw)
    for row in range(min(num_present, out.shape[0])):
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
