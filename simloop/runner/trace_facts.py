"""What a trace's header says of the machine and the agent that it was recorded with."""

from __future__ import annotations

from pathlib import Path

from simloop.agent import Agent
from simloop.errors import ResultsError
from simloop.store.atomic_file import write_atomically
from simloop.store.platform_key import machine_facts, package_versions, platform_key
from simloop.timing.trace import Trace, TraceHeader
from simloop.timing.trace_files import trace_bytes

TRACES = "traces"
"""Folder of a run's traces: one file an episode, named by its id."""


def trace_facts(agent: Agent, *, origin: str, num_warm_up: int, source: str) -> TraceHeader:
    """Returns a header with what is known of this machine and an agent.

    Args:
        agent: The agent; its ``facts`` give ``dtype``, ``steps`` and ``device``.
        origin: Where the durations come from, see ``simloop.timing.trace``.
        num_warm_up: Calls that were made before and left out.
        source: Words or file that the trace comes from.
    """
    facts = dict(agent.facts())
    steps = facts.pop("steps", "")
    versions = package_versions()
    platform = {name: value for name, value in platform_key().items() if name not in versions}
    return TraceHeader(
        origin=origin,
        hardware={**platform, **machine_facts(), **_without(facts, "dtype")},
        model=agent.spec.name,
        dtype=facts.get("dtype", ""),
        steps=int(steps) if steps.isdecimal() else None,
        warm_up=num_warm_up,
        versions=versions,
        source=source,
    )


def _without(facts: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in facts.items() if key != name}


def write_trace(path: Path, trace: Trace) -> None:
    """Writes a trace, whole or not at all; the suffix chooses JSONL or Parquet.

    Raises:
        TraceError: The suffix is neither ``.jsonl`` nor ``.parquet``.
        ResultsError: The file cannot be written.
    """
    data = trace_bytes(trace, path.suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise ResultsError(f"Trace {path} cannot be written: {error}.") from error
