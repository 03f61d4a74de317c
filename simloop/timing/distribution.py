"""Distributions of a stage's duration, in nanoseconds, each with a floor, a ceiling and a performance factor.

Stage durations of real inference are nearly constant; jitter belongs to networks, preprocessing and contention
(docs/timing-model.md gives the measurements). Distributions that are made of others or of samples are in
``simloop.timing.compound``.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from simloop.randomness import IndexedStream, stream_key
from simloop.timing.process import Key, special

FloatArray = npt.NDArray[np.float64]
Sampler = Callable[[int, int], float]
"""The duration in ns of the event ``index`` that falls into control tick ``tick``: ``sampler(index, tick)``."""


class Durations(Protocol):
    """Durations in whole ns, never negative, by number of the event."""

    def __getitem__(self, index: int, /) -> int:
        """Returns the duration of event ``index`` >= 0."""
        ...


LONGEST_NS = 10**17
"""Durations end here (three years), so that no tail leaves the whole numbers of 64 bits."""


class Distribution(ABC):
    """A duration in nanoseconds; draws are made for numbered events by the stage graph."""

    @property
    def constant_ns(self) -> int | None:
        """The one value that it can take, or None; constant stages draw nothing."""
        return None

    @property
    def is_independent(self) -> bool:
        """Whether the draws of different events are independent; others are processes over control ticks."""
        return True

    @property
    def needs_observation(self) -> bool:
        """Whether a duration depends on what is observed, by ``extra_ns``."""
        return False

    @property
    def observed_sensor(self) -> str | None:
        """Sensor that the agent must observe for ``extra_ns``, if it is one by name."""
        return None

    @property
    @abstractmethod
    def mean_ns(self) -> float:
        """Expected duration."""

    @abstractmethod
    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns (count,) durations of consecutive events in ns, within floor and ceiling."""

    def sampler(self, key: Key) -> Sampler:
        """Returns the durations of one stage in one episode.

        Args:
            key: Parts of the key of the draws.
        """
        stream = IndexedStream(stream_key(*key), self.draw)
        return lambda index, tick: stream[index]

    def durations(self, key: Key) -> Durations:
        """Returns the durations of a stage whose events are control ticks (or, if independent, any events)."""
        if self.is_independent:
            return cast("Durations", IndexedStream(stream_key(*key), self._whole))
        return _TickDurations(self.sampler(key))

    def _whole(self, generator: np.random.Generator, count: int) -> FloatArray:
        whole = np.clip(np.rint(self.draw(generator, count)), 0, LONGEST_NS).astype(np.int64)
        return cast("FloatArray", whole)

    def extra_ns(self, observation: Mapping[str, npt.NDArray[Any]]) -> float:
        """Returns what an observation adds to the duration, in ns."""
        return 0.0


class _TickDurations:
    """The durations of a process, by control tick."""

    __slots__ = ("_sampler",)

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def __getitem__(self, index: int, /) -> int:
        return min(max(0, round(self._sampler(index, index))), LONGEST_NS)


