"""A latency configuration: what each stage takes, and the rules between the stages.

A preset names sensor *kinds*, never a world's sensors. ``simloop.timing.timing_config`` builds one from plain values;
docs/timing-model.md explains every knob.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simloop.agent import Call
from simloop.clock import NS_PER_S
from simloop.errors import ParameterError
from simloop.timing.distribution import ZERO, Distribution
from simloop.timing.link import LinkModel
from simloop.timing.loss import Loss
from simloop.timing.rules import (
    CALL_STAGES,
    Assembly,
    ControlClock,
    FirstChunk,
    Mode,
    QueueRule,
    Stage,
    Stamp,
)
from simloop.world import SensorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """How the sensors of one kind capture; a frame shows the world at the middle of its exposure.

    Attributes:
        period_ns: Time between two captures; None keeps each sensor's own.
        phase_ns: Instant of the first capture.
        exposure_ns: Length of the exposure.
        readout_ns: Time from the end of the exposure to the frame on the bus.
        stamp: Which instant of the exposure the time stamp reports.
        drop: Captures that the sensor never delivers.
    """

    period_ns: int | None = None
    phase_ns: int = 0
    exposure_ns: int = 0
    readout_ns: int = 0
    stamp: Stamp = Stamp.MID
    drop: Loss | None = None

    @property
    def latency_ns(self) -> int:
        """Time from the instant that a frame shows to the frame on the bus."""
        return self.exposure_ns // 2 + self.readout_ns

    @property
    def stamp_offset_ns(self) -> int:
        """Reported time stamp minus the instant that the frame shows."""
        half_ns = self.exposure_ns // 2
        return {Stamp.START: -half_ns, Stamp.MID: 0, Stamp.END: self.exposure_ns - half_ns}[self.stamp]


DEFAULT_CAPTURE = Capture()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """The way of one sensor kind's items to the assembly.

    Attributes:
        delay: Delay of an item, whatever its size.
        rate_bps: Bits per second of each sensor's bus; None is without bound.
        loss: Items that never arrive.
    """

    delay: Distribution = ZERO
    rate_bps: float | None = None
    loss: Loss | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """A freed server takes all waiting requests, up to ``max_batch``, in ``base_ns + per_item_ns * n``.

    The cost replaces the distribution of the policy's inference.
    """

    max_batch: int
    base_ns: int
    per_item_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A latency configuration.

    Attributes:
        name: Name of the preset.
        source: Where its figures come from.
        capture: How sensors capture, by kind; kinds not named capture at their own period, in an instant.
        transport: Way from capture to assembly by sensor kind; kinds not named take no time.
        stages: Duration by stage; stages not named take no time.
        links: Uplink and downlink that are more than a delay, in place of their entry in ``stages``.
        performance_factor: Multiplies every inference and the cold start; 2 is a machine half as fast.
        strategy_cost: Further factor of the policy's and expert's inference by name of the strategy.
        added_inference_ns: Added to every policy and context inference, after the factors.
        losses: False lets every capture and message arrive, whatever the drops and losses of sensors and links.
        batching: Requests that are answered together; None is one by one.
        servers: Requests of one call that its accelerator works on at once, by call; 0 is without bound, calls not
            named have one server.
        queue: What waits in front of an accelerator.
        queue_size: Requests that may wait, for ``drop_oldest`` and ``drop_newest``.
        assembly: When an observation is complete.
        assembly_timeout_ns: How long ``wait_all`` waits after the armed tick.
        first_chunk: What the first chunk costs.
        control_clock: What the control ticks refer to.
        mode: Where durations come from.
        trace: File of the trace to replay.
        measured_factor: Multiplies measured inference times.
        seed: Root seed of every latency draw.
        config: The plain values that it was built from; a log and a trace keep them, so that a replay has the rules.
    """

    name: str
    source: str = ""
    capture: Mapping[SensorKind, Capture] = field(default_factory=dict)
    transport: Mapping[SensorKind, Distribution | Transport] = field(default_factory=dict)
    stages: Mapping[Stage, Distribution] = field(default_factory=dict)
    links: Mapping[Stage, LinkModel] = field(default_factory=dict)
    performance_factor: float = 1.0
    strategy_cost: Mapping[str, float] = field(default_factory=dict)
    added_inference_ns: int = 0
    losses: bool = True
    batching: Batching | None = None
    servers: int | Mapping[Call, int] = 1
    queue: QueueRule = QueueRule.LATEST_WINS
    queue_size: int = 1
    assembly: Assembly = Assembly.CAPTURED_SINCE
    assembly_timeout_ns: int | None = None
    first_chunk: FirstChunk = FirstChunk.FREE
    control_clock: ControlClock = ControlClock.TICK_LOCKED
    mode: Mode = Mode.MODELLED
    trace: str = ""
    measured_factor: float = 1.0
    seed: int = 0
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        both = sorted(s.value for s in set(self.links) & set(self.stages))
        if both:
            raise ParameterError(
                f"timing {self.name!r}: {', '.join(both)} is given both as a link and a duration."
            )

    def stage(self, stage: Stage) -> Distribution:
        """Returns the duration of one stage."""
        return self.stages.get(stage, ZERO)

    def capture_of(self, kind: SensorKind) -> Capture:
        """Returns how the sensors of a kind capture."""
        return self.capture.get(kind, DEFAULT_CAPTURE)

    def transport_of(self, kind: SensorKind) -> Transport:
        """Returns the way of a kind's items to the assembly."""
        given = self.transport.get(kind, ZERO)
        return given if isinstance(given, Transport) else Transport(delay=given)

    def num_servers(self, call: Call) -> int:
        """Returns how many requests of a call are worked on at once; 0 is without bound."""
        if isinstance(self.servers, int):
            return self.servers if call is Call.POLICY else 1
        return self.servers.get(call, 1)

    def frozen(self) -> Timing:
        """Returns the timing of a world that waits for its agent: only the actuation dead time is left.

        A replay stays one: its trace was recorded in a world that waited, too. Nothing is charged, so nothing is
        measured.
        """
        actuation = {Stage.ACTUATION: self.stage(Stage.ACTUATION)}
        is_replay = self.mode is Mode.REPLAY
        return Timing(
            name=self.name,
            source=self.source,
            stages=actuation,
            mode=self.mode if is_replay else Mode.MODELLED,
            trace=self.trace if is_replay else "",
            seed=self.seed,
            config=self.config,
        )

    def nominal_ns(self, kinds: Iterable[SensorKind], call: Call = Call.POLICY) -> float:
        """Returns the mean time from a capture to the reply's arrival, sizes, queueing and the cold start aside.

        Args:
            kinds: Kinds of the sensors that are captured; the slowest of them counts, all others are left out.
            call: What is asked of the agent.
        """
        return max((self.sensor_mean_ns(k, 0) for k in kinds), default=0.0) + self.chain_mean_ns(call)

    def sensor_mean_ns(self, kind: SensorKind, payload_bytes: int) -> float:
        """Returns the mean time from a capture of that size to its arrival at the assembly."""
        transport = self.transport_of(kind)
        sending_ns = 0.0 if transport.rate_bps is None else payload_bytes * 8 * NS_PER_S / transport.rate_bps
        return self.capture_of(kind).latency_ns + transport.delay.mean_ns + sending_ns

    def chain_mean_ns(self, call: Call, *, strategy_name: str = "", payload_bytes: int = 0) -> float:
        """Returns the mean time from a complete observation to the reply's arrival; queueing and cold start aside.

        Policy and context are asked over the links; expert and corrector run beside the controller.

        Args:
            call: What is asked of the agent.
            strategy_name: Strategy whose cost factor enters.
            payload_bytes: Size of what the uplink carries; the downlink's chunk is taken as negligible.
        """
        links = 0.0
        if call in (Call.POLICY, Call.CONTEXT):
            links = self.link_mean_ns(Stage.UPLINK, payload_bytes) + self.link_mean_ns(Stage.DOWNLINK, 0)
        preprocess = self.stage(Stage.PREPROCESS).mean_ns
        return preprocess + links + self.inference_mean_ns(call, strategy_name)

    def link_mean_ns(self, stage: Stage, payload_bytes: int) -> float:
        """Returns the mean delay of the uplink or downlink for a message of a size."""
        link = self.links.get(stage)
        return self.stage(stage).mean_ns if link is None else link.mean_ns(payload_bytes)

    def inference_mean_ns(self, call: Call, strategy_name: str = "") -> float:
        """Returns the mean time that an accelerator works on one request of a call."""
        if call is Call.POLICY and self.batching is not None:
            mean_ns = float(self.batching.base_ns + self.batching.per_item_ns)
        else:
            mean_ns = self.inference_of(call).mean_ns
        return mean_ns * self.cost_factor(call, strategy_name) + self.added_ns(call)

    def inference_of(self, call: Call) -> Distribution:
        """Returns the duration of a call before its factors; a context not given takes what a policy takes."""
        if call is Call.CONTEXT and Stage.CONTEXT_INFERENCE not in self.stages:
            return self.stage(Stage.INFERENCE)
        return self.stage(CALL_STAGES[call])

    def added_ns(self, call: Call) -> int:
        """Returns what is added to every inference of a call."""
        return self.added_inference_ns if call in (Call.POLICY, Call.CONTEXT) else 0

    def cost_factor(self, call: Call, strategy_name: str) -> float:
        """Returns what an inference is multiplied by: performance factor times the strategy's cost."""
        cost = self.strategy_cost.get(strategy_name, 1.0) if call in (Call.POLICY, Call.EXPERT) else 1.0
        return self.performance_factor * cost
