"""The shipped ``roundabout``: four two-lane streets meet at a ring with one lane; entries yield to the ring.

The ring is centred on the origin and runs counter-clockwise; its lane is 4.5 m wide and its inner edge has a radius
of 18 m, which makes an outer diameter of 45 m (German guideline "Merkblatt fuer die Anlage von Kreisverkehren":
small roundabouts 26 to 45 m). Arms are 0 east, 1 north, 2 west, 3 south; arm a is street 1 + a, which runs towards
the ring: lane -1 enters, lane 1 leaves, lanes +-2 are sidewalks. Ring road 11 + a leads from the entry of arm a to
the exit of the next arm. Junction 21 + a has the connecting roads 100 (1 + a) + 1 (along the ring past the arm),
+ 2 (entry), + 3 (exit). The yield line is where the street ends, about 10 m before the ring.

====================  =====  ====  ========================================================
family                start  goal  what is met
====================  =====  ====  ========================================================
straight on           4/-1   2/1   entering: traffic on the ring from 3/-1 (to 1/1 or 2/1)
left (third exit)     4/-1   3/1   the same, and traffic that enters from 1/-1 and 2/-1
right (first exit)    4/-1   1/1   the same
====================  =====  ====  ========================================================

``python -m simloop_driving.roads.roundabout FOLDER`` writes ``roundabout.xodr`` and ``roundabout.npz``.
"""

from __future__ import annotations

import math
import sys

from simloop_driving.roads.network import Network
from simloop_driving.roads.road_specs import Element, End, LaneSpec, Pose, RoadSpec, clothoids

NUM_ARMS = 4
INNER_RADIUS_M = 18.0
RING_WIDTH_M = 4.5
LANE_WIDTH_M = 3.5
SIDEWALK_WIDTH_M = 2.0
ARM_LENGTH_M = 200.0
ARM_END_M = 32.0  # from the centre of the ring
RING_LIMIT_KMH, ARM_LIMIT_KMH = 30, 50
YIELD_LINE_BACK_M = 0.5

_HALF_ANGLE_RAD = math.radians(
    38.0
)  # between an arm and the points at which the ring forks and joins beside it
_SIGN_HEIGHT_M = 2.2


def roundabout_network() -> Network:
    """Returns the map; raises as ``Network``."""
    network = Network("roundabout")
    for arm in range(NUM_ARMS):
        network.add(_street(arm))
    for arm in range(NUM_ARMS):
        angle = arm * 2.0 * math.pi / NUM_ARMS + _HALF_ANGLE_RAD
        turn = 2.0 * math.pi / NUM_ARMS - 2.0 * _HALF_ANGLE_RAD
        network.add(
            RoadSpec(
                road_id=11 + arm,
                start=_on_ring(angle),
                elements=(_ring_arc(turn),),
                right=(
                    LaneSpec(kind="driving", width=RING_WIDTH_M, mark="solid"),
                    LaneSpec(kind="sidewalk", width=SIDEWALK_WIDTH_M),
                ),
                speed_limit_kmh=RING_LIMIT_KMH,
                centre_mark="solid",
                name=f"ring {arm}",
            )
        )
    for arm in range(NUM_ARMS):
        _add_junction(network, arm)
    return network


def _street(arm: int) -> RoadSpec:
    angle = arm * 2.0 * math.pi / NUM_ARMS
    distance = ARM_END_M + ARM_LENGTH_M
    lanes = (
        LaneSpec(kind="driving", width=LANE_WIDTH_M, mark="solid"),
        LaneSpec(kind="sidewalk", width=SIDEWALK_WIDTH_M),
    )
    return RoadSpec(
        road_id=1 + arm,
        start=(distance * math.cos(angle), distance * math.sin(angle), angle + math.pi),
        elements=((ARM_LENGTH_M, 0.0, 0.0),),
        left=lanes,
        right=lanes,
        speed_limit_kmh=ARM_LIMIT_KMH,
        centre_mark="solid",
        name=f"arm {arm}",
    )


def _add_junction(network: Network, arm: int) -> None:
    junction_id, first_id = 21 + arm, 100 * (1 + arm)
    street = network.roads[1 + arm].end("end")
    come = network.roads[11 + (arm - 1) % NUM_ARMS].end("end")
    leave = network.roads[11 + arm].end("start")
    sidewalk = LaneSpec(kind="sidewalk", width=SIDEWALK_WIDTH_M)
    network.connect(
        junction_id,
        first_id + 1,
        come,
        leave,
        [(-1, -1, LaneSpec(kind="driving", width=RING_WIDTH_M))],
        elements=(_ring_arc(2.0 * _HALF_ANGLE_RAD),),
    )
    entry = clothoids(street.pose, _reversed(leave), 0.0, 1.0 / INNER_RADIUS_M)
    network.connect(
        junction_id,
        first_id + 2,
        street,
        leave,
        [(-1, -1, _widening(entry, LANE_WIDTH_M, RING_WIDTH_M)), (-2, -2, sidewalk)],
        elements=entry,
        speed_limit_kmh=RING_LIMIT_KMH,
    )
    leaving = clothoids(come.pose, _reversed(street), 1.0 / INNER_RADIUS_M, 0.0)
    network.connect(
        junction_id,
        first_id + 3,
        come,
        street,
        [(-1, 1, _widening(leaving, RING_WIDTH_M, LANE_WIDTH_M)), (-2, 2, sidewalk)],
        elements=leaving,
    )
    network.add_signal(
        "yield", street, back_m=YIELD_LINE_BACK_M, t_m=LANE_WIDTH_M + 0.8, z_m=_SIGN_HEIGHT_M, head=None
    )


def _on_ring(angle_rad: float) -> Pose:
    """Returns the pose of the ring's reference line, its inner edge."""
    return (
        INNER_RADIUS_M * math.cos(angle_rad),
        INNER_RADIUS_M * math.sin(angle_rad),
        angle_rad + 0.5 * math.pi,
    )


def _ring_arc(turn_rad: float) -> Element:
    return (INNER_RADIUS_M * turn_rad, 1.0 / INNER_RADIUS_M, 1.0 / INNER_RADIUS_M)


def _reversed(end: End) -> Pose:
    return (*end.pose[:2], end.pose[2] + math.pi)


def _widening(elements: tuple[Element, ...], begin_m: float, end_m: float) -> LaneSpec:
    """Returns a driving lane whose width goes from one to the other without a kink at either end."""
    length = sum(element[0] for element in elements)
    change = end_m - begin_m
    c, d = 3.0 * change / length**2, -2.0 * change / length**3
    return LaneSpec(kind="driving", width=((0.0, begin_m, 0.0, c, d),), mark="solid")


if __name__ == "__main__":
    roundabout_network().write(sys.argv[1])
