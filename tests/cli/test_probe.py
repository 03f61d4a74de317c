"""``simloop probe``: an agent's inference times on this machine become a trace that a timing can use."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from simloop import wall_clock
from simloop.agent import InferenceReply, InferenceRequest
from simloop.testing.brake_agent import BrakeAgent
from simloop.timing.measurement import InferenceMeter
from simloop.timing.trace_files import read_trace
from simloop.timing.trace_samples import read_durations_ns

AGENT = "agent=simloop.testing.brake_agent:BrakeAgent"
SLOW_AGENT = """
import time
from simloop.testing.brake_agent import BrakeAgent
class SlowAgent(BrakeAgent):
    spans_ns = []
    def infer(self, requests):
        begun_ns = time.perf_counter_ns()
        time.sleep(1.0 if not self.spans_ns else 0.02)
        replies = super().infer(requests)
        self.spans_ns.append((begun_ns, time.perf_counter_ns()))
        return replies
    def facts(self):
        return {"dtype": "bfloat16", "steps": "10", "device": "test"}
"""


def test_the_measured_durations_are_those_of_the_agent_without_its_first_call(
    walls: Any, simloop: Any
) -> None:
    (walls.folder / "slow_agent.py").write_text(SLOW_AGENT)
    ended = simloop(
        "probe", "agent=slow_agent:SlowAgent", "scenario=wall.yaml", "count=12", "out=probe.jsonl"
    )
    assert ended.code == 0
    trace = read_trace("probe.jsonl")
    durations_ns = read_durations_ns("probe.jsonl")
    durations_ms = durations_ns * 1e-6
    assert len(durations_ns) == 12
    warm_up, *spans_ns = sys.modules["slow_agent"].SlowAgent.spans_ns
    assert len(spans_ns) == 12
    # Each lasts at least as long as its own call, and less than from the call before it to the one after it.
    ended_ns = [end for _, end in (warm_up, *spans_ns)]
    for measured_ns, (begun_ns, end_ns) in zip(durations_ns, spans_ns, strict=True):
        assert 20_000_000 <= end_ns - begun_ns <= measured_ns
    for measured_ns, before_ns, (next_ns, _) in zip(durations_ns, ended_ns, spans_ns[1:], strict=False):
        assert measured_ns < next_ns - before_ns
    header = trace.header
    assert (header.origin, header.model, header.warm_up) == ("probe", "brake", 1)
    assert (header.dtype, header.steps, header.hardware["device"]) == ("bfloat16", 10, "test")
    assert all(event.batch == 1 and event.bytes > 0 for event in trace.events)
    printed = re.search(
        r"inference: mean ([\d.]+) ms, p50 ([\d.]+) ms, p95 ([\d.]+) ms, p99 ([\d.]+) ms", ended.out
    )
    assert printed is not None
    mean, p50, p95, p99 = (float(v) for v in printed.groups())
    assert mean == pytest.approx(durations_ms.mean(), abs=0.001)
    assert durations_ms.min() - 0.001 <= p50 <= p95 <= p99 <= durations_ms.max() + 0.001


def test_more_calls_than_an_episode_has_take_further_seeds(walls: Any, simloop: Any) -> None:
    assert walls.folder.is_dir()
    ended = simloop("probe", AGENT, "scenario=wall.yaml", "count=40", "seed=3", "out=probe.parquet")
    assert ended.code == 0
    trace = read_trace("probe.parquet")
    assert len(trace.events) == 40
    cases = list(dict.fromkeys(event.attributes["case"] for event in trace.events))
    assert cases[0] == "wall seed 3"
    assert cases[1] == "wall seed 4"
    assert all(b.start_ns == a.end_ns for a, b in zip(trace.events, trace.events[1:], strict=False))


def test_a_probe_can_be_used_as_a_timing(walls: Any, simloop: Any) -> None:
    assert simloop("probe", AGENT, "scenario=wall.yaml", "count=10", "out=probe.jsonl").code == 0
    walls.run(
        "run_id=p", "timing=constant", "timing.inference={distribution: empirical, file: probe.jsonl}",
        "strategy=naive_async", "seeds.count=1", "runner=in_process",
    )  # fmt: skip
    assert simloop("trace", "export", "p", "--out", "p.jsonl").code == 0
    measured = set(read_durations_ns("probe.jsonl").tolist())
    assert set(read_durations_ns("p.jsonl").tolist()) <= measured


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((AGENT,), "simloop probe needs scenario="),
        (("scenario=wall.yaml",), "simloop probe needs agent="),
        ((AGENT, "scenario=wall.yaml", "count=0"), "count is '0'; allowed: a whole number >= 1"),
        ((AGENT, "scenario=wall.yaml", "count=ten"), "count is 'ten'"),
        ((AGENT, "scenario=wall.yaml", "seed=-1"), "seed is '-1'; allowed: a whole number >= 0"),
        ((AGENT, "scenario=wall.yaml", "speed=1"), "Unknown key 'speed'"),
        ((AGENT, "scenario=wall.yaml", "out=x.csv"), "cannot be written as '.csv'"),
        ((AGENT, "scenario=walls_"), "walls_"),
        (("agent=experd", "scenario=wall.yaml"), "Unknown agent 'experd'"),
    ],
)
def test_wrong_words_are_refused(walls: Any, simloop: Any, words: tuple[str, ...], message: str) -> None:
    assert walls.folder.is_dir()
    ended = simloop("probe", *words)
    assert ended.code == 4
    assert message in ended.err
    assert not Path("trace.jsonl").exists()


class CountingAgent(BrakeAgent):
    """Counts its calls and how often its device was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        self.events.append("infer")
        wall_clock.sleep_s(0.002)
        return super().infer(requests)

    def synchronize(self) -> None:
        self.events.append("synchronize")


def test_the_meter_warms_up_once_and_waits_for_the_device() -> None:
    from simloop.loop import ClosedLoop
    from simloop.strategies.blocking import Blocking
    from simloop.testing import toy_case
    from simloop.testing.braking_wall import BrakingWall
    from simloop.timing.stage_graph import Timing

    agent = CountingAgent()
    world = BrakingWall(speed_mps=10.0, gap_m=50.0, deceleration_mps2=4.0)
    loop = ClosedLoop(
        world=world, case=toy_case(), agent=agent.spec, timing=Timing(name="t"), strategy=Blocking()
    )
    request = next(loop.run())
    meter = InferenceMeter(agent)
    replies = [meter.infer([request])[0] for _ in range(3)]
    asked = ["synchronize", "infer", "synchronize"]
    assert agent.events == ["infer", *asked, *asked, *asked]
    assert meter.num_warm_up == 1
    assert all(reply.measured_ns is not None and reply.measured_ns >= 2_000_000 for reply in replies)
