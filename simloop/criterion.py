"""The kinds of criterion of a suite, and the names that they need; ``simloop.criteria`` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simloop.errors import UnknownNameError
from simloop.stats.paired import Alternative

AXES = ("scenario", "world", "agent", "timing", "strategy")
"""Row columns by which episodes are selected and arms are told apart."""
COMPARED_AXES = ("agent", "timing", "strategy")
"""Axes of which two values can be compared: both arms then play the same cases."""
SUCCESS = "success"
"""Name of the episode's verdict where a metric's name is expected."""
STATISTICS = ("mean", "median", "p95", "min", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which episodes a criterion is about: allowed names by axis; an axis that is not there allows all."""

    names: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row's columns are among the allowed names."""
        return all(row[axis] in allowed for axis, allowed in self.names)

    def __str__(self) -> str:
        return ", ".join(f"{axis} {' or '.join(allowed)}" for axis, allowed in self.names) or "all episodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedCriterion:
    """Every planned episode ended as success or fail."""

    name: str = "every episode ended as success or fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCriterion:
    """A statistic of a metric over the selected episodes is within bounds.

    Attributes:
        name: For reports.
        metric: ``success`` or a metric's name.
        selection: The episodes.
        statistic: One of ``STATISTICS``; the mean of a flag is its rate.
        at_least: Lower bound, or None.
        at_most: Upper bound, or None.
        per: Axes whose every value must satisfy the bounds by itself.
    """

    name: str
    metric: str
    selection: Selection
    statistic: str = "mean"
    at_least: float | None = None
    at_most: float | None = None
    per: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareCriterion:
    """One arm is better (or other) than another on the same cases, by a paired exact McNemar test.

    A pair is one case under one timing and one strategy.

    Attributes:
        name: For reports.
        metric: ``success`` or a metric whose values are 0 and 1.
        selection: The episodes, on the axes that are not compared.
        axis: Row column that tells the arms apart.
        first: The arm that the test is about.
        second: The arm that it is compared with.
        alternative: What must be shown about the first arm.
        alpha: Level of the test; the criterion passes if p < alpha.
    """

    name: str
    metric: str
    selection: Selection
    axis: str
    first: str
    second: str
    alternative: Alternative
    alpha: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PreventableCriterion:
    """Not too many of the selected episodes fail where a reference agent succeeds.

    Attributes:
        name: For reports.
        selection: The episodes.
        at_most: Most preventable fails, or None.
        at_most_ratio: Most preventable fails, as a share of the cases that at least one reference agent avoids, or
            None.
    """

    name: str
    selection: Selection
    at_most: int | None = None
    at_most_ratio: float | None = None


Criterion = EndedCriterion | ThresholdCriterion | CompareCriterion | PreventableCriterion


def check_names(
    criteria: Iterable[Criterion], axes: Mapping[str, Iterable[str]], metrics: Iterable[str], where: str
) -> None:
    """Checks that every name in the criteria is one of the run's.

    Args:
        criteria: The criteria.
        axes: Names that the run has on each axis; an axis that is not there is not checked.
        metrics: Names of the metrics that are computed.
        where: File that the criteria come from.

    Raises:
        UnknownNameError: A criterion names something that the run does not have.
    """
    allowed_metrics = (SUCCESS, *metrics)
    for criterion in criteria:
        if (
            isinstance(criterion, (ThresholdCriterion, CompareCriterion))
            and criterion.metric not in allowed_metrics
        ):
            raise UnknownNameError(
                "metric", criterion.metric, allowed_metrics, where=f"{where}: {criterion.name}"
            )
        for axis, name in missing_names(criterion, axes):
            raise UnknownNameError(axis, name, axes[axis], where=f"{where}: {criterion.name}")


def missing_names(criterion: Criterion, axes: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Returns (axis, name) of what a criterion needs and ``axes`` lacks; axes that are not there are passed over."""
    if isinstance(criterion, EndedCriterion):
        return []
    known = {axis: tuple(names) for axis, names in axes.items()}
    if isinstance(criterion, CompareCriterion):
        arms = [(criterion.axis, arm) for arm in (criterion.first, criterion.second)]
        missing = [(axis, arm) for axis, arm in arms if axis in known and arm not in known[axis]]
    else:
        missing = []
    for axis, names in criterion.selection.names:
        absent = [(axis, name) for name in names if axis in known and name not in known[axis]]
        missing += absent
    return missing
