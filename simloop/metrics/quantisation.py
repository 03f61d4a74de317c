"""What the physics period adds: captures show the last instant before, effects wait for the first one after."""

from __future__ import annotations

from simloop.log import EpisodeLog
from simloop.metrics.reduction import FloatArray, statistics


def effect_quantisation_ms(log: EpisodeLog) -> FloatArray:
    """Returns the wait of each action that took effect for its physics instant, (N,) ms."""
    quantisation_ns = log.column("ticks", "quantisation_ns")
    waits: FloatArray = quantisation_ns[quantisation_ns >= 0] * 1e-6
    return waits


def capture_quantisation_ms(log: EpisodeLog) -> FloatArray:
    """Returns how much older than due the state in each capture is, (N,) ms."""
    older: FloatArray = (log.column("captures", "t_ns") - log.column("captures", "captured_at_ns")) * 1e-6
    return older


QUANTISATION = (
    *statistics(
        "effect_quantisation",
        unit="ms",
        of="the time from the instant that an effect was due to its physics instant",
        read=effect_quantisation_ms,
        kinds=("mean", "max"),
        empty="no action took effect",
        tables=("ticks",),
    ),
    *statistics(
        "capture_quantisation",
        unit="ms",
        of="the time from the physics instant that a capture shows to the instant that it was due",
        read=capture_quantisation_ms,
        kinds=("mean", "max"),
        empty="nothing was captured",
        tables=("captures",),
    ),
)
