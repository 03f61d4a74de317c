"""Median with a distribution-free interval; values may be censored at the upper end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simloop.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """A median with its bounds.

    Attributes:
        value: The median; ``inf`` if it is among the censored values.
        low: Lower bound; ``-inf`` if n is too small for one.
        high: Upper bound; ``inf`` if it is censored or n is too small for one.
        n: Number of values.
    """

    value: float
    low: float
    high: float
    n: int


def median(values: Sequence[float], confidence: float = 0.95) -> Median:
    """Returns the median with the interval of order statistics (the inversion of the sign test).

    Args:
        values: The values; ``inf`` stands for one that is only known to lie above all others.
        confidence: The interval covers at least so often, whatever the distribution.

    Raises:
        ParameterError: There are no values, or one is NaN.
    """
    ranked = sorted(values)
    n = len(ranked)
    if n == 0 or any(math.isnan(v) for v in ranked):
        raise ParameterError(f"A median needs at least one value and no NaN; got {list(values)[:5]}.")
    middle = ranked[n // 2] if n % 2 else 0.5 * (ranked[n // 2 - 1] + ranked[n // 2])
    tail = 0.5 * (1.0 - confidence)
    # The largest r with P(X < r) <= tail for X ~ B(n, 1/2): the r-th value from either end bounds the median.
    from scipy.stats import binom  # here: it is slow to load

    rank = int(binom.ppf(tail, n, 0.5))
    while rank > 0 and binom.cdf(rank - 1, n, 0.5) > tail:
        rank -= 1
    low, high = (ranked[rank - 1], ranked[n - rank]) if rank > 0 else (-math.inf, math.inf)
    return Median(value=middle, low=low, high=high, n=n)
