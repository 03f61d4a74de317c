"""The Perfetto export follows the Trace Event Format (Google, catapult): what a viewer needs of every event."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from simloop.strategies.naive_async import NaiveAsync
from simloop.testing import BrakingWall, ScriptedAgent, play, toy_case
from simloop.timing.perfetto import perfetto_json
from simloop.timing.stage_graph import timing_from_config
from simloop.timing.trace import NOT_REACHED, Trace, TraceHeader
from simloop.timing.trace_from_log import trace_from_log

JITTER = {"distribution": "shifted_lognormal", "shift_ms": 20, "median_ms": 60, "sigma": 0.7}
NEEDED = {"X": {"ts", "dur", "name", "cat", "args"}, "i": {"ts", "s", "name", "cat"}, "M": {"name", "args"}}
METADATA = {"process_name": str, "thread_name": str, "thread_sort_index": int}


@pytest.fixture(scope="module")
def trace() -> Trace:
    """A trace with overlapping items and inferences, losses, and work that the episode's end cut off."""
    world = BrakingWall(speed_mps=10.0, gap_m=40.0, deceleration_mps2=4.0)
    agent = ScriptedAgent(world.spec, lambda request: np.full((16, 1), 2.0), horizon=16)
    timing = timing_from_config(
        name="busy",
        servers=0,
        transport={"proprioception": {**JITTER, "loss": 0.1}},
        inference={**JITTER, "median_ms": 150},
        downlink=JITTER,
        actuation=JITTER,
    )
    strategy = NaiveAsync(execution_horizon=1)
    log = play(world, agent, case=toy_case(time_limit_s=3), timing=timing, strategy=strategy)
    return trace_from_log(log, TraceHeader(origin="modelled", hardware={"cpu": "c"}, model="m"), episode="e1")


@pytest.fixture(scope="module")
def exported(trace: Trace) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(perfetto_json(trace))
    return shown


def test_every_event_has_what_its_phase_needs(exported: dict[str, Any]) -> None:
    assert exported["displayTimeUnit"] in ("ms", "ns")
    assert {event["ph"] for event in exported["traceEvents"]} == set(NEEDED)
    for event in exported["traceEvents"]:
        assert NEEDED[event["ph"]] | {"ph", "pid", "tid"} <= set(event)
        assert type(event["pid"]) is int and type(event["tid"]) is int
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "i":
            assert event["s"] in ("g", "p", "t")
        if event["ph"] == "M":
            (value,) = event["args"].values()
            assert type(value) is METADATA[event["name"]]


def test_complete_events_of_a_thread_do_not_overlap(exported: dict[str, Any]) -> None:
    by_thread: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for event in exported["traceEvents"]:
        if event["ph"] == "X":
            by_thread[event["pid"], event["tid"]].append((event["ts"], event["dur"]))
    assert len(by_thread) > 8
    for spans in by_thread.values():
        spans.sort()
        for (start, length), (following, _) in itertools.pairwise(spans):
            assert start + length <= following + 1e-6


def test_every_event_of_the_trace_is_shown_once_with_its_times(
    trace: Trace, exported: dict[str, Any]
) -> None:
    shown = sorted(
        (e["name"], e["ts"], e.get("dur", -1.0)) for e in exported["traceEvents"] if e["ph"] in ("X", "i")
    )
    expected = sorted(
        (
            f"{e.stage.partition('/')[0]} {e.sequence}",
            e.start_ns / 1e3,
            -1.0 if e.end_ns == NOT_REACHED else e.duration_ns / 1e3,
        )
        for e in trace.events
    )
    assert shown == expected
    assert any(e.attributes.get("state") == "lost" for e in trace.events)
    assert any(e.attributes.get("state") == "in_flight" for e in trace.events)


def test_tracks_are_named_and_grouped(trace: Trace, exported: dict[str, Any]) -> None:
    names = [e["args"]["name"] for e in exported["traceEvents"] if e["name"] == "thread_name"]
    groups = list(dict.fromkeys(name.partition(":")[0] for name in names))
    assert groups == ["sensors", "stages", "accelerator", "chunks", "control ticks"]
    assert "accelerator: inference" in names
    assert "accelerator: inference (2)" in names
    (process,) = [e["args"]["name"] for e in exported["traceEvents"] if e["name"] == "process_name"]
    assert process == "toy seed 0 (e1)"
    assert exported["otherData"]["timing"] == "busy"
    assert exported["otherData"]["hardware.cpu"] == "c"
    assert trace.stages[0].startswith("sensor/")
