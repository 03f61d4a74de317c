"""What a run says while it goes on."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from simloop.cli import progress
from simloop.cli.progress import RunProgress


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize(("ends_after_s", "is_spoken_of"), [(0.3, True), (0.0, False)])
def test_a_slow_start_is_spoken_of_once(
    ends_after_s: float, is_spoken_of: bool, is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SILENT_START_S", 0.1)
    said = io.StringIO()
    row: Any = {"status": "success"}
    with RunProgress(
        Console(file=said, force_terminal=is_terminal, width=200), total=2, num_done=0
    ) as run_progress:
        time.sleep(ends_after_s)
        run_progress(row)
        time.sleep(0.2)
        run_progress(row)
    assert said.getvalue().count("No episode has ended within 0.1 s.") == is_spoken_of


def test_a_run_that_is_done_already_does_not_speak_of_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SILENT_START_S", 0.01)
    said = io.StringIO()
    with RunProgress(Console(file=said), total=2, num_done=2):
        time.sleep(0.1)
    assert said.getvalue() == ""
