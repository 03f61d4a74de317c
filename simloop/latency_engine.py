"""The stages of a timing around steps: an action is submitted, travels, and takes effect; captures travel back.

``ClosedLoop`` asks an agent for chunks. Here somebody else decides, once a control tick, from the newest item of each
sensor that has arrived by then; the stages, their draws, the order of events and the accelerator are the same ones.
Captures are numbered as there. What happens to an action is numbered by the control tick of its decision: that is the
observation's tick, as in the loop, whenever the observation is of that tick; an observation that is decided on twice
does not draw twice the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from simloop.accelerator import Accelerator
from simloop.agent import Call
from simloop.clock import EventQueue, Phase, ceil_to
from simloop.errors import ConfigurationError
from simloop.timing.stage_graph import ControlClock, FirstChunk, Mode, Timing, make_stage_graph
from simloop.world import Anchor, SensorSpec

_CAPTURE = int(Phase.CAPTURE)
_TRANSPORT_DONE = int(Phase.TRANSPORT_DONE)
_DECISION = int(Phase.TRIGGER)
_PREPROCESS_DONE = int(Phase.PREPROCESS_DONE)
_UPLINK_DONE = int(Phase.UPLINK_DONE)
_INFERENCE_DONE = int(Phase.INFERENCE_DONE)
_DELIVER = int(Phase.DELIVER)
_CONTROL_TICK = int(Phase.CONTROL_TICK)
_ACTUATION_EFFECT = int(Phase.ACTUATION_EFFECT)
_PHYSICS_START = int(Phase.PHYSICS_START)

_BYTES_PER_ENTRY = 8
NONE = -1
"""Step, tick or age of something that has not happened."""


def check_steps(timing: Timing) -> None:
    """Raises ConfigurationError if a timing cannot be played step by step."""
    if timing.mode is not Mode.MODELLED:
        raise ConfigurationError(
            f"timing.mode is {timing.mode.value!r}; steps allow: modelled. Measured and replayed episodes are played "
            "by `simloop run`."
        )
    if timing.control_clock is not ControlClock.TICK_LOCKED:
        raise ConfigurationError(
            f"timing.control.clock is {timing.control_clock.value!r}; steps allow: tick_locked, since one step is one "
            "tick of an even clock."
        )


class Item(NamedTuple):
    """A capture: what it holds, its number, the instant it shows, and the pose that actions refer to (or None)."""

    value: Any
    number: int
    captured_at_ns: int
    anchor: Anchor | None


class Plant(ABC):
    """What is controlled.

    Attributes:
        physics_period_ns: Effects take place at its multiples.
    """

    physics_period_ns: int

    @abstractmethod
    def capture(self, sensor: str, index: int, t_ns: int) -> Item:
        """Captures a sensor at ``t_ns``, or at the last instant before it that the plant can show."""

    @abstractmethod
    def apply(self, t_ns: int, action: Any) -> None:
        """Puts an action into effect at ``t_ns``, a multiple of the physics period."""

    @abstractmethod
    def begin_period(self, t_ns: int) -> None:
        """The period that begins at ``t_ns`` is entered: what takes effect at its very start has been applied."""

    @abstractmethod
    def end_period(self, t_ns: int) -> None:
        """The period that ends at ``t_ns`` is over, its captures aside."""

    @abstractmethod
    def array(self, item: Item) -> Any:
        """Returns what an item shows, for inference times that depend on it."""

    @abstractmethod
    def hold(self, last_action: Any, starved_ticks: int) -> Any:
        """Returns what acts at a tick for which no new action has arrived.

        Args:
            last_action: The action of the tick before, or None at the first one.
            starved_ticks: How many ticks in a row had none before this one.
        """


class _Job:
    """A submitted action on its way; ``simloop.accelerator.Job``."""

    __slots__ = (
        "action",
        "batch",
        "captured_at_ns",
        "engine",
        "observation",
        "observation_tick",
        "request",
    )

    def __init__(
        self, engine: LatencyEngine, request: int, action: Any, anchor: Item, observation_tick: int
    ) -> None:
        self.engine = engine
        self.request = request
        self.action = action
        self.captured_at_ns = anchor.captured_at_ns
        self.observation_tick = observation_tick
        self.batch = 0
        self.observation: Mapping[str, Any] | None = None

    def drop_in_queue(self) -> None:
        self.engine.num_dropped_actions += 1


class LatencyEngine:
    """One episode.

    Args:
        timing: How long each stage takes.
        draw_id: What the draws are keyed by.
        sensors: Sensors whose items arrive; the draws are by their names.
        anchor: Name of the sensor whose capture dates an observation.
        plant: What is controlled.
        control_period_ns: Time from one decision to the next.
        action_size: Entries of an action, for the load on the downlink.

    Attributes:
        latest: Newest item that has arrived, by sensor; at the start the state at t = 0.
        observation_tick: Control tick at or before the capture of the latest item of the anchor sensor.
        acting_step: Step whose action the last control tick sent; ``NONE`` for a hold.
        delay_ticks: That tick minus the observation tick of the action; ``NONE`` for a hold.
        action_age_ns: Effect minus capture of the anchor item of the action that took effect last; ``NONE`` for a hold.
        num_dropped_captures, num_lost_captures: Captures of the last step that sensors dropped and links lost.
        num_lost_actions: Actions that a link lost during the last step.
        num_dropped_actions: Actions that the accelerator's queue dropped during the last step.
        num_stale_actions: Actions that arrived behind a newer one during the last step.
    """

    def __init__(
        self,
        timing: Timing,
        draw_id: str,
        *,
        sensors: Sequence[SensorSpec],
        anchor: str,
        plant: Plant,
        control_period_ns: int,
        action_size: int,
    ) -> None:
        check_steps(timing)
        self._graph = graph = make_stage_graph(timing, draw_id, control_period_ns=control_period_ns)
        self._timing = timing
        self._sensors = tuple(sensors)
        self._paths = tuple(graph.sensor(s) for s in self._sensors)
        self._anchor = anchor
        self._plant = plant
        self._period_ns = control_period_ns
        self._inference = graph.inference(Call.POLICY)
        self._accelerator: Accelerator[_Job] = Accelerator(
            servers=timing.num_servers(Call.POLICY),
            rule=timing.queue,
            queue_size=timing.queue_size,
            max_batch=timing.batching.max_batch if timing.batching is not None else 1,
        )
        self._uplink_bytes = sum(s.payload_bytes for s in self._sensors)
        self._downlink_bytes = action_size * _BYTES_PER_ENTRY
        self._queue = EventQueue()
        self._tick = 0
        self._is_first_inference = timing.first_chunk is FirstChunk.CHARGED
        self._newest_request = -1
        self._pending: _Job | None = None
        self._last_action: Any = None
        self._starved_ticks = 0
        self._last_effect_tick = -1
        self._control_ns = -1
        self.acting_step = self.delay_ticks = self.action_age_ns = NONE
        self._forget_counts()
        self.latest = {s.name: plant.capture(s.name, 0, 0) for s in self._sensors}
        for number, path in enumerate(self._paths):
            if path.phase_ns == 0:
                self._send_capture(0, number, self.latest[self._sensors[number].name])
            else:
                self._queue.schedule(path.phase_ns, _CAPTURE, number, 0)
        self._queue.schedule(0, _DECISION, 0)
        self._run()

    @property
    def observation_tick(self) -> int:
        """See the class's docstring."""
        return self.latest[self._anchor].captured_at_ns // self._period_ns

    @property
    def now_ns(self) -> int:
        """Instant of the present decision."""
        return self._tick * self._period_ns

    def start_from(self, action: Any) -> None:
        """Sets the action that counts as the one before the first tick; the first hold starts from it."""
        self._last_action = action

    def ages_ns(self) -> dict[str, int]:
        """Returns by sensor the age of the latest item as its time stamp tells it."""
        now_ns = self.now_ns
        return {
            sensor.name: now_ns - self.latest[sensor.name].captured_at_ns - path.stamp_offset_ns
            for sensor, path in zip(self._sensors, self._paths, strict=True)
        }

    def step(self, action: Any) -> None:
        """Submits an action and plays one control period, up to the next decision."""
        self._forget_counts()
        tick, t_ns = self._tick, self.now_ns
        job = _Job(self, tick, action, self.latest[self._anchor], self.observation_tick)
        if self._inference.needs_observation:
            job.observation = {name: self._plant.array(item) for name, item in self.latest.items()}
        if tick == 0 and self._timing.first_chunk is FirstChunk.FREE:
            self._deliver(job)
        sent_ns = t_ns + self._graph.preprocess.ns(job.request, t_ns)
        self._then(t_ns, sent_ns, _PREPROCESS_DONE, job)
        # A late tick delays the next one; two never share an instant.
        self._control_ns = max(t_ns + self._graph.control_jitter.ns(tick, t_ns), self._control_ns + 1)
        self._queue.schedule(self._control_ns, _CONTROL_TICK, tick, tick)
        self._queue.schedule(t_ns, _PHYSICS_START, 0)
        self._tick += 1
        self._queue.schedule(t_ns + self._period_ns, _DECISION, 0)
        self._run()

    def _forget_counts(self) -> None:
        self.num_dropped_captures = self.num_lost_captures = 0
        self.num_lost_actions = self.num_dropped_actions = self.num_stale_actions = 0

    def _run(self) -> None:
        while True:
            t_ns, phase, stream, _, payload = self._queue.pop()
            if phase == _DECISION:
                return
            if phase == _CAPTURE:
                self._capture(t_ns, stream, payload)
            elif phase == _TRANSPORT_DONE:
                self._receive(stream, payload)
            elif phase == _CONTROL_TICK:
                self._control_tick(t_ns, payload)
            elif phase == _ACTUATION_EFFECT:
                self._effect(t_ns, *payload)
            elif phase == _PHYSICS_START:
                self._plant.begin_period(t_ns)
                self._queue.schedule(t_ns + self._period_ns, int(Phase.PHYSICS_DONE), 0)
            elif phase == int(Phase.PHYSICS_DONE):
                self._plant.end_period(t_ns)
            else:
                self._progress(t_ns, phase, payload)

    # --- sensors ---------------------------------------------------------------------------------------------

    def _capture(self, t_ns: int, number: int, index: int) -> None:
        self._send_capture(t_ns, number, self._plant.capture(self._sensors[number].name, index, t_ns))

    def _send_capture(self, t_ns: int, number: int, item: Item) -> None:
        path = self._paths[number]
        self._queue.schedule(t_ns + path.period_ns, _CAPTURE, number, item.number + 1)
        if path.is_dropped(item.number):
            self.num_dropped_captures += 1
            return
        arrival_ns = path.arrival_ns(item.number, t_ns, self._sensors[number].payload_bytes)
        if arrival_ns < 0:
            self.num_lost_captures += 1
        elif arrival_ns == t_ns:
            self._receive(number, item)
        else:
            self._queue.schedule(arrival_ns, _TRANSPORT_DONE, number, item)

    def _receive(self, number: int, item: Item) -> None:
        name = self._sensors[number].name
        if item.number > self.latest[name].number:
            self.latest[name] = item

    # --- actions on their way --------------------------------------------------------------------------------

    def _then(self, t_ns: int, at_ns: int, phase: int, job: _Job) -> None:
        """Goes on at once, or at a later instant."""
        if at_ns == t_ns:
            self._progress(t_ns, phase, job)
        else:
            self._queue.schedule(at_ns, phase, job.request, job)

    def _progress(self, t_ns: int, phase: int, job: _Job) -> None:
        if phase == _PREPROCESS_DONE:
            arrivals = self._graph.uplink.arrivals(job.request, t_ns, self._uplink_bytes)
            self._travel(t_ns, arrivals, _UPLINK_DONE, job)
        elif phase == _UPLINK_DONE:
            started = self._accelerator.arrive(job)
            if started is not None:
                self._start(t_ns, job)
        elif phase == _INFERENCE_DONE:
            for started in self._accelerator.finish(job):
                self._start(t_ns, started)
            arrivals = self._graph.downlink.arrivals(job.request, t_ns, self._downlink_bytes)
            self._travel(t_ns, arrivals, _DELIVER, job)
        else:
            self._deliver(job)

    def _travel(self, t_ns: int, arrivals: tuple[int, ...], phase: int, job: _Job) -> None:
        if arrivals:
            self._then(t_ns, min(arrivals), phase, job)
        else:
            self.num_lost_actions += 1

    def _start(self, t_ns: int, job: _Job) -> None:
        is_first, self._is_first_inference = self._is_first_inference, False
        duration_ns = self._inference.ns(
            job.request, t_ns, is_first=is_first, batch=job.batch, observation=job.observation
        )
        self._then(t_ns, t_ns + duration_ns, _INFERENCE_DONE, job)

    def _deliver(self, job: _Job) -> None:
        if job.request < self._newest_request:
            self.num_stale_actions += 1
            return
        self._newest_request = job.request
        self._pending = job

    # --- control ---------------------------------------------------------------------------------------------

    def _control_tick(self, t_ns: int, tick: int) -> None:
        job, self._pending = self._pending, None
        if job is None:
            action = self._plant.hold(self._last_action, self._starved_ticks)
            self._starved_ticks += 1
            self.acting_step = self.delay_ticks = NONE
        else:
            action = job.action
            self._starved_ticks = 0
            self.acting_step, self.delay_ticks = job.request, tick - job.observation_tick
        self._last_action = action
        effect_ns = ceil_to(t_ns + self._graph.actuation.ns(tick, t_ns), self._plant.physics_period_ns)
        if effect_ns == t_ns:
            self._effect(t_ns, tick, action, job)
        else:
            self._queue.schedule(effect_ns, _ACTUATION_EFFECT, tick, (tick, action, job))

    def _effect(self, t_ns: int, tick: int, action: Any, job: _Job | None) -> None:
        if tick < self._last_effect_tick:
            return
        self._plant.apply(t_ns, action)
        self._last_effect_tick = tick
        self.action_age_ns = NONE if job is None else t_ns - job.captured_at_ns
