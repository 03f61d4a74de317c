"""Normalised area under a success-versus-latency curve."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from simloop.errors import ParameterError


def check_curve(latencies_ms: Sequence[float], *columns: Sequence[float]) -> None:
    """Raises ParameterError unless the latencies rise strictly and every column has one value a latency."""
    if not latencies_ms or any(b <= a for a, b in itertools.pairwise(latencies_ms)):
        raise ParameterError(f"The latencies of a curve must rise strictly; got {list(latencies_ms)}.")
    for column in columns:
        if len(column) != len(latencies_ms):
            raise ParameterError(f"A curve of {len(latencies_ms)} latencies got {len(column)} values.")


def mean_success(latencies_ms: Sequence[float], rates: Sequence[float]) -> float | None:
    """Returns the mean success rate over the range of latencies, by the trapezoid rule; None for a single latency.

    Args:
        latencies_ms: (n,) latencies, rising.
        rates: (n,) success rates, 0..1.

    Raises:
        ParameterError: The latencies do not rise, or the lengths differ.
    """
    check_curve(latencies_ms, rates)
    if len(rates) < 2:
        return None
    from scipy.integrate import trapezoid  # here: it is slow to load

    return float(trapezoid(rates, latencies_ms)) / (latencies_ms[-1] - latencies_ms[0])


def normalised_area(
    latencies_ms: Sequence[float], rates: Sequence[float], reference_rate: float
) -> float | None:
    """Returns ``mean_success`` as a share of the success without latency, S_ref; None if it is not defined.

    S_ref is the success of the paused world, the same for all strategies of an agent: a strategy's own success at
    zero latency would hide a low curve behind a low start.
    """
    mean = mean_success(latencies_ms, rates)
    return None if mean is None or reference_rate <= 0.0 else mean / reference_rate
