"""``simloop run``: plan, execute, report."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from simloop import wall_clock
from simloop.cli.exit_code import ExitCode
from simloop.cli.progress import RunProgress
from simloop.report.summary import measured_note
from simloop.runner.planning import RunPlan
from simloop.runner.run import execute
from simloop.store.manifest import MANIFEST_NAME
from simloop.store.run_store import RunStore
from simloop.sweep.planning import plan_command

_MAX_REASONS = 5
_WIDE = 180
"""Columns of a curve's table where the output is no terminal."""


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="key=value, for example suite=smoke agent=unified timing=xr0_4090 strategy=prefix"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and check only.")] = False,
) -> None:
    """Run a suite; the same command again goes on where it stopped."""
    run_plan(plan_command("run", words or []), dry_run=dry_run)


def run_plan(plan: RunPlan, *, dry_run: bool) -> None:
    """Announces a plan, executes it, builds its report and prints the verdict; ends with the run's exit code."""
    # The report's libraries are imported only when a run is at hand, so that other commands start quickly.
    from simloop.report.build import build_report

    console = Console()
    _announce(console, plan)
    if dry_run:
        return
    started_s = wall_clock.now_s()
    done = _num_recorded(plan)
    with RunProgress(console, total=len(plan.tasks), num_done=done) as progress:
        effort = execute(plan, progress, progress.extend)
    files = build_report(plan.folder)
    summary = json.loads(files.summary_json.read_text())
    if "sweep" in summary:
        _print_curves(console, summary)
    else:
        _print_summary(console, summary)
    for line in files.notes(summary):
        console.print(line, soft_wrap=True, markup=False)
    console.print(
        f"Ran {effort.num_episodes} episodes in {wall_clock.now_s() - started_s:.0f} s; {effort.cpu_s:.0f} CPU seconds "
        f"in this process and the workers. {done} were recorded before."
    )
    console.print(f"Report: {files.report_html}", soft_wrap=True)
    _print_lost(console, summary)
    code = ExitCode(summary["verdict"]["exit_code"])
    if code is not ExitCode.PASS:
        raise typer.Exit(int(code))


def _print_lost(console: Console, summary: dict[str, Any]) -> None:
    """Says how many episodes became no result, and the most frequent reasons."""
    reasons: Counter[str] = Counter()
    for cell in summary["cells"]:
        reasons.update(cell["lost_reasons"])
    if not reasons:
        return
    console.print(
        f"{reasons.total()} episodes were lost to infrastructure and stay recorded as that; run with another run_id to "
        "try them again. The reasons:",
        soft_wrap=True,
    )
    for reason, count in reasons.most_common(_MAX_REASONS):
        console.print(f"  {count} x {reason}", soft_wrap=True, markup=False)


def _announce(console: Console, plan: RunPlan) -> None:
    where = plan.runner.executor + (f", {plan.runner.workers} workers" if plan.runner.workers else "")
    console.print(
        f"Run {plan.run_id}: suite {plan.suite.name}, {len(plan.tasks)} episodes, {where} -> {plan.folder}"
    )
    note = measured_note(plan.manifest)
    if note:
        console.print(note, soft_wrap=True)


def _num_recorded(plan: RunPlan) -> int:
    if not (plan.folder / MANIFEST_NAME).is_file():
        return 0
    with RunStore.create_or_open(plan.folder, plan.manifest) as store:
        return len(store.done_ids())


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    verdict = summary["verdict"]
    table = Table(title=f"{summary['suite']}: {verdict['state'].upper()}. {verdict['headline']}")
    for heading in ("scenario", "agent", "timing", "strategy", "success", "95 % interval"):
        table.add_column(heading)
    for cell in summary["cells"]:
        interval = "-"
        if cell["num_judged"]:
            interval = f"{100 * cell['wilson_low']:.0f}-{100 * cell['wilson_high']:.0f} %"
        lost = cell["num_episodes"] - cell["num_judged"]
        table.add_row(
            cell["scenario"],
            cell["agent"],
            cell["timing"],
            cell["strategy"],
            f"{cell['num_successes']}/{cell['num_judged']}"
            + (f" of {cell['num_cases']} cases" if "num_cases" in cell else "")
            + (f" ({lost} lost)" if lost else ""),
            interval,
        )
    console.print(table)
    _print_criteria(console, verdict)


def _print_criteria(console: Console, verdict: dict[str, Any]) -> None:
    for criterion in verdict["criteria"]:
        console.print(
            f"{criterion['state'].upper():>10}  {criterion['name']}: {criterion['detail']}", soft_wrap=True
        )


def _print_curves(console: Console, summary: dict[str, Any]) -> None:
    """Prints the curves of a sweep: success at each latency, area, L95 and slope."""
    verdict = summary["verdict"]
    console.print(f"{summary['suite']}: {verdict['state'].upper()}. {verdict['headline']}", markup=False)
    for group in summary["sweep"]["groups"]:
        table = Table(title=f"{group['title']}. {group['conditions']}", title_justify="left")
        for heading in group["table"]["header"]:
            table.add_column(heading)
        for line in group["table"]["body"]:
            table.add_row(*line)
        if console.is_terminal:
            console.print(table)
        else:
            Console(width=_WIDE).print(table)
    _print_criteria(console, verdict)
