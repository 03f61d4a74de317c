"""Distributions of a stage's duration, in whole nanoseconds, with floor, ceiling and performance factor.

Stage durations of real inference are nearly constant; jitter belongs to networks, preprocessing and contention
(docs/timing-model.md gives the measurements).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError, UnknownNameError

FloatArray = npt.NDArray[np.float64]


class Distribution(ABC):
    """A duration in nanoseconds; draws are made for numbered events by the stage graph."""

    @property
    def constant_ns(self) -> int | None:
        """The one value that it can take, or None; constant stages draw nothing."""
        return None

    @property
    @abstractmethod
    def mean_ns(self) -> float:
        """Expected duration before floor and ceiling."""

    @abstractmethod
    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns (count,) independent durations in ns, within floor and ceiling."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedLognormal(Distribution):
    """``shift + median * exp(sigma * N(0, 1))``, times the performance factor, clipped to floor and ceiling.

    The long right tail fits network and preprocessing delays; the shift is the part that never varies.
    """

    shift_ns: float
    median_ns: float
    sigma: float
    floor_ns: float = 0.0
    ceiling_ns: float = math.inf
    performance_factor: float = 1.0

    @property
    def mean_ns(self) -> float:
        """Mean of the unclipped distribution: factor * (shift + median * exp(sigma^2 / 2))."""
        return self.performance_factor * (self.shift_ns + self.median_ns * math.exp(self.sigma**2 / 2))

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns (count,) independent durations in ns."""
        normal = generator.standard_normal(count)
        values = self.performance_factor * (self.shift_ns + self.median_ns * np.exp(self.sigma * normal))
        clipped: FloatArray = np.clip(values, self.floor_ns, self.ceiling_ns)
        return clipped


ZERO = Constant(0)


def _number(
    config: Mapping[str, Any], key: str, where: str, default: float | None = None, low: float = 0.0
) -> float:
    value = config.get(key, default)
    if value is None:
        raise ParameterError(f"{where}: {key} is missing; it takes a number >= {low:g}.")
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < low
    ):
        raise ParameterError(f"{where}.{key} is {value!r}; allowed: a number >= {low:g}.")
    return float(value)


def _constant(config: Mapping[str, Any], where: str) -> Distribution:
    factor = _number(config, "performance_factor", where, 1.0)
    return Constant(round(_number(config, "value_ms", where) * factor * NS_PER_MS))


def _shifted_lognormal(config: Mapping[str, Any], where: str) -> Distribution:
    floor_ms = _number(config, "floor_ms", where, 0.0)
    ceiling_ms = _number(config, "ceiling_ms", where) if "ceiling_ms" in config else math.inf
    if ceiling_ms < floor_ms:
        raise ParameterError(
            f"{where}.ceiling_ms is {ceiling_ms:g}; allowed: at least floor_ms = {floor_ms:g}."
        )
    return ShiftedLognormal(
        shift_ns=_number(config, "shift_ms", where, 0.0) * NS_PER_MS,
        median_ns=_number(config, "median_ms", where) * NS_PER_MS,
        sigma=_number(config, "sigma", where),
        floor_ns=floor_ms * NS_PER_MS,
        ceiling_ns=ceiling_ms * NS_PER_MS,
        performance_factor=_number(config, "performance_factor", where, 1.0),
    )


_KINDS: dict[str, tuple[Callable[[Mapping[str, Any], str], Distribution], frozenset[str]]] = {
    "constant": (_constant, frozenset({"value_ms", "performance_factor"})),
    "shifted_lognormal": (
        _shifted_lognormal,
        frozenset({"shift_ms", "median_ms", "sigma", "floor_ms", "ceiling_ms", "performance_factor"}),
    ),
}


def distribution_from_config(config: Mapping[str, Any] | None, where: str) -> Distribution:
    """Builds a distribution from plain values with units in the keys; None is zero.

    Args:
        config: ``{"distribution": "constant", "value_ms": 80}`` or
            ``{"distribution": "shifted_lognormal", "shift_ms": .., "median_ms": .., "sigma": ..}`` with optional
            ``floor_ms``, ``ceiling_ms`` and ``performance_factor``.
        where: Key path for messages, for example ``"timing.inference"``.

    Raises:
        UnknownNameError: The distribution's name is unknown.
        ParameterError: A key is unknown or missing, or a value out of range.
    """
    if config is None:
        return ZERO
    if not isinstance(config, Mapping):
        raise ParameterError(f"{where} is {config!r}; allowed: a mapping with the key distribution.")
    kind = str(config.get("distribution", ""))
    if kind not in _KINDS:
        raise UnknownNameError("distribution", kind, _KINDS, where=where)
    build, keys = _KINDS[kind]
    unknown = sorted(set(config) - keys - {"distribution"})
    if unknown:
        raise ParameterError(f"{where}: unknown keys {unknown}; {kind} takes: {', '.join(sorted(keys))}.")
    return build(config, where)
