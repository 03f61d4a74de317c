"""How many inferences an episode took, and what of them went unused."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue


class NumInferences(Metric):
    """Number of requests that a model started on."""

    name = "num_inferences"
    description = "Number of inferences that were started."
    tables = ("inferences",)

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the rows of ``inferences`` with a start."""
        return MetricValue(value=float((log.column("inferences", "start_ns") >= 0).sum()))


class NumDroppedObservations(Metric):
    """Number of sealed observations that the accelerator's queue dropped."""

    name = "num_dropped_observations"
    description = "Number of observations dropped in the queue before an inference."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the rows of ``inferences`` in state ``queue_dropped``."""
        return MetricValue(value=float((log.column("inferences", "state") == "queue_dropped").sum()))


class NumDiscardedChunks(Metric):
    """Number of chunks that arrived and were discarded: older than the installed one, or wholly in the past."""

    name = "num_discarded_chunks"
    description = "Number of chunks that arrived too late to be of use."
    tables = ("inferences",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Counts the rows of ``inferences`` in state ``stale_dropped`` or ``elapsed``."""
        state = log.column("inferences", "state")
        return MetricValue(value=float(((state == "stale_dropped") | (state == "elapsed")).sum()))


class WastedActionRatio(Metric):
    """Share of the installed actions that were never executed."""

    name = "wasted_action_ratio"
    description = "Share of the actions in installed chunks that were never executed."
    version = 2
    tables = ("chunks",)
    higher_is_better = False

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Reads ``chunks.is_executed``."""
        executed = log.column("chunks", "is_executed")
        if not len(executed):
            return MetricValue.invalid("no chunk was installed")
        return MetricValue(value=1.0 - float(executed.mean()))