@dataclass(frozen=True, slots=True)
class Constant(Distribution):
    """Always the same duration."""

    value_ns: int

    @property
    def constant_ns(self) -> int | None:
        """The value."""
        return self.value_ns

    @property
    def mean_ns(self) -> float:
        """The value."""
        return float(self.value_ns)

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns the value ``count`` times; uses no randomness."""
        return np.full(count, float(self.value_ns))


ZERO = Constant(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounded(Distribution):
    """A raw duration times ``performance_factor``, clipped to ``floor_ns`` and ``ceiling_ns``."""

    floor_ns: float = 0.0
    ceiling_ns: float = math.inf
    performance_factor: float = 1.0

    @property
    def mean_ns(self) -> float:
        """Expected duration, clipping and performance factor included."""
        return _mean_ns(self)

    def mean_between(self, low_ns: float, high_ns: float) -> float:
        """Returns the expected duration if it is clipped to ``low_ns`` and ``high_ns`` besides."""
        low = min(max(self.floor_ns, low_ns), high_ns)
        high = max(min(self.ceiling_ns, high_ns), low_ns)
        if low >= high:
            return low
        factor = self.performance_factor
        return factor * self._raw_mean_between(low / factor, high / factor)

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns (count,) durations in ns."""
        return self._bounded(self._raw(generator, count))

    def _bounded(self, raw: FloatArray) -> FloatArray:
        clipped: FloatArray = np.clip(self.performance_factor * raw, self.floor_ns, self.ceiling_ns)
        return clipped

    @abstractmethod
    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns (count,) draws in ns before factor and clipping."""

    @abstractmethod
    def _raw_mean_between(self, low_ns: float, high_ns: float) -> float:
        """Returns the mean of a raw draw clipped to an interval, low < high."""


@functools.lru_cache(maxsize=1024)
def _mean_ns(distribution: Bounded) -> float:
    """Every episode asks for the mean; a table of quantiles is averaged once."""
    return distribution.mean_between(-math.inf, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Continuous(Bounded):
    """A raw duration with a known distribution function; the mean of its clipped value follows by parts."""

    @abstractmethod
    def _below(self, x_ns: float) -> tuple[float, float]:
        """Returns P(X <= x) and E[X; X <= x] for finite x."""

    @property
    @abstractmethod
    def _raw_mean(self) -> float:
        """Mean of a raw draw."""

    def _raw_mean_between(self, low_ns: float, high_ns: float) -> float:
        share_low, mean_low = self._below(low_ns) if math.isfinite(low_ns) else (0.0, 0.0)
        share_high, mean_high = self._below(high_ns) if math.isfinite(high_ns) else (1.0, self._raw_mean)
        clipped_low = low_ns * share_low if share_low else 0.0
        clipped_high = high_ns * (1.0 - share_high) if share_high < 1.0 else 0.0
        return clipped_low + (mean_high - mean_low) + clipped_high


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(_Continuous):
    """Uniform on [``low_ns``, ``high_ns``]."""

    low_ns: float
    high_ns: float

    @property
    def _raw_mean(self) -> float:
        return 0.5 * (self.low_ns + self.high_ns)

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        return generator.uniform(self.low_ns, self.high_ns, count)

    def _below(self, x_ns: float) -> tuple[float, float]:
        if x_ns < self.low_ns:
            return 0.0, 0.0
        if x_ns >= self.high_ns:
            return 1.0, self._raw_mean
        width = self.high_ns - self.low_ns
        return (x_ns - self.low_ns) / width, 0.5 * (x_ns**2 - self.low_ns**2) / width


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncatedNormal(_Continuous):
    """A normal with mean ``normal_mean_ns`` and ``normal_sd_ns`` > 0, given that it lies in [``low_ns``, ``high_ns``].

    Truncation is not clipping: draws outside are made again, not moved to the edge (Johnson, Kotz and Balakrishnan,
    Continuous Univariate Distributions 1, section 13.10.1).
    """

    normal_mean_ns: float
    normal_sd_ns: float
    low_ns: float = 0.0
    high_ns: float = math.inf

    @property
    def share_inside(self) -> float:
        """Probability that the normal lies between ``low_ns`` and ``high_ns``."""
        return float(special().ndtr(self._scaled(self.high_ns)) - special().ndtr(self._scaled(self.low_ns)))

    @property
    def _raw_mean(self) -> float:
        edges = _normal_density(self._scaled(self.low_ns)) - _normal_density(self._scaled(self.high_ns))
        return self.normal_mean_ns + self.normal_sd_ns * edges / self.share_inside

    def _scaled(self, x_ns: float) -> float:
        return (x_ns - self.normal_mean_ns) / self.normal_sd_ns

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        first = special().ndtr(self._scaled(self.low_ns))
        shares = first + generator.random(count) * self.share_inside
        values = self.normal_mean_ns + self.normal_sd_ns * special().ndtri(shares)
        inside: FloatArray = np.clip(values, self.low_ns, self.high_ns)
        return inside

    def _below(self, x_ns: float) -> tuple[float, float]:
        if x_ns < self.low_ns:
            return 0.0, 0.0
        if x_ns >= self.high_ns:
            return 1.0, self._raw_mean
        low, x = self._scaled(self.low_ns), self._scaled(x_ns)
        share = float(special().ndtr(x) - special().ndtr(low)) / self.share_inside
        edges = (_normal_density(low) - _normal_density(x)) / self.share_inside
        return share, self.normal_mean_ns * share + self.normal_sd_ns * edges


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedLognormal(_Continuous):
    """``shift + median * exp(sigma * N(0, 1))``.

    The long right tail fits network and preprocessing delays; the shift is the part that never varies.
    """

    shift_ns: float
    median_ns: float
    sigma: float

    @property
    def _raw_mean(self) -> float:
        return self.shift_ns + self.median_ns * math.exp(self.sigma**2 / 2)

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        normal = generator.standard_normal(count)
        values: FloatArray = self.shift_ns + self.median_ns * np.exp(self.sigma * normal)
        return values

    def _below(self, x_ns: float) -> tuple[float, float]:
        if self.sigma == 0.0 or self.median_ns == 0.0:
            return (1.0, self._raw_mean) if x_ns >= self._raw_mean else (0.0, 0.0)
        if x_ns <= self.shift_ns:
            return 0.0, 0.0
        z = math.log((x_ns - self.shift_ns) / self.median_ns) / self.sigma
        share = float(special().ndtr(z))
        tail_mean = self._raw_mean - self.shift_ns
        return share, self.shift_ns * share + tail_mean * float(special().ndtr(z - self.sigma))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedGamma(_Continuous):
    """``shift + scale * Gamma(shape)``; its mean is shift + shape * scale, its variance shape * scale^2."""

    shift_ns: float
    shape: float
    scale_ns: float

    @property
    def _raw_mean(self) -> float:
        return self.shift_ns + self.shape * self.scale_ns

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        values: FloatArray = self.shift_ns + self.scale_ns * generator.standard_gamma(self.shape, count)
        return values

    def _below(self, x_ns: float) -> tuple[float, float]:
        if self.scale_ns == 0.0:
            return (1.0, self._raw_mean) if x_ns >= self._raw_mean else (0.0, 0.0)
        if x_ns <= self.shift_ns:
            return 0.0, 0.0
        y = (x_ns - self.shift_ns) / self.scale_ns
        share = float(special().gammainc(self.shape, y))
        tail_mean = self.shape * self.scale_ns * float(special().gammainc(self.shape + 1.0, y))
        return share, self.shift_ns * share + tail_mean


def _normal_density(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
