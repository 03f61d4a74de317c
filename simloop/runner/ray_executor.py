"""Runs tasks on Ray: persistent worker actors, small leases, results streamed back to one writer.

A worker announces each uninterrupted call through a memory-mapped file; the driver watches. When a call exceeds its
limit, only its episode ends (``timeout``); when a worker dies, only the announced episode ends (``infra_error``).
The other episodes of the lease are leased again.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from simloop import wall_clock
from simloop.errors import ConfigurationError
from simloop.metrics.metric import Metric
from simloop.plugins import load_metrics
from simloop.runner.announcement import FileAnnouncer, create_announcement_file, read_announcement
from simloop.runner.config import RunnerConfig
from simloop.runner.worker import EpisodeWorker, RunFacts, Task, TaskResult, lost_result
from simloop.store.row import EpisodeStatus

_POLL_S = 0.5
_CLOSING_S = 10.0
"""How long idle workers may take to close their worlds and agents before they are killed."""
_LOG = logging.getLogger(__name__)
_MAX_RESULTS = 256
_RESULTS_EVERY_S = 0.5
_LEASE_FILLS = 8
"""A lease holds at most so many times the episodes that a worker holds at once: it drains at the end of each."""


class _RayWorker:
    """The actor: an EpisodeWorker that announces through a file."""

    def __init__(
        self, facts: RunFacts, name: str, interleave: int, announcement: str, search_path: Sequence[str]
    ) -> None:
        for folder in search_path:
            if folder not in sys.path:
                sys.path.append(folder)
        self._worker = EpisodeWorker(
            facts=facts, name=name, interleave=interleave, announce=FileAnnouncer(Path(announcement))
        )

    def run(self, tasks: Sequence[Task]) -> Iterator[list[TaskResult]]:
        """Streams the results of a lease, several at once: handing one over costs more than a short episode."""
        results: list[TaskResult] = []
        since_s = wall_clock.monotonic_s()
        for result in self._worker.run(tasks):
            results.append(result)
            if len(results) >= _MAX_RESULTS or wall_clock.monotonic_s() - since_s > _RESULTS_EVERY_S:
                yield _with_effort(results)
                results = []
                since_s = wall_clock.monotonic_s()
        if results:
            yield _with_effort(results)

    def close(self) -> None:
        """Frees every world and agent, so that servers which others use are left as they were found."""
        self._worker.close()


def _with_effort(results: list[TaskResult]) -> list[TaskResult]:
    """Notes the worker's CPU seconds in the last result."""
    return [*results[:-1], dataclasses.replace(results[-1], worker_cpu_s=wall_clock.cpu_s())]


@dataclass(slots=True, kw_only=True, eq=False)
class _Seat:
    """A worker's place: the actor that sits in it, its lease, and the announced call with when it was first seen."""

    name: str
    announcement: Path
    actor: Any
    num_done: int = 0
    seen_number: int = -1
    seen_at_s: float = 0.0
    stream: Any = None
    lease: dict[int, Task] = field(default_factory=dict)


