"""Processes over control ticks: their theory, and that nobody's asking moves them (exact test 12)."""

from __future__ import annotations

import numpy as np
import pytest

from simloop.timing.process import TickProcess, correlated_normals, two_states


@pytest.mark.parametrize("correlation", [0.0, 0.25, 0.7, 0.95])
def test_the_autocorrelation_of_an_ar1_process_is_a_power_of_its_correlation(correlation: float) -> None:
    num = 60_000
    process = TickProcess(("ar1", correlation), correlated_normals(correlation))
    values = np.array([process[k] for k in range(num)])
    # Effective sample size of an AR(1) series, Box and Jenkins 1976, section 2.1.
    effective = num * (1 - correlation) / (1 + correlation)
    assert values.mean() == pytest.approx(0.0, abs=5 / np.sqrt(effective))
    assert values.std() == pytest.approx(1.0, abs=5 / np.sqrt(effective))
    for lag in (1, 2, 5, 10):
        empirical = np.corrcoef(values[:-lag], values[lag:])[0, 1]
        assert empirical == pytest.approx(correlation**lag, abs=5 / np.sqrt(effective)), lag


def test_every_episode_starts_in_the_stationary_distribution() -> None:
    starts = np.array([TickProcess(("start", n), correlated_normals(0.9))[0] for n in range(2_000)])
    assert starts.mean() == pytest.approx(0.0, abs=0.1)
    assert starts.std() == pytest.approx(1.0, abs=0.08)
    share = np.mean([TickProcess(("start", n), two_states(0.1, 0.3))[0] for n in range(2_000)])
    assert share == pytest.approx(0.25, abs=0.05)


def test_a_two_state_chain_has_the_shares_and_runs_of_its_probabilities() -> None:
    process = TickProcess(("chain",), two_states(0.05, 0.2))
    states = np.array([process[k] for k in range(60_000)])
    assert states.mean() == pytest.approx(0.05 / 0.25, abs=0.01)
    enters = np.mean(states[1:][states[:-1] == 0])
    leaves = 1 - np.mean(states[1:][states[:-1] == 1])
    assert (enters, leaves) == (pytest.approx(0.05, abs=0.005), pytest.approx(0.2, abs=0.015))
    frozen = TickProcess(("frozen",), two_states(0.0, 0.0))
    assert {frozen[k] for k in range(200)} == {0}


def test_a_tick_has_its_value_in_whatever_order_it_is_asked_for() -> None:
    forward = TickProcess(("order",), correlated_normals(0.8))
    expected = [forward[k] for k in range(300)]
    other = TickProcess(("order",), correlated_normals(0.8))
    assert other[299] == expected[299]
    assert [other[k] for k in reversed(range(300))] == expected[::-1]
    assert TickProcess(("another",), correlated_normals(0.8))[0] != expected[0]
    with pytest.raises(IndexError, match="Control ticks are numbered from 0; got -1"):
        other[-1]
