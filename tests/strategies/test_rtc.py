"""The soft mask of real-time chunking: exact test 13(b), and the published formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simloop.strategies.rtc import RealTimeChunking, soft_mask


@given(horizon=st.integers(1, 50), s=st.integers(1, 50), d_hat=st.integers(0, 60))
def test_it_is_1_then_falls_then_0(horizon: int, s: int, d_hat: int) -> None:
    s = min(s, horizon)
    num_planned = horizon - s
    weights = np.zeros(horizon)
    mask = soft_mask(d_hat, s, horizon, num_planned)
    weights[: len(mask)] = mask
    frozen = min(d_hat, num_planned)
    assert (weights[:frozen] == 1.0).all()
    assert (weights[num_planned:] == 0.0).all()
    between = weights[frozen:num_planned]
    assert ((between > 0.0) & (between < 1.0)).all()
    assert (np.diff(weights) <= 0.0).all()
    assert (np.diff(between) < 0.0).all()


@pytest.mark.parametrize(
    ("horizon", "s", "d_hat"), [(8, 1, 0), (8, 2, 2), (8, 4, 3), (50, 25, 6), (32, 8, 5)]
)
def test_it_is_the_published_formula(horizon: int, s: int, d_hat: int) -> None:
    """W_i = c (e^c - 1) / (e - 1), c = (H - s - i) / (H - s - d-hat + 1) (arXiv 2506.07339, equation 5)."""
    expected = []
    for i in range(horizon):
        c = (horizon - s - i) / (horizon - s - d_hat + 1)
        soft = c * (math.exp(c) - 1.0) / (math.e - 1.0)
        expected.append(1.0 if i < d_hat else soft if i < horizon - s else 0.0)
    weights = RealTimeChunking(execution_horizon=s).weights(d_hat, horizon - s, horizon)
    assert weights is not None
    assert [*weights, *[0.0] * (horizon - len(weights))] == pytest.approx(expected, abs=1e-15)


def test_by_hand() -> None:
    """H = 8, s = 4, d-hat = 2: c = 2/3 and 1/3 on rows 2 and 3."""
    expected = [
        1.0,
        1.0,
        2 / 3 * math.expm1(2 / 3) / math.expm1(1),
        1 / 3 * math.expm1(1 / 3) / math.expm1(1),
    ]
    assert soft_mask(2, 4, 8, 8).tolist() == pytest.approx(expected)
    assert expected[2:] == pytest.approx([0.367706, 0.076745], abs=1e-6)


@pytest.mark.parametrize(
    ("d_hat", "num_planned", "frozen", "length"),
    [(2, 3, 2, 3), (5, 3, 3, 3), (6, 8, 6, 6), (0, 0, 0, 0), (9, 20, 8, 8), (0, 8, 0, 4)],
)
def test_it_ends_where_the_old_chunk_does(d_hat: int, num_planned: int, frozen: int, length: int) -> None:
    mask = soft_mask(d_hat, 4, 8, num_planned)
    assert len(mask) == length
    assert (mask == 1.0).sum() == frozen


def test_a_margin_freezes_more() -> None:
    rules = {"overrun": "extend_prefix", "prefix_margin_ticks": 2}
    extended = RealTimeChunking(execution_horizon=2, rules=rules).weights(1, 6, 8)
    plain = RealTimeChunking(execution_horizon=2).weights(3, 6, 8)
    assert extended is not None and plain is not None
    assert extended.tolist() == plain.tolist()
