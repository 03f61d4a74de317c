"""Durations out of a trace, for distributions: ``timing.inference: {distribution: empirical, file: PATH}``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from simloop.errors import TraceError
from simloop.timing.trace import NOT_REACHED, Event, Trace, TraceEpisode, TraceHeader
from simloop.timing.trace_files import read_trace

IntArray = npt.NDArray[np.int64]


def durations_ns(trace: Trace, stage: str) -> IntArray:
    """Returns (n,) the durations of a stage's ended events in ns, in the order of the trace.

    ``"sensor"`` takes the items of every sensor, ``"sensor/<name>"`` those of one.
    """
    values = [e.duration_ns for e in trace.of_stage(stage) if e.end_ns != NOT_REACHED]
    return np.array(values, dtype=np.int64)


def read_durations_ns(path: str | Path, *, stage: str = "inference", where: str = "") -> IntArray:
    """Reads the durations of one stage from a trace file.

    Args:
        path: JSONL or Parquet trace (recorded, probed or imported).
        stage: Stage to take, see ``durations_ns``.
        where: Key that names the file, for messages, for example ``"timing.inference"``.

    Returns:
        (n,) durations in ns, n >= 1.

    Raises:
        TraceError: The file cannot be read or was altered, or has no ended event of that stage.
    """
    head = f"{where}: " if where else ""
    try:
        trace = read_trace(path)
    except TraceError as error:
        raise TraceError(f"{head}{error}") from error
    found = durations_ns(trace, stage)
    if not len(found):
        raise TraceError(
            f"{head}{path} has no ended event of stage {stage!r}; it has: {', '.join(trace.stages) or '(none)'}. "
            "Name one of them with the key stage."
        )
    return found


def trace_of_durations(header: TraceHeader, durations: dict[str, IntArray], *, episode: str) -> Trace:
    """Returns a trace of loose durations, laid end to end in each stage.

    Args:
        header: Its header; the episode is added to it.
        durations: (n,) durations in ns by stage.
        episode: Name of the one episode that the events form.

    Raises:
        TraceError: There is no duration, or one is negative; the message names stage and number.
    """
    events: list[Event] = []
    for stage, values in durations.items():
        negative = np.flatnonzero(np.asarray(values) < 0)
        if len(negative):
            number = int(negative[0])
            raise TraceError(f"Stage {stage!r}, sample {number} is {int(values[number])} ns; allowed: >= 0.")
        starts = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        events += [
            Event(episode, stage, n, int(starts[n]), int(starts[n + 1]), 0, 1) for n in range(len(values))
        ]
    if not events:
        raise TraceError(f"No durations: {', '.join(durations) or 'no stage'} holds no sample.")
    end_ns = max(event.end_ns for event in events)
    fields = {name: getattr(header, name) for name in TraceHeader.__dataclass_fields__}
    episodes = {episode: TraceEpisode(end_ns=end_ns)}
    return Trace(header=TraceHeader(**{**fields, "episodes": episodes}), events=tuple(events))
