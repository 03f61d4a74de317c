"""The shipped ``rural``: a two-way country road of 4.7 km with long straights, bends of 300 to 60 m and a hairpin.

Roads 1 to 6 follow each other without junctions; lane -1 runs along all of them, lane 1 comes towards it, lanes +-2
are shoulders. Lanes are 3.5 m wide, as in the cross section RQ 11 of the German guideline RAL.

====  ======  ========  ==========================================================
road  length  limit     what it is
====  ======  ========  ==========================================================
1     1000 m  100 km/h  straight (overtaking allowed: broken centre line)
2     925 m   70 km/h   bends of 200 m left, 120 m right, 60 m left, 300 m right
3     800 m   100 km/h  straight
4     188 m   30 km/h   hairpin: left by 180 degrees at 12 m
5     870 m   70 km/h   bends of 150 m right, 80 m left, 100 m right, 250 m left
6     900 m   100 km/h  straight
====  ======  ========  ==========================================================

==================================  =====  =====  ========================================
family                              start  goal   what is met
==================================  =====  =====  ========================================
overtake_slow_lead                  1/-1   1/-1   oncoming traffic from 1/1 (from 2/1 on)
parked_obstacle, oncoming           3/-1   3/-1   oncoming traffic from 3/1
u_turn_bend                         3/-1   5/-1   the hairpin 4/-1; oncoming from 5/1
car following through bends         1/-1   3/-1   the bends of road 2
the tightest bend on the inner side 5/1    3/1    the hairpin 4/1, turning right
==================================  =====  =====  ========================================

``python -m simloop_driving.roads.rural FOLDER`` writes ``rural.xodr`` and ``rural.npz``.
"""

from __future__ import annotations

import math
import sys

from simloop_driving.roads.network import Network
from simloop_driving.roads.road_specs import Element, LaneSpec, RoadSpec, bend

LANE_WIDTH_M = 3.5
SHOULDER_WIDTH_M = 1.0
HAIRPIN_RADIUS_M = 12.0

_STRAIGHT_KMH, _BENDS_KMH, _HAIRPIN_KMH = 100, 70, 30


def _straight(length_m: float) -> tuple[Element, ...]:
    return ((length_m, 0.0, 0.0),)


# Elements, speed limit and centre line of roads 1, 2, ...
_ROADS: tuple[tuple[tuple[Element, ...], int, str], ...] = (
    (_straight(1000.0), _STRAIGHT_KMH, "broken"),
    (
        (
            *bend(200.0, 0.8, 60.0),
            *bend(120.0, -1.2, 50.0),
            *_straight(60.0),
            *bend(60.0, 1.1, 35.0),
            *_straight(60.0),
            *bend(300.0, -0.7, 80.0),
        ),
        _BENDS_KMH,
        "solid",
    ),
    (_straight(800.0), _STRAIGHT_KMH, "broken"),
    ((*_straight(70.0), *bend(HAIRPIN_RADIUS_M, math.pi, 10.0), *_straight(70.0)), _HAIRPIN_KMH, "solid"),
    (
        (
            *bend(150.0, -0.9, 50.0),
            *_straight(120.0),
            *bend(80.0, 1.0, 40.0),
            *_straight(80.0),
            *bend(100.0, -0.8, 40.0),
            *bend(250.0, 0.7, 70.0),
        ),
        _BENDS_KMH,
        "solid",
    ),
    (_straight(900.0), _STRAIGHT_KMH, "broken"),
)


def rural_network() -> Network:
    """Returns the map; raises as ``Network``."""
    network = Network("rural")
    pose = (0.0, 0.0, 0.0)
    for road_id, (elements, limit_kmh, centre) in enumerate(_ROADS, start=1):
        before, behind = road_id > 1, road_id < len(_ROADS)
        sides = {
            sign: tuple(
                LaneSpec(
                    kind=kind,
                    width=width,
                    mark=mark,
                    predecessor=sign * number if before else None,
                    successor=sign * number if behind else None,
                )
                for number, kind, width, mark in (
                    (1, "driving", LANE_WIDTH_M, "solid"),
                    (2, "shoulder", SHOULDER_WIDTH_M, "none"),
                )
            )
            for sign in (1, -1)
        }
        road = RoadSpec(
            road_id=road_id,
            start=pose,
            elements=elements,
            left=sides[1],
            right=sides[-1],
            speed_limit_kmh=limit_kmh,
            road_type="rural",
            centre_mark=centre,
            predecessor=("road", road_id - 1, "end") if before else None,
            successor=("road", road_id + 1, "start") if behind else None,
        )
        pose = network.add(road).end("end").pose
    return network


if __name__ == "__main__":
    rural_network().write(sys.argv[1])
