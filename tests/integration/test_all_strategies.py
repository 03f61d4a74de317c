"""The exact tests of the timing model that hold for every strategy, with every stage that can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simloop.agent import Agent
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.strategies.catalogue import STRATEGIES
from simloop.strategies.strategy import Strategy
from simloop.testing import DelayedIntegrator, play, toy_case
from simloop.timing.stage_graph import timing_from_config

HORIZON, PERIOD_MS = 8, 50
NAMES = tuple(STRATEGIES)
BLENDING = ("temporal_ensemble", "aggregate")
MakeAgent = Callable[..., Agent]


def _strategy(name: str, s: int = 2, **settings: Any) -> Strategy:
    return STRATEGIES[name](execution_horizon=s, **settings)


def _constant(ms: float) -> dict[str, Any]:
    return {"distribution": "constant", "value_ms": ms}


def _lognormal(shift_ms: float, median_ms: float) -> dict[str, Any]:
    return {
        "distribution": "shifted_lognormal",
        "shift_ms": shift_ms,
        "median_ms": median_ms,
        "sigma": 0.6,
    }


ROUGH: dict[str, Any] = {
    "capture": {"proprioception": {"exposure_ms": 4, "readout_ms": 1, "drop": 0.05}},
    "transport": {"proprioception": {**_lognormal(1, 4), "loss": 0.05}},
    "preprocess": _lognormal(1, 5),
    "uplink": {"netem": "delay 20ms 8ms 25% loss 5% duplicate 5% reorder 20% 50%"},
    "downlink": {"netem": "delay 20ms 15ms 25% loss gemodel 4% 30% 80% 1% duplicate 5%"},
    "inference": _lognormal(60, 15),
    "context_inference": _lognormal(80, 20),
    "expert_inference": _lognormal(5, 5),
    "corrector_inference": _lognormal(2, 5),
    "actuation": _lognormal(0, 30),
}
"""Every sensor item and message may be late, lost, doubled or overtaken."""


def _roll(
    name: str | Strategy,
    timing: dict[str, Any],
    agent: Any,
    *,
    num_ticks: int = 60,
    seed: int = 0,
) -> EpisodeLog:
    strategy = _strategy(name) if isinstance(name, str) else name
    case = toy_case(time_limit_s=num_ticks * PERIOD_MS / 1000, seed=seed)
    chosen = timing_from_config(name="t", **timing)
    return play(DelayedIntegrator(), agent, case=case, timing=chosen, strategy=strategy)


def _actions(log: EpisodeLog) -> list[float]:
    actions: list[float] = log.column("ticks", "action")[:, 0].tolist()
    return actions


WORLD = DelayedIntegrator()


# --- 1: no latency, no difference ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("s", [1, 3, 8])
def test_zero_latency_equals_paused_action_for_action(name: str, s: int, any_call_agent: MakeAgent) -> None:
    """Chunks that agree about a tick, so that a blend of them is any one of them."""

    def rolled(strategy: Strategy) -> EpisodeLog:
        agent = any_call_agent(WORLD.spec, value=lambda k, row: float((k + row) % 7))
        return _roll(strategy, {"inference": _constant(0), "context_inference": _constant(0)}, agent)

    paused, other = rolled(_strategy("paused", s)), rolled(_strategy(name, s))
    assert _actions(paused) == [float(k % 7) for k in range(60)]
    assert np.allclose(_actions(other), _actions(paused), rtol=0.0, atol=1e-12 if name in BLENDING else 0.0)
    assert not other.column("ticks", "is_hold").any()
    delivered = np.isin(other.column("inferences", "state"), ["installed", "delivered"])
    assert not other.column("inferences", "realised_delay_ticks")[delivered].any()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in BLENDING])
def test_without_latency_the_newest_chunk_is_played(name: str, any_call_agent: MakeAgent) -> None:
    """Chunks that tell where each action comes from: every s ticks a new one, from its row 0 on."""
    log = _roll(_strategy(name, 3), {"context_inference": _constant(0)}, any_call_agent(WORLD.spec))
    assert _actions(log) == [100.0 * (k - k % 3) + k % 3 for k in range(60)]


# --- 6: what must not change the hash --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_zero_length_and_unused_stages_do_not_change_the_hash(name: str, any_call_agent: MakeAgent) -> None:
    base: dict[str, Any] = {"inference": _lognormal(60, 30), "uplink": _lognormal(0, 20)}

    def digest(**more: Any) -> str:
        return _roll(name, base | more, any_call_agent(WORLD.spec)).episode_hash

    reference = digest()
    unused = {"camera": {**_lognormal(100, 10), "loss": 0.5}, "objects": _constant(70)}
    assert digest(transport=unused) == reference
    assert digest(preprocess=_constant(0), downlink={"netem": "delay 0ms"}) == reference
    assert digest(downlink=_lognormal(0, 0), actuation=_constant(0)) == reference
    assert digest(transport={"proprioception": _constant(0)}, control={"jitter": _constant(0)}) == reference
    assert digest(queue="fifo", servers=0) == digest(queue="drop_oldest", servers=0)
    if name != "paused":
        assert digest(preprocess=_constant(1)) != reference


@pytest.mark.parametrize("name", NAMES)
def test_interleaved_and_interrupted_episodes_have_the_hashes_of_lonely_ones(
    name: str, any_call_agent: MakeAgent
) -> None:
    timing = timing_from_config(name="t", **ROUGH)
    agent = any_call_agent(WORLD.spec)
    alone = [_roll(name, ROUGH, agent, seed=seed).episode_hash for seed in range(4)]
    worlds = [DelayedIntegrator() for _ in range(4)]

    def episode(seed: int) -> Any:
        loop = ClosedLoop(
            world=worlds[seed],
            case=toy_case(time_limit_s=3.0, seed=seed),
            agent=agent.spec,
            timing=timing,
            strategy=_strategy(name),
        )
        return loop.run()

    # An episode that is given up half way leaves nothing behind in its world.
    for seed in range(4):
        given_up = episode(seed)
        request = next(given_up)
        for _ in range(5):
            request = given_up.send(agent.infer([request])[0])
        given_up.close()
    playing = {seed: episode(seed) for seed in range(4)}
    asked = {seed: next(playing[seed]) for seed in playing}
    hashes: dict[int, str] = {}
    while asked:
        replies = dict(zip(asked, agent.infer(list(asked.values())), strict=True))
        asked = {}
        for seed, reply in replies.items():
            try:
                asked[seed] = playing[seed].send(reply)
            except StopIteration as stop:
                hashes[seed] = stop.value.episode_hash
    assert [hashes[seed] for seed in range(4)] == alone
    assert len(set(alone)) == 4


# --- 7: a strategy moves no draw -------------------------------------------------------------------------------


def _draws(log: EpisodeLog) -> dict[str, dict[int, Any]]:
    """What every stage drew, by event: capture number, observation tick, control tick."""
    captures, inferences, ticks = (log.tables[n] for n in ("captures", "inferences", "ticks"))
    found: dict[str, dict[int, Any]] = {"captures": {}, "actuation": {}}
    for index, t_ns, arrival_ns, dropped, lost in zip(
        *(captures[n].tolist() for n in ("index", "t_ns", "delivered_at_ns", "is_dropped", "is_lost")),
        strict=True,
    ):
        if arrival_ns >= 0 or dropped or lost:
            found["captures"][index] = (arrival_ns - t_ns if arrival_ns >= 0 else None, dropped, lost)
    columns = ("call", "observation_tick", "is_free", "state", "trigger_ns", "sent_ns", "arrived_ns")
    rows = zip(
        *(inferences[n].tolist() for n in (*columns, "start_ns", "done_ns", "deliver_ns")), strict=True
    )
    for call, tick, is_free, state, trigger, sent, arrived, start, done, deliver in rows:
        if is_free:
            continue
        stages = {"preprocess": (trigger, sent), f"inference/{call}": (start, done)}
        if call in ("policy", "context"):
            stages |= {"uplink": (sent, arrived), "downlink": (done, deliver)}
        for stage, (begins, ends) in stages.items():
            if ends >= 0 or (begins >= 0 and state == f"{stage}_lost"):
                drawn = ends - begins if ends >= 0 else "lost"
                assert found.setdefault(stage, {}).setdefault(tick, drawn) == drawn, (stage, tick)
    for tick, t_ns, due_ns in zip(*(ticks[n].tolist() for n in ("tick", "t_ns", "due_ns")), strict=True):
        found["actuation"][tick] = due_ns - t_ns
    return found


@pytest.fixture
def drawn(any_call_agent: MakeAgent) -> dict[str, dict[str, dict[int, Any]]]:
    """What every stage drew under each strategy, pipelined so that no request waits."""
    timing = {**ROUGH, "servers": 0}
    return {
        name: _draws(_roll(name, timing, any_call_agent(WORLD.spec), num_ticks=150))
        for name in NAMES
        if name != "paused"
    }


def test_changing_the_strategy_moves_no_draw(drawn: dict[str, dict[str, dict[int, Any]]]) -> None:
    reference = drawn["naive_async"]
    for name, compared in drawn.items():
        for stage in set(reference) & set(compared):
            common = sorted(set(reference[stage]) & set(compared[stage]))
            assert len(common) >= 10, (name, stage)
            assert [reference[stage][i] for i in common] == [compared[stage][i] for i in common], (
                name,
                stage,
            )
            assert len({reference[stage][i] for i in common}) > 5, f"{stage} does not vary"
    # A context and a chunk of one tick share their link.
    assert set(drawn["fast_slow"]) >= {"inference/expert", "inference/context", "uplink", "downlink"}
    assert "inference/corrector" in drawn["correction"]
    lost = {s: [t for t, v in draws.items() if v == "lost"] for s, draws in reference.items()}
    assert lost["uplink"]
    assert lost["downlink"]


# --- 10: conservation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("queue", "servers"),
    [("latest_wins", 1), ("fifo", 1), ("fifo", 2), ("drop_oldest", 1), ("drop_newest", 1), ("fifo", 0)],
)
@pytest.mark.parametrize("assembly", ["captured_since", "latest", "nearest", "wait_all"])
def test_nothing_is_lost_unseen_and_nothing_appears(
    name: str,
    queue: str,
    servers: int,
    assembly: str,
    any_call_agent: MakeAgent,
    account: Callable[[EpisodeLog], None],
) -> None:
    timing = {**ROUGH, "queue": queue, "servers": servers, "assembly": assembly}
    if queue.startswith("drop"):
        timing["queue_size"] = 2
    if assembly == "wait_all":
        timing["assembly_timeout_ms"] = 30
    log = _roll(name, timing, any_call_agent(WORLD.spec, corrected_by=0.5), num_ticks=61)
    account(log)
    state = set(log.column("inferences", "state").tolist())
    if servers == 0:
        assert "queue_dropped" not in state
    if name not in ("paused", "blocking", "fast_slow"):
        assert {"uplink_lost", "downlink_lost"} & state


# --- 11: more delay than the chunk can cover -------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("d", [3, 5, 6, 7, 8, 9, 30, 100])
@pytest.mark.parametrize("s", [4, 8])
def test_starvation_is_counted_and_the_hold_acts(
    name: str, d: int, s: int, any_call_agent: MakeAgent
) -> None:
    delay = _constant(d * PERIOD_MS)
    late = {"inference": delay, "context_inference": delay, "expert_inference": delay}
    log = _roll(_strategy(name, s), late, any_call_agent(WORLD.spec), num_ticks=80)
    is_hold = log.column("ticks", "is_hold")
    assert len(is_hold) == 80
    assert (np.array(_actions(log))[is_hold] == 0.0).all()
    assert (log.column("ticks", "num_blended")[is_hold] == 0).all()
    if name == "paused":
        assert not is_hold.any()
    elif name == "blocking":
        assert is_hold.tolist() == (([False] * s + [True] * d) * 80)[:80]
    elif name == "future_state":
        # Its chunk begins after the d-hat committed actions, so it reaches further than the others'.
        if d <= HORIZON - max(d, s):
            assert not is_hold.any()
        if d >= 2 * HORIZON:
            assert is_hold[2 * HORIZON :].any()
    elif d >= HORIZON:
        assert not is_hold[:HORIZON].any()
        assert is_hold[HORIZON:].all()
    else:
        assert is_hold.any() == (d > HORIZON - max(d, s))
    played = STRATEGIES[name].calls[0].value
    assert set(log.column("inferences", "call")[log.column("ticks", "request")[~is_hold]].tolist()) == {
        played
    }
