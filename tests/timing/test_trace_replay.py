"""measured -> replay reproduces the episode; a replay that leaves its trace is refused by the event's name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simloop.agent import AgentSpec, Call, Capability, InferenceReply
from simloop.errors import ParameterError, TraceDivergenceError, TraceError
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.strategies.blocking import Blocking
from simloop.strategies.catalogue import STRATEGIES
from simloop.strategies.naive_async import NaiveAsync
from simloop.strategies.paused import Paused
from simloop.strategies.prefix import Prefix
from simloop.strategies.strategy import Strategy
from simloop.testing import BrakingWall, ScriptedAgent, toy_case
from simloop.timing.measurement import InferenceMeter
from simloop.timing.stage_graph import Timing, timing_from_config
from simloop.timing.trace import Trace, TraceHeader
from simloop.timing.trace_files import read_trace, trace_bytes
from simloop.timing.trace_from_log import trace_from_log
from simloop.timing.trace_replay import replay_timing
from simloop.world import World

FACTS = TraceHeader(origin="measured", hardware={"cpu": "test"}, model="scripted", warm_up=1)
CASE = toy_case(time_limit_s=4, seed=5)


def braking_wall() -> World:
    return BrakingWall(speed_mps=10.0, gap_m=40.0, deceleration_mps2=4.0)


class UnsteadyMeter(InferenceMeter):
    """A meter on a machine that takes 10, 63, 116, ... ms in turn; what it measures cannot be foretold."""

    def infer(self, requests: Any) -> list[InferenceReply]:
        self.number = getattr(self, "number", -1) + 1
        measured_ns = 10_000_000 + self.number * 53_000_017 % 300_000_000
        return [dataclasses.replace(r, measured_ns=measured_ns) for r in super().infer(requests)]


def play_out(
    timing: Timing, strategy: Strategy, *, case: Any = CASE, agent_delay: bool = False
) -> EpisodeLog:
    world = braking_wall()
    agent = EveryCall(world.spec, lambda request: np.full((16, 1), 2.0), horizon=16)
    meter = UnsteadyMeter(agent) if agent_delay else InferenceMeter(agent)
    loop = ClosedLoop(world=world, case=case, agent=agent.spec, timing=timing, strategy=strategy)
    episode = loop.run()
    try:
        request = next(episode)
        while True:
            (reply,) = meter.infer([request])
            request = episode.send(reply)
    except StopIteration as stop:
        log: EpisodeLog = stop.value
        return log


class EveryCall(ScriptedAgent):
    """A scripted agent that answers every kind of call and takes whatever strategies hand over."""

    @property
    def spec(self) -> AgentSpec:
        return dataclasses.replace(super().spec, calls=frozenset(Call), capabilities=frozenset(Capability))

    def infer(self, requests: Any) -> list[InferenceReply]:
        replies = list(super().infer(requests))
        for number, request in enumerate(requests):
            if request.call is Call.CONTEXT:
                replies[number] = InferenceReply(actions=None, context=request.observation_tick)
            elif request.rolled_actions is not None:
                replies[number] = dataclasses.replace(
                    replies[number], first_index=len(request.rolled_actions)
                )
        return replies


def recorded(folder: Path, log: EpisodeLog, *, suffix: str = ".jsonl", name: str = "e") -> Path:
    path = folder / f"{name}{suffix}"
    path.write_bytes(trace_bytes(trace_from_log(log, FACTS, episode=name), suffix))
    return path


JITTER = {"distribution": "shifted_lognormal", "shift_ms": 2, "median_ms": 12, "sigma": 0.8}
LOSSY: Mapping[str, Any] = {
    "transport": {"proprioception": {**JITTER, "loss": 0.15}},
    "capture": {"proprioception": {"drop": 0.1}},
    "uplink": {"delay": JITTER, "loss": 0.1, "duplicate": 0.2},
    "downlink": {"delay": JITTER, "loss": 0.1},
    "preprocess": JITTER,
    "actuation": {"distribution": "uniform", "low_ms": 0, "high_ms": 120},
    "control": {"jitter": {"distribution": "uniform", "low_ms": 0, "high_ms": 20}},
}
RULES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "charged": {"first_chunk": "charged", "cold_start": {"distribution": "constant", "value_ms": 400}},
    "servers": {"servers": 2, "queue": "fifo"},
    "pipelined": {"servers": 0},
    "latest": {"assembly": "latest"},
    "lossy": LOSSY,
    "netem": {
        "uplink": {"netem": "delay 30ms 20ms 25% loss gemodel 5% 30% duplicate 10% reorder 20% 50%"},
        "servers": 0,
    },
    "rate": {
        "downlink": {"delay_ms": 2, "rate_mbps": 0.02},
        "capture": {"proprioception": {"period_ms": 40}},
    },
    "restart": {"control": {"clock": "restart_on_arrival"}},
}


@pytest.mark.parametrize("strategy", [NaiveAsync(), Blocking(), Prefix(), Paused()], ids=lambda s: s.name)
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
def test_a_measured_episode_is_replayed_to_the_last_bit(
    tmp_path: Path, rules: Mapping[str, Any], strategy: Strategy
) -> None:
    timing = timing_from_config(name="m", mode="measured", measured_factor=1.5, **rules)
    log = play_out(timing, strategy, agent_delay=True)
    assert log.num_rows("inferences") > 3
    for suffix in (".jsonl", ".parquet"):
        path = recorded(tmp_path, log, suffix=suffix)
        replayed = play_out(replay_timing(trace=str(path)), strategy)
        assert replayed.episode_hash == log.episode_hash
        assert read_trace(path).header.episodes["e"].episode_hash == log.episode_hash


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_replayed(tmp_path: Path, name: str) -> None:
    strategy = STRATEGIES[name]()
    timing = timing_from_config(
        name="m", mode="measured", servers=2, uplink={"delay": JITTER, "loss": 0.1}, preprocess=JITTER
    )
    log = play_out(timing, strategy, agent_delay=True)
    assert set(log.column("inferences", "call")) == {call.value for call in strategy.calls}
    path = recorded(tmp_path, log)
    assert play_out(replay_timing(trace=str(path)), strategy).episode_hash == log.episode_hash


def test_batches_are_replayed(tmp_path: Path) -> None:
    batching = {"max_batch": 4, "base_ms": 150, "per_item_ms": 10}
    timing = timing_from_config(name="m", batching=batching, queue="fifo")
    strategy = NaiveAsync(execution_horizon=1)
    log = play_out(timing, strategy)
    assert log.column("inferences", "batch").max() > 1
    path = recorded(tmp_path, log)
    assert play_out(replay_timing(trace=str(path)), strategy).episode_hash == log.episode_hash


def test_losses_drops_and_overtaken_actions_are_in_the_trace(trace: Trace) -> None:
    states = {(e.stage.partition("/")[0], e.attributes.get("state")) for e in trace.events}
    assert {("sensor", "dropped"), ("sensor", "lost"), ("actuation", "overtaken")} < states
    assert {("uplink", "uplink_lost"), ("downlink", "downlink_lost")} < states
    open_ended = {e.attributes["state"] for e in trace.events if e.end_ns < 0}
    assert open_ended <= {"dropped", "lost", "uplink_lost", "downlink_lost", "in_flight", "queue_dropped"}


def test_measured_times_are_charged_with_their_factor_and_the_first_is_free() -> None:
    timing = timing_from_config(name="m", mode="measured", measured_factor=2.0, added_inference_ms=30)
    log = play_out(timing, Blocking(), agent_delay=True)
    is_paid = ~log.column("inferences", "is_free") & (log.column("inferences", "done_ns") >= 0)
    taken = (log.column("inferences", "done_ns") - log.column("inferences", "start_ns"))[is_paid]
    expected = [
        30_000_000 + 2 * (10_000_000 + n * 53_000_017 % 300_000_000) for n in range(1, len(taken) + 1)
    ]
    assert taken.tolist() == expected


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
def test_a_modelled_episode_is_replayed_as_well(tmp_path: Path, rules: Mapping[str, Any]) -> None:
    timing = timing_from_config(name="m", inference={**JITTER, "median_ms": 90}, **rules)
    log = play_out(timing, NaiveAsync())
    path = recorded(tmp_path, log)
    assert play_out(replay_timing(trace=str(path)), NaiveAsync()).episode_hash == log.episode_hash
    again = trace_from_log(play_out(replay_timing(trace=str(path)), NaiveAsync()), FACTS, episode="e")
    assert again == read_trace(path)


DURATIONS = st.sampled_from(
    [
        {"distribution": "constant", "value_ms": 0},
        {"distribution": "constant", "value_ms": 37},
        {"distribution": "constant", "value_ms": 50},
        {"distribution": "uniform", "low_ms": 0, "high_ms": 260},
        JITTER,
        {"distribution": "jitter", "delay_ms": 40, "jitter_ms": 60, "correlation": 0.9, "shape": "normal"},
        {
            "distribution": "markov",
            "calm": {"distribution": "constant", "value_ms": 20},
            "busy": JITTER,
            "enter_probability": 0.1,
            "leave_probability": 0.3,
        },
    ]
)
LINKS = st.one_of(
    DURATIONS,
    st.sampled_from(
        [
            {"netem": "delay 60ms 50ms 40% distribution normal loss 10% duplicate 20%"},
            {"netem": "delay 30ms loss gemodel 10% 30% reorder 30% 50% gap 2"},
            {"mahimahi": [0, 40, 40, 90], "random_phase": True},
            {"delay_ms": 5, "rate_mbps": 0.01, "limit": 3},
        ]
    ),
)
TIMINGS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["modelled", "measured"]),
        "first_chunk": st.sampled_from(["free", "blocking", "charged"]),
        "servers": st.sampled_from([0, 1, 2]),
        "seed": st.integers(0, 5),
    },
    optional={
        "preprocess": DURATIONS,
        "inference": DURATIONS,
        "cold_start": DURATIONS,
        "actuation": DURATIONS,
        "uplink": LINKS,
        "downlink": LINKS,
        "transport": st.fixed_dictionaries({"proprioception": DURATIONS}),
        "capture": st.sampled_from(
            [
                {"proprioception": {"period_ms": 30, "phase_ms": 7, "exposure_ms": 10, "readout_ms": 3}},
                {"proprioception": {"drop": {"gemodel": {"p": 0.1, "r": 0.4}}}},
            ]
        ),
        "control": st.fixed_dictionaries({"jitter": DURATIONS.filter(lambda d: "low_ms" not in d)}),
        "assembly": st.sampled_from(["captured_since", "latest", "nearest"]),
        "queue": st.sampled_from(["latest_wins", "fifo", "drop_oldest", "drop_newest"]),
    },
)


@settings(max_examples=40)
@given(rules=TIMINGS, name=st.sampled_from(list(STRATEGIES)), seed=st.integers(0, 3))
def test_any_episode_is_replayed_to_the_last_bit(
    tmp_path_factory: Any, rules: Mapping[str, Any], name: str, seed: int
) -> None:
    case = toy_case(time_limit_s=2, seed=seed)
    timing = timing_from_config(name="any", **rules)
    log = play_out(timing, STRATEGIES[name](), case=case, agent_delay=True)
    path = recorded(tmp_path_factory.mktemp("any"), log)
    replayed = play_out(replay_timing(trace=str(path)), STRATEGIES[name](), case=case)
    assert replayed.episode_hash == log.episode_hash


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """A trace of a measured episode with a delay on every stage."""
    timing = timing_from_config(name="m", mode="measured", **LOSSY)
    return read_trace(recorded(tmp_path, play_out(timing, NaiveAsync(), agent_delay=True)))


def resealed(folder: Path, trace: Trace, number: int, **values: Any) -> Path:
    """Writes a trace with one event changed and sealed anew, as somebody who knows the format would."""
    events = list(trace.events)
    events[number] = events[number]._replace(**values)
    path = folder / "resealed.jsonl"
    path.write_bytes(trace_bytes(Trace(header=trace.header, events=tuple(events))))
    return path


def test_a_changed_duration_diverges_at_the_first_event_that_it_moves(tmp_path: Path, trace: Trace) -> None:
    stages = [e.stage for e in trace.events]
    number = next(n for n, e in enumerate(trace.events) if e.stage == "preprocess" and e.end_ns > 0)
    event = trace.events[number]
    follower = next(e for e in trace.events if e.stage == "uplink" and e.sequence == event.sequence)
    assert follower.start_ns == event.end_ns
    assert "inference" in stages
    path = resealed(tmp_path, trace, number, end_ns=event.end_ns + 7)
    with pytest.raises(TraceDivergenceError, match=r"event \d+ of stage 'uplink': it starts at") as caught:
        play_out(replay_timing(trace=str(path)), NaiveAsync())
    error = caught.value
    assert (error.stage, error.sequence) == ("uplink", event.sequence)
    assert (error.recorded_ns, error.met_ns) == (follower.start_ns, follower.start_ns + 7)


def test_a_missing_and_a_superfluous_event_are_named(tmp_path: Path, trace: Trace) -> None:
    number = next(n for n, e in enumerate(trace.events) if e.stage == "actuation" and e.sequence == 7)
    gone = Trace(header=trace.header, events=(*trace.events[:number], *trace.events[number + 1 :]))
    path = tmp_path / "gone.jsonl"
    path.write_bytes(trace_bytes(gone))
    with pytest.raises(
        TraceDivergenceError, match=r"event 7 of stage 'actuation': it is not in the trace, at \d+ ns"
    ):
        play_out(replay_timing(trace=str(path)), NaiveAsync())

    extra = trace.events[number]._replace(sequence=7_000)
    path.write_bytes(trace_bytes(Trace(header=trace.header, events=(*trace.events, extra))))
    with pytest.raises(
        TraceDivergenceError, match=r"event 7000 of stage 'actuation': it starts at \d+ ns .*never in"
    ):
        play_out(replay_timing(trace=str(path)), NaiveAsync())


def test_another_end_is_named(tmp_path: Path, trace: Trace) -> None:
    ends = {n: dataclasses.replace(e, end_ns=e.end_ns - 50) for n, e in trace.header.episodes.items()}
    path = tmp_path / "end.jsonl"
    path.write_bytes(
        trace_bytes(Trace(header=dataclasses.replace(trace.header, episodes=ends), events=trace.events))
    )
    with pytest.raises(TraceDivergenceError, match=r"stage 'end of the episode'"):
        play_out(replay_timing(trace=str(path)), NaiveAsync())


def test_an_altered_event_is_refused_before_it_is_played(tmp_path: Path, trace: Trace) -> None:
    lines = trace_bytes(trace).decode().splitlines()
    number = next(n for n, line in enumerate(lines) if '"stage": "inference"' in line)
    event = trace.events[number - 1]
    lines[number] = lines[number].replace(f'"end_ns": {event.end_ns}', f'"end_ns": {event.end_ns + 1}')
    path = tmp_path / "altered.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(
        TraceError, match=rf"episode e, stage 'inference', sequence {event.sequence}\) was altered.*expected"
    ):
        play_out(replay_timing(trace=str(path)), NaiveAsync())


def test_other_strategies_cases_and_files_are_refused(tmp_path: Path, trace: Trace) -> None:
    path = tmp_path / "e.jsonl"
    timing = replay_timing(trace=str(path))
    with pytest.raises(
        TraceError, match=r"was recorded as toy seed 5 under naive_async, not under strategy 'bl"
    ):
        play_out(timing, Blocking())
    with pytest.raises(TraceError, match=r"holds no episode of case [0-9a-f]+; it holds toy seed 5 under"):
        play_out(timing, NaiveAsync(), case=toy_case(time_limit_s=4, seed=6))
    (tmp_path / "twice.jsonl").write_bytes(path.read_bytes())
    with pytest.raises(
        TraceError, match=r"holds 2 episodes of case .*\(e\.jsonl, twice\.jsonl\); name one file"
    ):
        play_out(replay_timing(trace=str(tmp_path)), NaiveAsync())
    with pytest.raises(ParameterError, match=r"timing\.trace is empty; allowed: a trace file or a folder"):
        replay_timing(trace="")
    with pytest.raises(TraceError, match=r"no such file or folder"):
        replay_timing(trace=str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match=r"the folder holds no trace"):
        replay_timing(trace=str(tmp_path / "empty"))
    durations = Trace(header=TraceHeader(origin="probe"), events=trace.events[:0])
    (tmp_path / "probe.jsonl").write_bytes(trace_bytes(durations))
    with pytest.raises(
        TraceError, match=r"of origin 'probe' holds durations, not an episode; use it as timing\.inf"
    ):
        replay_timing(trace=str(tmp_path / "probe.jsonl"))


def test_a_folder_of_traces_replays_each_case_by_its_own(tmp_path: Path) -> None:
    timing = timing_from_config(name="m", mode="measured")
    cases = [toy_case(time_limit_s=2, seed=seed) for seed in range(3)]
    logs = [play_out(timing, NaiveAsync(), case=case, agent_delay=True) for case in cases]
    for number, log in enumerate(logs):
        recorded(tmp_path, log, name=f"e{number}")
    replay = replay_timing(trace=str(tmp_path))
    for case, log in zip(cases, logs, strict=True):
        assert play_out(replay, NaiveAsync(), case=case).episode_hash == log.episode_hash
    other = timing_from_config(name="other", mode="measured", servers=2)
    recorded(tmp_path, play_out(other, NaiveAsync(), agent_delay=True), name="other")
    with pytest.raises(TraceError, match=r"recorded under different timings \('m', 'other'\)"):
        replay_timing(trace=str(tmp_path))
