"""``simloop replay``: simulate a recorded episode again and compare it with what was recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from simloop.cli.exit_code import ExitCode
from simloop.cli.run_folder import run_folder
from simloop.compose import component
from simloop.errors import ResultsError
from simloop.report.log_difference import first_difference
from simloop.runner.measured_runs import is_measured
from simloop.runner.planning import DEFAULT_RESULTS, RunPlan
from simloop.runner.run import recorded_rows, rounds
from simloop.runner.trace_facts import TRACES
from simloop.runner.worker import EpisodeWorker, Task, TaskResult
from simloop.spec import Component
from simloop.store.manifest import MANIFEST_NAME, Manifest
from simloop.store.platform_key import platform_key
from simloop.store.row import REPEAT
from simloop.store.run_store import RunStore
from simloop.sweep.planning import plan_command
from simloop.timing.trace_files import JSONL_SUFFIX


def replay(
    episode_id: Annotated[str, typer.Argument(help="Episode id, or its first 8 or more characters.")],
    run: Annotated[str, typer.Option(help="Run id or folder; all runs under results/runs by default.")] = "",
) -> None:
    """Simulate an episode again and check that it is the recorded one (row and log), bit for bit.

    An episode whose inference times were measured is simulated from its trace. Exits with 1 if it differs; the first
    difference is shown if the episode's log was kept.
    """
    if len(episode_id) < 8:
        raise ResultsError(
            f"{episode_id!r} is too short; give at least the first 8 characters of the episode's id."
        )
    store, row = _find(episode_id, run)
    plan = _plan_again(store.manifest)
    task = _task(plan, str(row["episode_id"]), store)
    result = _play(plan, _from_trace(store, task))
    typer.echo(f"{row['episode_id']}: {row['scenario']}, seed {row['seed']}, {row['agent']}, {row['timing']}, "
               f"{row['strategy']}" + ("" if row.get(REPEAT) is None else f", play {row[REPEAT]}"))  # fmt: skip
    typer.echo(f"recorded: {row['status']} ({row['reason']}), hash {row['episode_hash']}")
    typer.echo(
        f"replayed: {result.row['status']} ({result.row['reason']}), hash {result.row['episode_hash']}"
    )
    if _is_same(store, row, result):
        typer.echo("Identical.")
        return
    typer.echo(_explain(store, row, result))
    raise typer.Exit(int(ExitCode.REGRESSION))


def _find(episode_id: str, run: str) -> tuple[RunStore, dict[str, object]]:
    folders = [run_folder(run)] if run else _all_runs()
    for folder in folders:
        store = RunStore.open_read_only(folder)
        matches = [i for i in store.done_ids() if i.startswith(episode_id)]
        if len(matches) > 1:
            raise ResultsError(
                f"{episode_id!r} fits {len(matches)} episodes of {folder}; give more characters."
            )
        if matches:
            rows = store.read_rows().to_pylist()
            return store, next(r for r in rows if r["episode_id"] == matches[0])
    searched = ", ".join(str(f) for f in folders) or f"no run under {DEFAULT_RESULTS}"
    raise ResultsError(f"No episode {episode_id!r} in: {searched}. Name the run with --run.")


def _all_runs() -> list[Path]:
    if not DEFAULT_RESULTS.is_dir():
        return []
    folders = [f for f in DEFAULT_RESULTS.iterdir() if (f / MANIFEST_NAME).is_file()]
    return sorted(folders, key=lambda f: (f / MANIFEST_NAME).stat().st_mtime, reverse=True)


def _plan_again(manifest: Manifest) -> RunPlan:
    words = manifest.config.get("words")
    if not isinstance(words, list):
        raise ResultsError(f"The manifest of run {manifest.run_id!r} does not say how it was composed.")
    return plan_command(str(manifest.config.get("command", "run")), [str(word) for word in words])


def _task(plan: RunPlan, episode_id: str, store: RunStore) -> Task:
    campaign = plan.make_campaign()
    for tasks in rounds(plan, campaign, lambda campaign, done: recorded_rows(store, campaign, done)):
        for task in tasks:
            if task.spec.episode_id == episode_id:
                return task
    changed = _changes(store.manifest.identity(), plan.manifest.identity())
    raise ResultsError(
        f"Episode {episode_id} cannot be simulated again: agent, suite or simulators have changed ({changed})."
    )


def _from_trace(store: RunStore, task: Task) -> Task:
    """Lets the recorded trace take the place of the clock where inference times were measured."""
    if not is_measured(task.spec.timing):
        return task
    path = store.path / TRACES / f"{task.spec.episode_id}{JSONL_SUFFIX}"
    if not path.is_file():
        raise ResultsError(
            f"Episode {task.spec.episode_id} was measured and {path} is gone: without its trace it cannot be simulated "
            "again."
        )
    config = {**component("timing", "replay").config, "trace": str(path)}
    timing = Component(group="timing", name=task.spec.timing.name, config=config)
    typer.echo(f"Inference times were measured; they are replayed from {path}.")
    return dataclasses.replace(task, spec=dataclasses.replace(task.spec, timing=timing))


def _changes(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted(n for n in then.keys() | now.keys() if then.get(n) != now.get(n))
    return "; ".join(f"{n}: {then.get(n)} then, {now.get(n)} now" for n in names)


def _play(plan: RunPlan, task: Task) -> TaskResult:
    worker = EpisodeWorker(facts=plan.facts, name="replay", interleave=1)
    try:
        (result,) = worker.run([task])
    finally:
        worker.close()
    return result


def _is_same(store: RunStore, row: Mapping[str, object], result: TaskResult) -> bool:
    """Whether verdict and hash are the recorded ones, and the stored log, if there is one, is what happened."""
    if any(row[name] != result.row[name] for name in ("status", "reason", "episode_hash")):
        return False
    if not row["has_log"]:
        return True
    stored = store.read_episode_log(str(row["episode_id"]))
    return result.log is not None and stored.episode_hash == result.log.episode_hash


def _explain(store: RunStore, row: dict[str, object], result: TaskResult) -> str:
    changed = _changes(store.manifest.platform, platform_key())
    where = f" The platform differs ({changed}), so the last bits may too." if changed else ""
    if not row["has_log"] or result.log is None:
        return f"DIFFERENT. No log was kept for this episode, so the place is not known.{where}"
    difference = first_difference(store.read_episode_log(str(row["episode_id"])), result.log)
    return f"DIFFERENT. First: {difference or 'the logs are equal, the recorded hash is not theirs'}.{where}"
