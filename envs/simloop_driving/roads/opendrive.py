"""Samples ASAM OpenDRIVE into arrays, with ``carla.Map`` as the geometry kernel (offline, no server).

The list of roads and lanes, their links and their signals are read from the XML; every position comes from
``carla.Map``. CARLA's left-handed frame (y right, degrees clockwise) ends in this module.
"""

from __future__ import annotations

import functools
import math
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, MissingDependencyError
from simloop_driving.roads.opendrive_links import (
    LaneRecord,
    lane_index,
    lane_records,
    opposite_lanes,
    successors,
)
from simloop_driving.roads.opendrive_signals import Pose, signal_records, stop_records
from simloop_driving.roads.road_map import LANE_KINDS, RoadMap

FloatArray = npt.NDArray[np.float64]

_END_MARGIN_M = 1e-3  # carla.Map answers None at the very end of a lane section
_END_MARGIN_RATIO = 1.2e-7  # and rounds stations to 24 bits


def sample_opendrive(name: str, xml: str, step_m: float = 1.0) -> RoadMap:
    """Samples every lane of the kinds ``LANE_KINDS`` along its centre line, with its links, signals and stop lines.

    Args:
        name: Name of the map.
        xml: The OpenDRIVE document.
        step_m: Arc length between two samples.

    Raises:
        MissingDependencyError: The ``carla`` package is not installed.
        ConfigurationError: The document is not OpenDRIVE, or holds no driving lane.
    """
    root = _root(name, xml)
    lanes = lane_records(root)
    if not any(LANE_KINDS[lane.kind] == "driving" for lane in lanes):
        raise ConfigurationError(f"Map {name!r} has no lane of type 'driving'; add one to a <laneSection>.")
    carla_map = _carla_map(name, xml)
    lines = [_centre_line(carla_map, lane, step_m) for lane in lanes]
    sampled = [_resample(line, step_m) for line in lines]
    index = lane_index(lanes)

    def neighbour(lane: LaneRecord, outward: int) -> int:
        # Away from the reference line is to the right of travel on both sides of the road.
        sign = -1 if lane.is_forward else 1
        return index.get((lane.road_id, lane.section, lane.lane_id + sign * outward), -1)

    ahead = successors(root, lanes, index)
    signals = signal_records(root, functools.partial(_reference_pose, carla_map))
    stops = stop_records(root, lanes, signals)
    latitude_deg, longitude_deg = _origin(name, root)
    starts = np.concatenate([[0], np.cumsum([arrays.shape[1] for arrays in sampled])])
    x, y, yaw, curvature, s, width = (np.ascontiguousarray(row) for row in np.concatenate(sampled, axis=1))
    return RoadMap(
        name=name,
        step_m=step_m,
        lane_start=starts.astype(np.int64),
        x_m=x,
        y_m=y,
        yaw_rad=yaw,
        curvature_per_m=curvature,
        s_m=s,
        width_m=width,
        lane_road_id=np.array([lane.road_id for lane in lanes], dtype=np.int64),
        lane_opendrive_id=np.array([lane.lane_id for lane in lanes], dtype=np.int64),
        lane_kind=np.array([lane.kind for lane in lanes], dtype=np.int64),
        lane_speed_limit_mps=np.array([lane.speed_limit_mps for lane in lanes], dtype=np.float64),
        lane_left=np.array([neighbour(lane, -1) for lane in lanes], dtype=np.int64),
        lane_right=np.array([neighbour(lane, 1) for lane in lanes], dtype=np.int64),
        lane_junction_id=np.array([lane.junction_id for lane in lanes], dtype=np.int64),
        lane_opposite=opposite_lanes(lanes, index),
        successor_start=np.cumsum([0, *(len(found) for found in ahead)], dtype=np.int64),
        successor=np.array([lane for found in ahead for lane in found], dtype=np.int64),
        signal_kind=np.array([signal.kind for signal in signals], dtype=np.int64),
        signal_id=np.array([signal.signal_id for signal in signals], dtype=np.int64),
        signal_controller=np.array([signal.controller for signal in signals], dtype=np.int64),
        signal_phase=np.array([signal.phase for signal in signals], dtype=np.int64),
        signal_x_m=np.array([signal.x_m for signal in signals], dtype=np.float64),
        signal_y_m=np.array([signal.y_m for signal in signals], dtype=np.float64),
        signal_z_m=np.array([signal.z_m for signal in signals], dtype=np.float64),
        signal_yaw_rad=np.array([signal.yaw_rad for signal in signals], dtype=np.float64),
        stop_lane=np.array([stop.lane for stop in stops], dtype=np.int64),
        stop_s_m=np.array([_along_m(lines[stop.lane], stop.station_m) for stop in stops], dtype=np.float64),
        stop_signal=np.array([stop.signal for stop in stops], dtype=np.int64),
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
    )


