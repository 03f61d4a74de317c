"""Durations against scipy's distributions, and what their configuration allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from simloop.errors import ParameterError, UnknownNameError
from simloop.randomness import generator, stream_key
from simloop.timing.distribution import ZERO, Constant, ShiftedLognormal
from simloop.timing.distribution_config import distribution_from_config

GENERATOR_KEY = stream_key("test_distribution")


@pytest.mark.parametrize("factor", [1.0, 2.5])
@pytest.mark.parametrize(
    ("shift_ms", "median_ms", "sigma"), [(0.0, 10.0, 0.3), (15.0, 5.52, 0.475), (2.0, 8.0, 0.9)]
)
def test_the_shifted_lognormal_is_scipys(
    shift_ms: float, median_ms: float, sigma: float, factor: float
) -> None:
    ours = ShiftedLognormal(
        shift_ns=shift_ms * 1e6, median_ns=median_ms * 1e6, sigma=sigma, performance_factor=factor
    )
    theirs = stats.lognorm(s=sigma, loc=factor * shift_ms * 1e6, scale=factor * median_ms * 1e6)
    draws = ours.draw(generator(GENERATOR_KEY), 20_000)
    assert stats.kstest(draws, theirs.cdf).pvalue > 1e-3
    assert ours.mean_ns == pytest.approx(theirs.mean(), rel=1e-12)
    assert draws.mean() == pytest.approx(theirs.mean(), abs=5 * theirs.std() / math.sqrt(len(draws)))
    quantiles = [0.05, 0.5, 0.95]
    assert np.quantile(draws, quantiles) == pytest.approx(theirs.ppf(quantiles), rel=0.03)


def test_floor_and_ceiling_clip_and_nothing_else_moves() -> None:
    free = ShiftedLognormal(shift_ns=0, median_ns=10e6, sigma=1.0)
    clipped = ShiftedLognormal(shift_ns=0, median_ns=10e6, sigma=1.0, floor_ns=5e6, ceiling_ns=20e6)
    draws, kept = (d.draw(generator(GENERATOR_KEY), 500) for d in (free, clipped))
    assert kept.tolist() == [min(max(d, 5e6), 20e6) for d in draws]
    assert kept.min() == 5e6
    assert kept.max() == 20e6


def test_constants_draw_nothing() -> None:
    constant = Constant(80_000_000)
    assert constant.constant_ns == 80_000_000
    assert constant.mean_ns == 80e6
    bits = generator(GENERATOR_KEY)
    assert constant.draw(bits, 3).tolist() == [80e6] * 3
    assert bits.random() == generator(GENERATOR_KEY).random()
    assert ZERO.constant_ns == 0
    assert ShiftedLognormal(shift_ns=1, median_ns=1, sigma=1).constant_ns is None


def test_configurations_carry_milliseconds() -> None:
    assert distribution_from_config(None, "timing.uplink") == ZERO
    constant = distribution_from_config(
        {"distribution": "constant", "value_ms": 96.89, "performance_factor": 2}, "timing.inference"
    )
    assert constant.constant_ns == 193_780_000
    lognormal = distribution_from_config(
        {
            "distribution": "shifted_lognormal",
            "shift_ms": 2,
            "median_ms": 3.5,
            "sigma": 0.4,
            "floor_ms": 1,
            "ceiling_ms": 60,
            "performance_factor": 0.5,
        },
        "timing.uplink",
    )
    assert lognormal == ShiftedLognormal(
        shift_ns=2e6, median_ns=3.5e6, sigma=0.4, floor_ns=1e6, ceiling_ns=60e6, performance_factor=0.5
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"distribution": "constant"}, r"timing\.inference: value_ms is missing; it takes a number >= 0"),
        (
            {"distribution": "constant", "value_ms": -1},
            r"timing\.inference\.value_ms is -1; allowed: a number >= 0",
        ),
        ({"distribution": "constant", "value_ms": "80"}, r"timing\.inference\.value_ms is '80'"),
        ({"distribution": "constant", "value_ms": True}, r"timing\.inference\.value_ms is True"),
        ({"distribution": "constant", "value_ms": math.nan}, r"timing\.inference\.value_ms is nan"),
        ({"distribution": "constant", "value_ms": math.inf}, r"timing\.inference\.value_ms is inf"),
        (
            {"distribution": "constant", "value_s": 1, "value_ms": 1},
            r"unknown keys \['value_s'\]; constant takes: ceiling_ms, dist",
        ),
        ({"distribution": "shifted_lognormal", "sigma": 1}, r"median_ms is missing"),
        ({"distribution": "shifted_lognormal", "median_ms": 1}, r"sigma is missing"),
        ({"distribution": "shifted_lognormal", "median_ms": 1, "sigma": -0.1}, r"\.sigma is -0\.1"),
        (
            {"distribution": "shifted_lognormal", "median_ms": 1, "sigma": 1, "floor_ms": 5, "ceiling_ms": 4},
            r"timing\.inference\.ceiling_ms is 4; allowed: at least floor_ms = 5",
        ),
        (80, r"timing\.inference is 80; allowed: a mapping with the key distribution"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(config: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        distribution_from_config(config, "timing.inference")


@pytest.mark.parametrize("config", [{"distribution": "constnat", "value_ms": 1}, {"value_ms": 1}])
def test_an_unknown_distribution_is_named_with_the_known_ones(config: Mapping[str, Any]) -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown distribution .* in timing\.inference.*constant, empirical"
    ):
        distribution_from_config(config, "timing.inference")
