"""What traffic lights show, against a cycle written down by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from simloop_driving.roads.road_map import STOP_SIGN, TRAFFIC_LIGHT, RoadMap
from simloop_driving.scenario import signals
from simloop_driving.scenario.scene import SignalProgram
from simloop_driving.scenario.signals import AMBER, GREEN, RED, SIGN

MapBuilder = Callable[..., tuple[RoadMap, dict[str, int]]]

LIGHTS = [
    (TRAFFIC_LIGHT, 3, 0),
    (TRAFFIC_LIGHT, 3, 1),
    (TRAFFIC_LIGHT, 3, 0),
    (STOP_SIGN, -1, -1),
    (TRAFFIC_LIGHT, -1, 0),
]
TIMES = SignalProgram(green_s=10.0, amber_s=3.0, all_red_s=2.0, offset_s=0.0)
# One slot lasts 15 s, the cycle of two phases 30 s.
BY_HAND = [
    # time, phase 0, phase 1
    (0.0, GREEN, RED),
    (9.95, GREEN, RED),
    (10.0, AMBER, RED),
    (12.95, AMBER, RED),
    (13.0, RED, RED),
    (14.95, RED, RED),
    (15.0, RED, GREEN),
    (24.95, RED, GREEN),
    (25.0, RED, AMBER),
    (28.0, RED, RED),
    (30.0, GREEN, RED),
    (40.0, AMBER, RED),
    (315.0, RED, GREEN),
]


def _program(junction_map: MapBuilder, times: SignalProgram = TIMES) -> np.ndarray:
    return signals.build_signal_program(junction_map(signals=LIGHTS)[0], times)


@pytest.mark.parametrize(("time_s", "first", "second"), BY_HAND)
def test_states_follow_the_cycle(junction_map: MapBuilder, time_s: float, first: int, second: int) -> None:
    program = _program(junction_map)
    states = np.full(len(LIGHTS), 9, dtype=np.int64)
    signals.fill_states(program, time_s, states)
    assert states.tolist() == [first, second, first, SIGN, first]
    assert [signals.state_at(program, i, time_s) for i in range(len(LIGHTS))] == states.tolist()


@pytest.mark.parametrize(
    ("offset_s", "time_s", "expected"), [(10.0, 0.0, AMBER), (15.0, 0.0, RED), (29.0, 1.0, GREEN)]
)
def test_the_offset_is_how_far_the_cycle_is_at_the_start(
    junction_map: MapBuilder, offset_s: float, time_s: float, expected: int
) -> None:
    times = SignalProgram(green_s=10.0, amber_s=3.0, all_red_s=2.0, offset_s=offset_s)
    assert signals.state_at(_program(junction_map, times), 0, time_s) == expected


@pytest.mark.parametrize(
    ("time_s", "first_s", "second_s"),
    [
        (0.0, 10.0, 15.0),
        (4.0, 6.0, 11.0),
        (10.0, 3.0, 5.0),
        (13.0, 17.0, 2.0),
        (15.0, 15.0, 10.0),
        (29.0, 1.0, 16.0),
    ],
)
def test_time_to_change_is_that_to_the_next_row_of_the_cycle(
    junction_map: MapBuilder, time_s: float, first_s: float, second_s: float
) -> None:
    program = _program(junction_map)
    assert signals.time_to_change(program, 0, time_s) == pytest.approx(first_s)
    assert signals.time_to_change(program, 1, time_s) == pytest.approx(second_s)
    assert signals.time_to_change(program, 3, time_s) == math.inf


def test_a_light_changes_exactly_when_it_says(junction_map: MapBuilder) -> None:
    program = _program(junction_map, SignalProgram(green_s=7.3, amber_s=2.9, all_red_s=1.1, offset_s=5.55))
    for time_s in np.arange(0.0, 60.0, 0.37):
        for light in (0, 1):
            now = signals.state_at(program, light, time_s)
            left_s = signals.time_to_change(program, light, time_s)
            assert left_s > 0.0
            assert signals.state_at(program, light, time_s + left_s - 1e-4) == now
            assert signals.state_at(program, light, time_s + left_s + 1e-4) != now


def test_the_phases_of_a_controller_are_never_open_together(junction_map: MapBuilder) -> None:
    program = _program(junction_map)
    times_s = np.arange(0.0, 90.0, 0.05)
    states = signals.states_over(program, np.array([0, 1]), times_s)
    assert states.shape == (len(times_s), 2)
    assert np.all((states == RED).any(axis=1))
    for light in (0, 1):
        shares = [np.mean(states[:, light] == state) for state in (GREEN, AMBER, RED)]
        assert shares == pytest.approx([10.0 / 30.0, 3.0 / 30.0, 17.0 / 30.0], abs=1e-9)
        turns = set(zip(states[:-1, light], states[1:, light], strict=True))
        assert turns - {(s, s) for s in (GREEN, AMBER, RED)} == {(GREEN, AMBER), (AMBER, RED), (RED, GREEN)}


def test_three_phases_take_turns(junction_map: MapBuilder) -> None:
    lights = [(TRAFFIC_LIGHT, 0, phase) for phase in (0, 1, 2)]
    program = signals.build_signal_program(junction_map(signals=lights)[0], TIMES)
    states = signals.states_over(program, np.arange(3), np.array([1.0, 16.0, 31.0, 46.0]))
    assert states.tolist() == [[GREEN, RED, RED], [RED, GREEN, RED], [RED, RED, GREEN], [GREEN, RED, RED]]
