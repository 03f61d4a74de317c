"""How many points of success a curve loses per 100 ms, by an isotonic fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simloop.stats.latency_area import check_curve


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySlope:
    """Slope of a success-versus-latency curve.

    Attributes:
        mean_points_per_100_ms: From the first to the last latency; negative where success is lost.
        steepest_points_per_100_ms: Of the steepest piece of the fit.
        fitted_rates: (n,) the fit: the non-increasing curve nearest to the rates in weighted least squares.
    """

    mean_points_per_100_ms: float
    steepest_points_per_100_ms: float
    fitted_rates: tuple[float, ...]


def latency_slope(
    latencies_ms: Sequence[float], rates: Sequence[float], counts: Sequence[int]
) -> LatencySlope | None:
    """Fits a non-increasing curve (pool adjacent violators, scipy) and returns its slope; None for a single latency.

    Args:
        latencies_ms: (n,) latencies, rising.
        rates: (n,) success rates, 0..1.
        counts: (n,) episodes at each latency, the weights of the fit.
    """
    check_curve(latencies_ms, rates, counts)
    if len(rates) < 2:
        return None
    weights = np.asarray(counts, dtype=np.float64)
    from scipy.optimize import isotonic_regression  # here: it is slow to load

    fitted = isotonic_regression(np.asarray(rates, dtype=np.float64), weights=weights, increasing=False).x
    points_per_100_ms = 1e4 * np.diff(fitted) / np.diff(latencies_ms)
    whole = 1e4 * (fitted[-1] - fitted[0]) / (latencies_ms[-1] - latencies_ms[0])
    return LatencySlope(
        mean_points_per_100_ms=float(whole),
        steepest_points_per_100_ms=float(points_per_100_ms.min()),
        fitted_rates=tuple(float(f) for f in fitted),
    )
