"""Jitter in netem's shapes, correlated from control tick to control tick."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from simloop.timing.distribution import Bounded, FloatArray, Sampler
from simloop.timing.process import Key, TickProcess, correlated_normals, special

NUM_QUANTILES = 4096
"""Points at which a jitter shape without a closed form is averaged: the length of netem's own tables."""


class JitterShape(enum.Enum):
    """Shape of a jitter around its centre, as netem names them."""

    UNIFORM = "uniform"
    """Within plus and minus one jitter; netem's shape if none is named."""
    NORMAL = "normal"
    PARETO = "pareto"
    """4/3 (U^(-1/3) - 3/2), Pareto with exponent 3, cut at 4 (iproute2 netem/pareto.c)."""
    PARETONORMAL = "paretonormal"
    """A quarter normal, three quarters pareto, of the same quantile (iproute2 netem/paretonormal.c)."""


_TABLE_LIMIT = 32767 / 8192
"""Largest value of netem's 16-bit tables, which count in 1/8192 of a jitter."""


def shape_quantiles(shape: JitterShape, shares: FloatArray) -> FloatArray:
    """Returns the quantiles of a jitter shape, in jitters, at (n,) shares in (0, 1)."""
    values: FloatArray
    if shape is JitterShape.UNIFORM:
        values = 2.0 * shares - 1.0
        return values
    normal: FloatArray = special().ndtri(shares)
    if shape is JitterShape.NORMAL:
        values = normal
    else:
        pareto = np.minimum(4.0 / 3.0 * ((1.0 - shares) ** (-1.0 / 3.0) - 1.5), _TABLE_LIMIT)
        values = pareto if shape is JitterShape.PARETO else 0.25 * normal + 0.75 * pareto
    clipped: FloatArray = np.clip(values, -4.0, _TABLE_LIMIT)
    return clipped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jitter(Bounded):
    """``delay + jitter * shape``, correlated from control tick to control tick.

    The shares are those of an AR(1) process of standard normals with the given correlation, so the shape is kept
    whatever the correlation. (netem averages uniform numbers instead, which narrows the shape: its ``get_crandom``.)

    Attributes:
        delay_ns: Centre.
        jitter_ns: Half width of the uniform, standard deviation of the normal shape.
        correlation: Correlation of neighbouring ticks, 0 <= c < 1.
        shape: Named shape, or (n,) quantiles in jitters at equal steps (a netem table).
    """

    delay_ns: float
    jitter_ns: float
    correlation: float = 0.0
    shape: JitterShape | FloatArray = JitterShape.UNIFORM

    @property
    def is_independent(self) -> bool:
        """Whether there is no correlation."""
        return self.correlation == 0.0

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        return self._at(generator.random(count))

    def _at(self, shares: FloatArray) -> FloatArray:
        if isinstance(self.shape, JitterShape):
            # Random numbers can be 0, whose quantile is not finite.
            quantiles = shape_quantiles(self.shape, np.clip(shares, 1e-12, 1.0 - 1e-12))
        else:
            numbers = np.minimum((shares * len(self.shape)).astype(np.int64), len(self.shape) - 1)
            quantiles = self.shape[numbers]
        values: FloatArray = self.delay_ns + self.jitter_ns * quantiles
        return values

    def _raw_mean_between(self, low_ns: float, high_ns: float) -> float:
        num = NUM_QUANTILES if isinstance(self.shape, JitterShape) else len(self.shape)
        midpoints = (np.arange(num) + 0.5) / num
        return float(np.clip(self._at(midpoints), low_ns, high_ns).mean())

    def sampler(self, key: Key) -> Sampler:
        """Returns the durations of one stage in one episode."""
        if self.is_independent:
            return Bounded.sampler(self, key)
        normals = correlated_normals(self.correlation)

        def step(bits: np.random.Generator, last: float | None) -> tuple[list[float], float]:
            values, last = normals(bits, last)
            return self._bounded(self._at(special().ndtr(np.array(values)))).tolist(), last

        process = TickProcess(key, step)
        return lambda index, tick: process[tick]
