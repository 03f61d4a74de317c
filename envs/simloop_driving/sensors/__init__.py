"""Sensors of the driving world: their layout, and the arrays made from a frozen snapshot.

Every world has the front cameras, ``ego_state``, ``objects`` and ``route``; the others are there if the world is
asked for them by ``extra_sensors``.
"""

from __future__ import annotations

from simloop_driving.sensors.birds_eye import BIRDS_EYE_LAYERS
from simloop_driving.sensors.conflicts import CONFLICT_COLUMNS
from simloop_driving.sensors.controls import CONTROL_COLUMNS
from simloop_driving.sensors.extra import EXTRA_SENSORS, extra_sensors
from simloop_driving.sensors.front_camera import FrontCamera
from simloop_driving.sensors.gnss import GNSS_ENTRIES
from simloop_driving.sensors.history import (
    HISTORY_COLUMNS,
    NUM_HISTORY_ACTORS,
    NUM_HISTORY_ROWS,
)
from simloop_driving.sensors.imu import IMU_COLUMNS
from simloop_driving.sensors.lidar import LIDAR_CHANNELS
from simloop_driving.sensors.options import ExtraSensor
from simloop_driving.sensors.radar import RADAR_COLUMNS
from simloop_driving.sensors.road_ahead import ROAD_AHEAD_COLUMNS
from simloop_driving.sensors.snapshot import Episode, Snapshot
from simloop_driving.sensors.standard import (
    EGO_STATE_ENTRIES,
    NUM_OBJECTS,
    NUM_ROUTE_POINTS,
    OBJECT_COLUMNS,
    ROUTE_COLUMNS,
    ROUTE_SPACING_M,
    SENSOR_PERIOD_NS,
    STATE_SENSORS,
    ego_state,
    objects,
    route,
)

__all__ = [
    "BIRDS_EYE_LAYERS",
    "CONFLICT_COLUMNS",
    "CONTROL_COLUMNS",
    "EGO_STATE_ENTRIES",
    "EXTRA_SENSORS",
    "GNSS_ENTRIES",
    "HISTORY_COLUMNS",
    "IMU_COLUMNS",
    "LIDAR_CHANNELS",
    "NUM_HISTORY_ACTORS",
    "NUM_HISTORY_ROWS",
    "NUM_OBJECTS",
    "NUM_ROUTE_POINTS",
    "OBJECT_COLUMNS",
    "RADAR_COLUMNS",
    "ROAD_AHEAD_COLUMNS",
    "ROUTE_COLUMNS",
    "ROUTE_SPACING_M",
    "SENSOR_PERIOD_NS",
    "STATE_SENSORS",
    "Episode",
    "ExtraSensor",
    "FrontCamera",
    "Snapshot",
    "ego_state",
    "extra_sensors",
    "objects",
    "route",
]
