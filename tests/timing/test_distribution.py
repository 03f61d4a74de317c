"""Durations against scipy's distributions: their shapes, and the means of what floor and ceiling leave of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from simloop.errors import ParameterError
from simloop.randomness import generator, stream_key
from simloop.timing.compound import (
    Empirical,
    Mixture,
    SceneDependent,
    SequentialEmpirical,
    TwoStateMarkov,
    mean_between,
)
from simloop.timing.distribution import (
    LONGEST_NS,
    ZERO,
    Bounded,
    Constant,
    Distribution,
    ShiftedGamma,
    ShiftedLognormal,
    TruncatedNormal,
    Uniform,
)
from simloop.timing.jitter import Jitter, JitterShape, shape_quantiles

KEY = stream_key("test_distribution")
MS = 1e6
CONTINUOUS = [
    (Uniform(low_ns=2 * MS, high_ns=7 * MS), stats.uniform(loc=2 * MS, scale=5 * MS)),
    (
        TruncatedNormal(normal_mean_ns=9 * MS, normal_sd_ns=4 * MS, low_ns=3 * MS, high_ns=20 * MS),
        stats.truncnorm(a=(3 - 9) / 4, b=(20 - 9) / 4, loc=9 * MS, scale=4 * MS),
    ),
    (
        TruncatedNormal(normal_mean_ns=1 * MS, normal_sd_ns=4 * MS),
        stats.truncnorm(a=-0.25, b=np.inf, loc=1 * MS, scale=4 * MS),
    ),
    (
        ShiftedLognormal(shift_ns=15 * MS, median_ns=5.5 * MS, sigma=0.475),
        stats.lognorm(s=0.475, loc=15 * MS, scale=5.5 * MS),
    ),
    (
        ShiftedLognormal(shift_ns=2 * MS, median_ns=8 * MS, sigma=0.9),
        stats.lognorm(s=0.9, loc=2 * MS, scale=8 * MS),
    ),
    (
        ShiftedGamma(shift_ns=3 * MS, shape=2.5, scale_ns=4 * MS),
        stats.gamma(a=2.5, loc=3 * MS, scale=4 * MS),
    ),
    (ShiftedGamma(shift_ns=0, shape=0.7, scale_ns=9 * MS), stats.gamma(a=0.7, scale=9 * MS)),
]


def _clipped_mean(theirs: Any, low: float, high: float) -> float:
    """E[clip(X, low, high)] for X >= 0, by parts from scipy's distribution function."""
    tail, _ = integrate.quad(theirs.sf, low, high, limit=200, epsabs=1e-3)
    return low + float(tail)


@pytest.mark.parametrize(("ours", "theirs"), CONTINUOUS)
def test_draws_and_mean_are_scipys(ours: Bounded, theirs: Any) -> None:
    draws = ours.draw(generator(KEY), 20_000)
    assert stats.kstest(draws, theirs.cdf).pvalue > 1e-3
    assert ours.mean_ns == pytest.approx(theirs.mean(), rel=1e-9)
    assert draws.mean() == pytest.approx(theirs.mean(), abs=5 * theirs.std() / math.sqrt(len(draws)))
    quantiles = [0.05, 0.5, 0.95]
    assert np.quantile(draws, quantiles) == pytest.approx(theirs.ppf(quantiles), rel=0.05, abs=0.1 * MS)


@pytest.mark.parametrize(("ours", "theirs"), CONTINUOUS)
@pytest.mark.parametrize(
    ("floor_ms", "ceiling_ms", "factor"), [(0, 6, 1.0), (5, 12, 1.0), (4, 30, 2.5), (8, 9, 0.5)]
)
def test_the_mean_is_that_of_what_floor_ceiling_and_factor_leave(
    ours: Bounded, theirs: Any, floor_ms: float, ceiling_ms: float, factor: float
) -> None:
    fields = {name: getattr(ours, name) for name in type(ours).__dataclass_fields__}
    bounds = {"floor_ns": floor_ms * MS, "ceiling_ns": ceiling_ms * MS, "performance_factor": factor}
    clipped = type(ours)(**{**fields, **bounds})
    expected = factor * _clipped_mean(theirs, floor_ms * MS / factor, ceiling_ms * MS / factor)
    assert clipped.mean_ns == pytest.approx(expected, rel=1e-6)
    plain, bounded = (d.draw(generator(KEY), 500) for d in (ours, clipped))
    assert bounded.tolist() == np.clip(factor * plain, floor_ms * MS, ceiling_ms * MS).tolist()
    assert mean_between(clipped, 0.0, math.inf) == clipped.mean_ns
    assert mean_between(clipped, 40 * MS, 50 * MS) == 40 * MS


