"""The shipped ``town``: nine junctions on a grid, 150 m apart, two-lane streets with parking lanes and sidewalks.

Junction (i, j) lies at x = 150 i, y = 150 j metres; its OpenDRIVE id is 1 + i + 3 j::

    j = 2   7 yield (N, S)      8 stop (N, S)       9 lights
    j = 1   4 lights            5 lights            6 stop (E, W)
    j = 0   1 uncontrolled      2 uncontrolled T    3 yield (N, S)
            i = 0               i = 1               i = 2

Street 100 + 10 j + k runs east and street 200 + 10 i + k runs north, k = 0..3 along its row or column (0 and 3 leave
the town; street 210 is missing, so junction 2 is a T). Lane -1 runs with the street, lane 1 against it. Streets
between two junctions have lanes +-2 parking and +-3 sidewalk, those that leave the town have lanes +-2 sidewalk.
Connecting road 1000 * junction + 10 * a + b leads from arm a to arm b; arms are 0 east, 1 north, 2 west, 3 south.

=======================  ========  =======  ==========================================================
family                   start     goal     what is met
=======================  ========  =======  ==========================================================
signal_straight          111/-1    112/-1   junction 5: oncoming 112/1, crossing 211/-1 and 212/1
signal_left              111/-1    212/-1   junction 5: oncoming 112/1 to 111/1
signal_right             111/-1    211/1    junction 5: traffic from 212/1 to 211/1
unsignalised_straight    212/-1    213/-1   junction 8, stop: 121/-1 to 122/-1 and 122/1 to 121/1
unsignalised_left        212/-1    121/1    junction 8, stop: both of these, oncoming 213/1
unsignalised_right       212/-1    122/-1   junction 8, stop: 121/-1 to 122/-1
left off the main road   121/-1    213/-1   junction 8: oncoming 122/1 to 121/1
yield sign               220/-1    221/-1   junction 3: main road 102/-1 and 103/1
right before left        102/1     101/1    junction 2: from the right 211/1
parking, people on foot  111/-1    112/-1   street 111 has parking lanes and sidewalks
=======================  ========  =======  ==========================================================

``python -m simloop_driving.roads.town FOLDER`` writes ``town.xodr`` and ``town.npz``.
"""

from __future__ import annotations

import math
import sys

from simloop_driving.roads.network import Network
from simloop_driving.roads.road_specs import End, LaneSpec, RoadSpec

SPACING_M = 150.0
STUB_LENGTH_M = 120.0
HALF_JUNCTION_M = 14.0
LANE_WIDTH_M = 3.5
PARKING_WIDTH_M = 2.2
SIDEWALK_WIDTH_M = 2.0
SPEED_LIMIT_KMH = 50
NUM_JUNCTIONS = 3
STOP_LINE_BACK_M = 1.0

EAST, NORTH, WEST, SOUTH = range(4)
MISSING_STREETS = (210,)
CONTROL = {4: "lights", 5: "lights", 9: "lights", 6: "stop", 8: "stop", 3: "yield", 7: "yield"}
MINOR_ARMS = {3: (NORTH, SOUTH), 6: (EAST, WEST), 7: (NORTH, SOUTH), 8: (NORTH, SOUTH)}

_NO_PARKING_M = 8.0  # from the street's end to where the parking lane opens
_PARKING_TAPER_M = 5.0
_LIGHT_HEIGHT_M = 3.0
_SIGN_HEIGHT_M = 2.2


def town_network() -> Network:
    """Returns the map; raises as ``Network``."""
    network = Network("town")
    for line in range(NUM_JUNCTIONS):
        for part in range(NUM_JUNCTIONS + 1):
            _add_street(network, line, part, is_north=False)
    for line in range(NUM_JUNCTIONS):
        for part in range(NUM_JUNCTIONS + 1):
            _add_street(network, line, part, is_north=True)
    for row in range(NUM_JUNCTIONS):
        for column in range(NUM_JUNCTIONS):
            _add_junction(network, column, row)
    return network


def _add_street(network: Network, line: int, part: int, *, is_north: bool) -> None:
    road_id = (200 if is_north else 100) + 10 * line + part
    if road_id in MISSING_STREETS:
        return
    is_stub = part in (0, NUM_JUNCTIONS)
    length = STUB_LENGTH_M if is_stub else SPACING_M - 2.0 * HALF_JUNCTION_M
    along = -HALF_JUNCTION_M - length if part == 0 else (part - 1) * SPACING_M + HALF_JUNCTION_M
    across = line * SPACING_M
    start = (across, along, 0.5 * math.pi) if is_north else (along, across, 0.0)
    lanes = _street_lanes(length, has_parking=not is_stub)
    network.add(
        RoadSpec(
            road_id=road_id,
            start=start,
            elements=((length, 0.0, 0.0),),
            left=lanes,
            right=lanes,
            speed_limit_kmh=SPEED_LIMIT_KMH,
            centre_mark="broken",
            name=f"{'north' if is_north else 'east'} street {line}, part {part}",
        )
    )


