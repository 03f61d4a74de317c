"""``simloop sweep``: strategies by latencies, or by values of a key of the timing, on paired cases."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from simloop.cli.run import run_plan
from simloop.sweep.planning import plan_sweep


class SweepKind(enum.StrEnum):
    """What is swept."""

    LATENCY = "latency"
    TIMING = "timing"


def sweep(
    kind: Annotated[SweepKind, typer.Argument(help="What is swept.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="key=value, for example scenario=fork agent=toy_fork strategy=naive_async,rtc,prefix "
            "latency_ticks=0,1,2,3,4 's=max(d,1)' seeds.count=256; or suite=latency_fork. With timing: "
            "vary=timing.downlink.jitter_ms levels=0,50,100; or suite=fork_jitter"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and check only.")] = False,
) -> None:
    """Run a sweep; the same command with its run_id again goes on where it stopped."""
    run_plan(plan_sweep(words or [], f"sweep {kind.value}"), dry_run=dry_run)
