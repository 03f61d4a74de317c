"""Paired comparison against published tables and by enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import multinomial

from simloop.errors import ParameterError
from simloop.stats.paired import (
    Alternative,
    PairedCounts,
    compare_paired,
    exact_mcnemar,
    newcombe_interval,
    pair_outcomes,
)


def counts(both: int, only_first: int, only_second: int, neither: int) -> PairedCounts:
    return PairedCounts(both=both, only_first=only_first, only_second=only_second, neither=neither)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17:2635 (1998), worked table, method 10.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        # Fagerland, Lydersen, Laake, Stat. Med. 33:2850 (2014), airway hyper-responsiveness.
        ((1, 1, 7, 12), -0.507, -0.026),
    ],
)
def test_newcombe_matches_published_intervals(
    table: tuple[int, int, int, int], low: float, high: float
) -> None:
    assert newcombe_interval(counts(*table)) == pytest.approx((low, high), abs=5e-4)


def test_newcombe_of_independent_certain_arms_is_the_difference_of_wilson_bounds() -> None:
    # Both arms always right: the bound is the distance from 1 to Wilson's lower bound of n of n, n / (n + z^2).
    n, z = 20, 1.959963985
    low, high = newcombe_interval(counts(n, 0, 0, 0))
    assert (low, high) == pytest.approx((-(1 - n / (n + z * z)), 1 - n / (n + z * z)))


def test_newcombe_covers_as_often_as_it_says() -> None:
    # Exact coverage by enumeration; Newcombe reports a mean near 0.95 and dips below it at single points.
    n = 20
    grid = [
        (a, b, c, n - a - b - c) for a in range(n + 1) for b in range(n + 1 - a) for c in range(n + 1 - a - b)
    ]
    bounds = np.array([newcombe_interval(counts(*table)) for table in grid])
    coverage = []
    for p in ([0.5, 0.2, 0.1, 0.2], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.05, 0.15], [0.3, 0.3, 0.1, 0.3]):
        true = p[1] - p[2]
        covered = (bounds[:, 0] <= true) & (true <= bounds[:, 1])
        coverage.append(float(multinomial.pmf(np.array(grid), n, p)[covered].sum()))
    assert min(coverage) > 0.93
    assert 0.94 < np.mean(coverage) < 0.97


@pytest.mark.parametrize(("b", "c"), [(1, 0), (5, 0), (8, 2), (2, 8), (6, 6), (30, 12)])
def test_mcnemar_is_the_sum_of_binomial_tails(b: int, c: int) -> None:
    n = b + c
    upper = sum(math.comb(n, k) for k in range(b, n + 1)) / 2**n
    lower = sum(math.comb(n, k) for k in range(b + 1)) / 2**n
    table = counts(3, b, c, 4)
    assert exact_mcnemar(table, Alternative.GREATER) == pytest.approx(upper)
    assert exact_mcnemar(table, Alternative.LESS) == pytest.approx(lower)
    assert exact_mcnemar(table) == pytest.approx(min(1.0, 2 * min(upper, lower)))


def test_mcnemar_without_discordant_pairs_shows_nothing() -> None:
    assert exact_mcnemar(counts(5, 0, 0, 5)) == 1.0


def test_pairs_are_joined_on_the_case() -> None:
    first = {"a": True, "b": True, "c": False, "d": False, "only here": True}
    second = {"a": True, "b": False, "c": True, "d": False}
    assert pair_outcomes(first, second) == counts(1, 1, 1, 1)
    with pytest.raises(ParameterError, match="no case in common"):
        pair_outcomes({"a": True}, {"b": True})
    with pytest.raises(ParameterError, match="must not be negative"):
        counts(-1, 0, 0, 2)


def test_a_comparison_says_everything_in_one_line() -> None:
    text = str(compare_paired(counts(36, 12, 2, 0)))
    assert text == (
        "+20.0 points (95 % interval +5.7 to +34.0, n = 50 pairs, 12 against 2 discordant, exact McNemar p = 0.013)"
    )
