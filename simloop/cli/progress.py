"""Shows a run's progress: a bar on a terminal, one line every few episodes elsewhere."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from simloop import wall_clock
from simloop.store.row import Row

_LINES = 10
_SILENT_START_S = 10.0
"""A run whose first episode takes longer to end says what it may be waiting for."""


class RunProgress:
    """Counts finished episodes by status.

    Args:
        console: Where to write.
        total: Episodes of the run.
        num_done: Episodes that were recorded before.
    """

    def __init__(self, console: Console, *, total: int, num_done: int) -> None:
        self._console = console
        self._total = total
        self._num_done = num_done
        self._counts: Counter[str] = Counter()
        self._every = max(1, total // _LINES)
        self._started_s = wall_clock.now_s()
        self._hint = threading.Timer(_SILENT_START_S, self._speak_of_the_start)
        self._hint.daemon = True
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("episodes", total=total, completed=num_done)

    def __enter__(self) -> RunProgress:
        if self._bar is not None:
            self._bar.start()
        if self._num_done < self._total:
            self._hint.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hint.cancel()
        if self._bar is not None:
            self._bar.stop()

    def extend(self, total: int) -> None:
        """Takes the number of episodes that the run has come to, which grows with the rounds of a campaign."""
        if total > self._total:
            self._total = total
            if self._bar is not None:
                self._bar.update(self._task, total=total)

    def __call__(self, row: Row) -> None:
        """Takes one finished episode."""
        self._hint.cancel()
        self._num_done += 1
        self._counts[str(row["status"])] += 1
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self._counts.items()))
        if self._bar is not None:
            self._bar.update(self._task, completed=self._num_done, description=counts)
        elif self._num_done % self._every == 0 or self._num_done == self._total:
            elapsed_s = wall_clock.now_s() - self._started_s
            self._console.print(f"{self._num_done}/{self._total} episodes after {elapsed_s:.0f} s: {counts}")

    def _speak_of_the_start(self) -> None:
        self._console.print(
            f"No episode has ended within {_SILENT_START_S:g} s. Workers and their worlds start first; the first start "
            "on a machine compiles, which can take minutes.",
            soft_wrap=True,
            highlight=False,
        )
