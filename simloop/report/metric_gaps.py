"""What metrics have no value in, and why: said by name, so that nobody takes the gap for a zero or a pass."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simloop.metrics.evaluate import INVALID_COLUMN
from simloop.metrics.metric import METRIC_RAISED, MISSING_TABLE
from simloop.report.cells import Rows, is_judged

MAX_GAPS_SHOWN = 300
"""Rows of the report's table: reasons may hold numbers, so that a run can have many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricGap:
    """A metric without a value in judged episodes, for one reason.

    Attributes:
        metric: Its name.
        reason: The reason.
        num_episodes: Judged episodes in which it has no value for that reason.
    """

    metric: str
    reason: str
    num_episodes: int

    @property
    def is_error(self) -> bool:
        """Whether the metric raised."""
        return self.reason.startswith(METRIC_RAISED)


def reasons_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Returns why metrics have no value in an episode, by name; metrics of other worlds are left out."""
    return {name: why for name, why in _all_reasons(row).items() if not why.startswith(MISSING_TABLE)}


def metric_gaps(rows: Rows) -> list[MetricGap]:
    """Returns the reasons for which metrics lack a value in judged rows, metrics of other worlds left out.

    Metrics that raised come first, then what most episodes lack, then the order of names and reasons.
    """
    return _gaps(pair for row in rows if is_judged(row) for pair in reasons_of(row).items())


def gaps_of(metric: str, rows: Rows) -> list[MetricGap]:
    """Returns the reasons for which one metric lacks a value in judged rows, in the same order, of any world."""
    reasons = (_all_reasons(row) for row in rows if is_judged(row))
    return _gaps((metric, found[metric]) for found in reasons if metric in found)


def _all_reasons(row: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = json.loads(row.get(INVALID_COLUMN) or "{}")
    return found


def _gaps(reasons: Iterable[tuple[str, str]]) -> list[MetricGap]:
    counts = Counter(reasons)
    gaps = [MetricGap(metric=name, reason=why, num_episodes=num) for (name, why), num in counts.items()]
    return sorted(gaps, key=lambda gap: (not gap.is_error, -gap.num_episodes, gap.metric, gap.reason))
