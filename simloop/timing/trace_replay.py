"""Mode ``replay``: a recorded trace takes the place of every draw, and every start instant is checked against it.

The rules (queue, assembly, servers, capture periods, first chunk) are those of the recorded timing, from the trace's
header; durations, losses and drops come from its events. If the loop asks for an event that the trace does not have, or
at another instant, or if a recorded event never happens, the replay ends with an error that names the first such event.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from simloop.agent import Call
from simloop.errors import ParameterError, TraceDivergenceError, TraceError
from simloop.timing.link import Link
from simloop.timing.rules import CALL_STAGES, Mode, Stage
from simloop.timing.settings import Timing
from simloop.timing.stage_graph import InferenceDuration, SensorPath, StageDuration, StageGraph
from simloop.timing.timing_config import timing_from_config
from simloop.timing.trace import NOT_REACHED, Event, Trace, TraceHeader
from simloop.timing.trace_files import JSONL_SUFFIX, PARQUET_SUFFIX, read_header, read_trace
from simloop.timing.trace_from_log import CHUNK, CONTROL, QUEUE, SENSOR_PREFIX
from simloop.world import SensorSpec

_NOT_ASKED = (QUEUE, CHUNK)
"""Stages that follow from the others; the loop makes them, nothing is fed back."""


def replay_timing(*, trace: str, name: str = "replay", source: str = "") -> Timing:
    """Builds the timing of a replay from ``conf/timing/replay.yaml``; every event of every trace is checked.

    Args:
        trace: Trace file, or a folder of them (``results/runs/<run>/traces``); all of one timing.
        name: Name of the timing, for tables.
        source: Sentence for lists.

    Raises:
        TraceError: No trace can be read there, it was altered, or it was not recorded in an episode.
        ParameterError: The path is empty.
    """
    if not trace:
        raise ParameterError(
            "timing.trace is empty; allowed: a trace file or a folder of traces, for example "
            "timing.trace=results/runs/RUN/traces."
        )
    headers = [read_trace(path).header for path, _ in _headers(trace)]
    for header in headers:
        if not header.timing:
            raise TraceError(
                f"timing.trace={trace}: a trace of origin {header.origin!r} holds durations, not an episode; use it as "
                f"timing.inference={{distribution: empirical, file: {trace}}}."
            )
        if header.timing != headers[0].timing:
            raise TraceError(
                f"timing.trace={trace}: its traces were recorded under different timings "
                f"({headers[0].timing.get('name')!r}, {header.timing.get('name')!r}); name those of one."
            )
    recorded = dict(headers[0].timing)
    for key in ("mode", "trace", "name", "source"):
        recorded.pop(key, None)
    timing = timing_from_config(name=name, source=source, **recorded)
    return dataclasses.replace(timing, mode=Mode.REPLAY, trace=trace, config=dict(headers[0].timing))


def _headers(trace: str) -> list[tuple[Path, TraceHeader]]:
    path = Path(trace)
    if not path.is_dir():
        if not path.is_file():
            raise TraceError(f"timing.trace={trace}: no such file or folder.")
        return [(path, _header(path, *_stamp(path)))]
    files = sorted(f for f in path.iterdir() if f.suffix in (JSONL_SUFFIX, PARQUET_SUFFIX))
    if not files:
        raise TraceError(
            f"timing.trace={trace}: the folder holds no trace (*{JSONL_SUFFIX}, *{PARQUET_SUFFIX})."
        )
    return [(file, _header(file, *_stamp(file))) for file in files]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=4096)
def _header(path: Path, mtime_ns: int, size: int) -> TraceHeader:
    """Reads a header once for all episodes of a run; a changed file is another one."""
    return read_header(path)


class RecordedEvents:
    """The events of one recorded episode, looked up by stage and number and ticked off as they are met.

    Args:
        trace: The trace.
        episode: Name of the episode in it.
    """

    __slots__ = ("_by_key", "_met", "end_ns", "episode")

    def __init__(self, trace: Trace, episode: str) -> None:
        self.episode = episode
        self.end_ns = trace.header.episodes[episode].end_ns
        self._by_key: dict[tuple[str, int], list[Event]] = {}
        self._met: set[tuple[str, int, int]] = set()
        for event in trace.events:
            if event.episode == episode and event.stage not in _NOT_ASKED:
                self._by_key.setdefault((event.stage, event.sequence), []).append(event)

    def ignore(self, stage: str) -> None:
        """Leaves out a stage that the loop does not ask for."""
        self._by_key = {key: events for key, events in self._by_key.items() if key[0] != stage}

    def last_number(self, stage: str) -> int:
        """Returns the largest number of a stage's events; -1 if there are none."""
        return max((number for name, number in self._by_key if name == stage), default=-1)

    def find(self, stage: str, sequence: int) -> Event | None:
        """Returns the recorded event of that number without ticking it off; None if there is none."""
        events = self._by_key.get((stage, sequence))
        return events[0] if events else None

    def take(self, stage: str, sequence: int, t_ns: int) -> Event | None:
        """Returns the event that starts at ``t_ns``; None for one that lies behind the recorded episode's end.

        Raises:
            TraceDivergenceError: The trace has no such event, or it starts at another instant.
        """
        events = self._by_key.get((stage, sequence), ())
        for event in events:
            if event.start_ns == t_ns:
                self._met.add((stage, sequence, t_ns))
                return event
        if t_ns >= self.end_ns:
            return None
        recorded_ns = events[0].start_ns if events else NOT_REACHED
        raise TraceDivergenceError(
            episode=self.episode,
            stage=stage,
            sequence=sequence,
            recorded_ns=recorded_ns,
            met_ns=t_ns,
            reason="World, agent, strategy and their versions must be those of the recording.",
        )

    def duration_ns(self, stage: str, sequence: int, t_ns: int) -> int:
        """Returns how long the event took; one that never ended goes on past the episode's end."""
        event = self.take(stage, sequence, t_ns)
        return self.after_end_ns(t_ns) - t_ns if event is None or event.end_ns < 0 else event.duration_ns

    def after_end_ns(self, t_ns: int) -> int:
        """Returns an instant that the episode does not come to."""
        return max(self.end_ns, t_ns) + 1

    def finish(self, end_ns: int) -> None:
        """Checks, at the end of the replayed episode, that nothing recorded is missing.

        Raises:
            TraceDivergenceError: A recorded event was never met, or the episode ended at another instant.
        """
        missing = [
            event
            for events in self._by_key.values()
            for event in events
            if event.start_ns < min(end_ns, self.end_ns)
            and (event.stage, event.sequence, event.start_ns) not in self._met
            and not self._is_met_in_batch(event)
        ]
        if missing:
            first = min(missing, key=lambda e: (e.start_ns, e.stage, e.sequence))
            raise TraceDivergenceError(
                episode=self.episode,
                stage=first.stage,
                sequence=first.sequence,
                recorded_ns=first.start_ns,
                met_ns=NOT_REACHED,
                reason="What was recorded did not happen again.",
            )
        if end_ns != self.end_ns:
            raise TraceDivergenceError(
                episode=self.episode,
                stage="end of the episode",
                sequence=0,
                recorded_ns=self.end_ns,
                met_ns=end_ns,
                reason="All events until then were the recorded ones.",
            )

    def _is_met_in_batch(self, event: Event) -> bool:
        """Whether a request was answered together with one that was met: a batch is asked for once."""
        return event.batch > 1 and any(
            stage == event.stage and start_ns == event.start_ns for stage, _, start_ns in self._met
        )