@pytest.mark.parametrize(
    "ours",
    [
        ShiftedLognormal(shift_ns=3 * MS, median_ns=0, sigma=0.5, ceiling_ns=2 * MS),
        ShiftedLognormal(shift_ns=1 * MS, median_ns=4 * MS, sigma=0.0, floor_ns=2 * MS, ceiling_ns=2 * MS),
        ShiftedGamma(shift_ns=5 * MS, shape=2, scale_ns=0, ceiling_ns=2 * MS),
        Uniform(low_ns=2 * MS, high_ns=2 * MS, floor_ns=1 * MS),
    ],
)
def test_a_distribution_without_spread_has_one_value(ours: Bounded) -> None:
    assert ours.mean_ns == 2 * MS
    assert set(ours.draw(generator(KEY), 20).tolist()) == {2 * MS}


def test_constants_draw_nothing() -> None:
    constant = Constant(80_000_000)
    assert constant.constant_ns == 80_000_000
    assert constant.mean_ns == 80e6
    bits = generator(KEY)
    assert constant.draw(bits, 3).tolist() == [80e6] * 3
    assert bits.random() == generator(KEY).random()
    assert ZERO.constant_ns == 0
    assert ShiftedLognormal(shift_ns=1, median_ns=1, sigma=1).constant_ns is None
    assert mean_between(constant, 0, 5e6) == 5e6


def test_durations_are_the_draws_in_whole_nanoseconds_whatever_order_they_are_asked_in() -> None:
    gamma = ShiftedGamma(shift_ns=0.25, shape=1.5, scale_ns=7.3)
    sampler, durations = gamma.sampler(("k",)), gamma.durations(("k",))
    expected = [round(sampler(i, 0)) for i in range(200)]
    again = gamma.durations(("k",))
    assert [again[i] for i in reversed(range(200))] == expected[::-1]
    assert [durations[i] for i in range(200)] == expected
    assert all(type(durations[i]) is int for i in range(3))
    endless = ShiftedLognormal(shift_ns=0, median_ns=1e12, sigma=9.0)
    assert max(endless.durations(("k",))[i] for i in range(64)) == LONGEST_NS


def test_a_mixture_is_the_weighted_sum_of_its_parts() -> None:
    spike = Uniform(low_ns=20 * MS, high_ns=60 * MS)
    fast = Constant(3_000_000)
    mixture = Mixture(components=((19.0, fast), (1.0, spike)), ceiling_ns=50 * MS)
    draws = mixture.draw(generator(KEY), 40_000)
    assert np.mean(draws == 3 * MS) == pytest.approx(0.95, abs=0.005)
    # A uniform on 20..60 clipped at 50: 3/4 of it averages 35, 1/4 is 50.
    assert mixture.mean_ns == pytest.approx((0.95 * 3 + 0.05 * (0.75 * 35 + 0.25 * 50)) * MS)
    assert draws.mean() == pytest.approx(mixture.mean_ns, rel=0.02)
    tail = draws[draws > 3 * MS]
    assert stats.kstest(tail[tail < 50 * MS], stats.uniform(20 * MS, 30 * MS).cdf).pvalue > 1e-3


