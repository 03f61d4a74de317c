"""Which lane leads into which: OpenDRIVE's road, lane and junction links, resolved to lane indices.

A lane runs in its direction of travel: lanes with negative ids along the reference line, lanes with positive ids
against it.
"""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop_driving.roads.road_map import DRIVING, LANE_KINDS

IntArray = npt.NDArray[np.int64]

_SPEED_UNITS = {"m/s": 1.0, "km/h": 1.0 / 3.6, "mph": 0.44704}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRecord:
    """One lane of one lane section, as the XML names it.

    Attributes:
        road_id: OpenDRIVE road.
        junction_id: The junction that the road is part of, or -1.
        section: Number of the lane section in its road.
        is_last_section: In the direction of travel.
        lane_id: OpenDRIVE lane.
        kind: Index into ``LANE_KINDS``.
        begin_m: Station on the reference line at which the section begins.
        end_m: Station at which it ends.
        speed_limit_mps: Speed limit, inf where there is none.
        next_lane_id: The lane that this one is linked to at its end in the direction of travel, or None.
    """

    road_id: int
    junction_id: int
    section: int
    is_last_section: bool
    lane_id: int
    kind: int
    begin_m: float
    end_m: float
    speed_limit_mps: float
    next_lane_id: int | None

    @property
    def is_forward(self) -> bool:
        """Whether the lane runs along the reference line."""
        return self.lane_id < 0


LaneIndex = dict[tuple[int, int, int], int]


def lane_index(lanes: Sequence[LaneRecord]) -> LaneIndex:
    """Returns the position of each lane by (road, section, lane id)."""
    return {(lane.road_id, lane.section, lane.lane_id): i for i, lane in enumerate(lanes)}


def lane_records(root: ElementTree.Element) -> list[LaneRecord]:
    """Returns the lanes of the kinds ``LANE_KINDS`` of all roads, in the order of the document."""
    return list(itertools.chain.from_iterable(_road_lanes(road) for road in root.iter("road")))


def _road_lanes(road: ElementTree.Element) -> list[LaneRecord]:
    sections = road.findall("lanes/laneSection")
    begins = [float(section.get("s", "0")) for section in sections]
    ends = [*begins[1:], float(road.get("length", "0"))]
    records = []
    for number, (section, begin, end) in enumerate(zip(sections, begins, ends, strict=True)):
        for side in ("left", "right"):
            for lane in section.findall(f"{side}/lane"):
                if lane.get("type") not in LANE_KINDS:
                    continue
                lane_id = int(lane.get("id", "0"))
                link = lane.find("link/successor" if lane_id < 0 else "link/predecessor")
                records.append(
                    LaneRecord(
                        road_id=int(road.get("id", "0")),
                        junction_id=int(road.get("junction", "-1")),
                        section=number,
                        is_last_section=number == (len(sections) - 1 if lane_id < 0 else 0),
                        lane_id=lane_id,
                        kind=LANE_KINDS.index(lane.get("type", "")),
                        begin_m=begin,
                        end_m=end,
                        speed_limit_mps=_speed_limit_mps(road, lane, begin),
                        next_lane_id=None if link is None else int(link.get("id", "0")),
                    )
                )
    return records


def _speed_limit_mps(road: ElementTree.Element, lane: ElementTree.Element, station_m: float) -> float:
    own = lane.find("speed")
    if own is not None:
        return _limit_mps(own)
    limit = math.inf
    for road_type in road.findall("type"):
        speed = road_type.find("speed")
        if speed is not None and float(road_type.get("s", "0")) <= station_m:
            limit = _limit_mps(speed)
    return limit


def _limit_mps(speed: ElementTree.Element) -> float:
    text = speed.get("max", "no limit")
    if text in ("no limit", "undefined"):
        return math.inf
    return float(text) * _SPEED_UNITS[speed.get("unit", "m/s")]


def opposite_lanes(lanes: Sequence[LaneRecord], index: LaneIndex) -> IntArray:
    """Returns for each lane the driving lane across the reference line, of the opposite direction, or -1."""
    across = [index.get((lane.road_id, lane.section, 1 if lane.is_forward else -1), -1) for lane in lanes]
    return np.array([i if i >= 0 and lanes[i].kind == DRIVING else -1 for i in across], dtype=np.int64)


def successors(root: ElementTree.Element, lanes: Sequence[LaneRecord], index: LaneIndex) -> list[list[int]]:
    """Returns for each lane the lanes that it leads into, in the order of the document.

    Within a road and between roads the lane's own link counts; at a junction its connections do. A link to a lane
    that there is not, or that is of no kind of ``LANE_KINDS``, leads nowhere.
    """
    roads = {int(road.get("id", "0")): road for road in root.iter("road")}
    junctions = {int(junction.get("id", "0")): junction for junction in root.iter("junction")}
    return [_lane_successors(lane, roads, junctions, index) for lane in lanes]


def _lane_successors(
    lane: LaneRecord,
    roads: dict[int, ElementTree.Element],
    junctions: dict[int, ElementTree.Element],
    index: LaneIndex,
) -> list[int]:
    if not lane.is_last_section:
        section = lane.section + (1 if lane.is_forward else -1)
        found = _find(index, lane.road_id, section, lane.next_lane_id)
        return [] if found < 0 else [found]
    link = roads[lane.road_id].find("link/successor" if lane.is_forward else "link/predecessor")
    if link is None:
        return []
    element = int(link.get("elementId", "-1"))
    if link.get("elementType") == "junction":
        return _connected(lane, roads, junctions.get(element), index)
    found = _enter(index, roads.get(element), link.get("contactPoint"), lane.next_lane_id)
    return [] if found < 0 else [found]


def _connected(
    lane: LaneRecord,
    roads: dict[int, ElementTree.Element],
    junction: ElementTree.Element | None,
    index: LaneIndex,
) -> list[int]:
    connections = [] if junction is None else junction.findall("connection")
    found: list[int] = []
    for connection in connections:
        if int(connection.get("incomingRoad", "-1")) != lane.road_id:
            continue
        road = roads.get(int(connection.get("connectingRoad", "-1")))
        contact = connection.get("contactPoint")
        if road is None or not _touches(road, contact, lane):
            continue
        for link in connection.findall("laneLink"):
            if int(link.get("from", "0")) == lane.lane_id:
                entered = _enter(index, road, contact, int(link.get("to", "0")))
                if entered >= 0 and entered not in found:
                    found.append(entered)
    return found


def _touches(connecting: ElementTree.Element, contact: str | None, lane: LaneRecord) -> bool:
    """Whether a connecting road joins that end of the lane's road at which the lane ends."""
    link = connecting.find("link/successor" if contact == "end" else "link/predecessor")
    if link is None or int(link.get("elementId", "-1")) != lane.road_id:
        return link is None
    return link.get("contactPoint") in (None, "end" if lane.is_forward else "start")


def _enter(
    index: LaneIndex, road: ElementTree.Element | None, contact: str | None, lane_id: int | None
) -> int:
    """Returns the lane of a road that begins at its contact point; a lane that ends there is not entered."""
    if road is None or lane_id is None or (lane_id < 0) == (contact == "end"):
        return -1
    section = len(road.findall("lanes/laneSection")) - 1 if contact == "end" else 0
    return _find(index, int(road.get("id", "0")), section, lane_id)


def _find(index: LaneIndex, road_id: int, section: int, lane_id: int | None) -> int:
    return -1 if lane_id is None else index.get((road_id, section, lane_id), -1)