class _ReplayedDuration(StageDuration):
    __slots__ = ("_events", "_stage")

    def __init__(self, events: RecordedEvents, stage: str) -> None:
        self.constant_ns = None
        self._events = events
        self._stage = stage

    def ns(self, index: int, t_ns: int) -> int:
        """Returns the recorded duration of event ``index``; its start is checked."""
        return self._events.duration_ns(self._stage, index, t_ns)


class _ReplayedLateness(_ReplayedDuration):
    """Lateness of the control ticks, which is asked for a tick ahead: the log has no row of one that never came."""

    __slots__ = ("_last_tick",)

    def __init__(self, events: RecordedEvents) -> None:
        super().__init__(events, CONTROL)
        self._last_tick = events.last_number(CONTROL)

    def ns(self, index: int, t_ns: int) -> int:
        """Returns the recorded lateness of tick ``index``; one after the last recorded tick comes after the end."""
        if index > self._last_tick:
            return self._events.after_end_ns(t_ns) - t_ns
        return super().ns(index, t_ns)


class _ReplayedSensor(SensorPath):
    __slots__ = ("_events", "_stage")

    def __init__(self, events: RecordedEvents, sensor: SensorSpec, modelled: SensorPath) -> None:
        self.period_ns = modelled.period_ns
        self.phase_ns = modelled.phase_ns
        self.stamp_offset_ns = modelled.stamp_offset_ns
        self.constant_delay_ns = None
        self._events = events
        self._stage = f"{SENSOR_PREFIX}{sensor.name}"

    def is_dropped(self, index: int) -> bool:
        """Whether the recorded capture was dropped by the sensor."""
        event = self._events.find(self._stage, index)
        if event is None or event.attributes.get("state") != "dropped":
            return False
        self._events.take(self._stage, index, event.start_ns)
        return True

    def arrival_ns(self, index: int, t_ns: int, payload_bytes: int) -> int:
        """Returns the recorded instant of arrival; -1 if the item was lost."""
        event = self._events.take(self._stage, index, t_ns)
        if event is None:
            return self._events.after_end_ns(t_ns)
        if event.end_ns != NOT_REACHED:
            return event.end_ns
        return -1 if event.attributes.get("state") == "lost" else self._events.after_end_ns(t_ns)


