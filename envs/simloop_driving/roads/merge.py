"""The shipped ``merge``: a motorway with three lanes, an on-ramp with its acceleration lane, and an off-ramp.

The carriageway has the cross section of ``highway``: lane -1 edge strip, lanes -2 to -4 driving from left to right,
lane -5 hard shoulder. On roads 2 and 4 lane -5 is the acceleration or deceleration lane and -6 the shoulder.

====  =======  ==================================================================================
road  length   what it is
====  =======  ==================================================================================
1     600 m    main road before the on-ramp
2     330 m    acceleration lane -5: 250 m of full width (RAA), then it closes within 60 m
3     700 m    three lanes, a gentle bend to the left
4     330 m    deceleration lane -5: opens within 60 m after 20 m, then 250 m of full width
5     600 m    main road behind the off-ramp
11    398 m    on-ramp: lane -1, shoulder -2, 80 km/h
12    398 m    off-ramp: lane -1, shoulder -2, 80 km/h
101   80 m     junction 10, main road 1 to 2 (lanes as on road 1)
102   ~80 m    junction 10, on-ramp 11/-1 to 2/-5
201   80 m     junction 20, main road 4 to 5
202   ~80 m    junction 20, 4/-5 to the off-ramp 12/-1
====  =======  ==================================================================================

=================  ======  ====  ==============================================================
family             start   goal  what is met
=================  ======  ====  ==============================================================
on_ramp_merge      11/-1   3/-4  traffic on 1/-4 (and 1/-3); change from 2/-5 to 2/-4
yield to a merge   1/-4    3/-4  an actor from 11/-1 to 3/-4
exit               3/-4    12/-1 change from 4/-4 to 4/-5
=================  ======  ====  ==============================================================

``python -m simloop_driving.roads.merge FOLDER`` writes ``merge.xodr`` and ``merge.npz``.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

from simloop_driving.roads.highway import EDGE_STRIP_WIDTH_M, HARD_SHOULDER_WIDTH_M, LANE_WIDTH_M, NUM_LANES
from simloop_driving.roads.network import Network
from simloop_driving.roads.road_specs import Element, LaneSpec, Pose, RoadSpec, WidthPiece, advance, bend

SPEED_LIMIT_KMH = 120
RAMP_LIMIT_KMH = 80
SIDE_LANE_M = 250.0
TAPER_M = 60.0
JUNCTION_LENGTH_M = 80.0

_SIDE_ROAD_M = SIDE_LANE_M + TAPER_M + 20.0
_OUTER_EDGE_M = EDGE_STRIP_WIDTH_M + NUM_LANES * LANE_WIDTH_M  # of the rightmost through lane
_NOSE_M = 4.0  # between that edge and the ramp's lane where the junction begins
_RAMP_ANGLE_RAD = 0.08
_NUM_INNER = NUM_LANES + 1  # edge strip and through lanes; the lane beside them is -_NUM_INNER - 1
_RAMP: tuple[Element, ...] = ((200.0, 0.0, 0.0), *bend(250.0, -0.27, 50.0), (80.0, 0.0, 0.0))

_SHOULDER = LaneSpec(kind="shoulder", width=HARD_SHOULDER_WIDTH_M)
_SIDE_LANE = LaneSpec(kind="driving", width=LANE_WIDTH_M, mark="solid")


def merge_network() -> Network:
    """Returns the map; raises as ``Network``."""
    network = Network("merge")
    closes = _taper(LANE_WIDTH_M, SIDE_LANE_M, TAPER_M, is_opening=False)
    opens = _taper(LANE_WIDTH_M, 20.0, TAPER_M, is_opening=True)
    first, beside = -_NUM_INNER - 1, -_NUM_INNER - 2
    # Elements, lanes outside the through lanes, and whether these are linked at the start and at the end.
    roads: tuple[tuple[tuple[Element, ...], tuple[LaneSpec, ...], bool, bool], ...] = (
        (_line(600.0), (_SHOULDER,), False, False),
        (
            _line(_SIDE_ROAD_M),
            (replace(_SIDE_LANE, width=closes), replace(_SHOULDER, successor=first)),
            False,
            True,
        ),
        (
            (*bend(1200.0, 0.4, 120.0), *_line(100.0)),
            (replace(_SHOULDER, predecessor=beside, successor=beside),),
            True,
            True,
        ),
        (
            _line(_SIDE_ROAD_M),
            (replace(_SIDE_LANE, width=opens), replace(_SHOULDER, predecessor=first)),
            True,
            False,
        ),
        (_line(600.0), (_SHOULDER,), False, False),
    )
    pose: Pose = (0.0, 0.0, 0.0)
    for road_id, (elements, outer, is_linked_before, is_linked_behind) in enumerate(roads, start=1):
        road = RoadSpec(
            road_id=road_id,
            start=pose,
            elements=elements,
            right=(
                *_inner_lanes(
                    is_linked_before=is_linked_before,
                    is_linked_behind=is_linked_behind,
                    has_side_lane=len(outer) > 1,
                ),
                *outer,
            ),
            speed_limit_kmh=SPEED_LIMIT_KMH,
            road_type="motorway",
            centre_mark="solid",
            predecessor=("road", road_id - 1, "end") if is_linked_before else None,
            successor=("road", road_id + 1, "start") if is_linked_behind else None,
            name=f"main road {road_id}",
        )
        pose = network.add(road).end("end").pose
        if road_id in (1, 4):
            pose = advance(pose, JUNCTION_LENGTH_M, 0.0, 0.0)
    _add_on_ramp(network)
    _add_off_ramp(network)
    return network


def _add_on_ramp(network: Network) -> None:
    main, behind = network.roads[1].end("end"), network.roads[2].end("start")
    x, y, heading = _beside(main.pose, -_OUTER_EDGE_M - _NOSE_M)
    ramp = network.add(_ramp(11, _start_before((x, y, heading + _RAMP_ANGLE_RAD), _RAMP), _RAMP))
    closes = _taper(HARD_SHOULDER_WIDTH_M, 0.0, 0.5 * JUNCTION_LENGTH_M, is_opening=False)
    shoulder = (-_NUM_INNER - 1, None, replace(_SHOULDER, width=closes))
    network.connect(10, 101, main, behind, [*_through_lanes(), shoulder])
    # Seen from outside the road, what is on its right lies to the left.
    target = replace(behind, pose=_beside(behind.pose, _OUTER_EDGE_M))
    network.connect(
        10,
        102,
        ramp.end("end"),
        target,
        [(-1, -_NUM_INNER - 1, _SIDE_LANE), (-2, -_NUM_INNER - 2, _SHOULDER)],
    )


def _add_off_ramp(network: Network) -> None:
    before, main = network.roads[4].end("end"), network.roads[5].end("start")
    x, y, outward = _beside(main.pose, _OUTER_EDGE_M + _NOSE_M)
    start = (x, y, outward + math.pi - _RAMP_ANGLE_RAD)
    ramp = network.add(_ramp(12, start, _RAMP[::-1]))
    half = 0.5 * JUNCTION_LENGTH_M
    opens = _taper(HARD_SHOULDER_WIDTH_M, half, half, is_opening=True)
    shoulder = (None, -_NUM_INNER - 1, replace(_SHOULDER, width=opens))
    network.connect(20, 201, before, main, [*_through_lanes(), shoulder])
    origin = replace(before, pose=_beside(before.pose, -_OUTER_EDGE_M))
    network.connect(
        20,
        202,
        origin,
        ramp.end("start"),
        [(-_NUM_INNER - 1, -1, _SIDE_LANE), (-_NUM_INNER - 2, -2, _SHOULDER)],
    )


def _ramp(road_id: int, start: Pose, elements: tuple[Element, ...]) -> RoadSpec:
    return RoadSpec(
        road_id=road_id,
        start=start,
        elements=elements,
        right=(_SIDE_LANE, _SHOULDER),
        speed_limit_kmh=RAMP_LIMIT_KMH,
        road_type="motorway",
        centre_mark="solid",
        name="on-ramp" if road_id == 11 else "off-ramp",
    )


def _inner_lanes(
    *, is_linked_before: bool, is_linked_behind: bool, has_side_lane: bool
) -> tuple[LaneSpec, ...]:
    lanes = [LaneSpec(kind="shoulder", width=EDGE_STRIP_WIDTH_M, mark="solid")]
    for number in range(NUM_LANES):
        is_outer = number == NUM_LANES - 1 and not has_side_lane
        lanes.append(LaneSpec(kind="driving", width=LANE_WIDTH_M, mark="solid" if is_outer else "broken"))
    return tuple(
        replace(
            lane,
            predecessor=-1 - i if is_linked_before else None,
            successor=-1 - i if is_linked_behind else None,
        )
        for i, lane in enumerate(lanes)
    )


def _through_lanes() -> list[tuple[int | None, int | None, LaneSpec]]:
    lanes = _inner_lanes(is_linked_before=False, is_linked_behind=False, has_side_lane=False)
    return [(-1 - i, -1 - i, lane) for i, lane in enumerate(lanes)]


def _line(length_m: float) -> tuple[Element, ...]:
    return ((length_m, 0.0, 0.0),)


def _taper(width_m: float, station_m: float, length_m: float, *, is_opening: bool) -> tuple[WidthPiece, ...]:
    """Returns the width of a lane that opens or closes at a station, by the cubic of zero slope at both ends."""
    c, d = 3.0 * width_m / length_m**2, -2.0 * width_m / length_m**3
    before, behind, sign = (0.0, width_m, 1.0) if is_opening else (width_m, 0.0, -1.0)
    pieces = (
        (0.0, before, 0.0, 0.0, 0.0),
        (station_m, before, 0.0, sign * c, sign * d),
        (station_m + length_m, behind, 0.0, 0.0, 0.0),
    )
    return pieces if station_m > 0.0 else pieces[1:]


def _beside(pose: Pose, t_m: float) -> Pose:
    """Returns a pose that is moved to its left."""
    x, y, heading = pose
    return x - t_m * math.sin(heading), y + t_m * math.cos(heading), heading


def _start_before(end: Pose, elements: tuple[Element, ...]) -> Pose:
    """Returns the pose from which the elements lead to a pose."""
    pose: Pose = (0.0, 0.0, 0.0)
    for length, begin, finish in elements:
        pose = advance(pose, length, begin, finish)
    heading = end[2] - pose[2]
    return (
        end[0] - pose[0] * math.cos(heading) + pose[1] * math.sin(heading),
        end[1] - pose[0] * math.sin(heading) - pose[1] * math.cos(heading),
        heading,
    )


if __name__ == "__main__":
    merge_network().write(sys.argv[1])
