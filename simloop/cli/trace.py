"""``simloop trace``: import latency records of other tools, export traces, show what is in one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from simloop.cli.run_folder import run_folder
from simloop.errors import ParameterError, ResultsError, TraceError
from simloop.runner.trace_facts import TRACES, write_trace
from simloop.store.atomic_file import write_atomically
from simloop.store.episode_logs import ATTRIBUTES_NAME, read_log
from simloop.store.manifest import Manifest
from simloop.store.run_store import RunStore
from simloop.timing.importers.catalogue import KINDS, ImportOptions, import_trace
from simloop.timing.perfetto import perfetto_json
from simloop.timing.trace import NOT_REACHED, Event, Trace, TraceHeader
from simloop.timing.trace_files import JSONL_SUFFIX, PARQUET_SUFFIX, read_trace
from simloop.timing.trace_from_log import trace_from_log

trace_app = typer.Typer(
    help="Latency traces: import other tools' records, export, show.", no_args_is_help=True
)
_KINDS = "; ".join(f"{name}: {kind.description}" for name, kind in KINDS.items())
_EPISODE_HELP = "Id of an episode of the run, or its first characters; all kept ones by default."


@trace_app.command("import")
def import_file(
    kind: Annotated[str, typer.Argument(help=f"What wrote the file. {_KINDS}.")],
    file: Annotated[Path, typer.Argument(help="The file.")],
    out: Annotated[Path, typer.Option(help="Trace to write, .jsonl or .parquet.")] = Path("trace.jsonl"),
    stage: Annotated[str, typer.Option(help="Stage that the durations become; the kind's usual one.")] = "",
    column: Annotated[str, typer.Option(help="Name of the durations in the file; the kind's choice.")] = "",
    delay_ms: Annotated[float | None, typer.Option(help="netem: delay of the link.")] = None,
    jitter_ms: Annotated[float | None, typer.Option(help="netem: jitter of the link.")] = None,
    payload_bytes: Annotated[int | None, typer.Option(help="mahimahi: size of a message.")] = None,
) -> None:
    """Make a trace of another tool's latency record; its durations can then stand in a timing."""
    options = ImportOptions(delay_ms=delay_ms, jitter_ms=jitter_ms, payload_bytes=payload_bytes)
    imported = import_trace(kind, file, stage=stage, column=column, options=options)
    write_trace(out, imported)
    print_trace(Console(), imported)
    typer.echo(f"Trace: {out}")
    typer.echo(usage(imported, out))


@trace_app.command("export")
def export(
    source: Annotated[str, typer.Argument(help="Run (id or folder), episode log (folder) or trace file.")],
    episode: Annotated[str, typer.Option(help=_EPISODE_HELP)] = "",
    out: Annotated[Path | None, typer.Option(help="Trace to write, .jsonl or .parquet.")] = None,
    perfetto: Annotated[
        Path | None, typer.Option(help="Chrome trace JSON to write, for ui.perfetto.dev.")
    ] = None,
) -> None:
    """Export what every stage took, as a trace or for ui.perfetto.dev."""
    if out is None and perfetto is None:
        raise ParameterError(
            "Nothing to write: give --out TRACE.jsonl (or .parquet), --perfetto OUT.json, or both."
        )
    exported = load_trace(source, episode)
    if out is not None:
        write_trace(out, exported)
        typer.echo(f"Trace: {out} ({len(exported.events)} events)")
    if perfetto is not None:
        try:
            write_atomically(perfetto, perfetto_json(exported).encode())
        except OSError as error:
            raise ResultsError(f"{perfetto} cannot be written: {error}.") from error
        typer.echo(f"Perfetto: {perfetto}; open it at https://ui.perfetto.dev")


@trace_app.command("show")
def show(
    source: Annotated[str, typer.Argument(help="Trace file, run (id or folder) or episode log (folder).")],
    episode: Annotated[str, typer.Option(help=_EPISODE_HELP)] = "",
) -> None:
    """Show what a trace was recorded on and how long each stage took; every event is checked."""
    print_trace(Console(), load_trace(source, episode))


def load_trace(source: str, episode: str = "") -> Trace:
    """Loads a trace file, or derives a trace from the log of an episode or from those of a run.

    Raises:
        TraceError: A trace was altered, or the episodes of a run are of several timings, strategies or agents.
        ResultsError: There is no such run, episode or log.
    """
    path = Path(source)
    if path.is_file() or path.suffix in (JSONL_SUFFIX, PARQUET_SUFFIX):
        return _of_episode(read_trace(path), episode, source)
    if (path / ATTRIBUTES_NAME).is_file():
        return trace_from_log(
            read_log(path), TraceHeader(origin="modelled", source=source), episode=path.name
        )
    return _of_run(RunStore.open_read_only(run_folder(source)), episode)


def _of_episode(trace: Trace, episode: str, source: str) -> Trace:
    names = [name for name in trace.header.episodes if name.startswith(episode)]
    if not names:
        raise TraceError(
            f"{source} has no episode {episode!r}; it has: {', '.join(trace.header.episodes) or '(none)'}."
        )
    episodes = {name: trace.header.episodes[name] for name in names}
    events = tuple(event for event in trace.events if event.episode in episodes)
    return Trace(header=dataclasses.replace(trace.header, episodes=episodes), events=events)