def test_an_empirical_distribution_is_the_bootstrap_of_its_samples() -> None:
    samples = np.array([78.0, 80.0, 81.0, 140.0]) * MS
    empirical = Empirical(samples, ceiling_ns=100 * MS)
    draws = empirical.draw(generator(KEY), 40_000)
    values, counts = np.unique(draws, return_counts=True)
    assert values.tolist() == [78 * MS, 80 * MS, 81 * MS, 100 * MS]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert empirical.mean_ns == (78 + 80 + 81 + 100) / 4 * MS
    with pytest.raises(ValueError, match="read-only"):
        empirical.samples_ns[0] = 0.0


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "there is no sample"),
        ([1.0, -2.0], r"sample 1 is -2\.0"),
        ([math.nan], "sample 0 is nan; allowed: one"),
    ],
)
def test_samples_that_are_no_durations_are_refused(samples: list[float], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Empirical(np.array(samples))


@pytest.mark.parametrize("per_sample", [1, 3])
def test_a_sequential_trace_keeps_its_order_from_a_random_place_on(per_sample: int) -> None:
    samples = np.arange(10.0) * MS
    trace = SequentialEmpirical(samples, events_per_sample=per_sample)
    starts = set()
    for episode in range(200):
        sample = trace.sampler(("episode", episode))
        played = [sample(i, 0) / MS for i in range(5 * per_sample * 10)]
        first = played.index(0.0) if played[0] != 0.0 or played[-1] == 0.0 else 0
        steps = np.diff(played) % 10
        assert set(steps.tolist()) <= {0.0, 1.0}
        assert np.sum(steps == 1.0) == pytest.approx(50, abs=1)
        starts.add((played[0], first))
    assert {value for value, _ in starts} == set(range(10))
    assert trace.mean_ns == 4.5 * MS
    assert not trace.is_independent
    drawn = trace.draw(generator(KEY), 30) / MS
    assert set((np.diff(drawn) % 10).tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("shape", list(JitterShape))
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_correlated_jitter_keeps_its_shape(shape: JitterShape, correlation: float) -> None:
    jitter = Jitter(delay_ns=50 * MS, jitter_ns=5 * MS, correlation=correlation, shape=shape)
    sample = jitter.sampler(("jitter", shape.value))
    # Every tenth tick: 0.6^10 = 0.006, so that the draws are as good as independent.
    draws = np.array([sample(k, k) for k in range(0, 60_000, 10)])
    quantiles = np.array([0.02, 0.25, 0.5, 0.75, 0.9])
    expected = 50 * MS + 5 * MS * shape_quantiles(shape, quantiles)
    assert np.quantile(draws, quantiles) == pytest.approx(expected, abs=0.6 * MS)
    assert draws.mean() == pytest.approx(jitter.mean_ns, abs=0.35 * MS)
    assert jitter.is_independent == (correlation == 0.0)


def test_jitter_shapes_are_netems() -> None:
    shares = np.array([0.1, 0.5, 0.9])
    assert shape_quantiles(JitterShape.UNIFORM, shares) == pytest.approx([-0.8, 0.0, 0.8])
    assert shape_quantiles(JitterShape.NORMAL, shares) == pytest.approx(stats.norm.ppf(shares))
    # iproute2: Pareto with exponent 3 less its mean 3/2, times 4/3; a quarter normal and three quarters Pareto.
    pareto = (stats.pareto(3).ppf(shares) - 1.5) * 4 / 3
    assert shape_quantiles(JitterShape.PARETO, shares) == pytest.approx(pareto)
    mixed = 0.25 * stats.norm.ppf(shares) + 0.75 * pareto
    assert shape_quantiles(JitterShape.PARETONORMAL, shares) == pytest.approx(mixed)
    extremes = shape_quantiles(JitterShape.PARETO, np.array([1e-12, 1 - 1e-12]))
    assert extremes == pytest.approx([-2 / 3, 32767 / 8192])


@pytest.mark.parametrize("shape", [JitterShape.UNIFORM, JitterShape.NORMAL])
def test_the_mean_of_a_jitter_that_is_clipped_at_zero(shape: JitterShape) -> None:
    jitter = Jitter(delay_ns=2 * MS, jitter_ns=5 * MS, shape=shape)
    theirs = stats.uniform(-3, 10) if shape is JitterShape.UNIFORM else stats.norm(2, 5)
    expected, _ = integrate.quad(theirs.sf, 0, 60)
    assert jitter.mean_ns == pytest.approx(expected * MS, rel=1e-3)


def test_a_table_of_quantiles_can_shape_a_jitter() -> None:
    jitter = Jitter(delay_ns=10 * MS, jitter_ns=2 * MS, shape=np.array([-1.0, 0.0, 0.0, 3.0]))
    values, counts = np.unique(jitter.draw(generator(KEY), 8_000), return_counts=True)
    assert values.tolist() == [8 * MS, 10 * MS, 16 * MS]
    assert counts / 8_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
    assert jitter.mean_ns == 11 * MS


def test_contention_lasts_and_has_the_stationary_mean() -> None:
    markov = TwoStateMarkov(
        calm=Constant(80_000_000),
        busy=Uniform(low_ns=120 * MS, high_ns=160 * MS),
        enter_probability=0.02,
        leave_probability=0.1,
    )
    assert markov.busy_share == pytest.approx(1 / 6)
    assert markov.mean_ns == pytest.approx((5 * 80 + 140) / 6 * MS)
    sample = markov.sampler(("contention",))
    draws = np.array([sample(k, k) for k in range(60_000)])
    busy = draws > 80 * MS
    assert busy.mean() == pytest.approx(1 / 6, abs=0.015)
    assert draws.mean() == pytest.approx(markov.mean_ns, rel=0.02)
    switches = np.flatnonzero(np.diff(busy.astype(int)) == -1)
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[False], busy]).astype(int)) != 0))[::2]
    assert len(switches) > 500
    assert runs.mean() == pytest.approx(1 / 0.1, rel=0.1)
    # Several events of one tick meet the same state, each with a draw of its own.
    tick = int(np.flatnonzero(busy)[0])
    assert len({sample(1_000_000 + i, tick) for i in range(5)}) == 5
    assert all(sample(2_000_000 + i, tick) > 80 * MS for i in range(5))
    block = markov.draw(generator(KEY), 2_000)
    assert block.mean() == pytest.approx(markov.mean_ns, rel=0.1)
    bounded = TwoStateMarkov(
        calm=Constant(0), busy=Constant(100), enter_probability=1, leave_probability=1, ceiling_ns=60
    )
    assert bounded.mean_ns == 30
    assert {bounded.sampler(("x",))(k, k) for k in range(4)} == {0, 60}


