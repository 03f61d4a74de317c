"""The three meanings of success, kept apart by name because published numbers differ by tens of points between them.

``success_held`` is the episode's verdict and what a plain "success" means everywhere in simloop.
"""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue


class SuccessOnce(Metric):
    """1 if the goal's condition held at any control tick, else 0."""

    name = "success_once"
    description = "The goal's condition held at one control tick at least."
    tables = ("outcomes",)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``outcomes.is_goal_met``."""
        met = log.column("outcomes", "is_goal_met")
        return (
            MetricValue(value=float(met.any())) if len(met) else MetricValue.invalid("no outcome was polled")
        )


class SuccessAtEnd(Metric):
    """1 if the goal's condition held at the last control tick, else 0."""

    name = "success_at_end"
    description = "The goal's condition held at the last control tick."
    tables = ("outcomes",)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads the last row of ``outcomes.is_goal_met``."""
        met = log.column("outcomes", "is_goal_met")
        return MetricValue(value=float(met[-1])) if len(met) else MetricValue.invalid("no outcome was polled")


class SuccessHeld(Metric):
    """1 if the world declared success (goal held as long as the scenario asks, nothing failed before), else 0."""

    name = "success_held"
    description = (
        "The episode's verdict: the goal was held as long as the scenario asks, without a failure before."
    )
    tables = ("outcomes",)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads the last row of ``outcomes.state``."""
        state = log.column("outcomes", "state")
        if not len(state):
            return MetricValue.invalid("no outcome was polled")
        return MetricValue(value=float(state[-1] == "success"))