class _ReplayedLink(Link):
    __slots__ = ("_events", "_stage")

    def __init__(self, events: RecordedEvents, stage: Stage) -> None:
        self._events = events
        self._stage = stage.value

    def arrivals(self, tick: int, t_ns: int, payload_bytes: int) -> tuple[int, ...]:
        """Returns the recorded instant of arrival; none if the message was lost."""
        event = self._events.take(self._stage, tick, t_ns)
        if event is None:
            return (self._events.after_end_ns(t_ns),)
        if event.end_ns != NOT_REACHED:
            return (event.end_ns,)
        is_lost = event.attributes.get("state") == f"{self._stage}_lost"
        return () if is_lost else (self._events.after_end_ns(t_ns),)


class _ReplayedInference(InferenceDuration):
    __slots__ = ("_events", "_stage")

    def __init__(self, events: RecordedEvents, call: Call) -> None:
        self.constant_ns = None
        self.needs_observation = False
        self._events = events
        self._stage = CALL_STAGES[call].value

    def ns(
        self,
        tick: int,
        t_ns: int,
        *,
        is_first: bool,
        batch: int,
        observation: Mapping[str, npt.NDArray[Any]] | None,
    ) -> int:
        """Returns the recorded duration; its start is checked."""
        return self._events.duration_ns(self._stage, tick, t_ns)


class ReplayStageGraph(StageGraph):
    """The stages of one episode, as a trace has them.

    Args:
        timing: A timing of mode ``replay``, see ``replay_timing``.
        case_id: Case that is played; its episode is looked up in the trace.
        control_period_ns: Control period of the world.
        strategy_name: Strategy that is played; it must be the recorded one.

    Raises:
        TraceError: The trace holds no episode of that case under that strategy, or more than one, or was altered.
    """

    __slots__ = ("_events",)

    def __init__(
        self, timing: Timing, case_id: str, *, control_period_ns: int, strategy_name: str = ""
    ) -> None:
        super().__init__(timing, case_id, control_period_ns=control_period_ns, strategy_name=strategy_name)
        self._events = recorded_events(timing.trace, case_id, strategy_name)
        self.preprocess = _ReplayedDuration(self._events, Stage.PREPROCESS.value)
        self.actuation = _ReplayedDuration(self._events, Stage.ACTUATION.value)
        if self.control_jitter.constant_ns == 0:
            self._events.ignore(CONTROL)
        else:
            self.control_jitter = _ReplayedLateness(self._events)
        self.uplink = _ReplayedLink(self._events, Stage.UPLINK)
        self.downlink = _ReplayedLink(self._events, Stage.DOWNLINK)

    def sensor(self, sensor: SensorSpec) -> SensorPath:
        """Returns the recorded path of one sensor's captures."""
        return _ReplayedSensor(self._events, sensor, super().sensor(sensor))

    def inference(self, call: Call) -> InferenceDuration:
        """Returns the recorded inferences of a call."""
        return _ReplayedInference(self._events, call)

    def finish(self, end_ns: int) -> None:
        """Checks that everything recorded has happened and the episode ended when it did."""
        self._events.finish(end_ns)


def recorded_events(trace: str, case_id: str, strategy_name: str) -> RecordedEvents:
    """Finds the episode of a case in a trace file or a folder of them; every event of its file is checked.

    Raises:
        TraceError: There is none or more than one, or the file was altered.
    """
    headers = _headers(trace)
    found = [
        (path, name)
        for path, header in headers
        for name, episode in header.episodes.items()
        if episode.case_id == case_id and strategy_name in ("", header.strategy)
    ]
    if len(found) == 1:
        path, name = found[0]
        return RecordedEvents(read_trace(path), name)
    known = _described(headers, lambda header: True)
    same_case = _described(
        headers, lambda header: any(e.case_id == case_id for e in header.episodes.values())
    )
    if found:
        raise TraceError(
            f"timing.trace={trace} holds {len(found)} episodes of case {case_id} under strategy {strategy_name!r} "
            f"({', '.join(path.name for path, _ in found)}); name one file."
        )
    if same_case:
        raise TraceError(
            f"timing.trace={trace}: case {case_id} was recorded as {same_case}, not under strategy {strategy_name!r}. "
            "A replay takes the recorded strategy."
        )
    raise TraceError(
        f"timing.trace={trace} holds no episode of case {case_id}; it holds {known}. Play the recorded scenarios and "
        "seeds."
    )


def _described(
    headers: list[tuple[Path, TraceHeader]], wanted: Callable[[TraceHeader], bool], most: int = 5
) -> str:
    lines = [
        f"{episode.scenario} seed {episode.seed} under {header.strategy}"
        for _, header in headers
        if wanted(header)
        for episode in header.episodes.values()
    ]
    return ", ".join(lines[:most]) + (f" and {len(lines) - most} more" if len(lines) > most else "")
