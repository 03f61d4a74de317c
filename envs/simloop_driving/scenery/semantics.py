"""Classes of what is seen, for the semantic camera, the lidar and the bird's-eye raster."""

from __future__ import annotations

from simloop_driving.scenario.actor_state import ACTOR_CLASSES

NONE = 0
SKY = 1
TERRAIN = 2
ROAD = 3
SHOULDER = 4
PARKING = 5
SIDEWALK = 6
BIKING = 7
LANE_MARKING = 8
POLE = 9
TRAFFIC_LIGHT = 10
TRAFFIC_SIGN = 11
FIRST_ACTOR = 12

SEMANTIC_CLASSES = (
    "none",
    "sky",
    "terrain",
    "road",
    "shoulder",
    "parking",
    "sidewalk",
    "biking",
    "lane_marking",
    "pole",
    "traffic_light",
    "traffic_sign",
    *ACTOR_CLASSES,
)
"""Names of the classes, by code; ``none`` is where a sensor has no data. The last ones are the actor classes."""
