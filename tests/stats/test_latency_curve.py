"""Area, L95 and slope of success-versus-latency curves against hand-worked examples and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from simloop.errors import ParameterError
from simloop.stats.latency_area import mean_success, normalised_area
from simloop.stats.latency_slope import latency_slope
from simloop.stats.median import median
from simloop.stats.tolerated_latency import (
    conservative_tolerated_latency,
    first_crossing,
    tolerated_latency,
)

LATENCIES = [0.0, 100.0, 200.0, 400.0]


def test_area_of_a_worked_curve() -> None:
    # (1.0+0.8)/2*100 + (0.8+0.6)/2*100 + (0.6+0.2)/2*200 = 90 + 70 + 80 = 240 of 400.
    assert mean_success(LATENCIES, [1.0, 0.8, 0.6, 0.2]) == pytest.approx(0.6)
    assert normalised_area(LATENCIES, [1.0, 0.8, 0.6, 0.2], 0.8) == pytest.approx(0.75)
    assert normalised_area(LATENCIES, [0.5] * 4, 0.5) == pytest.approx(1.0)
    assert normalised_area([0.0], [1.0], 1.0) is None
    assert normalised_area(LATENCIES, [0.0] * 4, 0.0) is None


def test_area_agrees_with_scipy() -> None:
    rates = np.random.default_rng(3).random(4)
    expected = integrate.trapezoid(rates, LATENCIES) / 400.0
    assert mean_success(LATENCIES, list(rates)) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("rates", "expected", "is_censored"),
    [
        ([1.0, 1.0, 0.9, 0.5], 150.0, False),  # half way from 1.0 to 0.9 lies 0.95
        ([0.8, 0.76, 0.76, 0.0], 200.0, False),  # 0.95 * 0.8 = 0.76 is still kept
        ([0.8, 0.8, 0.8, 0.77], 400.0, True),
        ([1.0, 0.0, 1.0, 1.0], 5.0, False),  # the first crossing counts, whatever comes later
    ],
)
def test_l95_of_worked_curves(rates: list[float], expected: float, is_censored: bool) -> None:
    found = tolerated_latency(LATENCIES, rates)
    assert found is not None
    assert (found.latency_ms, found.is_censored) == (pytest.approx(expected), is_censored)
    assert str(found).startswith("≥") is is_censored


def test_conservative_l95_follows_the_lower_bound() -> None:
    # Allowed loss: 0.05 * 0.8 = 0.04; the bound falls from -0.01 to -0.07 between 100 and 200 ms.
    found = conservative_tolerated_latency(LATENCIES, 0.8, [0.0, -0.01, -0.07, -0.2])
    assert found is not None
    assert (found.latency_ms, found.is_censored) == (pytest.approx(150.0), False)
    assert conservative_tolerated_latency(LATENCIES, 0.0, [0.0] * 4) is None
    assert tolerated_latency(LATENCIES, [0.0] * 4) is None


def test_a_curve_that_starts_below_its_threshold_or_runs_backwards_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"starts at 0\.5, below the threshold 0\.6"):
        first_crossing(LATENCIES, [0.5, 0.4, 0.3, 0.2], 0.6)
    with pytest.raises(ParameterError, match="must rise strictly"):
        tolerated_latency([0.0, 0.0], [1.0, 1.0])
    with pytest.raises(ParameterError, match="4 latencies got 2 values"):
        mean_success(LATENCIES, [1.0, 1.0])


def test_slope_of_a_worked_curve() -> None:
    # 0.7 and 0.9 pool to 0.8: the fit is 1.0, 0.8, 0.8, 0.2.
    slope = latency_slope(LATENCIES, [1.0, 0.7, 0.9, 0.2], [10, 10, 10, 10])
    assert slope is not None
    assert slope.fitted_rates == pytest.approx((1.0, 0.8, 0.8, 0.2))
    assert slope.mean_points_per_100_ms == pytest.approx(-20.0)
    assert slope.steepest_points_per_100_ms == pytest.approx(-30.0)
    assert latency_slope([0.0], [1.0], [5]) is None


def test_fit_is_the_best_non_increasing_one() -> None:
    """Against a general constrained minimiser."""
    rng = np.random.default_rng(8)
    latencies = list(np.arange(6) * 50.0)
    rates, counts = rng.random(6), rng.integers(1, 40, 6)
    slope = latency_slope(latencies, list(rates), [int(c) for c in counts])
    assert slope is not None
    best = optimize.minimize(
        lambda x: float(np.sum(counts * (x - rates) ** 2)),
        np.full(6, rates.mean()),
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": lambda x: -np.diff(x)}],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert slope.fitted_rates == pytest.approx(tuple(best.x), abs=1e-5)


@pytest.mark.parametrize("n", [1, 5, 6, 9, 20, 101])
def test_median_bounds_are_those_of_scipys_quantile_test(n: int) -> None:
    values = list(np.random.default_rng(n).random(n))
    expected = stats.quantile_test(values, q=0.5, p=0.5).confidence_interval(0.95)
    found = median(values)
    assert found.value == pytest.approx(float(np.median(values)))
    if n < 6:  # 2 * 0.5**5 > 0.05: no interval
        assert (found.low, found.high) == (-math.inf, math.inf)
    else:
        assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_median_of_censored_values() -> None:
    found = median([1.0, 2.0, 3.0, 4.0, 5.0, math.inf, math.inf])
    assert (found.value, found.low, found.high) == (4.0, 1.0, math.inf)
    assert median([1.0, math.inf, math.inf]).value == math.inf
    with pytest.raises(ParameterError, match="no NaN"):
        median([math.nan])
