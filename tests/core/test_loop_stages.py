"""What may happen to items, requests and replies on their way, stage by stage, against counts made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import (
    Call,
    Conditioning,
    InferenceReply,
    InferenceRequest,
)
from simloop.errors import AgentError, ConfigurationError
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.strategies.catalogue import STRATEGIES
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.strategy import Strategy
from simloop.testing import AnyCallAgent, DelayedIntegrator, play, toy_case
from simloop.timing.stage_graph import Mode, Timing, timing_from_config
from simloop.world import SensorKind, SensorSpec, WorldSpec

PERIOD_MS, PERIOD_NS, HORIZON = 50, 50_000_000, 8
FloatArray = npt.NDArray[np.float64]


class TwoSensors(DelayedIntegrator):
    """The delayed integrator with a camera beside its proprioception."""

    def __init__(self) -> None:
        super().__init__()
        fields = {name: getattr(self._spec, name) for name in WorldSpec.__dataclass_fields__}
        camera = SensorSpec(
            name="camera",
            kind=SensorKind.CAMERA,
            shape=(1,),
            dtype="float64",
            period_ns=PERIOD_NS,
            payload_bytes=1000,
        )
        self._spec = WorldSpec(**{**fields, "sensors": (*self._spec.sensors, camera)})


class AnyCall(AnyCallAgent):
    """Row i of the chunk of tick k is 100 k + i; a correction adds 0.5 to all it is given."""

    def __init__(self, world: DelayedIntegrator, reply: Callable[..., InferenceReply] | None = None) -> None:
        super().__init__(world.spec, reply or _label, horizon=HORIZON)


def _label(request: InferenceRequest) -> InferenceReply:
    if request.call is Call.CONTEXT:
        return InferenceReply(actions=None, context=np.full(3, request.observation_tick))
    if request.call is Call.CORRECTOR:
        assert request.base_actions is not None
        return InferenceReply(actions=request.base_actions + 0.5)
    first = 0 if request.rolled_actions is None else len(request.rolled_actions)
    rows = 100.0 * request.observation_tick + first + np.arange(HORIZON)[:, None]
    return InferenceReply(actions=rows, first_index=first, context=f"chunk of {request.observation_tick}")


def _constant(ms: float) -> dict[str, Any]:
    return {"distribution": "constant", "value_ms": ms}


def _roll(
    strategy: Strategy,
    *,
    num_ticks: int = 20,
    agent: AnyCall | None = None,
    world: DelayedIntegrator | None = None,
    **stages: Any,
) -> EpisodeLog:
    world = DelayedIntegrator() if world is None else world
    case = toy_case(time_limit_s=num_ticks * PERIOD_MS / 1000)
    timing = timing_from_config(name="t", **stages)
    return play(world, agent or AnyCall(world), case=case, timing=timing, strategy=strategy)


def _rows(log: EpisodeLog, table: str, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(log.column(table, n).tolist() for n in names), strict=True))


def _ms(log: EpisodeLog, *names: str) -> list[tuple[Any, ...]]:
    """Columns of ``inferences``; instants in ms."""
    return [
        tuple(v / 1e6 if n.endswith("_ns") and v >= 0 else v for n, v in zip(names, row, strict=True))
        for row in _rows(log, "inferences", *names)
    ]


# --- sensors ---------------------------------------------------------------------------------------------------


def test_a_sensor_has_its_own_period_phase_and_read_out() -> None:
    camera = {"period_ms": 100, "phase_ms": 20, "exposure_ms": 10, "readout_ms": 7, "stamp": "end"}
    agent = AnyCall(TwoSensors())
    log = _roll(
        NaiveAsync(execution_horizon=2),
        world=TwoSensors(),
        agent=agent,
        capture={"camera": camera},
        num_ticks=8,
    )
    captures = [
        (s, t / 1e6, d / 1e6) for s, t, d in _rows(log, "captures", "sensor", "t_ns", "delivered_at_ns")
    ]
    assert [c for c in captures if c[0] == "camera"] == [
        ("camera", 20.0, 32.0),
        ("camera", 120.0, 132.0),
        ("camera", 220.0, 232.0),
        ("camera", 320.0, 332.0),
    ]
    # The free chunk is there once each sensor has captured; the trigger of tick k waits for what is captured since.
    assert _ms(log, "observation_tick", "trigger_ns", "is_free")[:3] == [
        (0, 20.0, True),
        (0, 32.0, False),
        (2, 132.0, False),
    ]
    # A frame shows the world at a physics instant (here 50 ms apart) and is stamped 5 ms later than it says.
    assert dict(agent.requests[2].age_ns) == {"state": 32_000_000, "camera": 27_000_000}
    assert _rows(log, "consumed", "request", "sensor", "age_ns")[4:6] == [
        (2, "camera", 32_000_000),
        (2, "state", 32_000_000),
    ]


def test_a_lost_or_dropped_item_is_replaced_by_the_next_one() -> None:
    log = _roll(
        NaiveAsync(execution_horizon=1),
        num_ticks=200,
        capture={"proprioception": {"drop": 0.2}},
        transport={"proprioception": {**_constant(5), "loss": 0.3}},
    )
    captures = log.tables["captures"]
    assert captures["is_dropped"].mean() == pytest.approx(0.2, abs=0.1)
    assert captures["is_lost"][~captures["is_dropped"]].mean() == pytest.approx(0.3, abs=0.12)
    arrived = set(captures["index"][captures["delivered_at_ns"] >= 0].tolist())
    asked = [k for k, is_free in _rows(log, "inferences", "observation_tick", "is_free") if not is_free]
    # Every item that arrives answers the armed ticks up to its own, so each one is a request.
    assert asked == sorted(arrived)
    assert set(captures["num_bytes"].tolist()) == {8}


@pytest.mark.parametrize(
    ("assembly", "expected"),
    [
        # The camera takes 120 ms, proprioception nothing. Capture numbers of (camera, state) at each trigger.
        ({"assembly": "captured_since"}, [(170, 1, 1), (220, 2, 2), (270, 3, 3)]),
        ({"assembly": "latest"}, [(150, 0, 3), (200, 1, 4), (250, 2, 5)]),
        ({"assembly": "nearest"}, [(200, 1, 1), (250, 2, 2), (300, 3, 3)]),
        # 70 ms after its tick the wait ends, with the newest camera frame that has come: none before 120 ms.
        ({"assembly": "wait_all", "assembly_timeout_ms": 70}, [(170, 1, 2), (220, 2, 3), (270, 3, 4)]),
    ],
)
def test_assemblies(assembly: dict[str, Any], expected: list[tuple[int, int, int]]) -> None:
    log = _roll(
        NaiveAsync(execution_horizon=1),
        world=TwoSensors(),
        transport={"camera": _constant(120)},
        first_chunk="blocking",
        **assembly,
    )
    index = {(q, s): i for q, s, i in _rows(log, "consumed", "request", "sensor", "index")}
    found = [
        (t, index[q, "camera"], index[q, "state"]) for q, t in _ms(log, "request", "trigger_ns") if t >= 150
    ]
    assert found[: len(expected)] == expected


# --- links -----------------------------------------------------------------------------------------------------


def test_a_lost_request_or_reply_is_known_to_be_lost() -> None:
    """``blocking`` asks again at the next tick, and what is lost in front of the accelerator is never asked."""
    agent = AnyCall(DelayedIntegrator())
    log = _roll(
        STRATEGIES["blocking"](execution_horizon=2),
        num_ticks=400,
        agent=agent,
        uplink={"netem": "delay 10ms loss 30%"},
        downlink={"netem": "delay 10ms loss 30%"},
        inference=_constant(20),
    )
    states = log.column("inferences", "state").tolist()
    assert states.count("uplink_lost") > 10
    assert states.count("downlink_lost") > 10
    assert len(agent.requests) == len(states) - states.count("uplink_lost")
    ticks = log.column("inferences", "observation_tick").tolist()
    for number, state in enumerate(states[:-1]):
        # Lost on the way up: that tick's control already makes the next tick ask. On the way down it is lost 30 ms
        # later, which the control of the next tick sees.
        if state.endswith("lost"):
            assert ticks[number + 1] == ticks[number] + (1 if state == "uplink_lost" else 2)
    # Whatever is lost, two actions are played of each chunk that comes.
    played = log.column("ticks", "row")[~log.column("ticks", "is_hold")].tolist()
    assert played[: len(played) // 2 * 2] == [0, 1] * (len(played) // 2)


def test_the_first_of_two_copies_counts() -> None:
    plain = _roll(NaiveAsync(execution_horizon=2), uplink={"netem": "delay 30ms 20ms"}, servers=0)
    doubled = _roll(
        NaiveAsync(execution_horizon=2), uplink={"netem": "delay 30ms 20ms duplicate 100%"}, servers=0
    )
    assert len(plain.column("inferences", "arrived_ns")) == len(doubled.column("inferences", "arrived_ns"))
    assert (doubled.column("inferences", "arrived_ns") <= plain.column("inferences", "arrived_ns")).all()
    assert doubled.num_rows("chunks") == plain.num_rows("chunks")


def test_messages_say_how_big_they_are() -> None:
    log = _roll(STRATEGIES["fast_slow"](execution_horizon=2), world=TwoSensors())
    sizes = set(_rows(log, "inferences", "call", "is_free", "uplink_bytes", "downlink_bytes"))
    # Two sensors of 8 and 1000 bytes up, a context of three float64 down; the expert is on board.
    assert {s for s in sizes if not s[1]} == {("context", False, 1008, 24), ("expert", False, 0, 0)}
    (chunk,) = set(_rows(_roll(NaiveAsync()), "inferences", "uplink_bytes", "downlink_bytes")[1:])
    assert chunk == (8, 8 * HORIZON)


def test_the_fast_halves_of_split_models_take_no_link() -> None:
    slow = {"uplink": _constant(40), "downlink": _constant(30), "preprocess": _constant(3)}
    log = _roll(STRATEGIES["correction"](execution_horizon=4), corrector_inference=_constant(5), **slow)
    spans = {
        (call, (sent - trigger) / 1e6, (arrived - sent) / 1e6, (deliver - done) / 1e6)
        for call, is_free, trigger, sent, arrived, done, deliver in _rows(
            log,
            "inferences",
            "call",
            "is_free",
            "trigger_ns",
            "sent_ns",
            "arrived_ns",
            "done_ns",
            "deliver_ns",
        )
        if deliver >= 0 and not is_free
    }
    assert spans == {("policy", 3.0, 40.0, 30.0), ("corrector", 3.0, 0.0, 0.0)}


# --- accelerator -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # One server, 220 ms a request, one request a tick: (tick, start in ms or -1).
        ("drop_oldest", [(0, 0.0), (1, -1), (2, -1), (3, 220.0), (4, -1), (5, -1), (6, -1), (7, 440.0)]),
        ("drop_newest", [(0, 0.0), (1, 220.0), (2, 440.0), (3, -1), (4, -1), (5, 660.0)]),
        ("latest_wins", [(0, 0.0), (1, -1), (2, -1), (3, -1), (4, 220.0), (5, -1)]),
        ("fifo", [(0, 0.0), (1, 220.0), (2, 440.0), (3, 660.0)]),
    ],
)
def test_queue_rules(rule: str, expected: list[tuple[int, float]]) -> None:
    size = {"queue_size": 2} if rule.startswith("drop") else {}
    log = _roll(
        NaiveAsync(execution_horizon=1), inference=_constant(220), queue=rule, first_chunk="blocking", **size
    )
    assert _ms(log, "observation_tick", "start_ns")[: len(expected)] == expected
    states = log.column("inferences", "state").tolist()
    for (_, start_ms), state in zip(expected, states, strict=False):
        assert (state == "queue_dropped") == (start_ms < 0)


def test_a_freed_server_takes_all_that_waits_as_one_batch() -> None:
    """A batch of n takes 100 + 20 n ms: 0..120 for one, then those of ticks 1 and 2 together until 260, ..."""
    agent = AnyCall(DelayedIntegrator())
    log = _roll(
        NaiveAsync(execution_horizon=1),
        agent=agent,
        batching={"max_batch": 3, "base_ms": 100, "per_item_ms": 20},
        queue="fifo",
        first_chunk="blocking",
    )
    assert _ms(log, "observation_tick", "batch", "start_ns", "done_ns")[:9] == [
        (0, 1, 0.0, 120.0),
        (1, 2, 120.0, 260.0),
        (2, 2, 120.0, 260.0),
        (3, 3, 260.0, 420.0),
        (4, 3, 260.0, 420.0),
        (5, 3, 260.0, 420.0),
        (6, 3, 420.0, 580.0),
        (7, 3, 420.0, 580.0),
        (8, 3, 420.0, 580.0),
    ]
    asked = [r.observation_tick for r in agent.requests]
    assert asked == sorted(asked)


@pytest.mark.parametrize(("first_chunk", "start_of_play"), [("free", 0), ("blocking", 2), ("charged", 5)])
def test_the_cold_start_is_charged_once(first_chunk: str, start_of_play: int) -> None:
    log = _roll(
        NaiveAsync(execution_horizon=4),
        inference=_constant(100),
        cold_start=_constant(150),
        first_chunk=first_chunk,
    )
    assert int(np.argmin(log.column("ticks", "is_hold"))) == start_of_play
    spans = [
        (done - start) / 1e6 for start, done in _rows(log, "inferences", "start_ns", "done_ns") if done >= 0
    ]
    first = {"free": 0.0, "blocking": 100.0, "charged": 250.0}[first_chunk]
    assert spans == [first] + [100.0] * (len(spans) - 1)


def test_a_measured_time_is_charged_in_place_of_the_models() -> None:
    def measured(request: InferenceRequest) -> InferenceReply:
        taken_ns = 30_000_000 + 1_000_000 * request.observation_tick
        return InferenceReply(actions=np.zeros((HORIZON, 1)), measured_ns=taken_ns)

    world = DelayedIntegrator()
    timing = Timing(name="t", mode=Mode.MEASURED, measured_factor=2.0)
    log = play(
        world, AnyCall(world, measured), case=toy_case(time_limit_s=1), timing=timing, strategy=NaiveAsync()
    )
    spans = _rows(log, "inferences", "is_free", "observation_tick", "start_ns", "done_ns")
    assert spans[0] == (True, 0, 0, 0)
    assert [done - start for _, _, start, done in spans[1:3]] == [60_000_000, 76_000_000]
    silent = AnyCall(world, lambda request: InferenceReply(actions=np.zeros((HORIZON, 1))))
    with pytest.raises(AgentError, match="without a measured time under timing mode 'measured'"):
        play(world, silent, case=toy_case(), timing=timing, strategy=NaiveAsync())


@pytest.mark.parametrize(
    ("weights", "num_committed"),
    [([1, 1, 0.5, 0], 2), ([1, 1, 1], 3), ([0, 1], 0), ([0.5], 0), ([1], 1), ([1, 0, 1], 1)],
)
def test_leading_rows_of_weight_1_are_committed(weights: list[float], num_committed: int) -> None:
    given = np.array(weights, dtype=np.float64)
    assert Conditioning(actions=np.zeros((len(given), 1)), weights=given).num_committed == num_committed


# --- split models ----------------------------------------------------------------------------------------------


def test_an_expert_is_asked_once_there_is_a_context_and_told_its_age() -> None:
    agent = AnyCall(DelayedIntegrator())
    log = _roll(
        STRATEGIES["fast_slow"](execution_horizon=1),
        agent=agent,
        context_inference=_constant(120),
        first_chunk="blocking",
    )
    experts = agent.asked(Call.EXPERT)
    # The context of tick 0 arrives at 120 ms: tick 3 is the first to be asked about, with a context that is 150 ms old.
    # That tick finds no context under way and makes tick 4 ask for the next one, which comes at 320 ms.
    assert [r.observation_tick for r in experts][:6] == [3, 4, 5, 6, 7, 8]
    assert [r.context_age_ns / 1e6 for r in experts][:6] == [150.0, 200.0, 250.0, 300.0, 150.0, 200.0]
    assert [int(r.context[0]) for r in experts][:6] == [0, 0, 0, 0, 4, 4]
    assert log.column("ticks", "is_hold")[:4].tolist() == [True, True, True, False]
    contexts = agent.asked(Call.CONTEXT)
    assert all(r.context is None and r.context_age_ns == -1 for r in contexts)
    states = {s for c, s in _rows(log, "inferences", "call", "state") if c == "context"}
    assert states == {"delivered"}
    free = _roll(STRATEGIES["fast_slow"](execution_horizon=1), context_inference=_constant(120))
    # A free first chunk comes with a free context.
    assert _rows(free, "inferences", "call", "is_free")[:2] == [("context", True), ("expert", True)]
    assert not free.column("ticks", "is_hold").any()


def test_a_corrector_is_told_what_it_corrects() -> None:
    agent = AnyCall(DelayedIntegrator())
    log = _roll(
        STRATEGIES["correction"](execution_horizon=4), agent=agent, inference=_constant(100), num_ticks=12
    )
    for request in agent.asked(Call.CORRECTOR):
        k = request.observation_tick
        # The chunk of tick 4n plays from 4n + 2 on, uncorrected in what is handed over.
        base = 0 if k < 6 else (k - 2) // 4 * 4
        assert request.base_row == k - base
        assert request.base_actions is not None
        assert request.base_actions[:, 0].tolist() == [100.0 * base + r for r in range(k - base, HORIZON)]
        assert request.context == f"chunk of {base}"
        assert request.context_age_ns == (k - base) * PERIOD_NS
        assert request.conditioning is None
    played = log.column("ticks", "action")[:, 0]
    assert (played % 1 == 0.5).all()
    executed = log.tables["chunks"]["is_executed"]
    call_of = log.column("inferences", "call")[log.column("chunks", "request")]
    assert set(call_of[executed].tolist()) == {"corrector"}
    assert executed.sum() == 12


@pytest.mark.parametrize(
    ("name", "call", "reply", "message"),
    [
        (
            "fast_slow",
            Call.CONTEXT,
            InferenceReply(actions=None),
            r"replied to a context call without a context",
        ),
        (
            "correction",
            Call.CORRECTOR,
            InferenceReply(actions=np.zeros((HORIZON + 1, 1))),
            r"to a correction with shape \(9, 1\); it has shape \(m, 1\), 1 <= m <= 8",
        ),
        ("correction", Call.CORRECTOR, InferenceReply(actions=None), r"to a correction with no actions"),
        (
            "future_state",
            Call.POLICY,
            InferenceReply(actions=np.zeros((HORIZON, 1)), first_index=3),
            r"replied with first_index 3; expected 2, the number of actions",
        ),
    ],
)
def test_a_bad_reply_to_any_call_is_an_agent_error(
    name: str, call: Call, reply: InferenceReply, message: str
) -> None:
    def answer(request: InferenceRequest) -> InferenceReply:
        rolled = request.rolled_actions
        is_rolled = name != "future_state" or (rolled is not None and len(rolled) > 0)
        return reply if request.call is call and is_rolled else _label(request)

    agent = AnyCall(DelayedIntegrator(), answer)
    with pytest.raises(AgentError, match=message):
        _roll(STRATEGIES[name](execution_horizon=4), agent=agent, inference=_constant(100))


# --- the oracle ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first_chunk", ["free", "charged"])
@pytest.mark.parametrize("servers", [0, 1, 2])
@pytest.mark.parametrize("s", [1, 2, 4])
@pytest.mark.parametrize("queue", ["latest_wins", "fifo"])
def test_an_oracle_foretells_every_delay(queue: str, s: int, servers: int, first_chunk: str) -> None:
    def jittered(low_ms: float, high_ms: float) -> dict[str, Any]:
        return {"distribution": "uniform", "low_ms": low_ms, "high_ms": high_ms}

    log = _roll(
        NaiveAsync(execution_horizon=s, rules={"predictor": {"kind": "oracle"}}),
        num_ticks=100,
        transport={"proprioception": jittered(0, 30)},
        preprocess=jittered(0, 20),
        uplink=_constant(10),
        inference=jittered(40, 200),
        cold_start=_constant(300),
        downlink=jittered(0, 60),
        servers=servers,
        queue=queue,
        first_chunk=first_chunk,
    )
    inferences = log.tables["inferences"]
    delivered = (inferences["deliver_ns"] >= 0) & ~inferences["is_free"]
    error = inferences["realised_delay_ticks"] - inferences["predicted_delay_ticks"]
    assert delivered.sum() > 8
    assert len(set(inferences["realised_delay_ticks"][delivered].tolist())) > 2
    assert not error[delivered].any()


@pytest.mark.parametrize(
    "stages",
    [
        {"control": {"jitter": _constant(1)}},
        {"batching": {"max_batch": 2, "base_ms": 10, "per_item_ms": 1}},
        {"uplink": {"netem": "delay 5ms rate 1mbit"}},
        {"mode": "measured"},
    ],
)
def test_what_an_oracle_cannot_foretell_is_refused_before_the_first_episode(stages: dict[str, Any]) -> None:
    world = DelayedIntegrator()
    strategy = NaiveAsync(rules={"predictor": {"kind": "oracle"}})
    timing = timing_from_config(name="rough", **stages)
    with pytest.raises(ConfigurationError, match=r"'oracle', but under timing 'rough' .* cannot be foretold"):
        ClosedLoop(world=world, case=toy_case(), agent=AnyCall(world).spec, timing=timing, strategy=strategy)
