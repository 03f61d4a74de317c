"""When the strategies ask, what they hand over, where they install."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from simloop.agent import Call, Capability
from simloop.errors import ParameterError
from simloop.strategies.blocking import Blocking
from simloop.strategies.buffer import ActionBuffer
from simloop.strategies.catalogue import STRATEGIES
from simloop.strategies.correction import Correction
from simloop.strategies.fast_slow import FastSlow
from simloop.strategies.future_state import FutureState
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.paused import Paused
from simloop.strategies.prefix import Prefix
from simloop.strategies.rtc import RealTimeChunking
from simloop.strategies.strategy import ExecutionState, Strategy
from simloop.world import Hold

HORIZON = 6
ASYNCHRONOUS = [s for s in STRATEGIES.values() if s.is_asynchronous]
Maker = Callable[..., ActionBuffer]


def _state(
    *, tick: int, last_armed_tick: int = 0, remaining: int = 5, num_in_flight: int = 0
) -> ExecutionState:
    return ExecutionState(tick, last_armed_tick, remaining, num_in_flight, HORIZON, -1)


def _asks(strategy: Strategy, state: ExecutionState) -> bool:
    return strategy.wants_request(strategy.calls[0], state)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES.values() if s is not Blocking])
@pytest.mark.parametrize(("tick", "asks"), [(1, False), (3, False), (4, True), (9, True)])
def test_they_ask_every_s_ticks(strategy: type[Strategy], tick: int, asks: bool) -> None:
    assert _asks(strategy(execution_horizon=4), _state(tick=tick, num_in_flight=3)) is asks


@pytest.mark.parametrize("strategy", ASYNCHRONOUS)
@pytest.mark.parametrize(
    ("rules", "remaining", "num_in_flight", "asks"),
    [
        ({"trigger": "remaining_below", "trigger_ticks": 3}, 3, 0, False),
        ({"trigger": "remaining_below", "trigger_ticks": 3}, 2, 0, True),
        ({"trigger": "remaining_below", "trigger_ticks": 3}, 2, 1, False),
        ({"trigger": "queue_below", "trigger_fraction": 0.5}, 3, 0, False),
        ({"trigger": "queue_below", "trigger_fraction": 0.5}, 2, 0, True),
        ({"trigger": "queue_below", "trigger_fraction": 1.0}, 5, 1, False),
        ({"trigger": "as_soon_as_free"}, 6, 0, True),
        ({"trigger": "as_soon_as_free"}, 0, 1, False),
    ],
)
def test_they_ask_by_their_trigger(
    strategy: type[Strategy], rules: dict[str, object], remaining: int, num_in_flight: int, asks: bool
) -> None:
    state = _state(tick=1, remaining=remaining, num_in_flight=num_in_flight)
    assert _asks(strategy(execution_horizon=4, rules=rules), state) is asks


@pytest.mark.parametrize("strategy", ASYNCHRONOUS)
@pytest.mark.parametrize("trigger", ["every", "remaining_below", "queue_below", "as_soon_as_free"])
def test_what_was_never_asked_is_asked(strategy: type[Strategy], trigger: str) -> None:
    made = strategy(execution_horizon=4, rules={"trigger": trigger})
    for call in made.calls:
        assert made.wants_request(call, _state(tick=1, last_armed_tick=-1))


@pytest.mark.parametrize(("remaining", "num_in_flight", "asks"), [(0, 0, True), (1, 0, False), (0, 1, False)])
def test_blocking_asks_when_all_is_played_and_nothing_is_under_way(
    remaining: int, num_in_flight: int, asks: bool
) -> None:
    state = _state(tick=1, remaining=remaining, num_in_flight=num_in_flight)
    assert _asks(Blocking(execution_horizon=4), state) is asks


@pytest.mark.parametrize("strategy", [Paused, Blocking])
def test_a_strategy_that_waits_has_no_trigger_to_choose(strategy: type[Strategy]) -> None:
    with pytest.raises(
        ParameterError, match=r"strategy\.rules\.trigger is 'queue_below'; allowed with strategy .*: every"
    ):
        strategy(rules={"trigger": "queue_below"})


@pytest.mark.parametrize(("remaining", "asks"), [(1, True), (0, False)])
def test_the_corrector_is_asked_at_every_tick_that_has_an_action(remaining: int, asks: bool) -> None:
    state = _state(tick=1, remaining=remaining, num_in_flight=9)
    assert Correction(execution_horizon=4).wants_request(Call.CORRECTOR, state) is asks


@pytest.mark.parametrize(
    ("context_ticks", "tick", "num_in_flight", "asks"),
    [(0, 1, 0, True), (0, 9, 1, False), (3, 2, 0, False), (3, 3, 2, True)],
)
def test_a_context_is_asked_for_again_and_again(
    context_ticks: int, tick: int, num_in_flight: int, asks: bool
) -> None:
    strategy = FastSlow(context_ticks=context_ticks)
    assert strategy.wants_request(Call.CONTEXT, _state(tick=tick, num_in_flight=num_in_flight)) is asks


def _planned(strategy: Strategy, hold: Hold, d: int, arrived: Maker, installed: Maker, space: Maker) -> list:
    """Rows of the new chunk by tick from its arrival on; an older chunk lies underneath."""
    chunks = [arrived(0, np.zeros(20), k=0), arrived(1, np.zeros(HORIZON), k=3, d=d)]
    buffer = installed(strategy, chunks[:1] if isinstance(strategy, Blocking) else chunks, space(hold))
    if isinstance(strategy, Blocking):
        strategy.install(buffer, chunks[1], space(hold))
    assert [buffer.provenance(t) for t in range(3)] == [(0, t) for t in range(3)]
    return [buffer.provenance(t)[1] for t in range(3 + d, 20) if buffer.provenance(t)[0] == 1]


PLAIN = [s for s in STRATEGIES.values() if s is not Blocking]


@pytest.mark.parametrize("strategy", PLAIN)
@pytest.mark.parametrize("d", [0, 2, 5, HORIZON, HORIZON + 1])
def test_rows_are_installed_at_the_ticks_they_were_planned_for(
    strategy: type[Strategy], d: int, arrived: Maker, installed: Maker, action_space: Maker
) -> None:
    made = strategy(execution_horizon=4)
    rows = _planned(made, Hold.REPEAT, d, arrived, installed, action_space)
    assert rows == list(range(d, HORIZON))


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
    hold: Hold, d: int, rows: list[int], arrived: Maker, action_space: Maker
) -> None:
    buffer, space = ActionBuffer(1), action_space(hold)
    Blocking(execution_horizon=4).install(buffer, arrived(1, np.zeros(HORIZON), k=3, d=d), space)
    planned = [buffer.provenance(t) for t in range(3 + d, 20)]
    assert [row for request, row in planned if request == 1] == rows
    assert buffer.remaining(3 + d) == len(rows)


@pytest.mark.parametrize(
    ("n", "d", "expected"),
    [
        (0, 2, {4: 0, 5: 2, 6: 3, 7: 4, 8: 5, 9: -1}),
        (2, 2, {4: 0, 5: 0, 6: 1, 7: 2, 8: 3, 9: 4, 10: 5, 11: -1}),
        (4, 2, {5: 0, 6: 0, 7: 0, 8: 1, 9: 2, 12: 5, 13: -1}),
        (2, 4, {6: 0, 7: 2, 8: 3, 10: 5, 11: -1}),
    ],
)
def test_a_chunk_of_a_rolled_state_begins_n_ticks_later(
    n: int, d: int, expected: dict[int, int], arrived: Maker, installed: Maker
) -> None:
    """Request 0 plans row t of tick t; request 1 observes tick 3, its row r is for tick 3 + n + r."""
    new = arrived(1, np.zeros(HORIZON), k=3, d=d, first_row=n)
    buffer = installed(FutureState(), [arrived(0, np.zeros(20), k=0), new])
    first = 3 + max(n, d)
    for tick, row in expected.items():
        request = -1 if row == -1 else 1 if tick >= first else 0
        assert buffer.provenance(tick) == (request, tick if request == 0 else row), tick


def test_corrections_lie_over_the_chunk(arrived: Maker, installed: Maker) -> None:
    base = arrived(0, [10.0, 11.0, 12.0, 13.0], k=0)
    corrections = [
        arrived(1, [20.0], k=0, call=Call.CORRECTOR, base_request=0),
        arrived(2, [31.0, 32.0, 33.0], k=1, d=1, call=Call.CORRECTOR, base_request=0),
        arrived(3, [0.0, 0.0], k=3, call=Call.CORRECTOR, base_request=7),
    ]
    buffer = installed(Correction(), [base, *corrections])
    assert [buffer.action(t)[0] for t in range(4)] == [20.0, 11.0, 32.0, 13.0]
    assert [buffer.correction(t) for t in range(4)] == [1, -1, 2, -1]
    assert [buffer.provenance(t) for t in range(4)] == [(0, t) for t in range(4)]


@pytest.mark.parametrize(
    ("strategy", "needs", "calls"),
    [
        ("paused", set(), [Call.POLICY]),
        ("blocking", set(), [Call.POLICY]),
        ("naive_async", set(), [Call.POLICY]),
        ("temporal_ensemble", set(), [Call.POLICY]),
        ("aggregate", set(), [Call.POLICY]),
        ("rtc", {Capability.GUIDANCE}, [Call.POLICY]),
        ("prefix", {Capability.PREFIX}, [Call.POLICY]),
        ("future_state", {Capability.ROLLED_STATE}, [Call.POLICY]),
        ("correction", set(), [Call.POLICY, Call.CORRECTOR]),
        ("fast_slow", set(), [Call.EXPERT, Call.CONTEXT]),
    ],
)
def test_what_they_need(strategy: str, needs: set[Capability], calls: list[Call]) -> None:
    made = STRATEGIES[strategy]()
    assert (made.name, made.needs, list(made.calls)) == (strategy, needs, calls)
    assert made.freezes_world is (strategy == "paused")
    assert made.is_asynchronous is (strategy not in ("paused", "blocking"))
    assert made.rolls_state is (strategy == "future_state")
    assert made.is_guided is (strategy == "rtc")
    assert (made.weights(2, 6, 8) is not None) is (strategy in ("rtc", "prefix"))


@pytest.mark.parametrize(
    ("margin", "d_hat", "num_planned", "count"),
    [(0, 0, 5, 0), (0, 1, 5, 1), (0, 5, 5, 5), (0, 7, 5, 5), (0, 9, 20, 6), (2, 1, 5, 3), (2, 4, 5, 5)],
)
def test_a_prefix_is_what_will_be_played(margin: int, d_hat: int, num_planned: int, count: int) -> None:
    strategy = Prefix(rules={"overrun": "extend_prefix", "prefix_margin_ticks": margin})
    weights = strategy.weights(d_hat, num_planned, HORIZON)
    assert weights is not None
    assert weights.tolist() == [1.0] * count


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("execution_horizon", [0, -3, 2.0, True])
def test_an_execution_horizon_is_a_positive_whole_number(
    strategy: type[Strategy], execution_horizon: int
) -> None:
    with pytest.raises(
        ParameterError, match=rf"strategy\.execution_horizon is {execution_horizon}; allowed: .* >= 1"
    ):
        strategy(execution_horizon=execution_horizon)


@pytest.mark.parametrize(
    ("strategy", "key", "value", "allowed"),
    [
        ("temporal_ensemble", "decay", -0.1, "a number >= 0"),
        ("temporal_ensemble", "decay", float("inf"), "a number >= 0"),
        ("temporal_ensemble", "decay", "fast", "a number >= 0"),
        ("aggregate", "function", "newest", "weighted_average, latest_only, average, conservative"),
        ("rtc", "max_guidance", 0, "a number above 0"),
        ("rtc", "max_guidance", "5", "a number above 0"),
        ("fast_slow", "context_ticks", -1, "a whole number >= 0"),
        ("fast_slow", "context_ticks", 1.5, "a whole number >= 0"),
    ],
)
def test_a_value_out_of_range_is_named(strategy: str, key: str, value: object, allowed: str) -> None:
    with pytest.raises(ParameterError, match=rf"strategy\.{key} is .*{value}.*; allowed: {allowed}"):
        STRATEGIES[strategy](**{key: value})


def test_the_guidance_of_rtc_is_bounded() -> None:
    assert RealTimeChunking().max_guidance == 5.0
    assert RealTimeChunking(max_guidance=2).max_guidance == 2.0


@pytest.mark.parametrize("strategy", [NaiveAsync, Prefix, RealTimeChunking, FutureState])
@pytest.mark.parametrize(("d", "s"), [(d, s) for d in range(5) for s in range(max(d, 1), 8 - d + 1)])
def test_constant_delays_are_array_arithmetic(
    strategy: type[Strategy], d: int, s: int, arrived: Maker, action_space: Maker
) -> None:
    """Executed = previous[:d] ++ new[d:s], next previous = new[s:] (arXiv 2506.07339, simulated benchmark)."""
    horizon, num_chunks, made, space = 8, 5, strategy(execution_horizon=s), action_space()
    chunks = [100.0 * c + np.arange(horizon) for c in range(num_chunks)]
    previous, executed = chunks[0], []
    for new in chunks[1:]:
        executed += [*previous[:d], *new[d:s]]
        previous = np.concatenate([new[s:], np.zeros(s)])
    buffer = ActionBuffer(1)
    made.install(buffer, arrived(0, chunks[0], k=0), space)
    for number, new in enumerate(chunks[1:]):
        k = number * s
        planned = buffer.remaining(k)
        assert planned == (horizon if number == 0 else horizon - s)
        if strategy is FutureState:  # its chunk begins where the committed actions end
            chunk = arrived(number + 1, new[d:], k=k, d=d, first_row=d)
        else:
            chunk = arrived(number + 1, new, k=k, d=d)
        made.install(buffer, chunk, space)
    assert [buffer.action(t)[0] for t in range(len(executed))] == executed
