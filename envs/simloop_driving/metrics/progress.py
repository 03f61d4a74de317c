"""Distance that the ego made good."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.metrics.actor_rows import TABLE, ActorRows


class Progress(Metric):
    """Distance that the ego drove along its heading; reversing and sliding back subtract.

    Each tick's displacement is projected on the mean heading of its two ends, which is exact for the chord of
    a circular arc.
    """

    name = "progress_m"
    unit = "m"
    description = "Distance that the ego drove along its heading."
    tables = (TABLE,)
    higher_is_better = True

    def compute(self, log: EpisodeLog) -> MetricValue:
        """Returns the sum of the projected displacements."""
        rows = ActorRows.from_log(log)
        pose = rows.pose[rows.is_ego]
        if len(pose) < 2:
            return MetricValue.invalid("world.actors has fewer than two rows of the ego (actor 0)")
        turn_rad = np.diff(pose[:, 2])
        turn_rad = (turn_rad + np.pi) % (2.0 * np.pi) - np.pi
        heading_rad = pose[:-1, 2] + 0.5 * turn_rad
        step_m = np.diff(pose[:, :2], axis=0)
        return MetricValue(
            value=float(np.sum(step_m[:, 0] * np.cos(heading_rad) + step_m[:, 1] * np.sin(heading_rad)))
        )
