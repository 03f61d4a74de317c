"""Everything that one kind of call has of its own: assembly, trigger, accelerator and what is under way."""

from __future__ import annotations

from collections.abc import Sequence

from simloop.accelerator import Accelerator
from simloop.agent import AgentSpec, Call
from simloop.assembly import ObservationAssembly
from simloop.clock import EventQueue
from simloop.flight import Flight
from simloop.foresight import Foresight, check_foreseeable
from simloop.randomness import stream_key
from simloop.strategies.delay_prediction import Predictor
from simloop.strategies.strategy import Strategy
from simloop.timing.stage_graph import Assembly, InferenceDuration, StageGraph, Timing
from simloop.world import ActionSpec, SensorSpec

IS_ON_LINK: dict[Call, bool] = {
    Call.POLICY: True,
    Call.CONTEXT: True,
    Call.EXPERT: False,
    Call.CORRECTOR: False,
}
"""Whether a call's request and reply travel over the links; the fast halves of split models run on board."""
SERVICE_ORDER = (Call.CONTEXT, Call.POLICY, Call.EXPERT, Call.CORRECTOR)
"""Channels of one instant: a context comes before the expert that reads it, a chunk before its correction."""


class Channel:
    """The state of one call in one episode.

    Args:
        call: What is asked.
        number: Place in the order in which the channels of one instant are served.
        timing: The latency configuration.
        num_sensors: Sensors that an observation is made of.
        inference: How long the accelerator works.
        predictor: Predicts d-hat.

    Attributes:
        name: Name of the call in the log.
        foresight: What tells the predictor the truth, if that is what it asks for.
        last_armed_tick: Tick that the last request was armed for; -1 before the first.
        last_observation_tick: Observation tick of the last request.
        installed_observation_tick: Newest observation tick among the replies that were put to use.
        last_delivered_tick: Install tick of the last reply; -1 before the first.
        num_started: Inferences that were started, the free first one aside.
        in_flight: Requests that may still be answered, by number.
        newest: The newest context that was delivered, of ``context`` channels.
    """

    __slots__ = (
        "accelerator",
        "assembly",
        "call",
        "foresight",
        "in_flight",
        "inference",
        "inference_constant_ns",
        "installed_observation_tick",
        "is_on_link",
        "last_armed_tick",
        "last_delivered_tick",
        "last_observation_tick",
        "name",
        "newest",
        "num_started",
        "number",
        "predictor",
    )

    def __init__(
        self,
        call: Call,
        number: int,
        *,
        timing: Timing,
        num_sensors: int,
        inference: InferenceDuration,
        predictor: Predictor,
    ) -> None:
        self.call = call
        self.name = call.value
        self.number = number
        self.is_on_link = IS_ON_LINK[call]
        self.assembly = ObservationAssembly(num_sensors=num_sensors, rule=timing.assembly)
        is_batched = call is Call.POLICY and timing.batching is not None
        self.accelerator: Accelerator[Flight] = Accelerator(
            servers=timing.num_servers(call),
            rule=timing.queue,
            queue_size=timing.queue_size,
            max_batch=timing.batching.max_batch if is_batched and timing.batching is not None else 1,
        )
        self.inference = inference
        self.inference_constant_ns = inference.constant_ns
        self.predictor = predictor
        self.foresight: Foresight | None = None
        self.last_armed_tick = -1
        self.last_observation_tick = -1
        self.installed_observation_tick = -1
        self.last_delivered_tick = -1
        self.num_started = 0
        self.in_flight: dict[int, Flight] = {}
        self.newest: Flight | None = None

    def cancel(self) -> None:
        """Lets go of everything that is under way; nothing of an episode outlives it."""
        self.in_flight.clear()
        self.accelerator.cancel()
        self.newest = None


def expiry_ns(timing: Timing) -> int | None:
    """Returns how long after an armed tick its wait for items ends; None by ``captured_since``, which waits on."""
    if timing.assembly is Assembly.CAPTURED_SINCE:
        return None
    return timing.assembly_timeout_ns or 0 if timing.assembly is Assembly.WAIT_ALL else 0


def make_channels(
    graph: StageGraph,
    *,
    case_id: str,
    agent: AgentSpec,
    action: ActionSpec,
    strategy: Strategy,
    sensors: Sequence[SensorSpec],
    control_period_ns: int,
    queue: EventQueue,
) -> dict[Call, Channel]:
    """Returns one channel for each call that ``strategy`` makes, in the order of service.

    Raises:
        ConfigurationError: The oracle predictor is asked for, and a stage cannot be foretold.
    """
    channels: dict[Call, Channel] = {}
    for call in (c for c in SERVICE_ORDER if c in strategy.calls):
        name = "prediction" if call is strategy.calls[0] else f"prediction/{call.value}"
        inference = graph.inference(call)
        channel = Channel(
            call,
            len(channels),
            timing=graph.timing,
            num_sensors=len(sensors),
            inference=inference,
            predictor=strategy.rules.make_predictor(
                graph.nominal_ns(sensors, call),
                control_period_ns,
                stream_key(graph.timing.seed, case_id, "latency", name),
            ),
        )
        if channel.predictor.needs_truth:
            check_foreseeable(graph, call)
            channel.foresight = Foresight(
                graph,
                channel,
                queue,
                uplink_bytes=sum(s.payload_bytes for s in sensors),
                downlink_bytes=8 * agent.horizon * action.size,
                control_period_ns=control_period_ns,
            )
        channels[call] = channel
    return channels
