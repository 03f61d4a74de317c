"""Temporal ensembling against the sum that the paper writes down."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.temporal_ensemble import TemporalEnsemble, newest_share

Maker = Callable[..., ArrivedChunk]
HORIZON = 6


def _mean(chunks: list[ArrivedChunk], tick: int, decay: float) -> float:
    """Sum of w_i times action over sum of w_i, w_i = exp(-m rank), rank 0 the oldest (arXiv 2304.13705)."""
    ordered = sorted(chunks, key=lambda c: c.observation_tick)
    live = [c for c in ordered if 0 <= tick - c.observation_tick < len(c.actions)]
    weights = [math.exp(-decay * rank) for rank in range(len(live))]
    values = [c.actions[tick - c.observation_tick, 0] for c in live]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.5, 30.0])
def test_the_share_of_the_newest(decay: float) -> None:
    counts = np.arange(40)
    weights = np.exp(-decay * counts)
    assert newest_share(counts, decay) == pytest.approx(weights / np.cumsum(weights), rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.5, 30.0])
@pytest.mark.parametrize("d", [0, 1, 4])
def test_every_tick_plays_the_weighted_mean_of_what_has_arrived(
    decay: float, d: int, arrived: Maker, action_space: Callable[..., object]
) -> None:
    draws = np.random.default_rng(0)
    strategy, buffer, space = TemporalEnsemble(decay=decay), ActionBuffer(1), action_space()
    chunks = [arrived(k, draws.normal(size=HORIZON), k=k, d=d) for k in range(20)]
    for tick in range(d, 20):
        strategy.install(buffer, chunks[tick - d], space)
        here = chunks[: tick - d + 1]
        live = [c for c in here if tick - c.observation_tick < HORIZON]
        assert buffer.action(tick)[0] == pytest.approx(_mean(here, tick, decay), abs=1e-12)
        assert buffer.num_blended(tick) == len(live)
        assert buffer.provenance(tick) == (tick - d, d)
        assert buffer.remaining(tick) == HORIZON - d


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [3, 2, 1, 0], [1, 0, 3, 2]])
def test_a_chunk_that_was_overtaken_still_takes_its_rank(
    order: list[int], arrived: Maker, action_space: Callable[..., object]
) -> None:
    draws = np.random.default_rng(1)
    strategy = TemporalEnsemble(decay=0.7, rules={"drop_older": False})
    buffer, space = ActionBuffer(1), action_space()
    chunks = [arrived(k, draws.normal(size=HORIZON), k=k, d=4 - k) for k in range(4)]
    for request in order:  # all land at tick 4
        strategy.install(buffer, chunks[request], space)
    for tick in range(4, 9):
        assert buffer.action(tick)[0] == pytest.approx(_mean(chunks, tick, 0.7), abs=1e-12)
        assert buffer.num_blended(tick) == sum(tick - k < HORIZON for k in range(4))
    assert len(buffer.live) == 4
    strategy.install(buffer, arrived(4, np.zeros(HORIZON), k=8, d=0), space)
    assert [c.request for c in buffer.live] == [3, 4]


def test_the_mean_of_angles_is_on_the_short_side(
    arrived: Maker, installed: Callable[..., ActionBuffer], action_space: Callable[..., object]
) -> None:
    chunks = [arrived(0, [math.pi - 0.2], k=0), arrived(1, [-math.pi + 0.2], k=0)]
    buffer = installed(TemporalEnsemble(decay=0.0), chunks, action_space(units=("rad",)))
    assert math.cos(buffer.action(0)[0]) == pytest.approx(-1.0)
