"""The shipped ``highway``: one carriageway of a motorway, three lanes, curves of both signs, about 5.3 km.

Radii and lane widths are those of a rural motorway (German guideline RAA: radius >= 470..900 m by design class,
lanes 3.50..3.75 m, hard shoulder 2.50 m, edge strip 0.75 m). Clothoids join all arcs, so that curvature is
continuous. ``python -m simloop_driving.roads.highway FOLDER`` writes ``highway.xodr`` and ``highway.npz``.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from simloop.errors import MissingDependencyError
from simloop_driving.roads.opendrive import sample_opendrive
from simloop_driving.roads.road_map import to_npz_bytes

ROAD_ID = 1
GEO_REFERENCE = "+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m"
LANE_WIDTH_M = 3.5
EDGE_STRIP_WIDTH_M = 0.75
HARD_SHOULDER_WIDTH_M = 2.5
NUM_LANES = 3
SPEED_LIMIT_KMH = 130

_CLOTHOID_LENGTH_M = 120.0
# (length in metres, radius in metres; positive turns left, None is straight)
_ELEMENTS: tuple[tuple[float, float | None], ...] = (
    (400.0, None),
    (350.0, 900.0),
    (200.0, None),
    (400.0, -750.0),
    (350.0, 650.0),
    (300.0, None),
    (300.0, -600.0),
    (450.0, 1100.0),
    (250.0, None),
    (350.0, 700.0),
    (400.0, -1000.0),
    (400.0, None),
)


def highway_opendrive() -> str:
    """Returns the map as OpenDRIVE XML; raises as ``carriageway_opendrive``."""
    return carriageway_opendrive("highway", _ELEMENTS)


def carriageway_opendrive(name: str, elements: tuple[tuple[float, float | None], ...]) -> str:
    """Returns a carriageway with ``NUM_LANES`` lanes as OpenDRIVE XML.

    Args:
        name: Name of the map and its road.
        elements: Length in metres and radius in metres (positive turns left, None is straight) of each part;
            clothoids join parts of different curvature.

    Raises:
        MissingDependencyError: ``scenariogeneration`` is not installed.
    """
    try:
        from scenariogeneration import xodr
    except ImportError as error:
        raise MissingDependencyError(
            "Writing maps needs scenariogeneration: pip install scenariogeneration. "
            "Shipped maps need it only to be made again."
        ) from error

    view = xodr.PlanView()
    curvature = 0.0
    for length, radius in elements:
        target = 0.0 if radius is None else 1.0 / radius
        if target != curvature:
            view.add_geometry(xodr.Spiral(curvature, target, length=_CLOTHOID_LENGTH_M))
        view.add_geometry(xodr.Line(length) if radius is None else xodr.Arc(target, length=length))
        curvature = target

    # Lane 0 is the left edge of the carriageway; every lane runs in the direction of the reference line.
    section = xodr.LaneSection(0, xodr.Lane(lane_type=xodr.LaneType.none))
    solid = xodr.RoadMark(xodr.RoadMarkType.solid, 0.15)
    broken = xodr.RoadMark(xodr.RoadMarkType.broken, 0.15, length=6.0, space=12.0)
    section.add_right_lane(_lane(xodr, xodr.LaneType.shoulder, EDGE_STRIP_WIDTH_M, solid))
    for number in range(NUM_LANES):
        mark = solid if number == NUM_LANES - 1 else broken
        section.add_right_lane(_lane(xodr, xodr.LaneType.driving, LANE_WIDTH_M, mark))
    section.add_right_lane(_lane(xodr, xodr.LaneType.shoulder, HARD_SHOULDER_WIDTH_M, None))
    lanes = xodr.Lanes()
    lanes.add_lanesection(section)

    road = xodr.Road(ROAD_ID, view, lanes, name=name)
    road.add_type(xodr.RoadType.motorway, 0, speed=SPEED_LIMIT_KMH, speed_unit="km/h")
    drive = xodr.OpenDrive(name, revMajor="1", revMinor="6", geo_reference=GEO_REFERENCE)
    drive.add_road(road)
    drive.adjust_roads_and_lanes()
    root = drive.get_element()
    header = root.find("header")
    assert header is not None
    header.set("date", "2026-01-01T00:00:00")  # a map made twice is the same file
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _lane(xodr: Any, lane_type: Any, width_m: float, mark: Any) -> Any:
    lane = xodr.Lane(lane_type=lane_type, a=width_m)
    if mark is not None:
        lane.add_roadmark(mark)
    return lane


def main(folder: str) -> None:
    """Writes ``highway.xodr`` and its sampled arrays ``highway.npz`` into ``folder``."""
    xml = highway_opendrive()
    (Path(folder) / "highway.xodr").write_text(xml, encoding="utf-8")
    (Path(folder) / "highway.npz").write_bytes(to_npz_bytes(sample_opendrive("highway", xml)))


if __name__ == "__main__":
    main(sys.argv[1])
