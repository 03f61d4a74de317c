"""What a run says while it goes on."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from simloop.cli.progress import RunProgress


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("is_slow", [True, False])
def test_a_slow_start_is_spoken_of_once(is_slow: bool, is_terminal: bool, timers: list[Any]) -> None:
    said = io.StringIO()
    row: Any = {"status": "success"}
    with RunProgress(
        Console(file=said, force_terminal=is_terminal, width=200), total=2, num_done=0
    ) as run_progress:
        (hint,) = timers
        if is_slow:
            hint.elapse()
        run_progress(row)
        hint.elapse()
        run_progress(row)
    assert said.getvalue().count(f"No episode has ended within {hint.after_s:g} s.") == is_slow


def test_a_run_that_ends_early_does_not_speak_of_its_start_afterwards(timers: list[Any]) -> None:
    said = io.StringIO()
    with RunProgress(Console(file=said), total=2, num_done=0):
        pass
    timers[0].elapse()
    assert said.getvalue() == ""


def test_a_run_that_is_done_already_does_not_speak_of_its_start(timers: list[Any]) -> None:
    said = io.StringIO()
    with RunProgress(Console(file=said), total=2, num_done=2):
        timers[0].elapse()
    assert said.getvalue() == ""
