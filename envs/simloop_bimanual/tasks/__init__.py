"""The two-arm tasks, by the name that scenarios use."""

from __future__ import annotations

from collections.abc import Mapping

from simloop_bimanual.tasks.lift import LiftTask
from simloop_bimanual.tasks.task import Task

__all__ = ["TASKS", "Task"]

TASKS: Mapping[str, type[Task]] = {task.name: task for task in (LiftTask,)}
"""Every task, by its name."""
