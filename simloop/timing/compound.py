"""Distributions made of others or of samples: mixture, empirical, correlated jitter, contention, scene-dependent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError
from simloop.randomness import generator, stream_key
from simloop.timing.distribution import Bounded, Distribution, FloatArray, Sampler
from simloop.timing.process import Key, TickProcess, two_states


def mean_between(distribution: Distribution, low_ns: float, high_ns: float) -> float:
    """Returns the mean of a constant or bounded distribution that is clipped to an interval.

    Raises:
        ParameterError: It is neither.
    """
    if distribution.constant_ns is not None:
        return min(max(float(distribution.constant_ns), low_ns), high_ns)
    if isinstance(distribution, Bounded):
        return distribution.mean_between(low_ns, high_ns)
    raise ParameterError(f"{type(distribution).__name__} cannot be part of another distribution.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture(Bounded):
    """One of several independent distributions, chosen for each event: a fast path and a tail spike.

    Attributes:
        components: Weight and distribution of each; weights are relative.
    """

    components: tuple[tuple[float, Distribution], ...]

    @property
    def _shares(self) -> list[float]:
        total = sum(weight for weight, _ in self.components)
        return [weight / total for weight, _ in self.components]

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        edges = np.cumsum(self._shares)[:-1]
        chosen = np.searchsorted(edges, generator.random(count), side="right")
        draws = np.stack([d.draw(generator, count) for _, d in self.components])
        values: FloatArray = draws[chosen, np.arange(count)]
        return values

    def _raw_mean_between(self, low_ns: float, high_ns: float) -> float:
        means = (mean_between(d, low_ns, high_ns) for _, d in self.components)
        return sum(share * mean for share, mean in zip(self._shares, means, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Empirical(Bounded):
    """Measured durations, drawn independently with replacement (the bootstrap).

    Attributes:
        samples_ns: (n,) durations in ns, n >= 1, finite and >= 0.

    Raises:
        ParameterError: There is no sample, or one is negative or not finite.
    """

    samples_ns: FloatArray = field(kw_only=False)

    def __post_init__(self) -> None:
        samples = np.array(self.samples_ns, dtype=np.float64).ravel()
        bad = np.flatnonzero(~(np.isfinite(samples) & (samples >= 0)))
        if not len(samples) or len(bad):
            got = f"sample {int(bad[0])} is {samples[bad[0]]}" if len(bad) else "there is no sample"
            raise ParameterError(f"empirical durations: {got}; allowed: one or more durations >= 0.")
        samples.flags.writeable = False
        object.__setattr__(self, "samples_ns", samples)

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        values: FloatArray = self.samples_ns[generator.integers(len(self.samples_ns), size=count)]
        return values

    def _raw_mean_between(self, low_ns: float, high_ns: float) -> float:
        return float(np.clip(self.samples_ns, low_ns, high_ns).mean())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SequentialEmpirical(Empirical):
    """Measured durations in their order, from a random place of each episode on, again from the first after the last.

    Attributes:
        events_per_sample: Events (control ticks, captures) that share one sample: a trace with an inference every
            8 control ticks keeps its pace with 8.
    """

    events_per_sample: int = 1

    @property
    def is_independent(self) -> bool:
        """False: neighbours are those of the trace."""
        return False

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns (count,) consecutive durations in ns."""
        first = int(generator.integers(len(self.samples_ns) * self.events_per_sample))
        numbers = (first + np.arange(count)) // self.events_per_sample % len(self.samples_ns)
        return self._bounded(self.samples_ns[numbers])

    def sampler(self, key: Key) -> Sampler:
        """Returns the durations of one stage in one episode."""
        num_events = len(self.samples_ns) * self.events_per_sample
        first = int(generator(stream_key(*key)).integers(num_events))
        values: list[float] = self._bounded(self.samples_ns).tolist()
        per_sample, num_samples = self.events_per_sample, len(values)
        return lambda index, tick: values[(first + index) // per_sample % num_samples]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoStateMarkov(Bounded):
    """Two distributions, and a Markov chain over control ticks that says which holds: contention, throttling.

    Attributes:
        calm: Duration in the calm state.
        busy: Duration in the busy state.
        enter_probability: Probability per control tick of going from calm to busy.
        leave_probability: Probability per control tick of going from busy to calm.
    """

    calm: Distribution
    busy: Distribution
    enter_probability: float
    leave_probability: float

    @property
    def is_independent(self) -> bool:
        """False: the state lasts."""
        return False

    @property
    def busy_share(self) -> float:
        """Long-run share of ticks in the busy state: enter / (enter + leave)."""
        both = self.enter_probability + self.leave_probability
        return self.enter_probability / both if both else 0.0

    def _raw(self, generator: np.random.Generator, count: int) -> FloatArray:
        step = two_states(self.enter_probability, self.leave_probability)
        states: list[int] = []
        state: int | None = None
        while len(states) < count:
            block, state = step(generator, state)
            states += block
        calm, busy = self.calm.draw(generator, count), self.busy.draw(generator, count)
        return np.where(np.array(states[:count]) == 1, busy, calm)

    def _raw_mean_between(self, low_ns: float, high_ns: float) -> float:
        calm, busy = (mean_between(d, low_ns, high_ns) for d in (self.calm, self.busy))
        return calm + self.busy_share * (busy - calm)

    def sampler(self, key: Key) -> Sampler:
        """Returns the durations of one stage in one episode."""
        states = TickProcess((*key, "state"), two_states(self.enter_probability, self.leave_probability))
        calm, busy = self.calm.sampler((*key, "calm")), self.busy.sampler((*key, "busy"))
        factor, floor, ceiling = self.performance_factor, self.floor_ns, self.ceiling_ns

        def sample(index: int, tick: int) -> float:
            value = busy(index, tick) if states[tick] else calm(index, tick)
            return min(max(factor * value, floor), ceiling)

        return sample


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneDependent(Distribution):
    """A distribution plus what the observation adds: content-dependent cost, as of a detector's track list.

    A model whose time grows with what it sees can be attacked through it (SlowTrack, arXiv 2312.09520).

    Attributes:
        base: Duration of an empty scene.
        cost: What an observation (array by sensor name) adds, in ns; negative counts as 0.
        expected_extra_ns: What it adds on average, for the first d-hat.
    """

    base: Distribution
    cost: Callable[[Mapping[str, npt.NDArray[Any]]], float]
    expected_extra_ns: float = 0.0

    @property
    def needs_observation(self) -> bool:
        """True."""
        return True

    @property
    def observed_sensor(self) -> str | None:
        """The sensor of a ``RowCost``; None for a function of one's own."""
        return self.cost.sensor if isinstance(self.cost, RowCost) else None

    @property
    def mean_ns(self) -> float:
        """Mean of the base plus the expected extra."""
        return self.base.mean_ns + self.expected_extra_ns

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Returns (count,) draws of the base in ns."""
        return self.base.draw(generator, count)

    def sampler(self, key: Key) -> Sampler:
        """Returns the durations of the base."""
        return self.base.sampler(key)

    def extra_ns(self, observation: Mapping[str, npt.NDArray[Any]]) -> float:
        """Returns what an observation adds, in ns."""
        return max(0.0, float(self.cost(observation)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCost:
    """So many ns for each row of a sensor's array that is not all zero (``objects``: one row an object in view).

    Attributes:
        sensor: Name of the sensor.
        per_row_ns: Cost of one row.
        column: Entry of the row that must not be zero; None takes any.
    """

    sensor: str
    per_row_ns: float
    column: int | None = None

    def __call__(self, observation: Mapping[str, npt.NDArray[Any]]) -> float:
        """Returns the cost of an observation in ns.

        Raises:
            ParameterError: The observation lacks the sensor, or its array has no rows or no such column.
        """
        array = observation.get(self.sensor)
        if array is None:
            raise ParameterError(
                f"scene_dependent: sensor is {self.sensor!r}; the agent observes: {', '.join(sorted(observation))}."
            )
        if array.ndim != 2 or (self.column is not None and not 0 <= self.column < array.shape[1]):
            raise ParameterError(
                f"scene_dependent: sensor {self.sensor!r} has shape {array.shape}, column is {self.column}; allowed: "
                "a table of rows, and one of its columns."
            )
        rows = array if self.column is None else array[:, self.column : self.column + 1]
        return self.per_row_ns * float(np.count_nonzero(np.any(rows != 0, axis=1)))
