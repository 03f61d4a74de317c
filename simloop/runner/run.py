"""Executes a plan round by round: skips what is recorded, runs the rest, retries infrastructure errors, writes parts.

Between two rounds of a campaign lies a barrier: its rows are recorded, then handed to the campaign in the order in
which it proposed their episodes, read back from the store. So a run that goes on after a kill proposes the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from simloop import wall_clock
from simloop.campaign import Campaign
from simloop.errors import ResultsError
from simloop.runner.config import Executor, RunnerConfig
from simloop.runner.planning import RunPlan, make_tasks
from simloop.runner.trace_facts import TRACES, write_trace
from simloop.runner.worker import IN_PROCESS, RunFacts, Task, TaskResult
from simloop.store.row import EpisodeStatus, Row
from simloop.store.run_store import RunStore
from simloop.timing.trace_files import JSONL_SUFFIX

_FIRST_PART_ROWS = 64
_MAX_PART_ROWS = 8192
_PART_SECONDS = 5.0

OnRow = Callable[[Row], None]
OnRound = Callable[[int], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a run took.

    Attributes:
        num_episodes: Episodes that were run now.
        cpu_s: CPU seconds (user + system) of this process and of the workers; Ray's own daemons not counted.
    """

    num_episodes: int
    cpu_s: float


class TaskExecutor(Protocol):
    """Runs tasks and yields results in any order."""

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields one result a task."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


def make_executor(config: RunnerConfig, facts: RunFacts) -> TaskExecutor:
    """Makes the executor that a config names; Ray is imported only when it is used."""
    if config.executor == Executor.IN_PROCESS.value:
        from simloop.runner.in_process import InProcessExecutor

        return InProcessExecutor(config, facts)
    from simloop.runner.ray_executor import RayExecutor

    return RayExecutor(config, facts)


RowsOf = Callable[[Campaign, Sequence[Task]], list[Row] | None]


def rounds(plan: RunPlan, campaign: Campaign, rows_of: RowsOf) -> Iterator[tuple[Task, ...]]:
    """Yields the tasks of each round of a campaign.

    Args:
        plan: The plan.
        campaign: Its campaign, just made.
        rows_of: Returns the rows of a round's tasks, in their order, with the campaign's columns; None ends the
            iteration, for a run that is not complete.
    """
    number = 0
    while specs := campaign.propose():
        tasks = make_tasks(campaign, specs, plan.world_of, number) if number else plan.tasks
        number += len(tasks)
        yield tasks
        if campaign.columns:
            rows = rows_of(campaign, tasks)
            if rows is None:
                return
            campaign.observe(rows)


def recorded_rows(store: RunStore, campaign: Campaign, tasks: Sequence[Task]) -> list[Row] | None:
    """Returns the recorded rows of tasks with the columns that a campaign reads; None if one is not recorded."""
    ids = [task.spec.episode_id for task in tasks]
    done = store.done_ids()
    return None if any(i not in done for i in ids) else store.rows_of(ids, campaign.columns)


def execute(plan: RunPlan, on_row: OnRow, on_round: OnRound | None = None) -> Effort:
    """Runs what is missing of a plan and records it; safe to call again after any interruption.

    Args:
        plan: The plan.
        on_row: Told about each row when it is final (recorded with the next part).
        on_round: Told at each round how many episodes the run has come to so far, recorded ones included.

    Returns:
        How many episodes were run now, and the CPU seconds that they took.

    Raises:
        ResultsError: The folder holds another run, or cannot be written; everything recorded before stays.
        KeyboardInterrupt: The user stopped the run; everything finished is recorded.
    """
    with _writing(plan.folder):
        opened = RunStore.create_or_open(plan.folder, plan.manifest)
    with opened as store, contextlib.ExitStack() as stack:
        recorder = _PartWriter(store)
        executor: TaskExecutor | None = None
        planned: set[str] = set()

        def rows_of(campaign: Campaign, tasks: Sequence[Task]) -> list[Row] | None:
            return recorded_rows(store, campaign, tasks)

        campaign = plan.make_campaign()
        for tasks in rounds(plan, campaign, rows_of):
            planned.update(task.spec.episode_id for task in tasks)
            with _writing(plan.folder):
                store.plan(len(planned))
            if on_round is not None:
                on_round(len(planned))
            done = store.done_ids()
            todo = list({t.spec.episode_id: t for t in tasks if t.spec.episode_id not in done}.values())
            if todo and executor is None:
                executor = make_executor(plan.runner, plan.facts)
                stack.callback(executor.close)
            try:
                while todo and executor is not None:
                    todo = _pass(executor, todo, plan.runner.max_tries, recorder, on_row)
            finally:
                recorder.flush()
        findings = campaign.findings()
        if findings:
            with _writing(plan.folder):
                store.write_findings(findings)
        return Effort(num_episodes=recorder.num_rows, cpu_s=recorder.cpu_s())


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Says what to do when the disk is full or may not be written."""
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"Cannot write to {folder}: {error}. What was recorded before stays; make room or change the rights, then "
            "run the same command again."
        ) from error


def _pass(
    executor: TaskExecutor, tasks: Sequence[Task], max_tries: int, recorder: _PartWriter, on_row: OnRow
) -> list[Task]:
    """Runs tasks once; returns those to be tried again."""
    by_number = {task.number: task for task in tasks}
    again: list[Task] = []
    for result in executor.run(tasks):
        task = by_number[result.number]
        if result.row["status"] == EpisodeStatus.INFRA_ERROR.value and task.try_number < max_tries:
            again.append(dataclasses.replace(task, try_number=task.try_number + 1))
            continue
        recorder.add(result)
        on_row(result.row)
    return sorted(again, key=lambda t: t.number)


class _PartWriter:
    """Collects rows and writes them as parts, at least every few seconds; parts grow, so that many rows make few."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._rows: list[Row] = []
        self._since_s = wall_clock.now_s()
        self._worker_cpu_s: dict[str, float] = {}
        self._part_rows = _FIRST_PART_ROWS
        self.num_rows = 0

    def cpu_s(self) -> float:
        """Returns the CPU seconds of this process and of every worker that is another one."""
        others = {name: cpu_s for name, cpu_s in self._worker_cpu_s.items() if name != IN_PROCESS}
        return wall_clock.cpu_s() + sum(others.values())

    def add(self, result: TaskResult) -> None:
        row = result.row
        worker = str(row["worker"])
        self._worker_cpu_s[worker] = max(self._worker_cpu_s.get(worker, 0.0), result.worker_cpu_s)
        if result.log is not None and (result.keep_log or self._store.wants_log(row)):
            with _writing(self._store.path):
                self._store.write_episode_log(str(row["episode_id"]), result.log)
            row["has_log"] = True
            self._store.note_log(row)
        if result.trace is not None:
            write_trace(self._store.path / TRACES / f"{row['episode_id']}{JSONL_SUFFIX}", result.trace)
        self._rows.append(row)
        self.num_rows += 1
        if len(self._rows) >= self._part_rows or wall_clock.now_s() - self._since_s > _PART_SECONDS:
            self.flush()
            self._part_rows = min(2 * self._part_rows, _MAX_PART_ROWS)

    def flush(self) -> None:
        with _writing(self._store.path):
            self._store.write_part(self._rows)
        # Only now: an interrupt in the middle of writing leaves the rows for the flush at the end.
        self._rows = []
        self._since_s = wall_clock.now_s()
