"""Executes a plan: skips what is recorded, runs the rest, retries infrastructure errors, writes atomic parts."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from simloop import wall_clock
from simloop.errors import ResultsError
from simloop.runner.config import Executor, RunnerConfig
from simloop.runner.planning import RunPlan
from simloop.runner.worker import IN_PROCESS, RunFacts, Task, TaskResult
from simloop.store.row import EpisodeStatus, Row
from simloop.store.run_store import RunStore

_PART_ROWS = 64
_PART_SECONDS = 5.0

OnRow = Callable[[Row], None]


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


def execute(plan: RunPlan, on_row: OnRow) -> Effort:
    """Runs what is missing of a plan and records it; safe to call again after any interruption.

    Args:
        plan: The plan.
        on_row: Told about each row when it is final (recorded with the next part).

    Returns:
        How many episodes were run now, and the CPU seconds that they took.

    Raises:
        ResultsError: The folder holds another run, or cannot be written; everything recorded before stays.
        KeyboardInterrupt: The user stopped the run; everything finished is recorded.
    """
    with _writing(plan.folder):
        opened = RunStore.create_or_open(plan.folder, plan.manifest)
    with opened as store:
        done = store.done_ids()
        todo = [task for task in plan.tasks if task.spec.episode_id not in done]
        if not todo:
            return Effort(num_episodes=0, cpu_s=wall_clock.cpu_s())
        recorder = _PartWriter(store)
        executor = make_executor(plan.runner, plan.facts)
        try:
            while todo:
                todo = _pass(executor, todo, plan.runner.max_tries, recorder, on_row)
        finally:
            try:
                recorder.flush()
            finally:
                executor.close()
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
    """Collects rows and writes them as parts, at least every few seconds."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._rows: list[Row] = []
        self._since_s = wall_clock.now_s()
        self._worker_cpu_s: dict[str, float] = {}
        self.num_rows = 0

    def cpu_s(self) -> float:
        """Returns the CPU seconds of this process and of every worker that is another one."""
        others = {name: cpu_s for name, cpu_s in self._worker_cpu_s.items() if name != IN_PROCESS}
        return wall_clock.cpu_s() + sum(others.values())

    def add(self, result: TaskResult) -> None:
        row = result.row
        worker = str(row["worker"])
        self._worker_cpu_s[worker] = max(self._worker_cpu_s.get(worker, 0.0), result.worker_cpu_s)
        if result.log is not None and self._store.wants_log(row):
            with _writing(self._store.path):
                self._store.write_episode_log(str(row["episode_id"]), result.log)
            row["has_log"] = True
            self._store.note_log(row)
        self._rows.append(row)
        self.num_rows += 1
        if len(self._rows) >= _PART_ROWS or wall_clock.now_s() - self._since_s > _PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        rows, self._rows = self._rows, []
        self._since_s = wall_clock.now_s()
        with _writing(self._store.path):
            self._store.write_part(rows)
