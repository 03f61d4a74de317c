"""The seam of a metric: what it reads, what it is called, and one pure function of an episode log."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from simloop.log import EpisodeLog

MISSING_TABLE = "the log has no table"
"""How the reason begins when a metric is for another world."""

METRIC_RAISED = "the metric raised"
"""How the reason begins when a metric ended with an error."""

MOTION_TABLES = ("world.motion", "world.joints", "world.links")
"""Tables of how things moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """One value of a metric.

    Attributes:
        value: The value in the metric's unit; NaN if it is not valid.
        is_valid: Whether the metric could be computed for this episode.
        reason: Why not, when it could not.
    """

    value: float
    is_valid: bool = True
    reason: str = ""

    @classmethod
    def invalid(cls, reason: str) -> MetricValue:
        """The value of a metric that could not be computed."""
        return cls(value=math.nan, is_valid=False, reason=reason)


class Metric(ABC):
    """A pure function of an episode log.

    Attributes:
        name: Column name in the results, with its unit as suffix, for example ``"min_ttc_s"``.
        unit: Unit of the value; empty for ratios, counts and flags.
        description: One sentence for lists and reports.
        version: Raised whenever the value can change for an old log.
        tables: Tables of the log that it reads; without them the value is not valid.
        higher_is_better: Direction, or None if there is none.
        thresholds: Values that a reader compares with, by a short name with its source; reports draw them.
        is_motion: Set for a metric of motion that reads none of ``MOTION_TABLES``, such as one of the actions alone.
    """

    name: str
    unit: str = ""
    description: str
    version: int = 1
    tables: tuple[str, ...] = ()
    higher_is_better: bool | None = None
    thresholds: ClassVar[Mapping[str, float]] = MappingProxyType({})

    is_motion: bool = False

    @property
    def is_about_motion(self) -> bool:
        """Whether it judges how something moved: it says so, or reads one of ``MOTION_TABLES``."""
        return self.is_motion or any(table in MOTION_TABLES for table in self.tables)

    def evaluate(self, log: EpisodeLog) -> MetricValue:
        """Returns the value, or an invalid one with its reason when the log lacks a table."""
        missing = [t for t in self.tables if not log.has(t)]
        if missing:
            return MetricValue.invalid(f"{MISSING_TABLE} {', '.join(missing)}")
        return self.compute(log)

    @abstractmethod
    def compute(self, log: EpisodeLog) -> MetricValue:
        """Computes the value; every table in ``tables`` is there."""
