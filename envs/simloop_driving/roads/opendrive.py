"""Samples ASAM OpenDRIVE into arrays, with ``carla.Map`` as the geometry kernel (offline, no server).

The list of roads and lanes is read from the XML; every position comes from ``carla.Map``. CARLA's left-handed
frame (y right, degrees clockwise) ends in this module. Only lane sections with constant lane sets are joined.
"""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, MissingDependencyError
from simloop_driving.roads.road_map import LANE_KINDS, RoadMap

FloatArray = npt.NDArray[np.float64]

_SPEED_UNITS = {"m/s": 1.0, "km/h": 1.0 / 3.6, "mph": 0.44704}
_END_MARGIN_M = 1e-3  # carla.Map answers None at the very end of a lane section


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """One lane of one lane section, as the XML names it."""

    road_id: int
    lane_id: int
    kind: int
    begin_m: float
    end_m: float
    speed_limit_mps: float


def sample_opendrive(name: str, xml: str, step_m: float = 1.0) -> RoadMap:
    """Samples every driving lane and shoulder of a map along its centre line.

    Args:
        name: Name of the map.
        xml: The OpenDRIVE document.
        step_m: Arc length between two samples.

    Raises:
        MissingDependencyError: The ``carla`` package is not installed.
        ConfigurationError: The document is not OpenDRIVE, or holds no driving lane.
    """
    lanes = _lanes(name, xml)
    carla_map = _carla_map(name, xml)
    sampled = [_sample_lane(carla_map, lane, step_m) for lane in lanes]
    index = {(lane.road_id, lane.begin_m, lane.lane_id): i for i, lane in enumerate(lanes)}

    def neighbour(lane: _Lane, outward: int) -> int:
        # Away from the reference line is to the right of travel on both sides of the road.
        sign = 1 if lane.lane_id > 0 else -1
        return index.get((lane.road_id, lane.begin_m, lane.lane_id + sign * outward), -1)

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
    )


def _carla_map(name: str, xml: str) -> Any:
    try:
        import carla
    except ImportError as error:
        raise MissingDependencyError(
            f"Sampling the OpenDRIVE map {name!r} needs the carla package: pip install 'carla==0.9.16' (Linux x86-64 "
            "or Windows, Python <= 3.12; no CARLA server is needed). Shipped maps work without it."
        ) from error
    return carla.Map(name, xml)


def _lanes(name: str, xml: str) -> list[_Lane]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ConfigurationError(f"Map {name!r} is not well-formed XML: {error}.") from error
    if root.tag != "OpenDRIVE":
        raise ConfigurationError(f"Map {name!r} has the root element <{root.tag}>; allowed: <OpenDRIVE>.")
    lanes = list(itertools.chain.from_iterable(_road_lanes(road) for road in root.iter("road")))
    if not any(LANE_KINDS[lane.kind] == "driving" for lane in lanes):
        raise ConfigurationError(f"Map {name!r} has no lane of type 'driving'; add one to a <laneSection>.")
    return lanes


def _road_lanes(road: ElementTree.Element) -> list[_Lane]:
    sections = road.findall("lanes/laneSection")
    begins = [float(section.get("s", "0")) for section in sections]
    ends = [*begins[1:], float(road.get("length", "0"))]
    return [
        _Lane(
            road_id=int(road.get("id", "0")),
            lane_id=int(lane.get("id", "0")),
            kind=LANE_KINDS.index(lane.get("type", "")),
            begin_m=begin,
            end_m=end,
            speed_limit_mps=_speed_limit_mps(road, lane, begin),
        )
        for section, begin, end in zip(sections, begins, ends, strict=True)
        for side in ("left", "right")
        for lane in section.findall(f"{side}/lane")
        if lane.get("type") in LANE_KINDS
    ]


def _speed_limit_mps(road: ElementTree.Element, lane: ElementTree.Element, station_m: float) -> float:
    own = lane.find("speed")
    if own is not None:
        return float(own.get("max", "inf")) * _SPEED_UNITS[own.get("unit", "m/s")]
    limit = math.inf
    for road_type in road.findall("type"):
        speed = road_type.find("speed")
        if speed is not None and float(road_type.get("s", "0")) <= station_m:
            limit = float(speed.get("max", "inf")) * _SPEED_UNITS[speed.get("unit", "m/s")]
    return limit


def _sample_lane(carla_map: Any, lane: _Lane, step_m: float) -> FloatArray:
    """Returns rows x, y, yaw, curvature, s, width at equal steps of the lane's own arc length."""
    num = max(2, math.ceil((lane.end_m - lane.begin_m) / step_m) + 1)
    stations = np.linspace(lane.begin_m + _END_MARGIN_M, lane.end_m - _END_MARGIN_M, num)
    if lane.lane_id > 0:
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
    s = np.arange(0.0, along[-1], step_m)
    x, y, yaw, width = (np.interp(s, along, values) for values in (x, y, yaw, width))
    return np.stack([x, y, yaw, np.gradient(yaw, s), s, width])
