"""Virtual time that an episode lasted."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue


class EpisodeLength(Metric):
    """Virtual time from the start to the last polled outcome."""

    name = "episode_length_s"
    unit = "s"
    description = "Virtual time until the episode ended."
    tables = ("outcomes",)

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads the last row of ``outcomes.t_ns``."""
        t_ns = log.column("outcomes", "t_ns")
        return (
            MetricValue(value=float(t_ns[-1]) * 1e-9)
            if len(t_ns)
            else MetricValue.invalid("no outcome was polled")
        )
