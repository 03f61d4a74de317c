"""What metrics have no value in, and why: said by name, so that nobody takes the gap for a zero or a pass."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simloop.metrics.evaluate import INVALID_COLUMN
from simloop.metrics.metric import MISSING_TABLE
from simloop.report.cells import Rows, is_judged


@dataclass(frozen=True, slots=True, kw_only=True)
class NotComputed:
    """A metric without a value in judged episodes.

    Attributes:
        metric: Its name.
        num_episodes: Judged episodes in which it has none.
        reason: The most frequent reason.
        num_reasons: How many different ones there are.
    """

    metric: str
    num_episodes: int
    reason: str
    num_reasons: int


def reasons_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Returns why metrics have no value in an episode, by name; metrics of other worlds are left out."""
    found: dict[str, str] = json.loads(row.get(INVALID_COLUMN) or "{}")
    return {name: why for name, why in found.items() if not why.startswith(MISSING_TABLE)}


def not_computed(rows: Rows) -> list[NotComputed]:
    """Returns the metrics that lack a value in judged rows, those that lack most first, then by name."""
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if is_judged(row):
            for name, why in reasons_of(row).items():
                reasons[name][why] += 1
    found = [
        NotComputed(
            metric=name, num_episodes=whys.total(), reason=whys.most_common(1)[0][0], num_reasons=len(whys)
        )
        for name, whys in reasons.items()
    ]
    return sorted(found, key=lambda one: (-one.num_episodes, one.metric))
