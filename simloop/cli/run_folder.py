"""Finds the folder of a run."""

from __future__ import annotations

from pathlib import Path

from simloop.runner.planning import DEFAULT_RESULTS


def run_folder(run: str) -> Path:
    """Returns the folder of a run that is named by its id or by a path."""
    path = Path(run)
    return path if path.is_dir() else DEFAULT_RESULTS / run
