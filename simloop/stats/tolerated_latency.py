"""L95: the largest latency up to which success stays at least 95 % of the success without latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simloop.errors import ParameterError
from simloop.stats.latency_area import check_curve

KEPT_SHARE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class ToleratedLatency:
    """A latency up to which success is kept.

    Attributes:
        latency_ms: The latency; the largest that was tried if it is censored.
        is_censored: Whether success was kept at every latency that was tried: the true value is at least this.
    """

    latency_ms: float
    is_censored: bool

    def __str__(self) -> str:
        return f"{'≥ ' if self.is_censored else ''}{self.latency_ms:.4g} ms"


def first_crossing(
    latencies_ms: Sequence[float], values: Sequence[float], threshold: float
) -> ToleratedLatency:
    """Returns the first latency at which the piecewise linear curve falls below ``threshold``.

    Raises:
        ParameterError: The curve starts below the threshold, or its latencies do not rise.
    """
    check_curve(latencies_ms, values)
    if values[0] < threshold:
        raise ParameterError(f"The curve starts at {values[0]:.4g}, below the threshold {threshold:.4g}.")
    for n in range(1, len(values)):
        if values[n] < threshold:
            share = (values[n - 1] - threshold) / (values[n - 1] - values[n])
            crossing = latencies_ms[n - 1] + share * (latencies_ms[n] - latencies_ms[n - 1])
            return ToleratedLatency(latency_ms=crossing, is_censored=False)
    return ToleratedLatency(latency_ms=latencies_ms[-1], is_censored=True)


def tolerated_latency(latencies_ms: Sequence[float], rates: Sequence[float]) -> ToleratedLatency | None:
    """Returns L95 of a curve by linear interpolation; None if nothing succeeds at the first latency.

    Args:
        latencies_ms: (n,) latencies, rising; the first is 0 (or the reference without latency).
        rates: (n,) success rates, 0..1.
    """
    check_curve(latencies_ms, rates)
    return None if rates[0] <= 0.0 else first_crossing(latencies_ms, rates, KEPT_SHARE * rates[0])


def conservative_tolerated_latency(
    latencies_ms: Sequence[float], reference_rate: float, lower_differences: Sequence[float]
) -> ToleratedLatency | None:
    """Returns the L95 that the data vouch for; None if nothing succeeds at the first latency.

    Args:
        latencies_ms: (n,) latencies, rising.
        reference_rate: Success rate at the first latency.
        lower_differences: (n,) lower confidence bounds of the paired difference, success at each latency minus
            success at the first; 0 at the first.
    """
    check_curve(latencies_ms, lower_differences)
    if reference_rate <= 0.0:
        return None
    return first_crossing(latencies_ms, lower_differences, (KEPT_SHARE - 1.0) * reference_rate)
