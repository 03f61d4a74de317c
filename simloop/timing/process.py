"""Random processes over control ticks: what a link or a machine is like at a tick, whoever looks and however often.

A process is drawn forward from tick 0 in blocks and kept, so its value at a tick depends on the key and the tick
alone. It starts in its stationary distribution, so short episodes see the long-run figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Generic, TypeVar

import numpy as np

from simloop.randomness import BLOCK_SIZE, generator, stream_key

Key = tuple[object, ...]
T = TypeVar("T")
S = TypeVar("S")


def special() -> ModuleType:
    """Returns ``scipy.special``, which is loaded only where a distribution needs it: the core stays light."""
    from scipy import special as loaded

    module: ModuleType = loaded
    return module


class TickProcess(Generic[S, T]):
    """The values of a process, by control tick.

    Args:
        key: Parts of the key of its draws.
        step: Makes the next ``BLOCK_SIZE`` values from the state after the last block (None at the start).
    """

    __slots__ = ("_generator", "_key", "_state", "_step", "_values")

    def __init__(self, key: Key, step: Callable[[np.random.Generator, S | None], tuple[list[T], S]]) -> None:
        self._key = key
        self._step = step
        self._generator: np.random.Generator | None = None
        self._state: S | None = None
        self._values: list[T] = []

    def __getitem__(self, tick: int) -> T:
        """Returns the value at control tick ``tick`` >= 0."""
        values = self._values
        if tick < 0:
            raise IndexError(f"Control ticks are numbered from 0; got {tick}.")
        while tick >= len(values):
            if self._generator is None:
                self._generator = generator(stream_key(*self._key))
            block, self._state = self._step(self._generator, self._state)
            values += block
        return values[tick]


def correlated_normals(
    correlation: float,
) -> Callable[[np.random.Generator, float | None], tuple[list[float], float]]:
    """Returns the step of a stationary AR(1) process with standard normal values.

    z[k] = c z[k-1] + sqrt(1 - c^2) e[k]: its autocorrelation at lag j is c^j (Box and Jenkins 1976, section 3.2).
    """
    innovation = math.sqrt(1.0 - correlation**2)

    def step(bits: np.random.Generator, last: float | None) -> tuple[list[float], float]:
        draws: list[float] = bits.standard_normal(BLOCK_SIZE).tolist()
        values = []
        for draw in draws:
            last = draw if last is None else correlation * last + innovation * draw
            values.append(last)
        return values, values[-1]

    return step


def two_states(
    enter_probability: float, leave_probability: float
) -> Callable[[np.random.Generator, int | None], tuple[list[int], int]]:
    """Returns the step of a two-state Markov chain, 1 in the state that is entered and left as given per tick."""
    both = enter_probability + leave_probability
    share = enter_probability / both if both else 0.0

    def step(bits: np.random.Generator, state: int | None) -> tuple[list[int], int]:
        draws: list[float] = bits.random(BLOCK_SIZE).tolist()
        values = []
        for draw in draws:
            if state is None:
                state = int(draw < share)
            else:
                state = int(draw >= leave_probability if state else draw < enter_probability)
            values.append(state)
        return values, values[-1]

    return step
