"""Predictors of the delay d-hat that is told to the agent; the realised d is counted, never computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import numpy as np

from simloop.randomness import IndexedStream

Rounding = Callable[[float], int]
"""``math.ceil`` or ``math.floor``."""

TOLERANCE_TICKS = 1e-9
"""What float division may leave on a delay that is a whole number of ticks."""


def rounded_ticks(value: float, rounding: Rounding) -> int:
    """Rounds a delay in control ticks; a whole number with the error of a float division stays that number."""
    nearest = round(value)
    return nearest if abs(value - nearest) <= TOLERANCE_TICKS else rounding(value)


class DelayEstimate(ABC):
    """What the delay of the coming request seems to be, before bias and noise."""

    @abstractmethod
    def ticks(self, tick: int) -> int:
        """Returns the estimate, in control ticks, for a request whose observation tick is ``tick``."""

    def observe(self, realised_ticks: int) -> None:
        """Takes note of a realised delay; the default ignores it."""


class Constant(DelayEstimate):
    """Always the same delay.

    Args:
        ticks: The delay in control ticks.
    """

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks

    def ticks(self, tick: int) -> int:
        """Returns the constant."""
        return self._ticks


class MaxOfWindow(DelayEstimate):
    """The largest of the last ``window`` realised delays (Black et al. 2025, arXiv 2506.07339, algorithm 1).

    Args:
        initial: Estimate until a delay was seen.
        window: How many realised delays are remembered.
    """

    def __init__(self, initial: int, window: int) -> None:
        self._initial = initial
        self._seen: deque[int] = deque(maxlen=window)

    def ticks(self, tick: int) -> int:
        """Returns the largest remembered delay."""
        return max(self._seen, default=self._initial)

    def observe(self, realised_ticks: int) -> None:
        """Remembers a delay."""
        self._seen.append(realised_ticks)


class P95OfWindow(DelayEstimate):
    """The 95th percentile (linear between ranks) of the last ``window`` realised delays, rounded.

    Args:
        initial: Estimate until a delay was seen.
        window: How many realised delays are remembered.
        rounding: How a fraction of a tick is rounded.
    """

    def __init__(self, initial: int, window: int, rounding: Rounding) -> None:
        self._initial = initial
        self._rounding = rounding
        self._seen: deque[int] = deque(maxlen=window)

    def ticks(self, tick: int) -> int:
        """Returns the rounded percentile."""
        if not self._seen:
            return self._initial
        return rounded_ticks(float(np.quantile(self._seen, 0.95)), self._rounding)

    def observe(self, realised_ticks: int) -> None:
        """Remembers a delay."""
        self._seen.append(realised_ticks)


class Ewma(DelayEstimate):
    """An exponentially weighted moving average, mean = alpha d + (1 - alpha) mean, rounded.

    Args:
        initial_ticks: The mean before any delay was seen, with its fraction.
        alpha: Weight of the newest delay, in (0, 1].
        rounding: How a fraction of a tick is rounded.
    """

    def __init__(self, initial_ticks: float, alpha: float, rounding: Rounding) -> None:
        self._mean = initial_ticks
        self._alpha = alpha
        self._rounding = rounding

    def ticks(self, tick: int) -> int:
        """Returns the rounded mean."""
        return rounded_ticks(self._mean, self._rounding)

    def observe(self, realised_ticks: int) -> None:
        """Moves the mean towards a delay."""
        self._mean = self._alpha * realised_ticks + (1.0 - self._alpha) * self._mean


class Oracle(DelayEstimate):
    """The delay that the chunk will really have; whoever asks has to tell it right before."""

    def __init__(self) -> None:
        self.truth_ticks = 0

    def ticks(self, tick: int) -> int:
        """Returns what was told."""
        return self.truth_ticks


class Predictor:
    """An estimate with an injected error: d-hat = max(0, estimate + bias + round(noise N(0, 1))).

    Args:
        estimate: What is predicted without the error.
        bias_ticks: Added to every prediction.
        noise_ticks: Standard deviation of the noise; 0 draws nothing.
        key: Key of the noise's stream of draws; the observation tick picks the draw.
    """

    __slots__ = ("_bias", "_estimate", "_noise", "_stream", "observe")

    def __init__(
        self, estimate: DelayEstimate, *, bias_ticks: int, noise_ticks: float, key: tuple[int, int]
    ) -> None:
        self._estimate = estimate
        self._bias = bias_ticks
        self._noise = noise_ticks
        self._stream = IndexedStream(key, lambda source, count: source.standard_normal(count))
        self.observe = estimate.observe
        """Takes note of a realised delay in control ticks."""

    @property
    def needs_truth(self) -> bool:
        """Whether ``tell`` has to be called right before ``predict``."""
        return isinstance(self._estimate, Oracle)

    def tell(self, ticks: int) -> None:
        """Tells an oracle the delay, in control ticks, that the coming chunk will have; others need not know."""
        if isinstance(self._estimate, Oracle):
            self._estimate.truth_ticks = ticks

    def predict(self, tick: int) -> int:
        """Returns d-hat in control ticks for a request whose observation tick is ``tick``."""
        predicted = self._estimate.ticks(tick) + self._bias
        if self._noise:
            predicted += round(self._noise * self._stream[tick])
        return max(predicted, 0)
