"""Where the lane words of a scene (ego, left, right, opposite, parking, kerb) lie across a path."""

from __future__ import annotations

from simloop.errors import ConfigurationError
from simloop_driving.roads.road_map import LANE_KINDS, RoadMap
from simloop_driving.roads.route import (
    LEFT_EDGE_M,
    ROAD_LEFT_M,
    ROAD_RIGHT_M,
    WIDTH_M,
    Route,
    value_at,
)

KERB_GAP_M = 0.3
"""Between the road's edge and somebody who stands at the kerb."""


def lane_at(route: Route, s_m: float) -> int:
    """Returns the map's lane that a route follows at a station."""
    index = min(max(round(s_m / route.step_m), 0), len(route.path_lanes) - 1)
    return int(route.path_lanes[index])


def lane_offsets(road_map: RoadMap, route: Route, s_m: float, width_m: float = 0.0) -> dict[str, float]:
    """Returns d of the places called by lane words at a station; places that are not there are left out.

    Args:
        road_map: The map.
        route: The route whose lane is called ``ego`` or ``own``.
        s_m: The station.
        width_m: Width of who is to stand there; matters at the kerb.
    """
    offsets = {"ego": 0.0, "own": 0.0}
    lane = lane_at(route, s_m)
    for side in ("left", "right"):
        neighbour = road_map.driving_neighbour(lane, side)
        if neighbour >= 0:
            offsets[side] = route.lane_centre_m(neighbour, s_m)
    opposite = int(road_map.lane_opposite[lane])
    if opposite >= 0:
        offsets["opposite"] = _at(route, LEFT_EDGE_M, s_m) + 0.5 * _width_m(road_map, opposite)
    edge, beside = -0.5 * _at(route, WIDTH_M, s_m), int(road_map.lane_right[lane])
    while beside >= 0:
        width = _width_beside_m(road_map, lane, beside, route, s_m)
        if LANE_KINDS[road_map.lane_kind[beside]] == "parking":
            offsets["parking"] = edge - 0.5 * width
            break
        edge -= width
        beside = int(road_map.lane_right[beside])
    offsets["kerb"] = _at(route, ROAD_RIGHT_M, s_m) - KERB_GAP_M - 0.5 * width_m
    offsets["left_kerb"] = _at(route, ROAD_LEFT_M, s_m) + KERB_GAP_M + 0.5 * width_m
    return offsets


def lane_offset(offsets: dict[str, float], word: str, where: str) -> float:
    """Returns d of one lane word.

    Raises:
        ConfigurationError: There is no such lane; the message lists those that there are.
    """
    if word not in offsets:
        of_whom = {"left": "to the left of the ego", "right": "to the right of the ego"}.get(
            word, f"called {word}"
        )
        raise ConfigurationError(
            f"{where}: there is no lane {of_whom}; there is: {', '.join(o for o in offsets if o != 'own')}."
        )
    return offsets[word]


def _at(route: Route, row: int, s_m: float) -> float:
    return float(value_at(route.samples, route.step_m, row, s_m))


def _width_m(road_map: RoadMap, lane: int) -> float:
    return float(road_map.width_m[road_map.samples(lane)].max())


def _width_beside_m(road_map: RoadMap, lane: int, beside: int, route: Route, s_m: float) -> float:
    """Returns the width of a lane beside, at the same share of its length at which the route is along its lane."""
    first = int((route.path_lanes == lane).argmax())
    own = road_map.samples(lane)
    share = min(max((s_m / route.step_m - first) / max(own.stop - own.start - 1, 1), 0.0), 1.0)
    widths = road_map.width_m[road_map.samples(beside)]
    return float(widths[round(share * (len(widths) - 1))])
