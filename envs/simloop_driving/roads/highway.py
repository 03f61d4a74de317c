"""The shipped ``highway``: one carriageway of a motorway, three lanes, curves of both signs, about 5.3 km.

Radii and lane widths are those of a rural motorway (German guideline RAA: radius >= 470..900 m by design class,
lanes 3.50..3.75 m, hard shoulder 2.50 m, edge strip 0.75 m). Clothoids join all arcs, so that curvature is
continuous. ``python -m simloop_driving.roads.highway FOLDER`` writes ``highway.xodr`` and ``highway.npz``.
"""

from __future__ import annotations

import sys

from simloop_driving.roads.network import Network
from simloop_driving.roads.road_specs import Element, LaneSpec, RoadSpec

ROAD_ID = 1
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


def highway_network() -> Network:
    """Returns the map; raises as ``Network``."""
    return carriageway_network("highway", _ELEMENTS)


def carriageway_network(name: str, parts: tuple[tuple[float, float | None], ...]) -> Network:
    """Returns a carriageway with ``NUM_LANES`` lanes.

    Args:
        name: Name of the map and its road.
        parts: Length in metres and radius in metres (positive turns left, None is straight) of each part; clothoids
            join parts of different curvature.

    Raises:
        MissingDependencyError: ``scenariogeneration`` is not installed.
    """
    elements: list[Element] = []
    curvature = 0.0
    for length, radius in parts:
        target = 0.0 if radius is None else 1.0 / radius
        if target != curvature:
            elements.append((_CLOTHOID_LENGTH_M, curvature, target))
        elements.append((length, target, target))
        curvature = target
    # Lane 0 is the left edge of the carriageway; every lane runs in the direction of the reference line.
    marks = ["broken"] * (NUM_LANES - 1) + ["solid"]
    network = Network(name)
    network.add(
        RoadSpec(
            road_id=ROAD_ID,
            start=(0.0, 0.0, 0.0),
            elements=tuple(elements),
            right=(
                LaneSpec(kind="shoulder", width=EDGE_STRIP_WIDTH_M, mark="solid"),
                *(LaneSpec(kind="driving", width=LANE_WIDTH_M, mark=mark) for mark in marks),
                LaneSpec(kind="shoulder", width=HARD_SHOULDER_WIDTH_M),
            ),
            speed_limit_kmh=SPEED_LIMIT_KMH,
            road_type="motorway",
            name=name,
        )
    )
    return network


if __name__ == "__main__":
    highway_network().write(sys.argv[1])
