"""Measured, then replayed, with the driving expert on a cut-in: the same episode to the last bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from simloop.compose import component, make_agent, make_strategy, make_timing, make_world, world_component
from simloop.errors import TraceDivergenceError
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.scenario_files import load_family
from simloop.timing.measurement import InferenceMeter
from simloop.timing.stage_graph import Timing
from simloop.timing.trace import TraceHeader
from simloop.timing.trace_files import read_trace, trace_bytes
from simloop.timing.trace_from_log import trace_from_log

# The expert takes some 20 us; a thousandfold of that is a latency that matters to it.
FACTOR = "2000"


@pytest.fixture(scope="module")
def cut_in() -> Any:
    """World, case, agent and strategy of a cut-in."""
    family = load_family("cut_in")
    world = make_world(world_component(family.world, family.world_config))
    agent = make_agent(component("agent", "expert"))
    strategy = make_strategy(component("strategy", "naive_async"))
    return world, family.case(3), agent, strategy


def play(cut_in: Any, timing: Timing) -> EpisodeLog:
    world, case, agent, strategy = cut_in
    meter = InferenceMeter(agent)
    episode = ClosedLoop(world=world, case=case, agent=agent.spec, timing=timing, strategy=strategy).run()
    try:
        request = next(episode)
        while True:
            (reply,) = meter.infer([request])
            request = episode.send(reply)
    except StopIteration as stop:
        log: EpisodeLog = stop.value
        return log


def test_measured_then_replayed_is_the_same_episode(tmp_path: Path, cut_in: Any) -> None:
    chosen = component("timing", "xr0_4090", {"mode": "measured", "measured_factor": FACTOR})
    log = play(cut_in, make_timing(chosen))
    paid = ~log.column("inferences", "is_free") & (log.column("inferences", "done_ns") >= 0)
    taken = (log.column("inferences", "done_ns") - log.column("inferences", "start_ns"))[paid]
    assert len(set(taken.tolist())) > len(taken) // 2

    path = tmp_path / "trace.parquet"
    trace = trace_from_log(log, TraceHeader(origin="measured"), episode="cut_in")
    path.write_bytes(trace_bytes(trace, ".parquet"))
    replay = make_timing(component("timing", "replay", {"trace": str(path)}))
    assert play(cut_in, replay).episode_hash == log.episode_hash

    events = list(read_trace(path).events)
    number = next(n for n, e in enumerate(events) if e.stage == "inference" and e.end_ns > 0)
    events[number] = events[number]._replace(end_ns=events[number].end_ns + 1)
    path.write_bytes(trace_bytes(dataclasses.replace(trace, events=tuple(events)), ".parquet"))
    with pytest.raises(TraceDivergenceError, match=r"event \d+ of stage 'downlink'"):
        play(cut_in, replay)
