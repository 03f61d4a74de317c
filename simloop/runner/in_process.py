"""Runs tasks in this process, for debugging and for tests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from simloop import wall_clock
from simloop.errors import CallTimeoutError
from simloop.runner.config import RunnerConfig
from simloop.runner.worker import IN_PROCESS, EpisodeWorker, RunFacts, Task, TaskResult

_LOOKS = 10
"""How often a call is looked at within its limit."""


class InProcessExecutor:
    """Runs tasks one worker at a time in this process.

    The wall limit of a call is kept with a periodic alarm signal, which needs the main thread and ends calls that run
    Python code; a call that hangs in native code is ended by the Ray executor only. A call is ended between one and
    ``1 + 2 / _LOOKS`` times its limit.

    Args:
        config: How the run is executed.
        facts: What every row says about the run.
    """

    def __init__(self, config: RunnerConfig, facts: RunFacts) -> None:
        self._limit_s = config.call_limit_s
        self._call = "idle"
        self._num_calls = 0
        self._seen_calls = -1
        self._seen_at_s = 0.0
        self._worker = EpisodeWorker(
            facts=facts, name=IN_PROCESS, interleave=config.interleave, announce=self._announce
        )

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields each result when its episode has ended."""
        if threading.current_thread() is not threading.main_thread():
            yield from self._worker.run(tasks)
            return
        before = signal.signal(signal.SIGALRM, self._look)
        every_s = self._limit_s / _LOOKS
        signal.setitimer(signal.ITIMER_REAL, every_s, every_s)
        try:
            yield from self._worker.run(tasks)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)

    def close(self) -> None:
        """Frees worlds and agents."""
        self._worker.close()

    def _announce(self, episode: int, call: str) -> None:
        """Is called several times a control tick, so it does next to nothing."""
        self._call = call
        self._num_calls += 1

    def _look(self, number: int, frame: FrameType | None) -> None:
        """Ends a call that is still the one that was seen a limit ago."""
        now_s = wall_clock.monotonic_s()
        if self._call == "idle" or self._num_calls != self._seen_calls:
            self._seen_calls, self._seen_at_s = self._num_calls, now_s
        elif now_s - self._seen_at_s >= self._limit_s:
            self._seen_calls = -1
            raise CallTimeoutError(
                f"The call {self._call!r} took longer than runner.call_limit_s = {self._limit_s:g} s of wall time."
            )
