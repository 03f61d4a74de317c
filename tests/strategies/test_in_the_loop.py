"""The strategies through the real loop, against what each of them should play, written out tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simloop.agent import AgentSpec, Call, InferenceReply, InferenceRequest
from simloop.errors import IncompatibleAgentError
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.strategies.catalogue import STRATEGIES
from simloop.strategies.rtc import soft_mask
from simloop.testing import AnyCallAgent, DelayedIntegrator, play, toy_case
from simloop.timing.stage_graph import timing_from_config

HORIZON, PERIOD_NS, NUM_TICKS = 8, 50_000_000, 40
WORLD = DelayedIntegrator()


def _row(k: int, row: int) -> float:
    return 100.0 * k + row


class Recorder(AnyCallAgent):
    """Row i of the chunk of tick k is 100 k + i; a corrector adds 0.5; every request is kept."""

    def __init__(
        self, *, action_period_ns: int = PERIOD_NS, spread: Callable[[int, int], float] = _row
    ) -> None:
        super().__init__(WORLD.spec, self._spread, horizon=HORIZON, action_period_ns=action_period_ns)
        self._value = spread

    def _spread(self, request: InferenceRequest) -> InferenceReply:
        if request.call is Call.CONTEXT:
            return InferenceReply(actions=None, context=request.observation_tick)
        if request.call is Call.CORRECTOR:
            assert request.base_actions is not None
            return InferenceReply(actions=request.base_actions[:1] + 0.5)
        first = 0 if request.rolled_actions is None else len(request.rolled_actions)
        k = request.observation_tick if request.call is Call.POLICY else request.context
        rows = [self._value(k, first + row) for row in range(HORIZON)]
        return InferenceReply(actions=np.array(rows)[:, None], first_index=first)


def _play(
    name: str, d: int, agent: Recorder, *, timing: dict[str, Any] | None = None, **values: Any
) -> EpisodeLog:
    latency = {"distribution": "constant", "value_ms": 50 * d}
    chosen = timing_from_config(name="t", **{"inference": latency, **(timing or {})})
    case = toy_case(time_limit_s=NUM_TICKS * 0.05)
    return play(WORLD, agent, case=case, timing=chosen, strategy=STRATEGIES[name](**values))


def _played(log: EpisodeLog) -> list[float]:
    return log.column("ticks", "action")[:, 0].tolist()


@pytest.mark.parametrize("d", [1, 3])
def test_temporal_ensemble_plays_the_mean_of_what_has_arrived(d: int) -> None:
    draws = np.random.default_rng(0).normal(size=(NUM_TICKS + 1, HORIZON))
    agent = Recorder(spread=lambda k, row: float(draws[k, row]))
    log = _play("temporal_ensemble", d, agent, timing={"servers": "pipelined"}, decay=0.3)
    for tick, action in enumerate(_played(log)):
        # The free first chunk, then those that were observed d ticks ago and before, oldest first.
        observed = [0, *range(tick - d + 1)]
        values = [draws[k, tick - k] for k in observed if tick - k < HORIZON]
        weights = np.exp(-0.3 * np.arange(len(values)))
        assert action == pytest.approx(float(weights @ values / weights.sum()), abs=1e-12)
        assert log.column("ticks", "num_blended")[tick] == len(values)


@pytest.mark.parametrize("d", [0, 2])
def test_aggregate_mixes_what_is_planned_with_what_arrives(d: int) -> None:
    agent = Recorder()
    played = _played(_play("aggregate", d, agent, execution_horizon=3))
    plan = {tick: _row(0, tick) for tick in range(HORIZON)}
    for tick in range(NUM_TICKS):
        if tick >= d and (tick - d) % 3 == 0:
            k = tick - d
            arrived = {k + row: _row(k, row) for row in range(d, HORIZON)}
            plan = {t: 0.3 * plan[t] + 0.7 * new if t in plan else new for t, new in arrived.items()}
        assert played[tick] == pytest.approx(plan[tick])


@pytest.mark.parametrize(("d", "s"), [(1, 2), (2, 4), (3, 4)])
@pytest.mark.parametrize("name", ["rtc", "prefix"])
def test_what_a_chunk_has_to_continue_is_handed_over(name: str, d: int, s: int) -> None:
    agent = Recorder()
    rules = {"overrun": "extend_prefix", "prefix_margin_ticks": 1}
    log = _play(name, d, agent, execution_horizon=s, rules=rules)
    played = _played(log)
    for number, request in enumerate(agent.requests):
        conditioning, k = request.conditioning, request.observation_tick
        assert conditioning is not None
        assert conditioning.is_guided is (name == "rtc")
        assert conditioning.max_guidance == 5.0
        planned = 0 if number == 0 else HORIZON if number == 1 else HORIZON - s
        d_hat = 0 if number == 0 else d
        assert request.predicted_delay_ticks == d_hat
        expected = np.zeros(HORIZON)
        if name == "rtc":
            mask = soft_mask(d_hat + 1, s, HORIZON, planned)
            expected[: len(mask)] = mask
        else:
            expected[: min(d_hat + 1, planned)] = 1.0
        assert conditioning.weights.tolist() == expected.tolist()
        if number:
            before = k - d if number == 1 else k
            assert conditioning.actions[:d, 0].tolist() == played[k : k + d], before
    assert set(log.column("inferences", "state").tolist()) <= {"installed", "in_flight"}


@pytest.mark.parametrize(
    ("rules", "d", "n"), [({}, 2, 2), ({"predictor": {"kind": "constant", "ticks": 3}}, 1, 3)]
)
def test_future_state_rolls_over_what_will_be_played(rules: dict[str, Any], d: int, n: int) -> None:
    agent = Recorder()
    played = _played(_play("future_state", d, agent, execution_horizon=4, rules=rules))
    for request in agent.requests[1:]:
        k = request.observation_tick
        assert request.rolled_actions is not None
        if k + n < NUM_TICKS:
            assert request.rolled_actions[:, 0].tolist() == played[k : k + n]
    for tick in range(n, NUM_TICKS):
        k = (tick - n) // 4 * 4
        assert played[tick] == _row(k, tick - k)


@pytest.mark.parametrize(("corrector_ms", "lag"), [(0, 0), (50, 1)])
def test_corrections_lie_over_a_delayed_chunk(corrector_ms: int, lag: int) -> None:
    """A corrector that answers one tick late corrects the tick that has passed: the chunk acts."""
    agent = Recorder()
    timing = {"corrector_inference": {"distribution": "constant", "value_ms": corrector_ms}}
    log = _play("correction", 2, agent, timing=timing, execution_horizon=4)
    for tick, action in enumerate(_played(log)):
        k = 0 if tick < 2 else (tick - 2) // 4 * 4
        assert action == _row(k, tick - k) + (0.5 if lag == 0 else 0.0)
        corrected_by = log.column("ticks", "correction")[tick]
        assert (corrected_by >= 0) == (lag == 0)
    first = agent.asked(Call.CORRECTOR)[7]
    assert first.base_actions is not None
    k = 4
    assert first.base_row == first.observation_tick - k
    assert first.base_actions[0, 0] == _row(k, first.base_row)


def test_an_expert_acts_on_the_newest_context() -> None:
    agent = Recorder()
    timing = {"context_inference": {"distribution": "constant", "value_ms": 100}}
    log = _play("fast_slow", 0, agent, timing=timing)
    # A context takes 100 ms; the next one observes the tick after its arrival.
    contexts = [r.observation_tick for r in agent.asked(Call.CONTEXT)]
    assert contexts[:5] == [0, 0, 3, 6, 9]
    experts = {r.observation_tick: r for r in agent.asked(Call.EXPERT)}
    for tick, action in enumerate(_played(log)):
        newest = max(k for k in contexts if k == 0 or k + 2 <= tick)
        assert experts[tick].context == newest
        assert experts[tick].context_age_ns == (tick - newest) * PERIOD_NS
        assert action == _row(newest, 0)


def test_row_0_on_arrival_is_the_known_bug() -> None:
    played = _played(_play("naive_async", 2, Recorder(), execution_horizon=4, rules={"align": "restart"}))
    for tick in range(2, NUM_TICKS):
        k = (tick - 2) // 4 * 4
        assert played[tick] == _row(k, tick - k - 2)


def test_an_agent_with_longer_steps_is_read_by_time() -> None:
    agent = Recorder(action_period_ns=2 * PERIOD_NS, spread=lambda k, row: float(k + 2 * row))
    log = _play("naive_async", 1, agent, execution_horizon=4, rules={"align": "by_time"})
    assert _played(log) == [float(tick) for tick in range(NUM_TICKS)]
    with pytest.raises(
        IncompatibleAgentError, match=r"The two must be equal, or strategy\.rules\.align by_time"
    ):
        _play("naive_async", 1, agent, execution_horizon=4)


JITTER = {"inference": {"distribution": "shifted_lognormal", "shift_ms": 40, "median_ms": 60, "sigma": 0.7}}


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        ({"overrun": "discard", "predictor": {"kind": "constant", "ticks": 2}}, "overrun_discarded"),
        ({"max_age_ms": 110}, "too_old"),
        ({"overrun": "use"}, "installed"),
    ],
)
def test_chunks_are_dropped_by_their_rule(rules: dict[str, Any], state: str) -> None:
    log = _play("naive_async", 0, Recorder(), timing=JITTER, execution_horizon=4, rules=rules)
    columns = [
        log.column("inferences", n) for n in ("state", "realised_delay_ticks", "deliver_ns", "trigger_ns")
    ]
    seen = set()
    for number, (got, d, deliver_ns, trigger_ns) in enumerate(zip(*columns, strict=True)):
        if number == 0 or d < 0:
            continue
        is_late = {"overrun_discarded": d > 2, "too_old": deliver_ns - trigger_ns > 110e6}.get(state, True)
        assert (got == state) == is_late
        seen.add(got)
    assert seen == {state, "installed"}


@pytest.mark.parametrize(
    ("rules", "gaps"),
    [
        ({"trigger": "every"}, {5}),
        ({"trigger": "as_soon_as_free"}, {3}),
        ({"trigger": "remaining_below", "trigger_ticks": 3}, {6}),
        ({"trigger": "queue_below", "trigger_fraction": 0.5}, {5}),
    ],
)
def test_triggers(rules: dict[str, Any], gaps: set[int]) -> None:
    """With d = 2 and H = 8 a chunk leaves 3 actions 5 ticks after its observation, 2 after 6."""
    log = _play("naive_async", 2, Recorder(), execution_horizon=5, rules=rules)
    observed = log.column("inferences", "observation_tick")[2:]
    assert set(np.diff(observed).tolist()) == gaps


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("d", [0, 3, 9])
def test_no_delay_is_too_long_for_any_strategy(name: str, d: int) -> None:
    """Exact test 11: beyond H - s the plan runs out, starvation is counted and the hold acts."""
    values = {"execution_horizon": 4} if name != "temporal_ensemble" else {}
    log = _play(name, d, Recorder(), timing={"first_chunk": "charged"}, **values)
    is_hold = log.column("ticks", "is_hold")
    assert len(is_hold) == NUM_TICKS
    played = np.array(_played(log))
    assert (played[is_hold] == 0.0).all()
    assert (log.column("ticks", "request")[is_hold] == -1).all()
    assert bool(is_hold.any()) is (name != "paused" and d > 0)
    if d == 9 and name not in ("paused", "blocking", "future_state", "fast_slow"):
        assert is_hold.all()


def test_an_agent_is_refused_before_the_first_episode() -> None:
    agent = Recorder()
    plain = AgentSpec(
        name="plain",
        horizon=HORIZON,
        action_period_ns=PERIOD_NS,
        embodiments=agent.spec.embodiments,
        digest="plain",
    )
    with pytest.raises(
        IncompatibleAgentError, match=r"'rtc' needs .*guidance.* it can run: paused, blocking, naive_async"
    ):
        ClosedLoop(
            world=WORLD,
            case=toy_case(),
            agent=plain,
            timing=timing_from_config(name="t"),
            strategy=STRATEGIES["rtc"](),
        )
