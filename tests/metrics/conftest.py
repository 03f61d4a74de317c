"""Logs that are small enough to be judged by hand: what a test does not name is zero, or -1 where that means none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from simloop.log import CONTACTS, EpisodeLog
from simloop.loop_tables import loop_schemas
from simloop.metrics.core_metrics import core_metrics
from simloop.metrics.evaluate import evaluate

ATTRIBUTES = {
    "control_period_ns": 50_000_000,
    "action_dimensions": ["gain", "yaw_rad"],
    "action_low": [-1.0, -3.0],
    "action_high": [1.0, 3.0],
    "horizon": 8,
}
NONE_BY_DEFAULT = {"correction", "context_age_ns"}
BLANKS = {"int64": 0, "float64": 0.0, "bool": False, "text": ""}

LogOf = Callable[..., EpisodeLog]
Values = Callable[..., tuple[dict[str, float | None], dict[str, str]]]


def build(attributes: Mapping[str, Any] | None = None, **tables: Mapping[str, Any]) -> EpisodeLog:
    """Returns a log of the given columns; every other column of a named table is blank."""
    schemas = {**loop_schemas(2), "world.contacts": CONTACTS}
    filled = {}
    for name, columns in tables.items():
        table = "world.contacts" if name == "contacts" else name
        num_rows = len(next(iter(columns.values())))
        blanks: dict[str, Any] = {}
        for column in schemas[table].columns:
            blank = -1 if column.name in NONE_BY_DEFAULT else BLANKS[column.dtype]
            blanks[column.name] = [[blank] * column.width if column.width else blank] * num_rows
        if table == "inferences":
            blanks["call"] = ["policy"] * num_rows
            blanks["request"] = list(range(num_rows))
        if table == "ticks":
            blanks["tick"] = list(range(num_rows))
        filled[table] = {**blanks, **columns}
    return EpisodeLog.from_columns(schemas, filled, ATTRIBUTES if attributes is None else attributes)


@pytest.fixture
def log_of() -> LogOf:
    """Makes a log of partial tables: ``log_of(attributes, ticks={"t_ns": [...], ...}, ...)``."""
    return build


@pytest.fixture
def values() -> Values:
    """Makes (value by metric, reason by metric) of a log made of partial tables."""

    def judge(attributes: Mapping[str, Any] | None = None, **tables: Any) -> tuple[Any, Any]:
        result = evaluate(core_metrics(), build(attributes, **tables))
        return result.values, result.reasons

    return judge
