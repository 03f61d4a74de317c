"""``simloop probe``: measure how long an agent takes on this machine, into a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from simloop.cli.trace import print_trace, summary_ms, usage
from simloop.runner.probe import PROBE_KEYS, probe_agent
from simloop.runner.trace_facts import write_trace
from simloop.timing.trace_samples import durations_ns


def probe(
    words: Annotated[
        list[str],
        typer.Argument(
            help=f"key=value, for example agent=expert scenario=cut_in; keys: {', '.join(PROBE_KEYS)}"
        ),
    ],
) -> None:
    """Measure an agent's inferences on this machine; the first call, which warms up, is left out."""
    found = probe_agent(words)
    write_trace(found.path, found.trace)
    print_trace(Console(), found.trace)
    for stage in found.trace.stages:
        durations_ms = durations_ns(found.trace, stage).astype(np.float64) * 1e-6
        mean, p50, p95, p99, _ = summary_ms(durations_ms)
        typer.echo(
            f"{stage}: mean {mean:.3f} ms, p50 {p50:.3f} ms, p95 {p95:.3f} ms, p99 {p99:.3f} ms "
            f"({len(durations_ms)} calls)"
        )
    typer.echo(f"Trace: {found.path}")
    typer.echo(usage(found.trace, Path(found.path)))
