"""Two-arm metrics on logs whose answers are known, and on an episode of the expert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from simloop.log import CONTACTS, Columns, EpisodeLog
from simloop.metrics.metric import Metric
from simloop_bimanual.metrics.handles_reached import HandlesReached
from simloop_bimanual.metrics.max_pot_clearance import MaxPotClearance
from simloop_bimanual.metrics.max_pot_tilt import MaxPotTilt
from simloop_bimanual.metrics.stage_metrics import MaxStage
from simloop_bimanual.tasks.lift import LiftTask


def _task(**columns: Any) -> EpisodeLog:
    length = len(next(iter(columns.values())))
    rows: dict[str, Any] = {c.name: np.zeros(length) for c in LiftTask.table.columns} | columns
    return EpisodeLog.from_columns({"world.task": LiftTask.table}, {"world.task": rows})


def _contacts(pairs: list[str]) -> EpisodeLog:
    columns: Columns = {c.name: np.zeros(len(pairs)) for c in CONTACTS.columns} | {"class_pair": pairs}
    return EpisodeLog.from_columns({"world.contacts": CONTACTS}, {"world.contacts": columns})


@pytest.mark.parametrize(
    ("metric", "columns", "expected"),
    [
        (MaxStage(), {"stage": [0, 1, 2, 1]}, 2.0),
        (MaxPotTilt(), {"pot_tilt_rad": [0.0, 0.3, 0.1]}, 0.3),
        (MaxPotClearance(), {"pot_clearance_m": [0.0, 0.12, 0.05]}, 0.12),
        # Each gripper gets there, but not at the same time.
        (
            HandlesReached(),
            {"left_handle_distance_m": [0.01, 0.2], "right_handle_distance_m": [0.2, 0.01]},
            0.0,
        ),
        (
            HandlesReached(),
            {"left_handle_distance_m": [0.2, 0.04], "right_handle_distance_m": [0.2, 0.039]},
            1.0,
        ),
        (
            HandlesReached(),
            {"left_handle_distance_m": [0.0, 0.0], "right_handle_distance_m": [0.2, 0.041]},
            0.0,
        ),
    ],
)
def test_task_metrics(metric: Metric, columns: Mapping[str, Any], expected: float) -> None:
    value = metric.evaluate(_task(**columns))
    assert value.is_valid
    assert value.value == pytest.approx(expected)


@pytest.mark.parametrize("metric", [MaxStage(), MaxPotTilt(), MaxPotClearance(), HandlesReached()])
def test_without_the_table_the_value_says_why(metric: Metric) -> None:
    value = metric.evaluate(_contacts([]))
    assert not value.is_valid
    assert "world.task" in value.reason
    assert not metric.evaluate(_task(stage=[])).is_valid
