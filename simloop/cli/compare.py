"""``simloop compare``: two runs on the same cases, paired."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from simloop.cli.exit_code import ExitCode
from simloop.cli.run_folder import run_folder
from simloop.errors import ResultsError
from simloop.report.comparison import compare_runs
from simloop.store.baseline import read_rows_and_manifest
from simloop.store.manifest import Manifest


def compare(
    baseline: Annotated[
        str, typer.Argument(help="Run id or folder of the baseline, e.g. results/baselines/smoke.")
    ],
    run: Annotated[str, typer.Argument(help="Run id or folder of the new run.")],
) -> None:
    """Compare a run with a baseline on their common cases (exact McNemar, sign flips with repeats; Holm over cells).

    Exits with 1 if a cell is worse at the 5 % level, with 3 if the two have nothing in common.
    """
    console = Console(soft_wrap=True)
    before, before_manifest = read_rows_and_manifest(run_folder(baseline))
    after, after_manifest = read_rows_and_manifest(run_folder(run))
    _print_changes(console, before_manifest, after_manifest)
    _print_repeats(console, before_manifest, after_manifest)
    try:
        cells = compare_runs(before, after)
    except ResultsError as error:
        console.print(f"NOT COMPARABLE: {error}", markup=False)
        raise typer.Exit(int(ExitCode.NOT_COMPARABLE)) from error
    table = Table(title=f"{run} against {baseline}")
    for heading in (
        "scenario",
        "agent",
        "timing",
        "strategy",
        "pairs",
        "only new",
        "only baseline",
        "difference",
        "95 % interval",
        "p worse",
    ):
        table.add_column(heading)
    for cell in cells:
        counts, result = cell.comparison.counts, cell.comparison
        table.add_row(
            cell.scenario,
            cell.agent,
            cell.timing,
            cell.strategy,
            str(counts.n),
            counts.only_first_text,
            counts.only_second_text,
            f"{100 * result.difference:+.1f} points",
            f"{100 * result.low:+.1f} to {100 * result.high:+.1f}",
            f"{cell.p_worse:.2g}",
        )
    console.print(table)
    worse = [c.name for c in cells if c.is_regression]
    if worse:
        console.print(f"REGRESSION: {', '.join(worse)}", markup=False)
        raise typer.Exit(int(ExitCode.REGRESSION))
    console.print("No cell is worse at the 5 % level.")


def _print_repeats(console: Console, before: Manifest, after: Manifest) -> None:
    """Says which plays are compared where cases were played several times."""
    counts = [int(m.config.get("repeats", {}).get("count", 1)) for m in (before, after)]
    if max(counts) == 1:
        return
    console.print(
        f"Cases were played {counts[0]} times in the baseline and {counts[1]} times in the run: the first "
        f"{min(counts)} of each are compared, and a case is one draw however often it was played."
    )


def _print_changes(console: Console, before: Manifest, after: Manifest) -> None:
    facts_before, facts_after = before.identity(), after.identity()
    for name in sorted(facts_before.keys() | facts_after.keys()):
        old, new = facts_before.get(name, "(absent)"), facts_after.get(name, "(absent)")
        if old != new:
            console.print(f"changed: {name}: {old} -> {new}", markup=False)
