"""Judges one episode log by a set of metrics and lays the values out as columns of the episode's row."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simloop.errors import ConfigurationError
from simloop.log import EpisodeLog
from simloop.metrics.collision import collision_classes
from simloop.metrics.metric import METRIC_RAISED, Metric, MetricValue
from simloop.metrics.reduction import Read, Reduction

INVALID_COLUMN = "invalid_metrics"
"""Row column: JSON object, reason by name of each metric that has no value."""
COLLISION_CLASSES_COLUMN = "collision_classes"
"""Row column: JSON object, number of collisions by class pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a set of metrics says about one episode.

    Attributes:
        values: Value by metric name; None where it could not be computed.
        reasons: Why not, by metric name, for each None.
        collisions: Number of collisions by class pair.
    """

    values: dict[str, float | None]
    reasons: dict[str, str]
    collisions: dict[str, int] = field(default_factory=dict)

    def columns(self) -> dict[str, float | str | None]:
        """Returns the values as row columns, with the reasons and collision classes as JSON text."""
        return {
            **self.values,
            INVALID_COLUMN: json.dumps(self.reasons, sort_keys=True),
            COLLISION_CLASSES_COLUMN: json.dumps(self.collisions, sort_keys=True),
        }


def check_unique(metrics: Iterable[Metric]) -> None:
    """Raises ConfigurationError if two metrics share a name."""
    seen: dict[str, Metric] = {}
    for metric in metrics:
        other = seen.setdefault(metric.name, metric)
        if other is not metric:
            raise ConfigurationError(
                f"Two metrics are named {metric.name!r}: {type(other).__module__}.{type(other).__qualname__} and "
                f"{type(metric).__module__}.{type(metric).__qualname__}. Rename one of them."
            )


def evaluate(metrics: Sequence[Metric], log: EpisodeLog) -> Evaluation:
    """Computes every metric on ``log``; what several metrics are reductions of is read once.

    A metric that raises does not end the run: its value is None and the reason holds the error and its place.
    """
    check_unique(metrics)
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    readings: dict[Read, Any] = {}
    for metric in metrics:
        result = _evaluate_one(metric, log, readings)
        if result.is_valid and math.isfinite(result.value):
            values[metric.name] = float(result.value)
        else:
            values[metric.name] = None
            reasons[metric.name] = result.reason or f"the value is {result.value}"
    return Evaluation(values=values, reasons=reasons, collisions=collision_classes(log))


def unevaluated(metrics: Sequence[Metric], reason: str) -> Evaluation:
    """Returns the evaluation of an episode that left no usable log: no value, one reason for all."""
    check_unique(metrics)
    return Evaluation(values={m.name: None for m in metrics}, reasons={m.name: reason for m in metrics})


def _evaluate_one(metric: Metric, log: EpisodeLog, readings: dict[Read, Any]) -> MetricValue:
    try:
        if not isinstance(metric, Reduction) or not all(map(log.has, metric.tables)):
            return metric.evaluate(log)
        if metric.read not in readings:
            readings[metric.read] = metric.read(log)
        return metric.reduce(readings[metric.read])
    except Exception as error:  # noqa: BLE001 - a foreign metric; its error becomes the reason in the row
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return MetricValue.invalid(f"{METRIC_RAISED} {type(error).__name__}: {error} ({place})")


def metric_versions(metrics: Sequence[Metric]) -> str:
    """Returns one text that changes whenever a metric is added, removed or changes its version."""
    return ",".join(f"{m.name}:{m.version}" for m in sorted(metrics, key=lambda m: m.name))
