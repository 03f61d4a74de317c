"""A success rate with its interval; no rate is shown without both its n and its bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import betaincinv, ndtri

from simloop.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A number of successes out of n, with a two-sided interval.

    Attributes:
        successes: Number of successes.
        n: Number of judged episodes, at least 1.
        low: Lower bound, 0..1.
        high: Upper bound, 0..1.
        confidence: Confidence level of the bounds.
    """

    successes: int
    n: int
    low: float
    high: float
    confidence: float

    @property
    def rate(self) -> float:
        """The share of successes."""
        return self.successes / self.n

    def __str__(self) -> str:
        return (
            f"{100.0 * self.rate:.1f} % ({self.successes}/{self.n}, "
            f"{100.0 * self.confidence:g} % interval {100.0 * self.low:.1f}-{100.0 * self.high:.1f} %)"
        )


def wilson(successes: int, n: int, confidence: float = 0.95) -> Rate:
    """Returns the rate with its Wilson score interval (Wilson 1927), the one for display.

    Raises:
        ParameterError: n is not positive, or the successes are not between 0 and n.
    """
    _check(successes, n)
    z = float(ndtri(0.5 + 0.5 * confidence))
    share = successes / n
    scale = 1.0 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n)) / scale
    return Rate(
        successes=successes,
        n=n,
        low=0.0 if successes == 0 else centre - half,
        high=1.0 if successes == n else centre + half,
        confidence=confidence,
    )


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Rate:
    """Returns the rate with its exact interval (Clopper and Pearson 1934), the one for claimed bounds.

    It covers at least as often as it says.

    Raises:
        ParameterError: n is not positive, or the successes are not between 0 and n.
    """
    _check(successes, n)
    tail = 0.5 * (1.0 - confidence)
    return Rate(
        successes=successes,
        n=n,
        low=0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail)),
        high=1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1.0 - tail)),
        confidence=confidence,
    )


def _check(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ParameterError(f"A rate needs 0 <= successes <= n and n >= 1; got {successes} of {n}.")


def rate_of(flags: Iterable[bool | float]) -> Rate | None:
    """Returns the Wilson rate of true flags, or None if there are no flags."""
    values = [bool(f) for f in flags]
    return wilson(sum(values), len(values)) if values else None