def _carla_map(name: str, xml: str) -> Any:
    try:
        import carla
    except ImportError as error:
        raise MissingDependencyError(
            f"Sampling the OpenDRIVE map {name!r} needs the carla package: pip install 'carla==0.9.16' (Linux x86-64 "
            "or Windows, Python <= 3.12; no CARLA server is needed). Shipped maps work without it."
        ) from error
    try:
        return carla.Map(name, xml)
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"carla.Map, which places the lanes, cannot read the map {name!r}: {error}. Check the file with "
            "asam-qc-opendrive."
        ) from error


def _root(name: str, xml: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ConfigurationError(f"Map {name!r} is not well-formed XML: {error}.") from error
    if root.tag != "OpenDRIVE":
        raise ConfigurationError(f"Map {name!r} has the root element <{root.tag}>; allowed: <OpenDRIVE>.")
    return root


def _origin(name: str, root: ElementTree.Element) -> tuple[float, float]:
    """Returns latitude and longitude of the origin from the PROJ string of <geoReference>; 0 where it has none."""
    text = root.findtext("header/geoReference", "")
    values = []
    for key, limit_deg in (("lat_0", 90.0), ("lon_0", 180.0)):
        found = re.search(rf"\+{key}=(-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)(?=\s|$)", text)
        value = 0.0 if found is None else float(found.group(1))
        if abs(value) > limit_deg:
            raise ConfigurationError(
                f"Map {name!r} has +{key}={value:g} in its <geoReference>; allowed: degrees from {-limit_deg:g} to "
                f"{limit_deg:g}."
            )
        values.append(value)
    return values[0], values[1]


def _centre_line(carla_map: Any, lane: LaneRecord, step_m: float) -> FloatArray:
    """Returns rows x, y, yaw, width, arc length and station, in travel order, at equal steps of the station."""
    num = max(2, math.ceil((lane.end_m - lane.begin_m) / step_m) + 1)
    margin_m = _end_margin_m(lane.end_m)
    stations = np.linspace(lane.begin_m + margin_m, lane.end_m - margin_m, num)
    if not lane.is_forward:
        stations = stations[::-1]
    points = [carla_map.get_waypoint_xodr(lane.road_id, lane.lane_id, float(station)) for station in stations]
    transforms = [point.transform for point in points]
    x = np.array([t.location.x for t in transforms])
    y = -np.array([t.location.y for t in transforms])
    yaw = np.unwrap(-np.radians([t.rotation.yaw for t in transforms]))
    width = np.array([point.lane_width for point in points])
    # A chord is shorter than its arc by the factor sin(h) / h, h = half the turn along it.
    half_turn = np.abs(np.diff(yaw)) / 2.0
    arc = np.hypot(np.diff(x), np.diff(y)) / np.sinc(half_turn / math.pi)
    along = np.concatenate([[0.0], np.cumsum(arc)])
    return np.stack([x, y, yaw, width, along, stations])


def _end_margin_m(end_m: float) -> float:
    return max(_END_MARGIN_M, _END_MARGIN_RATIO * end_m)


def _resample(line: FloatArray, step_m: float) -> FloatArray:
    """Returns rows x, y, yaw, curvature, s, width at equal steps of the lane's own arc length, two at least.

    A lane that is shorter than a step is drawn out straight to one.
    """
    along = line[4]
    s = np.arange(0.0, max(along[-1], 1.5 * step_m), step_m)
    x, y, yaw, width = (np.interp(s, along, values) for values in line[:4])
    if along[-1] <= step_m:
        x[1], y[1] = x[0] + step_m * math.cos(yaw[0]), y[0] + step_m * math.sin(yaw[0])
    return np.stack([x, y, yaw, np.gradient(yaw, s), s, width])


def _along_m(line: FloatArray, station_m: float) -> float:
    """Returns the arc length along a lane at a station of the reference line."""
    order = np.argsort(line[5])
    return float(np.interp(station_m, line[5][order], line[4][order]))


def _reference_pose(carla_map: Any, road: ElementTree.Element, station_m: float) -> Pose:
    """Returns x, y and heading of a road's reference line, from the border of a lane beside lane 0."""
    length_m = float(road.get("length", "0"))
    margin_m = _end_margin_m(length_m)
    station_m = min(max(station_m, margin_m), length_m - margin_m)
    point = None
    for lane_id in (-1, 1):
        point = point or carla_map.get_waypoint_xodr(int(road.get("id", "0")), lane_id, station_m)
    if point is None:
        raise ConfigurationError(
            f"Road {road.get('id')} has a signal at station {station_m:g} m and no lane beside lane 0 there; give "
            "the signal a <positionInertial>."
        )
    yaw = -math.radians(point.transform.rotation.yaw) + (math.pi if point.lane_id > 0 else 0.0)
    offset_m = math.copysign(0.5 * point.lane_width, -point.lane_id) - _lane_offset_m(road, station_m)
    x, y = point.transform.location.x, -point.transform.location.y
    return x - offset_m * math.sin(yaw), y + offset_m * math.cos(yaw), yaw


def _lane_offset_m(road: ElementTree.Element, station_m: float) -> float:
    value = 0.0
    for item in road.findall("lanes/laneOffset"):
        distance = station_m - float(item.get("s", "0"))
        if distance >= 0.0:
            value = sum(float(item.get(name, "0")) * distance**power for power, name in enumerate("abcd"))
    return value
