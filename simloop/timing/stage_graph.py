"""The stages between a capture and its effect during one episode, and what each of them takes for each event.

Draws are keyed by (seed, case, stage, event): the event is the capture number for a sensor, the observation's control
tick for a link or an inference and the control tick for an actuation, so neither the strategy nor the agent nor the
worker moves a draw (docs/timing-model.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy.typing as npt

from simloop.agent import Call
from simloop.timing.distribution import Distribution, Durations, Sampler
from simloop.timing.link import DelayLink, Link
from simloop.timing.process import Key
from simloop.timing.rules import CALL_STAGES, Assembly, ControlClock, FirstChunk, Mode, QueueRule, Stage
from simloop.timing.sensor_path import SensorPath
from simloop.timing.settings import Timing
from simloop.timing.timing_config import timing_from_config
from simloop.world import SensorSpec

__all__ = [
    "Assembly",
    "ControlClock",
    "FirstChunk",
    "InferenceDuration",
    "Mode",
    "QueueRule",
    "SensorPath",
    "Stage",
    "StageDuration",
    "StageGraph",
    "Timing",
    "make_stage_graph",
    "timing_from_config",
]


class StageDuration:
    """How long one stage takes, by event number.

    Args:
        distribution: Distribution of the duration; constant ones draw nothing.
        key: Parts of the key of the stage's draws.

    Attributes:
        constant_ns: The duration if it is always the same, else None.
    """

    __slots__ = ("_distribution", "_durations", "_key", "constant_ns")

    def __init__(self, distribution: Distribution, key: Key) -> None:
        self.constant_ns = distribution.constant_ns
        self._distribution = distribution
        self._key = key
        self._durations: Durations | None = None

    def ns(self, index: int, t_ns: int) -> int:
        """Returns the duration for event ``index``, in whole ns, never negative.

        Args:
            index: Number of the event: a control tick.
            t_ns: Instant at which the stage starts; a replayed stage checks it.
        """
        if self.constant_ns is not None:
            return self.constant_ns
        if self._durations is None:
            self._durations = self._distribution.durations(self._key)
        return self._durations[index]


class InferenceDuration:
    """How long an accelerator works on the requests of one call.

    Attributes:
        constant_ns: The duration if it is always the same, cold start included, else None.
        needs_observation: Whether ``ns`` looks at the observation.
    """

    __slots__ = (
        "_added_ns",
        "_batching",
        "_cold_start",
        "_distribution",
        "_factor",
        "_key",
        "_performance_factor",
        "_sampler",
        "constant_ns",
        "needs_observation",
    )

    def __init__(self, timing: Timing, call: Call, strategy_name: str, key: Key) -> None:
        self._distribution = timing.inference_of(call)
        self._factor = timing.cost_factor(call, strategy_name)
        self._performance_factor = timing.performance_factor
        self._added_ns = timing.added_ns(call)
        self._batching = timing.batching if call is Call.POLICY else None
        cold_start = timing.stage(Stage.COLD_START)
        self._cold_start: StageDuration | None = None
        if timing.first_chunk is FirstChunk.CHARGED and cold_start.constant_ns != 0:
            self._cold_start = StageDuration(cold_start, (*key, Stage.COLD_START.value))
        self._key = key
        self._sampler: Sampler | None = None
        self.needs_observation = self._batching is None and self._distribution.needs_observation
        constant_ns = self._distribution.constant_ns
        self.constant_ns = None
        if self._batching is None and self._cold_start is None and constant_ns is not None:
            self.constant_ns = round(constant_ns * self._factor) + self._added_ns

    def ns(
        self,
        tick: int,
        t_ns: int,
        *,
        is_first: bool,
        batch: int,
        observation: Mapping[str, npt.NDArray[Any]] | None,
    ) -> int:
        """Returns the duration in whole ns.

        Args:
            tick: Control tick of the observation.
            t_ns: Instant at which the accelerator starts.
            is_first: Whether this is the episode's first request of the call; with ``first_chunk: charged`` it pays
                the cold start.
            batch: Number of requests that are answered together.
            observation: Array by sensor name; looked at only if ``needs_observation``.
        """
        if self.constant_ns is not None:
            return self.constant_ns
        if self._batching is not None:
            duration_ns = float(self._batching.base_ns + self._batching.per_item_ns * batch)
        else:
            if self._sampler is None:
                self._sampler = self._distribution.sampler(self._key)
            duration_ns = self._sampler(tick, tick)
            if self.needs_observation:
                assert observation is not None
                duration_ns += self._distribution.extra_ns(observation)
        total_ns = max(0, round(duration_ns * self._factor)) + self._added_ns
        if is_first and self._cold_start is not None:
            total_ns += round(self._cold_start.ns(0, t_ns) * self._performance_factor)
        return total_ns


class StageGraph:
    """The stages of one episode.

    Args:
        timing: The latency configuration.
        case_id: Identity of the case; equal cases share their draws.
        control_period_ns: Control period of the world.
        strategy_name: Strategy whose cost factor enters the inference.

    Attributes:
        preprocess: Numbered by the observation's control tick.
        uplink, downlink: Numbered by the observation's control tick.
        actuation, control_jitter: Numbered by the control tick.
    """

    __slots__ = (
        "_case_id",
        "_control_period_ns",
        "_strategy_name",
        "actuation",
        "control_jitter",
        "downlink",
        "preprocess",
        "timing",
        "uplink",
    )

    def __init__(
        self, timing: Timing, case_id: str, *, control_period_ns: int, strategy_name: str = ""
    ) -> None:
        self.timing = timing
        self._case_id = case_id
        self._control_period_ns = control_period_ns
        self._strategy_name = strategy_name
        self.preprocess = self._duration(Stage.PREPROCESS)
        self.actuation = self._duration(Stage.ACTUATION)
        self.control_jitter = self._duration(Stage.CONTROL_JITTER)
        self.uplink = self._link(Stage.UPLINK)
        self.downlink = self._link(Stage.DOWNLINK)

    def sensor(self, sensor: SensorSpec) -> SensorPath:
        """Returns the path of one sensor's captures."""
        return SensorPath(sensor, self.timing, self._key(f"transport/{sensor.name}"), self._control_period_ns)

    def inference(self, call: Call) -> InferenceDuration:
        """Returns how long the accelerator of a call works."""
        key = self._key(CALL_STAGES[call].value)
        return InferenceDuration(self.timing, call, self._strategy_name, key)

    def nominal_ns(self, sensors: Iterable[SensorSpec], call: Call = Call.POLICY) -> float:
        """Returns the mean time from a capture of ``sensors`` to the reply's arrival, for the first d-hat."""
        chosen = tuple(sensors)
        sensors_ns = (self.timing.sensor_mean_ns(s.kind, s.payload_bytes) for s in chosen)
        chain_ns = self.timing.chain_mean_ns(
            call, strategy_name=self._strategy_name, payload_bytes=sum(s.payload_bytes for s in chosen)
        )
        return max(sensors_ns, default=0.0) + chain_ns

    def finish(self, end_ns: int) -> None:
        """Is told the instant of the episode's regular end; a replay checks that nothing recorded is missing."""

    def _key(self, name: str) -> Key:
        return (self.timing.seed, self._case_id, "latency", name)

    def _duration(self, stage: Stage) -> StageDuration:
        return StageDuration(self.timing.stage(stage), self._key(stage.value))

    def _link(self, stage: Stage) -> Link:
        model = self.timing.links.get(stage)
        key = self._key(stage.value)
        if model is None:
            return DelayLink(self.timing.stage(stage), key)
        if not self.timing.losses:
            model = model.without_losses()
        return model.make(key, self._control_period_ns)


def make_stage_graph(
    timing: Timing, case_id: str, *, control_period_ns: int, strategy_name: str = ""
) -> StageGraph:
    """Returns the stages of one episode, as ``timing.mode`` says.

    Raises:
        TraceError: Mode ``replay``, and the trace does not hold this case under this strategy, or was altered.
    """
    if timing.mode is Mode.REPLAY:
        # Here, because a replayed graph is a stage graph.
        from simloop.timing.trace_replay import ReplayStageGraph

        return ReplayStageGraph(
            timing, case_id, control_period_ns=control_period_ns, strategy_name=strategy_name
        )
    return StageGraph(timing, case_id, control_period_ns=control_period_ns, strategy_name=strategy_name)
