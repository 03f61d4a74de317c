"""Two arms on the same cases: exact McNemar test and an interval of the difference of their rates.

Where cases were played several times, a case stays one draw: its plays are summed up before anything is tested.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simloop.errors import ParameterError
from simloop.stats.rate import wilson_bounds


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
        leads: Of cases that were played several times, by how many successes the first was ahead on each. A case then
            counts in parts above: by the share of all pairs of a play of the first and a play of the second.
    """

    both: float
    only_first: float
    only_second: float
    neither: float
    leads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if min(self.both, self.only_first, self.only_second, self.neither) < 0 or self.n < 1:
            raise ParameterError(f"Paired counts must not be negative and n at least 1; got {self}.")

    @property
    def n(self) -> int:
        """Number of cases."""
        return round(self.both + self.only_first + self.only_second + self.neither)

    @property
    def only_first_text(self) -> str:
        """``only_first`` for tables; parts of cases with two digits."""
        return f"{self.only_first:.2f}" if self.leads else f"{self.only_first:.0f}"

    @property
    def only_second_text(self) -> str:
        """``only_second`` for tables; parts of cases with two digits."""
        return f"{self.only_second:.2f}" if self.leads else f"{self.only_second:.0f}"


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


def pair_plays(first: Mapping[str, Sequence[bool]], second: Mapping[str, Sequence[bool]]) -> PairedCounts:
    """Counts the outcomes on common cases that may have been played several times.

    Of each case as many plays count as both arms have, the first ones: with unequal numbers the arms could not be
    exchanged even if they were equal, which the exact test rests on.

    Args:
        first, second: By case id whether each play was a success, in the order of the plays.

    Raises:
        ParameterError: They have no case in common.
    """
    common = [case for case in first if case in second]
    plays = {case: min(len(first[case]), len(second[case])) for case in common}
    if all(count == 1 for count in plays.values()):
        return pair_outcomes({c: first[c][0] for c in common}, {c: second[c][0] for c in common})
    both = only_first = only_second = neither = 0.0
    leads = []
    for case, count in plays.items():
        ours, theirs = sum(first[case][:count]), sum(second[case][:count])
        leads.append(ours - theirs)
        pairs = count * count
        both += ours * theirs / pairs
        only_first += ours * (count - theirs) / pairs
        only_second += (count - ours) * theirs / pairs
        neither += (count - ours) * (count - theirs) / pairs
    return PairedCounts(
        both=both, only_first=only_first, only_second=only_second, neither=neither, leads=tuple(leads)
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
        p_value: Of the exact McNemar test (of repeated cases: ``sign_flip``).
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
        counts = self.counts
        unit, test = ("repeated cases", "exact sign-flip") if counts.leads else ("pairs", "exact McNemar")
        return (
            f"{100.0 * self.difference:+.1f} points ({100.0 * self.confidence:g} % interval {100.0 * self.low:+.1f} "
            f"to {100.0 * self.high:+.1f}, n = {counts.n} {unit}, {counts.only_first_text} against "
            f"{counts.only_second_text} discordant, {test} p = {self.p_value:.2g})"
        )


def exact_mcnemar(counts: PairedCounts, alternative: Alternative = Alternative.DIFFERENT) -> float:
    """Returns the p-value of the exact (binomial) McNemar test; 1 if no pair is discordant.

    Where cases were played several times it is that of ``sign_flip``, which is the same test for single plays.
    """
    if counts.leads:
        return sign_flip(counts.leads, alternative)
    from scipy.stats import binomtest  # here: it is slow to load

    first, second = round(counts.only_first), round(counts.only_second)
    if first + second == 0:
        return 1.0
    return float(binomtest(first, first + second, 0.5, alternative=alternative.value).pvalue)


def sign_flip(leads: Sequence[int], alternative: Alternative = Alternative.DIFFERENT) -> float:
    """Returns the p-value of Fisher's exact randomisation test for pairs (The Design of Experiments, 1935, section 21).

    If the arms are equal, each case's lead could as well have had the other sign. The p-value is the share of all
    choices of signs whose sum is at least as extreme as the observed one; it is computed from the binomial
    distribution of the signs of each size of lead, without drawing. Leads of -1, 0 and 1 make it McNemar's test.

    Args:
        leads: By case, successes of the first arm minus those of the second over equally many plays.
        alternative: What the test tries to show about the first arm.
    """
    from scipy.stats import binom  # here: it is slow to load

    weight = np.ones(1)  # by the sum of the leads that are positive: its probability
    for size, count in sorted(Counter(abs(lead) for lead in leads if lead).items()):
        before, weight = weight, np.zeros(len(weight) + size * count)
        for number, share in enumerate(binom.pmf(np.arange(count + 1), count, 0.5).tolist()):
            weight[number * size : number * size + len(before)] += share * before
    ahead = sum(lead for lead in leads if lead > 0)
    greater, less = float(weight[ahead:].sum()), float(weight[: ahead + 1].sum())
    match alternative:
        case Alternative.GREATER:
            return min(greater, 1.0)
        case Alternative.LESS:
            return min(less, 1.0)
        case Alternative.DIFFERENT:
            return min(2.0 * min(greater, less), 1.0)


def newcombe_interval(counts: PairedCounts, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the bounds of the difference of two paired rates, first minus second.

    Method 10 of Newcombe, Improved confidence intervals for the difference between binomial proportions based on
    paired data, Statistics in Medicine 17:2635-2650 (1998): the Wilson bounds of both rates, joined by a
    continuity-corrected phi coefficient. Repeated cases count in parts, and n is the number of cases.
    """
    n = counts.n
    # Parts of cases add up to whole ones but for the last bits.
    first_n = min(round(counts.both + counts.only_first, 9), n)
    second_n = min(round(counts.both + counts.only_second, 9), n)
    first, second = first_n / n, second_n / n
    first_low, first_high = wilson_bounds(first, n, confidence)
    second_low, second_high = wilson_bounds(second, n, confidence)
    cross = float(counts.both * counts.neither - counts.only_first * counts.only_second)
    if cross > 0:
        cross = max(cross - n / 2.0, 0.0)
    margins = first_n * (n - first_n) * second_n * (n - second_n)
    phi = cross / math.sqrt(margins) if margins else 0.0

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2.0 * phi * a * b + b * b, 0.0))

    difference = first - second
    low = difference - distance(first - first_low, second_high - second)
    high = difference + distance(first_high - first, second - second_low)
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
