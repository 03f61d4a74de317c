"""Runs tasks in this process, for debugging and for tests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from simloop.errors import CallTimeoutError
from simloop.runner.config import RunnerConfig
from simloop.runner.worker import IN_PROCESS, EpisodeWorker, RunFacts, Task, TaskResult


class InProcessExecutor:
    """Runs tasks one worker at a time in this process.

    The wall limit of a call is kept with an alarm signal, which needs the main thread and ends calls that run Python
    code; a call that hangs in native code is ended by the Ray executor only.

    Args:
        config: How the run is executed.
        facts: What every row says about the run.
    """

    def __init__(self, config: RunnerConfig, facts: RunFacts) -> None:
        self._limit_s = config.call_limit_s
        self._call = ""
        self._worker = EpisodeWorker(
            facts=facts, name=IN_PROCESS, interleave=config.interleave, announce=self._announce
        )

    def run(self, tasks: Sequence[Task]) -> Iterator[TaskResult]:
        """Yields each result when its episode has ended."""
        if threading.current_thread() is not threading.main_thread():
            yield from self._worker.run(tasks)
            return
        before = signal.signal(signal.SIGALRM, self._expired)
        try:
            yield from self._worker.run(tasks)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)

    def close(self) -> None:
        """Frees worlds and agents."""
        self._worker.close()

    def _announce(self, episode: int, call: str) -> None:
        self._call = call
        if threading.current_thread() is threading.main_thread():
            signal.setitimer(signal.ITIMER_REAL, 0.0 if call == "idle" else self._limit_s)

    def _expired(self, number: int, frame: FrameType | None) -> None:
        raise CallTimeoutError(
            f"The call {self._call!r} took longer than runner.call_limit_s = {self._limit_s:g} s of wall time."
        )
