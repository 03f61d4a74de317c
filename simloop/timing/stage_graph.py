"""The stages between a capture and its effect, and the draw of each stage's duration for each event.

A preset names sensor *kinds*, never a world's sensors. Draws are keyed by (seed, case, stage, event): the event is
the capture number for a sensor, the observation's control tick for an inference and the control tick for an
actuation, so neither the strategy nor the agent nor the worker moves a draw (docs/timing-model.md).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from simloop.errors import ParameterError
from simloop.randomness import IndexedStream, stream_key
from simloop.timing.distribution import ZERO, Distribution, distribution_from_config
from simloop.world import SensorKind

_E = TypeVar("_E", bound=enum.Enum)


class Stage(enum.Enum):
    """A stage after the sensors, in order."""

    PREPROCESS = "preprocess"
    UPLINK = "uplink"
    INFERENCE = "inference"
    DOWNLINK = "downlink"
    ACTUATION = "actuation"


class Assembly(enum.Enum):
    """When the items of an observation are enough for a trigger that was armed at tick k."""

    CAPTURED_SINCE = "captured_since"
    """Of each sensor the first item captured at or after tick k."""
    LATEST = "latest"
    """Whatever has arrived by tick k."""


class FirstChunk(enum.Enum):
    """What the first chunk of an episode costs."""

    FREE = "free"
    """It is there at tick 0; asynchronous strategies then ask again, at cost."""
    CHARGED = "charged"
    """It costs what every chunk costs; the hold acts until it arrives."""


class QueueRule(enum.Enum):
    """What waits in front of a busy accelerator."""

    LATEST_WINS = "latest_wins"
    FIFO = "fifo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A latency configuration.

    Attributes:
        name: Name of the preset.
        source: Where its figures come from.
        transport: Delay from capture to assembly by sensor kind; kinds not named take no time.
        stages: Duration by stage; stages not named take no time.
        assembly: When an observation is complete.
        first_chunk: What the first chunk costs.
        servers: Requests that the accelerator works on at once; 0 means without bound.
        queue: What waits in front of it.
        seed: Root seed of every latency draw.
    """

    name: str
    source: str = ""
    transport: Mapping[SensorKind, Distribution] = field(default_factory=dict)
    stages: Mapping[Stage, Distribution] = field(default_factory=dict)
    assembly: Assembly = Assembly.CAPTURED_SINCE
    first_chunk: FirstChunk = FirstChunk.FREE
    servers: int = 1
    queue: QueueRule = QueueRule.LATEST_WINS
    seed: int = 0

    def stage(self, stage: Stage) -> Distribution:
        """Returns the duration of one stage."""
        return self.stages.get(stage, ZERO)

    def frozen(self) -> Timing:
        """Returns the timing of a world that waits for its agent: only the actuation dead time is left."""
        actuation = {Stage.ACTUATION: self.stage(Stage.ACTUATION)}
        return Timing(name=self.name, source=self.source, stages=actuation, seed=self.seed)

    def nominal_ns(self, kinds: Iterable[SensorKind]) -> float:
        """Returns the mean time from a capture to the chunk's arrival, queueing aside.

        Args:
            kinds: Kinds of the sensors that are captured; the slowest of them counts, all others are left out.
        """
        sensors = max((self.transport.get(kind, ZERO).mean_ns for kind in kinds), default=0.0)
        return sensors + sum(d.mean_ns for s, d in self.stages.items() if s is not Stage.ACTUATION)


def _choice(kind: type[_E], value: str, where: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise ParameterError(f"{where} is {value!r}; allowed: {', '.join(m.value for m in kind)}.") from None


def timing_from_config(
    *,
    name: str,
    source: str = "",
    transport: Mapping[str, Any] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    uplink: Mapping[str, Any] | None = None,
    inference: Mapping[str, Any] | None = None,
    downlink: Mapping[str, Any] | None = None,
    actuation: Mapping[str, Any] | None = None,
    assembly: str = "captured_since",
    first_chunk: str = "free",
    servers: int = 1,
    queue: str = "latest_wins",
    seed: int = 0,
) -> Timing:
    """Builds a timing from the plain values of ``conf/timing/*.yaml``.

    Raises:
        ParameterError: A value is out of range; the message names the key.
        UnknownNameError: A distribution's name is unknown.
    """
    kinds = {
        _choice(SensorKind, kind, "timing.transport"): distribution_from_config(
            config, f"timing.transport.{kind}"
        )
        for kind, config in (transport or {}).items()
    }
    given = {
        Stage.PREPROCESS: preprocess,
        Stage.UPLINK: uplink,
        Stage.INFERENCE: inference,
        Stage.DOWNLINK: downlink,
        Stage.ACTUATION: actuation,
    }
    stages = {s: distribution_from_config(c, f"timing.{s.value}") for s, c in given.items() if c is not None}
    if type(servers) is not int or servers < 0:
        raise ParameterError(
            f"timing.servers is {servers!r}; allowed: a whole number >= 0 (0 = without bound)."
        )
    if type(seed) is not int:
        raise ParameterError(f"timing.seed is {seed!r}; allowed: a whole number.")
    return Timing(
        name=name,
        source=source,
        transport=kinds,
        stages=stages,
        assembly=_choice(Assembly, assembly, "timing.assembly"),
        first_chunk=_choice(FirstChunk, first_chunk, "timing.first_chunk"),
        servers=servers,
        queue=_choice(QueueRule, queue, "timing.queue"),
        seed=seed,
    )


class StageDuration:
    """How long one stage takes, by event number.

    Args:
        distribution: Distribution of the duration; constant ones draw nothing.
        key: Key of the stage's stream of draws.
    """

    __slots__ = ("_constant_ns", "_stream")

    def __init__(self, distribution: Distribution, key: tuple[int, int]) -> None:
        self._constant_ns = distribution.constant_ns
        self._stream = IndexedStream(key, distribution.draw)

    def ns(self, index: int) -> int:
        """Returns the duration for event ``index``, in whole ns, never negative."""
        if self._constant_ns is not None:
            return self._constant_ns
        return max(0, round(self._stream[index]))


class StageGraph:
    """The stages of one episode.

    Args:
        timing: The latency configuration.
        case_id: Identity of the case; equal cases share their draws.
    """

    __slots__ = ("_case_id", "timing")

    def __init__(self, timing: Timing, case_id: str) -> None:
        self.timing = timing
        self._case_id = case_id

    def transport(self, sensor: str, kind: SensorKind) -> StageDuration:
        """Returns the transport delay of a sensor; its events are the sensor's captures."""
        return self._duration(f"transport/{sensor}", self.timing.transport.get(kind, ZERO))

    def stage(self, stage: Stage) -> StageDuration:
        """Returns the duration of a stage; its events are the control ticks of the observations (or actions)."""
        return self._duration(stage.value, self.timing.stage(stage))

    def _duration(self, name: str, distribution: Distribution) -> StageDuration:
        return StageDuration(distribution, stream_key(self.timing.seed, self._case_id, "latency", name))
