"""Predictors of the delay, against numpy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simloop.randomness import generator, stream_key
from simloop.strategies.delay_prediction import Predictor
from simloop.strategies.rules import rules_from_config

PERIOD_NS = 50_000_000
KEY = stream_key(0, "case", "latency", "prediction")


def _predictor(nominal_ns: float = 0.0, **values: object) -> Predictor:
    return rules_from_config({"predictor": values}).make_predictor(nominal_ns, PERIOD_NS, KEY)


@pytest.mark.parametrize("kind", ["constant", "max_of_window", "p95_of_window", "ewma"])
@pytest.mark.parametrize("rounding", ["ceil", "floor"])
@pytest.mark.parametrize(
    ("nominal_ns", "ticks"),
    [(0, (0, 0)), (1, (1, 0)), (50e6, (1, 1)), (50e6 + 1, (2, 1)), (150e6, (3, 3)), (138.98e6, (3, 2))],
)
def test_before_any_delay_the_nominal_one_is_rounded(
    kind: str, rounding: str, nominal_ns: float, ticks: tuple[int, int]
) -> None:
    predictor = _predictor(nominal_ns, kind=kind, rounding=rounding)
    assert predictor.predict(0) == ticks[rounding == "floor"]


@pytest.mark.parametrize("periods", [0.1 * 3 / 0.1, 0.7 / 0.1, 1.1 * 3 / 1.1])
def test_a_whole_number_of_ticks_survives_the_division(periods: float) -> None:
    for rounding in ("ceil", "floor"):
        predictor = _predictor(periods * PERIOD_NS, kind="ewma", rounding=rounding)
        assert predictor.predict(0) == round(periods)


DELAYS = (2, 5, 1, 0, 1, 4, 0, 0, 0, 7, 3)


@pytest.mark.parametrize("window", [1, 3, 10])
@pytest.mark.parametrize("rounding", ["ceil", "floor"])
def test_windows_remember_the_last_ones(window: int, rounding: str) -> None:
    largest = _predictor(kind="max_of_window", window=window, rounding=rounding)
    percentile = _predictor(kind="p95_of_window", window=window, rounding=rounding)
    for count, delay in enumerate(DELAYS, start=1):
        largest.observe(delay)
        percentile.observe(delay)
        seen = DELAYS[max(count - window, 0) : count]
        assert largest.predict(count) == max(seen)
        exact = round(float(np.percentile(seen, 95)), 9)
        assert percentile.predict(count) == (math.ceil(exact) if rounding == "ceil" else math.floor(exact))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_the_moving_average_is_its_closed_form(alpha: float) -> None:
    nominal = 1.7
    predictor = _predictor(nominal * PERIOD_NS, kind="ewma", alpha=alpha)
    for count, delay in enumerate(DELAYS, start=1):
        predictor.observe(delay)
        weights = alpha * (1.0 - alpha) ** np.arange(count)[::-1]
        mean = (1.0 - alpha) ** count * nominal + float(weights @ DELAYS[:count])
        assert predictor.predict(count) == math.ceil(round(mean, 9))


def test_a_constant_learns_nothing() -> None:
    predictor = _predictor(9e9, kind="constant", ticks=3)
    predictor.observe(8)
    assert predictor.predict(4) == 3


def test_an_oracle_says_what_it_is_told() -> None:
    oracle = _predictor(9e9, kind="oracle", bias_ticks=1)
    assert oracle.needs_truth
    for truth in (4, 0, 2):
        oracle.tell(truth)
        oracle.observe(9)
        assert oracle.predict(3) == truth + 1
    other = _predictor(kind="max_of_window")
    other.tell(5)
    assert not other.needs_truth
    assert other.predict(0) == 0


@pytest.mark.parametrize(("bias", "predicted"), [(0, 3), (2, 5), (-1, 2), (-9, 0)])
def test_a_bias_is_added_and_no_prediction_is_negative(bias: int, predicted: int) -> None:
    assert _predictor(kind="constant", ticks=3, bias_ticks=bias).predict(7) == predicted


def test_noise_belongs_to_the_tick() -> None:
    noisy = _predictor(kind="constant", ticks=50, noise_ticks=2.5)
    forwards = [noisy.predict(tick) for tick in range(128)]
    assert [noisy.predict(tick) for tick in reversed(range(128))] == forwards[::-1]
    draws = np.concatenate([generator(KEY, block).standard_normal(64) for block in (0, 1)])
    assert forwards == [50 + round(2.5 * float(z)) for z in draws]
    other = rules_from_config({"predictor": {"kind": "constant", "ticks": 50, "noise_ticks": 2.5}})
    moved = other.make_predictor(0.0, PERIOD_NS, stream_key(1, "case", "latency", "prediction"))
    assert [moved.predict(tick) for tick in range(128)] != forwards
