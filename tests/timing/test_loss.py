"""Losses against their theory (exact test 12)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simloop.timing.loss import Bernoulli, FourState, GilbertElliott, Loss

NUM = 80_000


def _lost(loss: Loss, name: str = "loss", num: int = NUM) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    draw = loss.draws((0, "case", name))
    return np.array([draw(k, k) for k in range(num)])


@pytest.mark.parametrize(
    ("p", "r", "bad", "good"),
    [(0.01, 0.1, 1.0, 0.0), (0.05, 0.2, 0.8, 0.02), (0.3, 0.7, 1.0, 0.0), (0.02, 0.02, 0.5, 0.1)],
)
def test_the_stationary_loss_of_gilbert_elliott(p: float, r: float, bad: float, good: float) -> None:
    """Exact test 12: p/(p+r)(1-h) + r/(p+r)(1-k), whatever the asking order."""
    loss = GilbertElliott(p=p, r=r, loss_in_bad=bad, loss_in_good=good)
    expected = p / (p + r) * bad + r / (p + r) * good
    assert loss.long_run_share == pytest.approx(expected)
    # The state's autocorrelation is (1 - p - r)^lag, which widens the mean's error by this factor.
    memory = 1 - p - r
    error = np.sqrt(expected * (1 - expected) / NUM * (1 + max(0.0, memory)) / (1 - max(0.0, memory)))
    lost = _lost(loss)
    assert lost.mean() == pytest.approx(expected, abs=5 * error)
    if bad == 1.0 and good == 0.0:
        assert np.corrcoef(lost[:-1], lost[1:])[0, 1] == pytest.approx(memory, abs=0.03)


def test_bursts_last_as_long_as_the_bad_state() -> None:
    lost = _lost(GilbertElliott(p=0.01, r=0.1))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
    lengths = edges[1::2] - edges[::2]
    assert len(lengths) > 300
    assert lengths.mean() == pytest.approx(10.0, abs=1.5)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_correlated_losses_keep_their_probability(correlation: float) -> None:
    lost = _lost(Bernoulli(probability=0.1, correlation=correlation))
    assert lost.mean() == pytest.approx(0.1, abs=0.02)
    assert Bernoulli(probability=0.1, correlation=correlation).long_run_share == 0.1
    joint = np.mean(lost[:-1] & lost[1:])
    if correlation == 0.0:
        assert joint == pytest.approx(0.01, abs=0.003)
    else:
        # Both normal variates lie below their 10 % quantile.
        threshold = stats.norm.ppf(0.1)
        both = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]]).cdf([threshold] * 2)
        assert joint == pytest.approx(both, abs=0.012)


def test_nothing_and_everything_can_be_lost() -> None:
    assert not _lost(Bernoulli(probability=0.0), num=500).any()
    assert _lost(Bernoulli(probability=1.0), num=500).all()
    assert _lost(Bernoulli(probability=1.0, correlation=0.5), num=500).all()
    assert not _lost(Bernoulli(probability=0.0, correlation=0.5), num=500).any()
    assert not _lost(GilbertElliott(p=0.0, r=0.0), num=500).any()


def _power(loss: FourState) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The stationary distribution by powers of the transition matrix, started in state 1."""
    matrix = np.array(
        [
            [1 - loss.p13 - loss.p14, 0, loss.p13, loss.p14],
            [0, 1 - loss.p23, loss.p23, 0],
            [loss.p31, loss.p32, 1 - loss.p31 - loss.p32, 0],
            [1, 0, 0, 0],
        ]
    )
    averaged: np.ndarray[tuple[int], np.dtype[np.float64]] = np.linalg.matrix_power(
        0.5 * (matrix + np.eye(4)), 100_000
    )[0]
    return averaged


@pytest.mark.parametrize(
    "loss",
    [
        FourState(p13=0.02, p31=0.3, p32=0.1, p23=0.5, p14=0.01),
        FourState(p13=0.1, p31=0.9),
        FourState(p13=0.05, p31=0.2, p32=0.4, p23=0.6),
        FourState(p13=0.0, p31=1.0, p14=0.1),
        FourState(p13=0.2, p31=0.0, p32=0.3, p23=0.4),
        FourState(p13=0.2, p31=0.1, p32=0.3, p23=0.0),
        FourState(p13=0.2, p31=0.4, p32=0.0, p23=0.0, p14=0.1),
        FourState(p13=0.2, p31=0.0, p32=0.0, p23=0.0),
    ],
)
def test_the_four_states_have_the_shares_of_their_transition_matrix(loss: FourState) -> None:
    expected = _power(loss)
    assert loss.stationary == pytest.approx(tuple(expected), abs=1e-6)
    assert loss.long_run_share == pytest.approx(expected[2] + expected[3], abs=1e-6)
    assert _lost(loss, num=30_000).mean() == pytest.approx(loss.long_run_share, abs=0.02)


def test_p13_alone_is_bernoulli() -> None:
    lost = _lost(FourState(p13=0.15, p31=0.85))
    assert lost.mean() == pytest.approx(0.15, abs=0.01)
    assert np.corrcoef(lost[:-1], lost[1:])[0, 1] == pytest.approx(0.0, abs=0.02)


def test_several_events_of_a_tick_meet_the_same_state() -> None:
    always = GilbertElliott(p=0.1, r=0.1).draws(("k",))
    for tick in range(100):
        assert len({always(7 * tick + i, tick) for i in range(7)}) == 1
    sometimes = GilbertElliott(p=0.1, r=0.1, loss_in_bad=0.5).draws(("k",))
    assert any(len({sometimes(50 * tick + i, tick) for i in range(50)}) == 2 for tick in range(20))


@pytest.mark.parametrize(
    "loss",
    [
        Bernoulli(probability=0.3),
        Bernoulli(probability=0.3, correlation=0.6),
        GilbertElliott(p=0.1, r=0.2, loss_in_bad=0.7),
        FourState(p13=0.1, p31=0.3, p32=0.2, p14=0.1),
    ],
)
def test_a_loss_depends_on_its_event_alone(loss: Loss) -> None:
    forward = _lost(loss, num=300).tolist()
    draw = loss.draws((0, "case", "loss"))
    assert [draw(k, k) for k in reversed(range(300))] == forward[::-1]
    assert _lost(loss, "another", num=300).tolist() != forward
