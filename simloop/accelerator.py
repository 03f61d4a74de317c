"""The accelerator that answers one kind of call: its servers, and what waits in front of them."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from simloop.timing.stage_graph import QueueRule


class Job(Protocol):
    """What an accelerator knows of a request.

    Attributes:
        request: Its number.
        batch: Requests that are answered together with it, itself included; 0 until it starts.
    """

    request: int
    batch: int

    def drop_in_queue(self) -> None:
        """The request is dropped from the queue, or not let in."""


JobT = TypeVar("JobT", bound=Job)
_T = TypeVar("_T")


class Accelerator(Generic[JobT]):
    """A number of servers behind one queue.

    A request that finds a server free starts at once. Else it waits by the queue's rule: ``latest_wins`` keeps the
    newest request only, ``fifo`` keeps all, ``drop_oldest`` and ``drop_newest`` keep ``queue_size`` of them. A server
    that becomes free takes up to ``max_batch`` waiting requests, which it finishes together.

    Args:
        servers: Requests (or batches) that are worked on at once; 0 is without bound (pipelined).
        rule: What waits.
        queue_size: How many wait at most under ``drop_oldest`` and ``drop_newest``.
        max_batch: How many waiting requests a server takes at once.
    """

    __slots__ = ("_max_batch", "_num_running", "_queue_size", "_rule", "_servers", "_unfinished", "_waiting")

    def __init__(self, *, servers: int, rule: QueueRule, queue_size: int, max_batch: int) -> None:
        self._servers = servers
        self._rule = rule
        self._queue_size = queue_size
        self._max_batch = max_batch
        self._num_running = 0
        self._waiting: deque[JobT] = deque()
        self._unfinished: dict[int, list[int]] = {}

    @property
    def waiting(self) -> tuple[JobT, ...]:
        """The requests that wait, the next one first."""
        return tuple(self._waiting)

    @property
    def servers(self) -> int:
        """Servers; 0 is without bound."""
        return self._servers

    def arrive(self, job: JobT) -> JobT | None:
        """Takes a request; returns it if it starts at once."""
        if not self._servers or self._num_running < self._servers:
            self._num_running += 1
            job.batch = 1
            return job
        dropped = self.make_room(self._waiting)
        if dropped is None:
            job.drop_in_queue()
            return None
        for old in dropped:
            old.drop_in_queue()
        self._waiting.append(job)
        return None

    def make_room(self, waiting: deque[_T]) -> list[_T] | None:
        """Takes out of a queue what a newcomer drops and returns it; None if the newcomer is not let in."""
        if self._rule is QueueRule.LATEST_WINS:
            num_dropped = len(waiting)
        elif self._rule is QueueRule.FIFO:
            num_dropped = 0
        else:
            num_dropped = max(len(waiting) - self._queue_size + 1, 0)
            if num_dropped and self._rule is QueueRule.DROP_NEWEST:
                return None
        return [waiting.popleft() for _ in range(num_dropped)]

    def cancel(self) -> None:
        """Empties the queue."""
        self._waiting.clear()
        self._unfinished.clear()

    def finish(self, job: JobT) -> tuple[JobT, ...]:
        """Takes note that a request is finished; returns the requests that start now, as one batch."""
        if job.batch > 1:
            unfinished = self._unfinished.pop(job.request)
            unfinished[0] -= 1
            if unfinished[0]:
                return ()
        self._num_running -= 1
        waiting = self._waiting
        if not waiting:
            return ()
        count = min(self._max_batch, len(waiting))
        starting = tuple(waiting.popleft() for _ in range(count))
        self._num_running += 1
        for started in starting:
            started.batch = count
        if count > 1:
            unfinished = [count]
            self._unfinished.update((started.request, unfinished) for started in starting)
        return starting
