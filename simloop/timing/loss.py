"""Which events are lost: independently, in correlation, or in the bursts of a Gilbert-Elliott or four-state chain.

Chains and correlations are processes over control ticks, so an event is lost whoever else sends; they start in their
stationary distribution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simloop.randomness import BLOCK_SIZE, IndexedStream, stream_key
from simloop.timing.process import Key, TickProcess, correlated_normals, special, two_states

LossDraw = Callable[[int, int], bool]
"""Whether the event ``index`` that falls into control tick ``tick`` is lost: ``is_lost(index, tick)``."""


def _uniform(key: Key) -> IndexedStream:
    return IndexedStream(stream_key(*key), np.random.Generator.random)


class Loss(ABC):
    """A model of losses."""

    @property
    @abstractmethod
    def long_run_share(self) -> float:
        """Share of the events that are lost in the long run."""

    @abstractmethod
    def draws(self, key: Key) -> LossDraw:
        """Returns the losses of one episode.

        Args:
            key: Parts of the key of the draws.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Bernoulli(Loss):
    """Every event with the same probability.

    Attributes:
        probability: Of being lost.
        correlation: Correlation c, 0 <= c < 1, of the normal variates behind neighbouring control ticks; the
            probability stays what it is. (netem's correlated loss changes it: its manual page advises against it.)
    """

    probability: float
    correlation: float = 0.0

    @property
    def long_run_share(self) -> float:
        """The probability."""
        return self.probability

    def draws(self, key: Key) -> LossDraw:
        """Returns the losses of one episode."""
        probability = self.probability
        if self.correlation == 0.0:
            shares = _uniform(key)
            return lambda index, tick: shares[index] < probability
        normals = TickProcess(key, correlated_normals(self.correlation))
        threshold = float(special().ndtri(probability))
        return lambda index, tick: normals[tick] < threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class GilbertElliott(Loss):
    """A good and a bad state, each with a loss probability of its own.

    Long-run loss: p/(p+r) (1-h) + r/(p+r) (1-k). Sources: Gilbert 1960; Elliott 1963; netem ``loss gemodel``.

    Attributes:
        p: Probability per control tick of going from good to bad.
        r: Probability per control tick of going from bad to good.
        loss_in_bad: Loss probability in the bad state, 1 - h.
        loss_in_good: Loss probability in the good state, 1 - k.
    """

    p: float
    r: float
    loss_in_bad: float = 1.0
    loss_in_good: float = 0.0

    @property
    def long_run_share(self) -> float:
        """Stationary loss."""
        both = self.p + self.r
        bad = self.p / both if both else 0.0
        return bad * self.loss_in_bad + (1.0 - bad) * self.loss_in_good

    def draws(self, key: Key) -> LossDraw:
        """Returns the losses of one episode."""
        states = TickProcess((*key, "state"), two_states(self.p, self.r))
        shares = _uniform((*key, "loss"))
        by_state = (self.loss_in_good, self.loss_in_bad)
        return lambda index, tick: shares[index] < by_state[states[tick]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FourState(Loss):
    """netem's ``loss state``: 1 received in a gap, 2 received in a burst, 3 lost in a burst, 4 lost in a gap.

    Transition probabilities per control tick; state 4 always goes back to 1. Source: Salsano, Ludovici and Ordine,
    "Definition of a general and intuitive loss model for packet networks" (NetemCLG).
    """

    p13: float
    p31: float
    p32: float = 0.0
    p23: float = 1.0
    p14: float = 0.0

    @property
    def stationary(self) -> tuple[float, float, float, float]:
        """Long-run shares of the states 1 to 4."""
        p13, p31, p32, p23, p14 = self.p13, self.p31, self.p32, self.p23, self.p14
        weights = (p31 * p23, p13 * p32, p13 * p23, p14 * p31 * p23)
        if not sum(weights):
            # Without a burst, or with one that state 2 has no part in.
            weights = (p31, 0.0, p13, p14 * p31) if p13 else (1.0, 0.0, 0.0, p14)
        total = sum(weights)
        first, second, third, fourth = (w / total for w in weights)
        return first, second, third, fourth

    @property
    def long_run_share(self) -> float:
        """Stationary share of the states 3 and 4."""
        return self.stationary[2] + self.stationary[3]

    def _next(self, state: int, draw: float) -> int:
        if state == 1:
            return 4 if draw < self.p14 else 3 if draw < self.p14 + self.p13 else 1
        if state == 2:
            return 3 if draw < self.p23 else 2
        if state == 3:
            return 2 if draw < self.p32 else 1 if draw < self.p32 + self.p31 else 3
        return 1

    def draws(self, key: Key) -> LossDraw:
        """Returns the losses of one episode."""
        edges = np.cumsum(self.stationary)[:-1]

        def step(bits: np.random.Generator, state: int | None) -> tuple[list[int], int]:
            values = []
            for draw in bits.random(BLOCK_SIZE).tolist():
                if state is None:
                    state = int(np.searchsorted(edges, draw, side="right")) + 1
                else:
                    state = self._next(state, draw)
                values.append(state)
            return values, values[-1]

        states = TickProcess(key, step)
        return lambda index, tick: states[tick] >= 3
