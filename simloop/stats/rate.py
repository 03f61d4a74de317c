"""A success rate with its interval; no rate is shown without both its n and its bounds.

Episodes that play one case several times are no independent draws of cases, so they do not narrow an interval.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Hashable, Iterable
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
        num_cases: Number of different cases, where some were played several times; None where every episode is a case.
    """

    successes: int
    n: int
    low: float
    high: float
    confidence: float
    num_cases: int | None = None

    @property
    def rate(self) -> float:
        """The share of successes."""
        return self.successes / self.n

    def __str__(self) -> str:
        of = "" if self.num_cases is None else f" plays of {self.num_cases} case{'s' * (self.num_cases != 1)}"
        return (
            f"{100.0 * self.rate:.1f} % ({self.successes}/{self.n}{of}, "
            f"{100.0 * self.confidence:g} % interval {100.0 * self.low:.1f}-{100.0 * self.high:.1f} %)"
        )


def wilson(successes: int, n: int, confidence: float = 0.95) -> Rate:
    """Returns the rate with its Wilson score interval (Wilson 1927), the one for display.

    Raises:
        ParameterError: n is not positive, or the successes are not between 0 and n.
    """
    _check(successes, n)
    low, high = wilson_bounds(successes / n, n, confidence)
    return Rate(successes=successes, n=n, low=low, high=high, confidence=confidence)


def wilson_bounds(share: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the Wilson bounds of a share; ``n`` may be an effective number of draws, which need not be whole."""
    z = float(ndtri(0.5 + 0.5 * confidence))
    scale = 1.0 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n)) / scale
    return 0.0 if share == 0.0 else centre - half, 1.0 if share == 1.0 else centre + half


def effective_cases(plays: Iterable[int]) -> float:
    """Returns how many single plays of different cases so many plays a case are worth, at the least.

    The bound takes Kish's design effect, 1 + (m - 1) rho for m plays a case (Survey Sampling, Wiley, 1965), at its
    largest: rho = 1, as if the further plays of a case said nothing new. So it is the number of cases where all are
    played equally often, and (sum m)^2 / sum m^2 in general.
    """
    counts = list(plays)
    return sum(counts) ** 2 / sum(m * m for m in counts)


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


def rate_of(flags: Iterable[bool | float], cases: Iterable[Hashable] | None = None) -> Rate | None:
    """Returns the Wilson rate of true flags, or None if there are no flags.

    Args:
        flags: One an episode.
        cases: The case of each flag, where a case may have several: they then count as one draw (``effective_cases``),
            so that a world which repeats itself gets the interval of a single play, and no other gets a narrower one.
    """
    values = [bool(f) for f in flags]
    if not values:
        return None
    rate = wilson(sum(values), len(values))
    plays = Counter(() if cases is None else cases)
    if all(count == 1 for count in plays.values()):
        return rate
    low, high = wilson_bounds(rate.rate, effective_cases(plays.values()), rate.confidence)
    return dataclasses.replace(rate, low=low, high=high, num_cases=len(plays))
