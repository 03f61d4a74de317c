"""Who must stop at which line, and what the ego is blamed for."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from simloop_driving.roads.road_map import STOP_SIGN, TRAFFIC_LIGHT, YIELD_SIGN, RoadMap
from simloop_driving.roads.routing import find_route, route_along
from simloop_driving.scenario import actor_state, stop_lines
from simloop_driving.scenario.actor_state import EGO, OBEYS_RIGHT_OF_WAY, OBEYS_SIGNALS
from simloop_driving.scenario.signals import AMBER, GREEN, RED, SIGN

MapBuilder = Callable[..., tuple[RoadMap, dict[str, int]]]

LINE_M = 97.0
LENGTH_M = 4.0
BOTH = OBEYS_SIGNALS | OBEYS_RIGHT_OF_WAY


class _Line:
    """One path with one stop line at 97 m; column 1 of the actors is a vehicle 4 m long on it."""

    def __init__(self, junction_map: MapBuilder, kind: int, state: int) -> None:
        road_map, lane = junction_map(signals=[(kind, 0, 0)], stops=[("in_south", LINE_M, 0)])
        route = route_along(road_map, find_route(road_map, lane["in_south"], lane["out_north"]))
        self.stops, self.start = stop_lines.build_stops((route,), road_map)
        self.states = np.array([state], dtype=np.int64)
        self.actors = np.zeros((actor_state.NUM_ROWS, 2))
        self.actors[actor_state.LENGTH_M] = LENGTH_M
        self.stood_at = np.full(2, -1.0)

    def place(self, before_m: float, speed_mps: float, *, obeys: int = BOTH, actor: int = 1) -> None:
        """Puts the front of an actor ``before_m`` before the line."""
        self.actors[actor_state.PATH_S_M, actor] = LINE_M - before_m - 0.5 * LENGTH_M
        self.actors[actor_state.SPEED_MPS, actor] = speed_mps
        self.actors[actor_state.OBEYS, actor] = obeys

    def way_m(self, goes_until_m: float = -math.inf) -> float:
        return stop_lines.way_to_stop(
            self.actors, self.stood_at, goes_until_m, 1, self.stops, self.start, self.states
        )

    def is_held(self, until_m: float, actor: int = 1) -> bool:
        return stop_lines.is_held(
            self.actors, self.stood_at, actor, until_m, self.stops, self.start, self.states
        )

    def watch(self, time_s: float) -> int:
        return stop_lines.watch_ego(self.actors, self.stops, self.start, self.states, time_s)


@pytest.mark.parametrize(
    ("state", "before_m", "speed_mps", "obeys", "stops"),
    [
        (GREEN, 30.0, 10.0, BOTH, False),
        (RED, 30.0, 10.0, BOTH, True),
        (RED, 30.0, 10.0, OBEYS_SIGNALS, True),
        (RED, 30.0, 10.0, OBEYS_RIGHT_OF_WAY, False),
        (RED, 30.0, 10.0, 0, False),
        # 10 m/s: 6 m/s2 stop it within 8.33 m, 2.5 m/s2 within 20 m.
        (RED, 8.4, 10.0, BOTH, True),
        (RED, 8.3, 10.0, BOTH, False),
        (AMBER, 20.1, 10.0, BOTH, True),
        (AMBER, 19.9, 10.0, BOTH, False),
        (RED, -0.1, 1.0, BOTH, False),
        (RED, 0.5, 0.0, BOTH, True),
    ],
)
def test_a_light_stops_whoever_obeys_and_can(
    junction_map: MapBuilder, state: int, before_m: float, speed_mps: float, obeys: int, stops: bool
) -> None:
    line = _Line(junction_map, TRAFFIC_LIGHT, state)
    line.place(before_m, speed_mps, obeys=obeys)
    assert line.way_m() == (pytest.approx(before_m) if stops else math.inf)


def test_whoever_waited_for_a_gap_at_the_line_goes_at_amber_and_never_at_red(
    junction_map: MapBuilder,
) -> None:
    line = _Line(junction_map, TRAFFIC_LIGHT, AMBER)
    line.place(1.0, 0.0)
    assert line.way_m() == pytest.approx(1.0)
    assert line.way_m(goes_until_m=LINE_M + 20.0) == math.inf
    assert line.way_m(goes_until_m=LINE_M - 1.0) == pytest.approx(1.0)
    line.place(10.0, 0.0)
    assert line.way_m(goes_until_m=LINE_M + 20.0) == pytest.approx(10.0)
    line.place(1.0, 0.0)
    line.states[0] = RED
    assert line.way_m(goes_until_m=LINE_M + 20.0) == pytest.approx(1.0)


def test_a_stop_sign_is_left_only_by_whoever_stood_at_it(junction_map: MapBuilder) -> None:
    line = _Line(junction_map, STOP_SIGN, SIGN)
    line.place(30.0, 10.0)
    assert line.way_m() == pytest.approx(30.0)
    line.place(5.0, 0.0)  # stands, but too far from the line
    assert line.way_m() == pytest.approx(5.0)
    line.place(3.0, 0.2)  # close, but rolling
    assert line.way_m() == pytest.approx(3.0)
    line.place(3.0, 0.0)
    assert line.way_m() == math.inf
    line.place(2.0, 1.0)
    assert line.way_m() == math.inf
    line.stood_at[1] = -1.0
    line.place(3.0, 1.0, obeys=OBEYS_SIGNALS)
    assert line.way_m() == math.inf


def test_a_yield_sign_stops_nobody_by_itself(junction_map: MapBuilder) -> None:
    line = _Line(junction_map, YIELD_SIGN, SIGN)
    line.place(30.0, 10.0)
    assert line.way_m() == math.inf
    assert not line.is_held(200.0)


@pytest.mark.parametrize(
    ("kind", "state", "before_m", "speed_mps", "until_m", "expected"),
    [
        (TRAFFIC_LIGHT, RED, 30.0, 10.0, 120.0, True),
        (TRAFFIC_LIGHT, GREEN, 30.0, 10.0, 120.0, False),
        (TRAFFIC_LIGHT, RED, 30.0, 10.0, 90.0, False),  # the line lies behind what is asked for
        (TRAFFIC_LIGHT, RED, 12.0, 10.0, 120.0, False),  # 4 m/s2 stop it within 12.5 m
        (TRAFFIC_LIGHT, RED, 13.0, 10.0, 120.0, True),
        (TRAFFIC_LIGHT, RED, -1.0, 5.0, 120.0, False),
        (STOP_SIGN, SIGN, 30.0, 10.0, 120.0, True),
    ],
)
def test_who_is_held_before_a_place(
    junction_map: MapBuilder,
    kind: int,
    state: int,
    before_m: float,
    speed_mps: float,
    until_m: float,
    expected: bool,
) -> None:
    line = _Line(junction_map, kind, state)
    line.place(before_m, speed_mps)
    assert line.is_held(until_m) == expected


def test_the_ego_counts_as_held_by_lights_and_not_by_signs(junction_map: MapBuilder) -> None:
    for kind, state, expected in ((TRAFFIC_LIGHT, RED, True), (STOP_SIGN, SIGN, False)):
        line = _Line(junction_map, kind, state)
        line.place(30.0, 10.0, obeys=0, actor=EGO)
        assert line.is_held(120.0, actor=EGO) == expected


@pytest.mark.parametrize(
    ("kind", "state", "approach", "expected"),
    [
        # (way before the line, speed) tick by tick
        (TRAFFIC_LIGHT, RED, [(5.0, 10.0), (-0.5, 10.0)], stop_lines.RED_LIGHT),
        (TRAFFIC_LIGHT, AMBER, [(5.0, 10.0), (-0.5, 10.0)], stop_lines.NO_INFRACTION),
        (TRAFFIC_LIGHT, GREEN, [(5.0, 10.0), (-0.5, 10.0)], stop_lines.NO_INFRACTION),
        (TRAFFIC_LIGHT, RED, [(5.0, 10.0), (1.0, 0.0)], stop_lines.NO_INFRACTION),
        (STOP_SIGN, SIGN, [(5.0, 5.0), (1.0, 0.5), (-0.1, 1.0)], stop_lines.STOP_SIGN_RUN),
        (STOP_SIGN, SIGN, [(5.0, 5.0), (1.0, 0.05), (-0.1, 1.0)], stop_lines.NO_INFRACTION),
        (STOP_SIGN, SIGN, [(4.1, 0.0), (1.0, 2.0), (-0.1, 2.0)], stop_lines.STOP_SIGN_RUN),
        (STOP_SIGN, SIGN, [(3.9, 0.0), (1.0, 2.0), (-0.1, 2.0)], stop_lines.NO_INFRACTION),
        (YIELD_SIGN, SIGN, [(5.0, 10.0), (-0.5, 10.0)], stop_lines.NO_INFRACTION),
    ],
)
def test_what_the_ego_did_at_a_line(
    junction_map: MapBuilder, kind: int, state: int, approach: list[tuple[float, float]], expected: int
) -> None:
    line = _Line(junction_map, kind, state)
    line.place(50.0, 10.0, actor=EGO)
    assert line.watch(0.0) == stop_lines.NO_INFRACTION
    seen = []
    for tick, (before_m, speed_mps) in enumerate(approach, start=1):
        line.place(before_m, speed_mps, actor=EGO)
        seen.append(line.watch(0.05 * tick))
    assert max(seen) == expected
    assert line.stops[0, stop_lines.INFRACTION] == expected
    has_passed = approach[-1][0] < 0.0
    assert line.stops[0, stop_lines.PASSED_S] == (pytest.approx(0.05 * len(approach)) if has_passed else -1.0)
    line.place(-20.0, 10.0, actor=EGO)
    line.watch(9.0)
    assert line.watch(9.05) == stop_lines.NO_INFRACTION  # a line is passed once


def test_a_line_behind_the_start_is_no_infraction(junction_map: MapBuilder) -> None:
    line = _Line(junction_map, TRAFFIC_LIGHT, RED)
    line.place(-1.0, 10.0, actor=EGO)
    assert line.watch(0.0) == stop_lines.NO_INFRACTION
    assert line.watch(0.05) == stop_lines.NO_INFRACTION
    assert line.stops[0, stop_lines.PASSED_S] == 0.0
