"""Metrics that are a number made of one reading of the log; metrics of the same reading share it.

Most tables are judged by several numbers of one sample (mean, percentiles, maximum). The sample is read once for all
of them by ``evaluate``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue

FloatArray = npt.NDArray[np.float64]
Read = Callable[[EpisodeLog], Any]
Reduce = Callable[[Any], float | MetricValue]


class Reduction(Metric):
    """``reduce(read(log))``.

    Args:
        name: As in ``Metric``.
        description: As in ``Metric``.
        read: Reads what the metric is made of, or returns an invalid value that says why it cannot.
        reduce: Makes the value (or an invalid one) of what was read; by default what was read is the value.
        unit: As in ``Metric``.
        tables: As in ``Metric``.
        higher_is_better: As in ``Metric``.
        version: As in ``Metric``.
        is_motion: As in ``Metric``.
    """

    def __init__(
        self,
        *,
        name: str,
        description: str,
        read: Read,
        reduce: Reduce = float,
        unit: str = "",
        tables: tuple[str, ...] = (),
        higher_is_better: bool | None = None,
        version: int = 1,
        is_motion: bool = False,
    ) -> None:
        self.is_motion = is_motion
        self.name, self.description, self.unit = name, description, unit
        self.tables, self.higher_is_better, self.version = tables, higher_is_better, version
        self.read, self._reduce = read, reduce

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads the log and reduces what it read."""
        return self.reduce(self.read(log))

    def reduce(self, reading: Any) -> MetricValue:
        """Returns the value of what ``read`` returned."""
        value = reading if isinstance(reading, MetricValue) else self._reduce(reading)
        return value if isinstance(value, MetricValue) else MetricValue(value=value)


def percentile(values: FloatArray, percent: float) -> float:
    """Returns a percentile of (N,) values, N >= 1, by linear interpolation between ranks.

    The numbers of ``numpy.percentile``, at a tenth of its cost for the few values of an episode.
    """
    ordered = np.sort(values)
    rank = (len(ordered) - 1) * (percent / 100.0)
    below = math.floor(rank)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    share = rank - below
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1.0 - share)


_PERCENT = {"p50": 50.0, "p95": 95.0, "p99": 99.0}
_PHRASES = {
    "mean": "Mean",
    "p50": "Median",
    "p95": "95th percentile",
    "p99": "99th percentile",
    "max": "Maximum",
}


def statistic(kind: str, empty: str, values: FloatArray) -> float | MetricValue:
    """Returns the ``kind`` (mean, p50, p95, p99, max) of (N,) values, or an invalid value with reason ``empty``."""
    if not len(values):
        return MetricValue.invalid(empty)
    if kind == "mean":
        return float(values.sum()) / len(values)
    return float(values.max()) if kind == "max" else percentile(values, _PERCENT[kind])


def statistics(
    stem: str,
    *,
    unit: str,
    of: str,
    read: Callable[[EpisodeLog], FloatArray | MetricValue],
    kinds: tuple[str, ...],
    empty: str,
    tables: tuple[str, ...],
    higher_is_better: bool | None = False,
    version: int = 1,
) -> tuple[Reduction, ...]:
    """Returns one metric ``<stem>_<kind>_<unit>`` for each kind of statistic of one sample.

    Args:
        stem: First part of the names.
        unit: Unit of the sample, last part of the names.
        of: What the sample is; follows the statistic in the descriptions.
        read: Returns the sample, (N,) float64.
        kinds: Of mean, p50, p95, p99, max.
        empty: Reason when the sample is empty.
        tables: Tables that ``read`` needs.
        higher_is_better: Direction.
        version: Version of all of them.
    """
    return tuple(
        Reduction(
            name=f"{stem}_{kind}_{unit}",
            description=f"{_PHRASES[kind]} of {of}.",
            read=read,
            reduce=partial(statistic, kind, empty),
            unit=unit,
            tables=tables,
            higher_is_better=higher_is_better,
            version=version,
        )
        for kind in kinds
    )