class RayExecutor:
    """Runs tasks on worker actors.

    Args:
        config: How the run is executed.
        facts: What every row says about the run.

    Raises:
        ConfigurationError: Ray cannot be started or reached.
    """

    def __init__(self, config: RunnerConfig, facts: RunFacts) -> None:
        self._config = config
        self._facts = facts
        self._metrics: Sequence[Metric] = load_metrics(facts.metrics)
        self._num_workers = config.workers or (os.cpu_count() or 1)
        self._folder = tempfile.TemporaryDirectory(prefix="simloop-")
        self._seats: list[_Seat] = []
        self._num_started = 0
        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            _start_ray(config.address, self._num_workers)

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields results as they come; order follows the workers, not the tasks."""
        leases = deque(_leases(tasks, self._num_workers, self._config.interleave))
        while leases or any(s.stream is not None for s in self._seats):
            self._hand_out(leases)
            busy = {s.stream: s for s in self._seats if s.stream is not None}
            ready, _ = ray.wait(list(busy), num_returns=1, timeout=_POLL_S, fetch_local=False)
            for stream in ready:
                yield from self._collect(busy[stream], leases)
            for seat in list(self._seats):
                if seat.stream is not None:
                    yield from self._check_limit(seat, leases)

    def close(self) -> None:
        """Ends the workers, and Ray if this executor started it."""
        _end_workers(self._seats)
        self._seats.clear()
        if self._owns_ray:
            ray.shutdown()
        self._folder.cleanup()

    # --- seats -----------------------------------------------------------------------------------------------

    def _new_seat(self) -> _Seat:
        name = f"ray-{self._num_started}"
        self._num_started += 1
        announcement = Path(self._folder.name) / name
        create_announcement_file(announcement)
        actor_class = ray.remote(num_cpus=1, max_restarts=0)(_RayWorker)
        search_path = [str(Path.cwd())]
        actor = actor_class.remote(self._facts, name, self._config.interleave, str(announcement), search_path)
        return _Seat(name=name, announcement=announcement, actor=actor)

    def _dismiss(self, seat: _Seat) -> None:
        _end_workers([seat])
        self._seats.remove(seat)

    def _hand_out(self, leases: deque[list[Task]]) -> None:
        """Gives every idle worker a lease; replaces workers that are due and seats new ones while there is work."""
        limit = self._config.recycle_after
        for seat in list(self._seats):
            if seat.stream is None and limit and seat.num_done >= limit:
                self._dismiss(seat)
        while leases:
            idle = [s for s in self._seats if s.stream is None]
            if not idle:
                if len(self._seats) >= self._num_workers:
                    return
                idle = [self._new_seat()]
                self._seats += idle
            lease = leases.popleft()
            idle[0].lease = {t.number: t for t in lease}
            idle[0].stream = idle[0].actor.run.options(num_returns="streaming").remote(lease)

    # --- results ---------------------------------------------------------------------------------------------

    def _collect(self, seat: _Seat, leases: deque[list[Task]]) -> Iterator[TaskResult]:
        try:
            received: Any = ray.get(next(seat.stream))
        except StopIteration:
            seat.stream = None
            if seat.lease:
                leases.append(list(seat.lease.values()))
                seat.lease = {}
            return
        except RayActorError as error:
            yield from self._lost(
                seat, leases, EpisodeStatus.INFRA_ERROR, f"the worker was lost ({_first_line(error)})"
            )
            return
        except RayError as error:
            seat.stream = None
            yield from self._lost(
                seat, leases, EpisodeStatus.INFRA_ERROR, f"the worker failed ({_first_line(error)})"
            )
            return
        results: list[TaskResult] = received
        for result in results:
            seat.lease.pop(result.number, None)
            seat.num_done += 1
            yield result

    def _check_limit(self, seat: _Seat, leases: deque[list[Task]]) -> Iterator[TaskResult]:
        said = read_announcement(seat.announcement)
        limit_s = self._config.call_limit_s
        now_s = wall_clock.monotonic_s()
        if said.call == "idle" or said.number != seat.seen_number:
            seat.seen_number, seat.seen_at_s = said.number, now_s
        elif now_s - seat.seen_at_s > limit_s:
            reason = (
                f"the call {said.call!r} took longer than runner.call_limit_s = {limit_s:g} s of wall time"
            )
            yield from self._lost(seat, leases, EpisodeStatus.TIMEOUT, reason)

    def _lost(
        self, seat: _Seat, leases: deque[list[Task]], status: EpisodeStatus, reason: str
    ) -> Iterator[TaskResult]:
        """Ends the announced episode, leases its siblings again and seats a new worker.

        When nobody in particular was announced (a batch), every episode of the lease gets a lease of its own.
        """
        said = read_announcement(seat.announcement)
        unfinished = dict(seat.lease)
        culprit = unfinished.pop(said.episode, None)
        if culprit is None and len(unfinished) == 1:
            _, culprit = unfinished.popitem()
        if culprit is None:
            leases.extend([task] for task in unfinished.values())
        elif unfinished:
            leases.appendleft(list(unfinished.values()))
        self._dismiss(seat)
        if culprit is not None:
            yield lost_result(
                culprit,
                self._facts,
                self._metrics,
                status=status,
                reason=f"{reason}, in call {said.call!r}" if status is EpisodeStatus.INFRA_ERROR else reason,
                worker=seat.name,
            )


def _end_workers(seats: Sequence[_Seat]) -> None:
    """Closes the workers that are idle, and kills all: one that is busy or lost does not answer."""
    closing = {seat.actor.close.remote(): seat.name for seat in seats if seat.stream is None}
    try:
        if closing:
            closed, late = ray.wait(
                list(closing), num_returns=len(closing), timeout=_CLOSING_S, fetch_local=False
            )
            for one in closed:
                try:
                    ray.get(one)
                except RayError as error:
                    _LOG.warning("Worker %s could not close: %s.", closing[one], _first_line(error))
            for one in late:
                _LOG.warning("Worker %s did not close within %g s and is killed.", closing[one], _CLOSING_S)
    finally:
        for seat in seats:
            ray.kill(seat.actor, no_restart=True)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _start_ray(address: str | None, num_workers: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        if address is not None:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                num_cpus=num_workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=256 * 1024 * 1024,
            )
    except Exception as error:
        where = f"reach the Ray cluster at {address}" if address else "start Ray on this machine"
        raise ConfigurationError(
            f"Cannot {where}: {_first_line(error)}. Use runner=in_process to run without Ray."
        ) from error


def _leases(tasks: Sequence[Task], num_workers: int, interleave: int) -> list[list[Task]]:
    """Splits tasks into leases of one world each, tasks of one agent beside each other, large leases first."""
    groups: dict[str, list[Task]] = {}
    for task in sorted(tasks, key=lambda t: (t.world.name, t.spec.agent.name, t.number)):
        groups.setdefault(task.world.key, []).append(task)
    leases = []
    for group in groups.values():
        size = max(1, min(_LEASE_FILLS * interleave, -(-len(group) // (3 * num_workers))))
        leases += [group[start : start + size] for start in range(0, len(group), size)]
    return leases
