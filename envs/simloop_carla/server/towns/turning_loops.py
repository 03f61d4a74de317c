"""Turning loops at the loose ends of a map's streets, so that traffic never runs out of road.

CARLA's towns have no loose ends; a traffic manager takes out a vehicle whose way ends. A street that ends at the edge
of the map with one driving lane in each direction gets a loop that leads from the lane that leaves to the one that
enters: a bend to the right, five sixths of a circle to the left and a bend to the right, all with the same radius.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass

RADIUS_M = 12.0
"""Of the loop's reference line; lane centres bend with 10.3 m and 13.8 m."""
LOOP_LIMIT_KMH = 20
_BENDS_DEG = (-60.0, 300.0, -60.0)
"""Turns of the three arcs: with equal radii, they are what comes back to where it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LooseEnd:
    """An end of a road.

    Attributes:
        road: The road.
        is_start: Which end.
        x_m, y_m, heading_rad: Its reference line there, heading out of the road.
        leaves, enters: Lanes out of the road and into it.
        width_m: Width of the lane that leaves.
    """

    road: ET.Element
    is_start: bool
    x_m: float
    y_m: float
    heading_rad: float
    leaves: int
    enters: int
    width_m: float


def with_turning_loops(opendrive: str) -> str:
    """Returns an OpenDRIVE document whose two-lane streets have a turning loop at every loose end.

    Other loose ends (motorways, curved last pieces, left-hand traffic) stay as they are; so does a document without
    loose ends.
    """
    root = ET.fromstring(opendrive)
    numbers = [
        int(element.get("id", "0"))
        for element in (*root.findall("road"), *root.findall("junction"))
        if element.get("id", "").isdigit()
    ]
    next_id = max(numbers, default=0) + 1
    roads, junctions = [], []
    for road in root.findall("road"):
        for end in _loose_ends(road):
            junction_id, road_id = next_id, next_id + 1
            next_id += 2
            roads.append(_loop(end, road_id, junction_id))
            junctions.append(_junction(end, road_id, junction_id))
            side = "predecessor" if end.is_start else "successor"
            ET.SubElement(_link(road), side, elementType="junction", elementId=str(junction_id))
    if not roads:
        return opendrive
    last_road = max(number for number, element in enumerate(root) if element.tag == "road")
    for road in reversed(roads):
        root.insert(last_road + 1, road)
    root.extend(junctions)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _link(road: ET.Element) -> ET.Element:
    link = road.find("link")
    if link is None:
        link = ET.Element("link")
        road.insert(0, link)
    return link


def _loose_ends(road: ET.Element) -> list[_LooseEnd]:
    if road.get("junction", "-1") != "-1" or road.get("rule", "RHT") != "RHT":
        return []
    link, pieces, sections = _link(road), road.findall("planView/geometry"), road.findall("lanes/laneSection")
    if not pieces or not sections or road.find("lanes/laneOffset") is not None:
        return []
    ends = []
    for is_start in (True, False):
        piece, section = (pieces[0], sections[0]) if is_start else (pieces[-1], sections[-1])
        lanes = {
            int(lane.get("id", "0")): lane for lane in section.iter("lane") if lane.get("type") == "driving"
        }
        is_loose = link.find("predecessor" if is_start else "successor") is None
        if not is_loose or set(lanes) != {-1, 1} or piece.find("line") is None:
            continue
        x_m, y_m, heading_rad = (float(piece.get(key, "0")) for key in ("x", "y", "hdg"))
        if is_start:
            heading_rad += math.pi
        else:
            length_m = float(piece.get("length", "0"))
            x_m, y_m = x_m + length_m * math.cos(heading_rad), y_m + length_m * math.sin(heading_rad)
        leaves = 1 if is_start else -1
        widths = lanes[leaves].findall("width")
        ends.append(
            _LooseEnd(
                road=road,
                is_start=is_start,
                x_m=x_m,
                y_m=y_m,
                heading_rad=heading_rad,
                leaves=leaves,
                enters=-leaves,
                width_m=float(widths[0 if is_start else -1].get("a", "3.5")) if widths else 3.5,
            )
        )
    return ends


def _loop(end: _LooseEnd, road_id: int, junction_id: int) -> ET.Element:
    """Returns the road of a loop: one lane to the right of a reference line that ends where it begins."""
    arcs = [math.radians(bend) for bend in _BENDS_DEG]
    length_m = RADIUS_M * sum(abs(arc) for arc in arcs)
    road = ET.Element(
        "road",
        name=f"turning loop of {end.road.get('name') or end.road.get('id')}",
        rule="RHT",
        id=str(road_id),
        junction=str(junction_id),
        length=repr(length_m),
    )
    link = ET.SubElement(road, "link")
    contact, owner = ("start" if end.is_start else "end"), end.road.get("id", "")
    for side in ("predecessor", "successor"):
        ET.SubElement(link, side, elementType="road", elementId=owner, contactPoint=contact)
    kind = ET.SubElement(road, "type", s="0", type="town")
    ET.SubElement(kind, "speed", max=str(LOOP_LIMIT_KMH), unit="km/h")
    plan = ET.SubElement(road, "planView")
    x_m, y_m, heading_rad, station_m = end.x_m, end.y_m, end.heading_rad, 0.0
    for arc in arcs:
        piece = ET.SubElement(
            plan,
            "geometry",
            s=repr(station_m),
            x=repr(x_m),
            y=repr(y_m),
            hdg=repr(heading_rad),
            length=repr(RADIUS_M * abs(arc)),
        )
        curvature_per_m = math.copysign(1.0 / RADIUS_M, arc)
        ET.SubElement(piece, "arc", curvature=repr(curvature_per_m))
        x_m += (math.sin(heading_rad + arc) - math.sin(heading_rad)) / curvature_per_m
        y_m -= (math.cos(heading_rad + arc) - math.cos(heading_rad)) / curvature_per_m
        heading_rad += arc
        station_m += RADIUS_M * abs(arc)
    ET.SubElement(road, "elevationProfile")
    ET.SubElement(road, "lateralProfile")
    section = ET.SubElement(ET.SubElement(road, "lanes"), "laneSection", s="0")
    middle = ET.SubElement(ET.SubElement(section, "center"), "lane", id="0", type="none", level="false")
    right = ET.SubElement(section, "right")
    lane = ET.SubElement(right, "lane", id="-1", type="driving", level="false")
    lane_link = ET.SubElement(lane, "link")
    ET.SubElement(lane_link, "predecessor", id=str(end.leaves))
    ET.SubElement(lane_link, "successor", id=str(end.enters))
    ET.SubElement(lane, "width", sOffset="0", a=repr(end.width_m), b="0.0", c="0.0", d="0.0")
    for marked in (middle, lane):
        ET.SubElement(
            marked, "roadMark", sOffset="0", type="solid", weight="standard", color="standard", width="0.15"
        )
    return road


def _junction(end: _LooseEnd, road_id: int, junction_id: int) -> ET.Element:
    junction = ET.Element("junction", name="turning loop", id=str(junction_id))
    connection = ET.SubElement(
        junction,
        "connection",
        id="0",
        incomingRoad=end.road.get("id", ""),
        connectingRoad=str(road_id),
        contactPoint="start",
    )
    ET.SubElement(connection, "laneLink", {"from": str(end.leaves), "to": "-1"})
    return junction