def _of_run(store: RunStore, episode: str) -> Trace:
    rows = [r for r in store.read_rows().to_pylist() if str(r["episode_id"]).startswith(episode)]
    found: list[Trace] = []
    for row in rows:
        episode_id = str(row["episode_id"])
        recorded = store.path / TRACES / f"{episode_id}{JSONL_SUFFIX}"
        if recorded.is_file():
            found.append(read_trace(recorded))
        elif row["has_log"]:
            facts = _facts_of_run(store.manifest, str(row["agent"]), str(store.path))
            found.append(trace_from_log(store.read_episode_log(episode_id), facts, episode=episode_id))
    if not found:
        raise ResultsError(
            f"{store.path} keeps neither log nor trace of {'episode ' + repr(episode) if episode else 'any episode'}. "
            "Logs are kept of failures and of a sample of successes."
        )
    return _merged(found, str(store.path))


def _facts_of_run(manifest: Manifest, agent: str, source: str) -> TraceHeader:
    versions = {k: v for k, v in manifest.platform.items() if k not in ("cpu", "system", "libc", "python")}
    platform = {k: v for k, v in manifest.platform.items() if k not in versions}
    hardware = {**platform, **manifest.machine}
    return TraceHeader(origin="modelled", hardware=hardware, model=agent, versions=versions, source=source)


def _merged(traces: list[Trace], source: str) -> Trace:
    """Joins traces of one model, strategy and timing."""

    def cell(header: TraceHeader) -> tuple[Any, ...]:
        return header.model, header.strategy, str(header.timing.get("name", "")), header.timing

    cells = {cell(t.header)[:3] for t in traces}
    if any(cell(t.header) != cell(traces[0].header) for t in traces):
        names = ", ".join(" / ".join(c) for c in sorted(cells))
        first = next(iter(traces[0].header.episodes))
        raise TraceError(
            f"{source} holds episodes of several agents, strategies or timings ({names}); a trace is of one. Choose an "
            f"episode, for example --episode {first[:12]}."
        )
    episodes = {name: facts for t in traces for name, facts in t.header.episodes.items()}
    header = dataclasses.replace(traces[0].header, episodes=episodes)
    return Trace(header=header, events=tuple(event for t in traces for event in t.events))


def usage(trace: Trace, path: Path) -> str:
    """Returns how the durations of a trace file get into a timing."""
    stage = trace.stages[0]
    key = stage if stage.isidentifier() else "inference"
    named = "" if stage == key else f", stage: {stage}"
    return f"Use it: timing=constant 'timing.{key}={{distribution: empirical, file: {path}{named}}}'"


def print_trace(console: Console, trace: Trace) -> None:
    """Prints the header of a trace and, by stage, how many events there are and how long they took."""
    header = trace.header
    facts = {
        "origin": header.origin,
        "source": header.source,
        "model": header.model,
        "dtype": header.dtype,
        "steps": "" if header.steps is None else str(header.steps),
        "warm-up": f"{header.warm_up} calls left out" if header.warm_up else "",
        "strategy": header.strategy,
        "timing": str(header.timing.get("name", "")),
        "hardware": ", ".join(f"{k} {v}" for k, v in header.hardware.items()),
        "episodes": ", ".join(
            f"{name[:12]} ({e.scenario} seed {e.seed})" if e.scenario else name
            for name, e in list(header.episodes.items())[:4]
        )
        + (f" and {len(header.episodes) - 4} more" if len(header.episodes) > 4 else ""),
    }
    for name, value in facts.items():
        if value:
            console.print(f"{name}: {value}", soft_wrap=True, markup=False, highlight=False)
    table = Table()
    for heading in ("stage", "events", "not ended", "mean ms", "p50 ms", "p95 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in trace.stages:
        table.add_row(*_stage_row(stage, [e for e in trace.events if e.stage == stage]))
    console.print(table)


def _stage_row(stage: str, events: list[Event]) -> list[str]:
    ended = np.array([e.duration_ns for e in events if e.end_ns != NOT_REACHED], dtype=np.float64) * 1e-6
    states = Counter(str(e.attributes.get("state", "")) for e in events if e.end_ns == NOT_REACHED)
    unended = ", ".join(f"{n} {state or 'open'}" for state, n in sorted(states.items())) or "0"
    return [
        stage,
        str(len(events)),
        unended,
        *(f"{v:.3f}" if v is not None else "-" for v in summary_ms(ended)),
    ]


def summary_ms(durations_ms: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float | None, ...]:
    """Returns mean, p50, p95, p99 and maximum of (n,) durations; None each if there are none."""
    if not len(durations_ms):
        return (None,) * 5
    quantiles = np.percentile(durations_ms, [50, 95, 99])
    return (float(durations_ms.mean()), *(float(q) for q in quantiles), float(durations_ms.max()))
