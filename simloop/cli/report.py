"""``simloop report``: build a run's report again from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simloop.cli.run_folder import run_folder
from simloop.store.baseline import write_baseline


def report(
    run: Annotated[str, typer.Argument(help="Run id, or path of a run's folder.")],
    baseline: Annotated[
        Path | None, typer.Option(help="Also write the run's summary and episode table there, as a baseline.")
    ] = None,
) -> None:
    """Build report.html, junit.xml, summary.md and summary.json of a run; exit as the run did."""
    # Drawing needs libraries that no other command does.
    from simloop.report.build import build_report

    folder = run_folder(run)
    files = build_report(folder)
    typer.echo(str(files.report_html))
    summary = json.loads(files.summary_json.read_text())
    for line in files.notes(summary):
        typer.echo(line)
    if baseline is not None:
        typer.echo(str(write_baseline(folder, baseline)))
    code = int(summary["verdict"]["exit_code"])
    if code:
        raise typer.Exit(code)