def _street_lanes(length_m: float, *, has_parking: bool) -> tuple[LaneSpec, ...]:
    driving = LaneSpec(kind="driving", width=LANE_WIDTH_M, mark="solid")
    sidewalk = LaneSpec(kind="sidewalk", width=SIDEWALK_WIDTH_M)
    if not has_parking:
        return driving, sidewalk
    # The parking lane opens and closes by the cubic of zero slope at both ends.
    c, d = 3.0 * PARKING_WIDTH_M / _PARKING_TAPER_M**2, 2.0 * PARKING_WIDTH_M / _PARKING_TAPER_M**3
    closes = length_m - _NO_PARKING_M - _PARKING_TAPER_M
    width = (
        (0.0, 0.0, 0.0, 0.0, 0.0),
        (_NO_PARKING_M, 0.0, 0.0, c, -d),
        (_NO_PARKING_M + _PARKING_TAPER_M, PARKING_WIDTH_M, 0.0, 0.0, 0.0),
        (closes, PARKING_WIDTH_M, 0.0, -c, d),
        (closes + _PARKING_TAPER_M, 0.0, 0.0, 0.0, 0.0),
    )
    return driving, LaneSpec(kind="parking", width=width), sidewalk


def _add_junction(network: Network, column: int, row: int) -> None:
    junction_id = 1 + column + NUM_JUNCTIONS * row
    ids = (
        100 + 10 * row + column + 1,
        200 + 10 * column + row + 1,
        100 + 10 * row + column,
        200 + 10 * column + row,
    )
    arms: dict[int, End] = {
        arm: network.roads[road].end("start" if arm in (EAST, NORTH) else "end")
        for arm, road in enumerate(ids)
        if road in network.roads
    }
    lane = LaneSpec(kind="driving", width=LANE_WIDTH_M)
    sidewalk = LaneSpec(kind="sidewalk", width=SIDEWALK_WIDTH_M)
    for arm, come in arms.items():
        # Towards the junction the traffic keeps to lane -1 of a road that ends there, to lane 1 of one that starts.
        sign = -1 if come.contact == "end" else 1
        for other, leave in arms.items():
            if other == arm:
                continue
            lanes = [(sign, -1 if leave.contact == "start" else 1, lane)]
            # The arm on the right of the traffic that comes from `arm`.
            right_arm = (arm + 1) % 4
            if other == right_arm or (other == (arm + 2) % 4 and right_arm not in arms):
                outer = len(network.roads[come.road_id].right)
                leave_outer = len(network.roads[leave.road_id].right)
                lanes.append((sign * outer, leave_outer * (-1 if leave.contact == "start" else 1), sidewalk))
            network.connect(junction_id, 1000 * junction_id + 10 * arm + other, come, leave, lanes)
    _add_signals(network, junction_id, arms)


def _add_signals(network: Network, junction_id: int, arms: dict[int, End]) -> None:
    control = CONTROL.get(junction_id, "none")
    if control == "lights":
        ids = {arm: _add_light(network, come) for arm, come in arms.items()}
        network.add_controllers(
            junction_id, [[ids[a] for a in axis if a in ids] for axis in ((EAST, WEST), (NORTH, SOUTH))]
        )
        return
    for arm in MINOR_ARMS.get(junction_id, ()):
        network.add_signal(
            control, arms[arm], back_m=STOP_LINE_BACK_M, t_m=LANE_WIDTH_M + 0.8, z_m=_SIGN_HEIGHT_M, head=None
        )


def _add_light(network: Network, come: End) -> int:
    """The head stands behind the junction, on the right, where whoever waits at the line can see it."""
    x, y, heading = come.pose
    ahead, right = 2.0 * HALF_JUNCTION_M + 1.0, LANE_WIDTH_M + 1.0
    head = (
        x + ahead * math.cos(heading) + right * math.sin(heading),
        y + ahead * math.sin(heading) - right * math.cos(heading),
        math.remainder(heading + math.pi, 2.0 * math.pi),
    )
    return network.add_signal(
        "traffic_light", come, back_m=STOP_LINE_BACK_M, t_m=LANE_WIDTH_M + 1.0, z_m=_LIGHT_HEIGHT_M, head=head
    )


if __name__ == "__main__":
    town_network().write(sys.argv[1])
