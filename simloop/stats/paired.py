"""Two arms on the same cases: exact McNemar test and an interval of the difference of their rates."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import binomtest

from simloop.errors import ParameterError
from simloop.stats.rate import wilson


class Alternative(enum.Enum):
    """What a test tries to show about the first arm."""

    DIFFERENT = "two-sided"
    GREATER = "greater"
    LESS = "less"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts:
    """Outcomes of two arms on the same cases.

    Attributes:
        both: Cases on which both succeeded.
        only_first: Cases on which the first succeeded alone.
        only_second: Cases on which the second succeeded alone.
        neither: Cases on which both failed.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    def __post_init__(self) -> None:
        if min(self.both, self.only_first, self.only_second, self.neither) < 0 or self.n < 1:
            raise ParameterError(f"Paired counts must not be negative and n at least 1; got {self}.")

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.both + self.only_first + self.only_second + self.neither


def pair_outcomes(first: Mapping[str, bool], second: Mapping[str, bool]) -> PairedCounts:
    """Counts the outcomes on the cases that both arms have; the mappings go from case id to success.

    Raises:
        ParameterError: They have no case in common.
    """
    common = first.keys() & second.keys()
    if not common:
        raise ParameterError("The two arms have no case in common; run them on the same scenarios and seeds.")
    pairs = [(bool(first[c]), bool(second[c])) for c in common]
    return PairedCounts(
        both=pairs.count((True, True)),
        only_first=pairs.count((True, False)),
        only_second=pairs.count((False, True)),
        neither=pairs.count((False, False)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Result of comparing two arms on the same cases.

    Attributes:
        counts: The four outcomes.
        difference: Rate of the first minus rate of the second.
        low: Lower bound of the difference.
        high: Upper bound of the difference.
        confidence: Confidence level of the bounds.
        p_value: Of the exact McNemar test.
        alternative: What the test tried to show.
    """

    counts: PairedCounts
    difference: float
    low: float
    high: float
    confidence: float
    p_value: float
    alternative: Alternative

    def __str__(self) -> str:
        return (
            f"{100.0 * self.difference:+.1f} points ({100.0 * self.confidence:g} % interval {100.0 * self.low:+.1f} "
            f"to {100.0 * self.high:+.1f}, n = {self.counts.n} pairs, {self.counts.only_first} against "
            f"{self.counts.only_second} discordant, exact McNemar p = {self.p_value:.2g})"
        )


def exact_mcnemar(counts: PairedCounts, alternative: Alternative = Alternative.DIFFERENT) -> float:
    """Returns the p-value of the exact (binomial) McNemar test; 1 if no pair is discordant."""
    discordant = counts.only_first + counts.only_second
    if discordant == 0:
        return 1.0
    return float(binomtest(counts.only_first, discordant, 0.5, alternative=alternative.value).pvalue)


def newcombe_interval(counts: PairedCounts, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the bounds of the difference of two paired rates, first minus second.

    Method 10 of Newcombe, Improved confidence intervals for the difference between binomial proportions based on
    paired data, Statistics in Medicine 17:2635-2650 (1998): the Wilson bounds of both rates, joined by a
    continuity-corrected phi coefficient.
    """
    n = counts.n
    first_n, second_n = counts.both + counts.only_first, counts.both + counts.only_second
    first, second = wilson(first_n, n, confidence), wilson(second_n, n, confidence)
    cross = float(counts.both * counts.neither - counts.only_first * counts.only_second)
    if cross > 0:
        cross = max(cross - n / 2.0, 0.0)
    margins = first_n * (n - first_n) * second_n * (n - second_n)
    phi = cross / math.sqrt(margins) if margins else 0.0

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2.0 * phi * a * b + b * b, 0.0))

    difference = first.rate - second.rate
    low = difference - distance(first.rate - first.low, second.high - second.rate)
    high = difference + distance(first.high - first.rate, second.rate - second.low)
    return max(low, -1.0), min(high, 1.0)


def compare_paired(
    counts: PairedCounts, *, alternative: Alternative = Alternative.DIFFERENT, confidence: float = 0.95
) -> PairedComparison:
    """Compares two arms on the same cases by exact McNemar test and Newcombe interval."""
    low, high = newcombe_interval(counts, confidence)
    return PairedComparison(
        counts=counts,
        difference=(counts.only_first - counts.only_second) / counts.n,
        low=low,
        high=high,
        confidence=confidence,
        p_value=exact_mcnemar(counts, alternative),
        alternative=alternative,
    )
