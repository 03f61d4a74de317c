"""Aggregation against the functions that lerobot names."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from simloop.strategies.aggregate import Aggregate
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk

Maker = Callable[..., ArrivedChunk]
FUNCTIONS = {
    "weighted_average": lambda old, new: 0.3 * old + 0.7 * new,
    "latest_only": lambda old, new: new,
    "average": lambda old, new: 0.5 * old + 0.5 * new,
    "conservative": lambda old, new: 0.7 * old + 0.3 * new,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("d", [0, 2])
def test_overlaps_are_mixed_and_the_rest_is_new(
    name: str, d: int, arrived: Maker, installed: Callable[..., ActionBuffer]
) -> None:
    draws = np.random.default_rng(2)
    chunks = [draws.normal(size=6) for _ in range(3)]
    buffer = installed(
        Aggregate(function=name),
        [arrived(n, chunk, k=2 * n, d=0 if n == 0 else d) for n, chunk in enumerate(chunks)],
    )
    planned = dict(enumerate(chunks[0].tolist()))
    counts = dict.fromkeys(planned, 1)
    for n in (1, 2):
        for row in range(d, 6):
            tick, new = 2 * n + row, chunks[n][row]
            is_mixed = name != "latest_only" and tick in planned
            planned[tick] = FUNCTIONS[name](planned[tick], new) if tick in planned else new
            counts[tick] = counts[tick] + 1 if is_mixed else 1
    for tick, value in planned.items():
        assert buffer.action(tick)[0] == pytest.approx(value, abs=1e-12)
        assert buffer.num_blended(tick) == counts[tick]
    assert buffer.end == 10
    assert buffer.provenance(9) == (2, 5)


def test_the_default_is_lerobots(arrived: Maker, installed: Callable[..., ActionBuffer]) -> None:
    buffer = installed(Aggregate(), [arrived(0, [1.0], k=0), arrived(1, [2.0], k=0)])
    assert buffer.action(0)[0] == pytest.approx(1.7)


def test_angles_are_mixed_the_short_way_round(
    arrived: Maker, installed: Callable[..., ActionBuffer], action_space: Callable[..., object]
) -> None:
    chunks = [arrived(0, [[3.0, 3.0]], k=0), arrived(1, [[-3.0, -3.0]], k=0)]
    buffer = installed(Aggregate(function="average"), chunks, action_space(units=("m", "rad")))
    metres, angle = buffer.action(0)
    assert metres == pytest.approx(0.0)
    assert math.cos(angle) == pytest.approx(-1.0)