def test_a_scene_costs_what_its_function_says() -> None:
    scene = SceneDependent(base=Constant(60), cost=lambda o: float(o["objects"].sum()), expected_extra_ns=5)
    assert scene.needs_observation
    assert scene.mean_ns == 65
    assert scene.sampler(("k",))(0, 0) == 60
    assert scene.extra_ns({"objects": np.array([[1.0, 2.0]])}) == 3.0
    assert scene.extra_ns({"objects": np.array([[-1.0]])}) == 0.0
    assert scene.draw(generator(KEY), 2).tolist() == [60.0, 60.0]


def test_only_bounded_and_constant_distributions_can_be_parts() -> None:
    class Own(Distribution):
        @property
        def mean_ns(self) -> float:
            return 1.0

        def draw(self, generator: np.random.Generator, count: int) -> Any:
            return np.ones(count)

    with pytest.raises(ParameterError, match="Own cannot be part of another distribution"):
        mean_between(Own(), 0.0, 1.0)
    assert Own().extra_ns({}) == 0.0


def test_distributions_with_arrays_are_themselves_alone() -> None:
    one, two = (Jitter(delay_ns=1.0, jitter_ns=delay) for delay in (2.0, 3.0))
    assert one != two
    assert len({one, two, Empirical(np.ones(2)), Empirical(np.ones(2))}) == 4
    assert Uniform(low_ns=1, high_ns=2) == Uniform(low_ns=1, high_ns=2)
    assert Uniform(low_ns=1, high_ns=2) != Uniform(low_ns=1, high_ns=3)
