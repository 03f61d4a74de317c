"""When the strategies ask, what they hand over, how they install; the delay's predictor."""

from __future__ import annotations

import numpy as np
import pytest

from simloop.agent import Call, Capability
from simloop.errors import ParameterError
from simloop.strategies.blocking import Blocking
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.paused import Paused
from simloop.strategies.prefix import Prefix
from simloop.strategies.strategy import ExecutionState, Strategy
from simloop.world import ActionDimension, ActionSpec, Hold

HORIZON = 6


def _state(
    *, tick: int, last_armed_tick: int = 0, remaining: int = 5, num_in_flight: int = 0
) -> ExecutionState:
    return ExecutionState(tick, last_armed_tick, remaining, num_in_flight, HORIZON, -1)


def _action(hold: Hold) -> ActionSpec:
    dimension = ActionDimension(name="a", unit="", low=-1, high=1)
    return ActionSpec(name="a", dimensions=(dimension,), hold=hold, null_action=(0.0,))


def _planned(strategy: Strategy, hold: Hold, d: int) -> list[int]:
    """Rows by tick from the install tick on; an older chunk lies underneath."""
    buffer = ActionBuffer(1)
    actions = np.zeros((HORIZON, 1))
    buffer.write(
        ArrivedChunk(request=0, observation_tick=0, install_tick=0, actions=np.zeros((20, 1))),
        first_tick=0,
        first_row=0,
        num_rows=20,
    )
    strategy.install(
        buffer,
        ArrivedChunk(request=1, observation_tick=3, install_tick=3 + d, actions=actions),
        _action(hold),
    )
    assert [buffer.provenance(t) for t in range(3 + d)] == [(0, t) for t in range(3 + d)]
    planned = [buffer.provenance(t) for t in range(3 + d, 20)]
    return [row for request, row in planned if request == 1]


@pytest.mark.parametrize("strategy", [NaiveAsync, Prefix, Paused])
@pytest.mark.parametrize(("tick", "asks"), [(1, False), (3, False), (4, True), (9, True)])
def test_they_ask_every_s_ticks(strategy: type[Strategy], tick: int, asks: bool) -> None:
    assert strategy(execution_horizon=4).wants_request(Call.POLICY, _state(tick=tick, num_in_flight=3)) is asks


@pytest.mark.parametrize(("remaining", "num_in_flight", "asks"), [(0, 0, True), (1, 0, False), (0, 1, False)])
def test_blocking_asks_when_all_is_played_and_nothing_is_under_way(
    remaining: int, num_in_flight: int, asks: bool
) -> None:
    state = _state(tick=1, remaining=remaining, num_in_flight=num_in_flight)
    assert Blocking(execution_horizon=4).wants_request(Call.POLICY, state) is asks


@pytest.mark.parametrize("strategy", [NaiveAsync, Prefix, Paused])
@pytest.mark.parametrize("d", [0, 2, 5])
def test_rows_are_installed_at_the_ticks_they_were_planned_for(strategy: type[Strategy], d: int) -> None:
    assert _planned(strategy(execution_horizon=4), Hold.REPEAT, d) == list(range(d, HORIZON))


@pytest.mark.parametrize("d", [HORIZON, HORIZON + 1])
def test_a_chunk_that_is_wholly_late_leaves_the_old_plan(d: int) -> None:
    assert _planned(NaiveAsync(execution_horizon=4), Hold.NULL, d) == []


@pytest.mark.parametrize(
    ("hold", "d", "rows"),
    [
        (Hold.NULL, 0, [0, 1, 2, 3]),
        (Hold.NULL, 3, [0, 1, 2, 3]),
        (Hold.REPEAT, 1, [1, 2, 3, 4]),
        (Hold.PLAN_THEN_STOP, 4, [4, 5]),
        (Hold.REPEAT, HORIZON, []),
    ],
)
def test_blocking_plays_s_rows_from_the_first_that_still_means_something(
    hold: Hold, d: int, rows: list[int]
) -> None:
    assert _planned(Blocking(execution_horizon=4), hold, d) == rows


def test_what_they_need_and_hand_over() -> None:
    assert Prefix.needs == {Capability.PREFIX}
    assert [Prefix().weights(d, 5, 6).tolist() for d in (0, 1, 5, 7)] == [[], [1.0], [1.0] * 5, [1.0] * 5]
    for strategy in (NaiveAsync, Blocking, Paused):
        assert strategy.needs == set()
        assert strategy().weights(5, 8, 8) is None
    assert [s.name for s in (Paused, Blocking, NaiveAsync, Prefix)] == [
        "paused",
        "blocking",
        "naive_async",
        "prefix",
    ]
    assert Paused.freezes_world
    assert [s.is_asynchronous for s in (Paused, Blocking, NaiveAsync, Prefix)] == [False, False, True, True]


@pytest.mark.parametrize("execution_horizon", [0, -3])
def test_an_execution_horizon_is_positive(execution_horizon: int) -> None:
    with pytest.raises(
        ParameterError, match=rf"strategy\.execution_horizon is {execution_horizon}; allowed: .* >= 1"
    ):
        NaiveAsync(execution_horizon=execution_horizon)
