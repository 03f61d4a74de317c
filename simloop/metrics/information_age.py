"""Age of information: how old the newest delivered item of a sensor is, over time.

The age grows by itself and falls to the item's own age whenever a newer one arrives at the assembly; it is integrated
exactly from the first delivery to the episode's end. Definition: Kaul, Yates, Gruteser: Real-time status: how often
should one update?, IEEE INFOCOM 2012. Of several sensors of a kind the one with the largest value counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.metrics.episode_length import episode_length_ns
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction
from simloop.world import SensorKind

IntArray = npt.NDArray[np.int64]
Ages = tuple[float, float]


def age_of_information_ms(captured_ns: IntArray, delivered_ns: IntArray, end_ns: int) -> Ages:
    """Returns (time average, peak) of the age of the newest delivered item, from the first delivery to ``end_ns``.

    Args:
        captured_ns: (N,) capture instants of items that were delivered before ``end_ns``, N >= 1.
        delivered_ns: (N,) their delivery instants, in any order.
        end_ns: End of the interval.
    """
    order = np.argsort(delivered_ns, kind="stable")
    newest = np.maximum.accumulate(captured_ns[order])
    begin = delivered_ns[order]
    until = np.empty_like(begin)
    until[:-1], until[-1] = begin[1:], end_ns
    lowest, highest = (begin - newest) * 1e-6, (until - newest) * 1e-6
    area = 0.5 * float((highest * highest - lowest * lowest).sum())
    return area / (float(end_ns - begin[0]) * 1e-6), float(highest.max())


def _ages(kind: str, log: EpisodeLog) -> Ages | MetricValue:
    names = [name for name, of in log.attributes.get("sensor_kinds", {}).items() if of == kind]
    end_ns = episode_length_ns(log)
    sensor, delivered = log.column("captures", "sensor"), log.column("captures", "delivered_at_ns")
    captured = log.column("captures", "captured_at_ns")
    arrived = (delivered >= 0) & (delivered < end_ns)
    ages = []
    for name in names:
        rows = (sensor == name) & arrived
        if rows.any():
            ages.append(age_of_information_ms(captured[rows], delivered[rows], end_ns))
    if not ages:
        return MetricValue.invalid(f"no sensor of kind {kind} delivered an item")
    return max(a[0] for a in ages), max(a[1] for a in ages)


def _mean(ages: Ages) -> float:
    return ages[0]


def _peak(ages: Ages) -> float:
    return ages[1]


def _metrics(kind: str) -> tuple[Reduction, ...]:
    read: Callable[[EpisodeLog], Ages | MetricValue] = partial(_ages, kind)
    return tuple(
        Reduction(
            name=f"information_age_{kind}_{word}_ms",
            description=f"{phrase} of the age of the newest delivered item of the {kind} sensors.",
            read=read,
            reduce=reduce,
            unit="ms",
            tables=("captures", "outcomes"),
            higher_is_better=False,
        )
        for word, phrase, reduce in (("mean", "Time average", _mean), ("peak", "Peak", _peak))
    )


INFORMATION_AGE = tuple(metric for kind in SensorKind for metric in _metrics(kind.value))
