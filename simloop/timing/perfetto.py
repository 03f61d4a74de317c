"""Traces as Chrome trace JSON, which ui.perfetto.dev opens.

Format: "Trace Event Format" (Google, catapult): a JSON object with ``traceEvents``; complete events (``ph`` X) with
``ts`` and ``dur`` in microseconds, instants (``i``), and metadata (``M``) that names processes and threads. One process
an episode; threads are the tracks. Complete events of a thread must not overlap, so a stage whose events do (pipelined
transport, several servers) gets as many tracks as it needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from simloop.agent import Call
from simloop.timing.rules import CALL_STAGES, Stage
from simloop.timing.trace import NOT_REACHED, Event, Trace
from simloop.timing.trace_from_log import CHUNK, CONTROL, QUEUE

_NS_PER_US = 1_000.0
_INFERENCES = tuple(CALL_STAGES[call].value for call in Call)
_TRACKS = (
    ("sensors", ("sensor",)),
    ("stages", (Stage.PREPROCESS.value, Stage.UPLINK.value, QUEUE, Stage.DOWNLINK.value)),
    ("accelerator", _INFERENCES),
    ("chunks", (CHUNK,)),
    ("control ticks", (CONTROL, Stage.ACTUATION.value)),
)
"""Heading of a group of tracks, and the stages in it."""


def perfetto_json(trace: Trace) -> str:
    """Returns a trace as Chrome trace JSON; what never ended is an instant that says why."""
    episodes = list(dict.fromkeys(event.episode for event in trace.events))
    events: list[dict[str, Any]] = []
    for process, episode in enumerate(episodes, start=1):
        events += _episode_events(trace, episode, process)
    header = trace.header
    other = {
        "origin": header.origin,
        "model": header.model,
        "strategy": header.strategy,
        "timing": str(header.timing.get("name", "")),
        **{f"hardware.{name}": value for name, value in header.hardware.items()},
    }
    return json.dumps(
        {"displayTimeUnit": "ms", "otherData": other, "traceEvents": events}, separators=(",", ":")
    )


def _episode_events(trace: Trace, episode: str, process: int) -> Iterator[dict[str, Any]]:
    facts = trace.header.episodes.get(episode)
    label = f"{facts.scenario} seed {facts.seed}" if facts is not None and facts.scenario else "episode"
    yield _named("process_name", process, 0, f"{label} ({episode[:12]})")
    mine = [event for event in trace.events if event.episode == episode]
    stages = list(dict.fromkeys(event.stage for event in mine))
    tracks = [(heading, s) for heading, roots in _TRACKS for s in stages if s.partition("/")[0] in roots]
    shown = {stage for _, stage in tracks}
    tracks += [("other", stage) for stage in stages if stage not in shown]
    thread = 0
    for heading, stage in tracks:
        lanes = _lanes([event for event in mine if event.stage == stage])
        for number, lane in enumerate(lanes, start=1):
            thread += 1
            name = f"{heading}: {stage.partition('/')[2] or stage}" + (f" ({number})" if number > 1 else "")
            yield _named("thread_name", process, thread, name)
            yield {**_head("thread_sort_index", process, thread), "args": {"sort_index": thread}}
            yield from (_shown(event, heading, process, thread) for event in lane)


def _head(name: str, process: int, thread: int) -> dict[str, Any]:
    return {"ph": "M", "name": name, "pid": process, "tid": thread, "ts": 0}


def _named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {**_head(kind, process, thread), "args": {"name": name}}


def _lanes(events: list[Event]) -> list[list[Event]]:
    """Deals events to as few lanes as keep those of a lane from overlapping."""
    lanes: list[list[Event]] = []
    free_ns: list[int] = []
    for event in sorted(events, key=lambda e: (e.start_ns, e.end_ns)):
        end_ns = max(event.end_ns, event.start_ns)
        lane = next((n for n, ns in enumerate(free_ns) if ns <= event.start_ns), len(lanes))
        if lane == len(lanes):
            lanes.append([])
            free_ns.append(0)
        lanes[lane].append(event)
        free_ns[lane] = end_ns
    return lanes


def _shown(event: Event, category: str, process: int, thread: int) -> dict[str, Any]:
    shown = {
        "name": f"{event.stage.partition('/')[0]} {event.sequence}",
        "cat": category,
        "pid": process,
        "tid": thread,
        "ts": event.start_ns / _NS_PER_US,
        "args": {"bytes": event.bytes, "batch": event.batch, **event.attributes},
    }
    if event.end_ns == NOT_REACHED:
        return {**shown, "ph": "i", "s": "t"}
    return {**shown, "ph": "X", "dur": event.duration_ns / _NS_PER_US}
