"""Where the rows of a chunk go, against numpy's interpolation and by hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simloop.strategies.alignment import angle_entries, place
from simloop.strategies.buffer import ArrivedChunk
from simloop.strategies.rules import Align
from simloop.world import ActionDimension, ActionSpec, Hold

CONTROL_NS = 50_000_000


def _space(hold: Hold, units: tuple[str, ...] = ("m",)) -> ActionSpec:
    dimensions = tuple(ActionDimension(name=u, unit=u, low=-9, high=9) for u in units)
    return ActionSpec(name="a", dimensions=dimensions, hold=hold, null_action=(0.0,) * len(units))


def _chunk(
    values: list[float], *, observation_ns: int, action_ns: int, install_tick: int, first_row: int = 0
) -> ArrivedChunk:
    return ArrivedChunk(
        request=0,
        observation_tick=observation_ns // CONTROL_NS,
        install_tick=install_tick,
        actions=np.array(values)[:, None],
        first_row=first_row,
        observation_ns=observation_ns,
        action_period_ns=action_ns,
        control_period_ns=CONTROL_NS,
    )


@pytest.mark.parametrize(
    ("align", "d", "first_row", "first_tick", "rows"),
    [
        (Align.BY_TICK, 0, 0, 4, [0, 1, 2]),
        (Align.BY_TICK, 2, 0, 6, [2]),
        (Align.BY_TICK, 3, 0, 7, []),
        (Align.BY_TICK, 9, 0, 13, []),
        (Align.BY_TICK, 2, 3, 7, [0, 1, 2]),
        (Align.BY_TICK, 4, 3, 8, [1, 2]),
        (Align.RESTART, 0, 0, 4, [0, 1, 2]),
        (Align.RESTART, 9, 0, 13, [0, 1, 2]),
        (Align.BY_TIME, 1, 0, 5, [1, 2]),
        (Align.BY_TIME, 2, 3, 7, [0, 1, 2]),
        (Align.BY_TIME, 9, 0, 13, []),
    ],
)
def test_rows_and_ticks(
    align: Align,
    d: int,
    first_row: int,
    first_tick: int,
    rows: list[int],
    arrived: Callable[..., ArrivedChunk],
) -> None:
    chunk = arrived(0, [7.0, 8.0, 9.0], k=4, d=d, first_row=first_row)
    placed = place(chunk, align, _space(Hold.REPEAT))
    assert (placed.first_tick, list(placed.rows)) == (first_tick, rows)
    assert placed.actions[:, 0].tolist() == [7.0 + row for row in rows]


@given(
    observation_ns=st.integers(0, 10 * CONTROL_NS),
    action_ns=st.integers(10_000_000, 200_000_000),
    delay_ticks=st.integers(0, 12),
    first_row=st.integers(0, 3),
    values=st.lists(st.floats(-5, 5), min_size=1, max_size=9),
)
def test_by_time_is_linear_between_rows(
    observation_ns: int, action_ns: int, delay_ticks: int, first_row: int, values: list[float]
) -> None:
    chunk = _chunk(
        values,
        observation_ns=observation_ns,
        action_ns=action_ns,
        install_tick=observation_ns // CONTROL_NS + delay_ticks,
        first_row=first_row,
    )
    placed = place(chunk, Align.BY_TIME, _space(Hold.REPEAT))
    instants = observation_ns + (first_row + np.arange(len(values))) * action_ns
    ticks = np.array(
        [t for t in range(chunk.install_tick, 200) if instants[0] <= t * CONTROL_NS <= instants[-1]]
    )
    assert len(placed.actions) == len(placed.rows) == len(ticks)
    if len(ticks):
        assert placed.first_tick == ticks[0]
        expected = np.interp(ticks * CONTROL_NS, instants, values)
        assert placed.actions[:, 0] == pytest.approx(expected, abs=1e-9)
        earlier = np.searchsorted(instants, ticks * CONTROL_NS, side="right") - 1
        assert list(placed.rows) == earlier.tolist()


def test_equal_periods_and_whole_ticks_leave_every_bit(arrived: Callable[..., ArrivedChunk]) -> None:
    values = np.random.default_rng(3).normal(size=(9, 2))
    space = _space(Hold.PLAN_THEN_STOP, ("m", "rad"))
    for d in range(11):
        chunk = arrived(0, values, k=3, d=d)
        by_time, by_tick = place(chunk, Align.BY_TIME, space), place(chunk, Align.BY_TICK, space)
        assert by_time.actions.tobytes() == by_tick.actions.tobytes()
        assert list(by_time.rows) == list(by_tick.rows)
        if len(by_tick.actions):
            assert by_time.first_tick == by_tick.first_tick


def test_a_waypoint_is_meant_for_the_end_of_its_period() -> None:
    """2 m/s along a line, one waypoint every 100 ms: at the end of each 50 ms tick 0.1 m more."""
    chunk = _chunk([0.2, 0.4, 0.6], observation_ns=0, action_ns=2 * CONTROL_NS, install_tick=0)
    placed = place(chunk, Align.BY_TIME, _space(Hold.PLAN_THEN_STOP))
    assert placed.first_tick == 0
    assert placed.actions[:, 0] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_angles_go_the_short_way_round() -> None:
    space = _space(Hold.REPEAT, ("m", "rad"))
    assert angle_entries(space) == [1]
    turn = [math.pi - 0.1, -math.pi + 0.1]
    chunk = _chunk(turn, observation_ns=0, action_ns=2 * CONTROL_NS, install_tick=1)
    chunk = dataclasses.replace(chunk, actions=np.stack([np.array(turn), np.array(turn)], axis=1))
    halfway = place(chunk, Align.BY_TIME, space).actions[0]
    assert halfway[0] == pytest.approx(0.0)
    assert math.cos(halfway[1]) == pytest.approx(-1.0)
