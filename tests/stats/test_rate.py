"""Intervals of a rate against published values and their defining equations."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom, binomtest

from simloop.errors import ParameterError
from simloop.stats.rate import clopper_pearson, rate_of, wilson

# Wilson 95 % bounds in percent, as tabulated for common sizes of robot evaluations.
WILSON_TABLE = [
    (9, 10, 59.6, 98.2),
    (45, 50, 78.6, 95.7),
    (90, 100, 82.6, 94.5),
    (180, 200, 85.1, 93.4),
    (450, 500, 87.1, 92.3),
]


@pytest.mark.parametrize(("k", "n", "low", "high"), WILSON_TABLE)
def test_wilson_matches_published_values(k: int, n: int, low: float, high: float) -> None:
    got = wilson(k, n)
    assert (round(100 * got.low, 1), round(100 * got.high, 1)) == (low, high)


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (50, 120), (7, 7)])
def test_wilson_bounds_solve_the_score_equation(k: int, n: int) -> None:
    # Each bound p satisfies |k/n - p| = z sqrt(p (1 - p) / n), or is the end of the scale.
    for bound in (wilson(k, n).low, wilson(k, n).high):
        score = abs(k / n - bound) - 1.959963985 * math.sqrt(bound * (1.0 - bound) / n)
        assert bound in (0.0, 1.0) or score == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 29), (1, 10), (9, 10), (45, 50), (30, 30)])
def test_clopper_pearson_bounds_leave_half_the_error_in_each_tail(k: int, n: int) -> None:
    got = clopper_pearson(k, n)
    assert got.low == 0.0 if k == 0 else binom.sf(k - 1, n, got.low) == pytest.approx(0.025, abs=1e-6)
    assert got.high == 1.0 if k == n else binom.cdf(k, n, got.high) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (1, 3), (17, 40), (996, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_both_intervals_agree_with_scipy(k: int, n: int, confidence: float) -> None:
    test = binomtest(k, n)
    for got, method in ((wilson(k, n, confidence), "wilson"), (clopper_pearson(k, n, confidence), "exact")):
        expected = test.proportion_ci(confidence_level=confidence, method=method)
        assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_failure_in_59_bounds_the_rate_by_five_percent_one_sided() -> None:
    # The rule behind "thousands of rollouts": 0 of 59 -> below 5 % at 95 % one-sided, so at 90 % two-sided.
    assert clopper_pearson(0, 59, confidence=0.90).high == pytest.approx(0.0495, abs=1e-4)
    assert clopper_pearson(0, 58, confidence=0.90).high > 0.05


def test_a_rate_always_shows_n_and_interval() -> None:
    assert str(wilson(9, 10)) == "90.0 % (9/10, 95 % interval 59.6-98.2 %)"


def test_rates_of_flags() -> None:
    rate = rate_of([1.0, 0.0, True])
    assert rate is not None
    assert (rate.successes, rate.n) == (2, 3)
    assert rate_of([]) is None


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ParameterError, match=f"got {k} of {n}"):
        wilson(k, n)
