"""Age of the applied actions: from the capture that a chunk was computed from to the instant its action took effect."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.kinematics import FloatArray
from simloop.metrics.metric import Metric, MetricValue


def _ages_ms(log: EpisodeLog) -> FloatArray:
    age_ns = log.column("ticks", "action_age_ns")
    ages: FloatArray = age_ns[age_ns >= 0] * 1e-6
    return ages


class ActionAgeMean(Metric):
    """Mean action age over the control ticks that were not held."""

    name = "action_age_mean_ms"
    unit = "ms"
    description = "Mean age of the applied actions."
    tables = ("ticks",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``ticks.action_age_ns``."""
        ages = _ages_ms(log)
        return (
            MetricValue(value=float(ages.mean()))
            if len(ages)
            else MetricValue.invalid("no action was applied")
        )


class ActionAgeP95(Metric):
    """95th percentile of the action age over the control ticks that were not held."""

    name = "action_age_p95_ms"
    unit = "ms"
    description = "95th percentile of the age of the applied actions."
    tables = ("ticks",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``ticks.action_age_ns``; linear interpolation between ranks."""
        ages = _ages_ms(log)
        if not len(ages):
            return MetricValue.invalid("no action was applied")
        return MetricValue(value=float(np.percentile(ages, 95.0)))


class ActionAgeMax(Metric):
    """Largest action age over the control ticks that were not held."""

    name = "action_age_max_ms"
    unit = "ms"
    description = "Largest age of an applied action."
    tables = ("ticks",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``ticks.action_age_ns``."""
        ages = _ages_ms(log)
        return (
            MetricValue(value=float(ages.max()))
            if len(ages)
            else MetricValue.invalid("no action was applied")
        )
