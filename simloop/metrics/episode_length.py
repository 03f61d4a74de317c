"""Virtual time that an episode lasted."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.metric import MetricValue
from simloop.metrics.reduction import Reduction


def episode_length_ns(log: EpisodeLog) -> int:
    """Returns the virtual time from the start to the last polled outcome; 0 if none was polled."""
    t_ns = log.column("outcomes", "t_ns")
    return int(t_ns[-1]) if len(t_ns) else 0


def _seconds(length_ns: int) -> float | MetricValue:
    return length_ns * 1e-9 if length_ns else MetricValue.invalid("no outcome was polled")


EPISODE_LENGTH = Reduction(
    name="episode_length_s",
    description="Virtual time until the episode ended.",
    read=episode_length_ns,
    reduce=_seconds,
    unit="s",
    tables=("outcomes",),
)
