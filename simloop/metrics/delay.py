"""Realised delay d of the installed chunks, counted in control ticks, and how far its prediction was off."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.kinematics import FloatArray
from simloop.metrics.metric import Metric, MetricValue

_NONE_INSTALLED = MetricValue.invalid("no chunk was installed")


def _installed(log: EpisodeLog, column: str) -> FloatArray:
    values: FloatArray = log.column("inferences", column)[log.column("inferences", "state") == "installed"]
    return values.astype(np.float64)


def _errors(log: EpisodeLog) -> FloatArray:
    return _installed(log, "realised_delay_ticks") - _installed(log, "predicted_delay_ticks")


class RealisedDelayMean(Metric):
    """Mean realised delay of the installed chunks."""

    name = "realised_delay_mean_ticks"
    unit = "ticks"
    description = "Mean realised delay d, control ticks from observation to install."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.realised_delay_ticks``."""
        delay = _installed(log, "realised_delay_ticks")
        return MetricValue(value=float(delay.mean())) if len(delay) else _NONE_INSTALLED


class RealisedDelayP95(Metric):
    """95th percentile of the realised delay of the installed chunks."""

    name = "realised_delay_p95_ticks"
    unit = "ticks"
    description = "95th percentile of the realised delay d."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.realised_delay_ticks``; linear interpolation between ranks."""
        delay = _installed(log, "realised_delay_ticks")
        return MetricValue(value=float(np.percentile(delay, 95.0))) if len(delay) else _NONE_INSTALLED


class RealisedDelayMax(Metric):
    """Largest realised delay of an installed chunk."""

    name = "realised_delay_max_ticks"
    unit = "ticks"
    description = "Largest realised delay d."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``inferences.realised_delay_ticks``."""
        delay = _installed(log, "realised_delay_ticks")
        return MetricValue(value=float(delay.max())) if len(delay) else _NONE_INSTALLED


class DelayErrorMean(Metric):
    """Mean of realised minus predicted delay: the bias of the prediction."""

    name = "delay_error_mean_ticks"
    unit = "ticks"
    description = "Mean of realised minus predicted delay."
    tables = ("inferences",)

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Compares the two delay columns of ``inferences``."""
        errors = _errors(log)
        return MetricValue(value=float(errors.mean())) if len(errors) else _NONE_INSTALLED


class DelayErrorP95(Metric):
    """95th percentile of realised minus predicted delay."""

    name = "delay_error_p95_ticks"
    unit = "ticks"
    description = "95th percentile of realised minus predicted delay."
    tables = ("inferences",)

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Compares the two delay columns of ``inferences``; linear interpolation between ranks."""
        errors = _errors(log)
        return MetricValue(value=float(np.percentile(errors, 95.0))) if len(errors) else _NONE_INSTALLED


class DelayOverrunRatio(Metric):
    """Share of the installed chunks that came later than predicted."""

    name = "delay_overrun_ratio"
    description = "Share of installed chunks that came later than predicted."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the chunks with a positive delay error."""
        errors = _errors(log)
        return MetricValue(value=float((errors > 0.0).mean())) if len(errors) else _NONE_INSTALLED
