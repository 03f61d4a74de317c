"""The closed loop: one episode on virtual time, as a generator of inference requests.

The loop owns time. The world moves only to instants that the loop names; the agent is asked by yielding a request,
and answered by ``send``. A request is sealed at its trigger and yielded when its model starts; one that is dropped in
front of the accelerator is never yielded. There are no threads: a worker interleaves many such generators and hands
the agent one batch.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from simloop.agent import AgentSpec, Call, InferenceReply, InferenceRequest
from simloop.assembly import Item, Observation
from simloop.channel import Channel, expiry_ns, make_channels
from simloop.clock import EventQueue, Phase
from simloop.compatibility import check_observed_sensors, check_restarting_clock, matching_embodiment
from simloop.control import Controller
from simloop.delivery import Delivery
from simloop.episode_recorder import EpisodeRecorder
from simloop.errors import AgentError, ConfigurationError
from simloop.flight import NOT_REACHED, Flight
from simloop.log import EpisodeLog
from simloop.randomness import PrefixedKeys
from simloop.reply_check import checked_actions
from simloop.sealing import Sealer
from simloop.sensor_feed import SensorFeed
from simloop.spec import Case
from simloop.stepper import Stepper
from simloop.strategies.buffer import ActionBuffer
from simloop.strategies.rules import Align
from simloop.strategies.strategy import ExecutionState, Strategy
from simloop.timing.stage_graph import (
    ControlClock,
    FirstChunk,
    Mode,
    Timing,
    make_stage_graph,
)
from simloop.world import Outcome, OutcomeState, SensorKind, World

EpisodeGenerator = Generator[InferenceRequest, InferenceReply, EpisodeLog]
Requests = Generator[InferenceRequest, InferenceReply, None]
_Handler = Callable[[int, int, Any], None]

# Plain ints: the members of an IntEnum are several times slower to look up and compare, for every event.
_PHYSICS_DONE = int(Phase.PHYSICS_DONE)
_CAPTURE = int(Phase.CAPTURE)
_TRIGGER = int(Phase.TRIGGER)
_PREPROCESS_DONE = int(Phase.PREPROCESS_DONE)
_UPLINK_DONE = int(Phase.UPLINK_DONE)
_INFERENCE_DONE = int(Phase.INFERENCE_DONE)
_DELIVER = int(Phase.DELIVER)
_CONTROL_TICK = int(Phase.CONTROL_TICK)
_RUNNING = OutcomeState.RUNNING
_NEVER = (1 << 62, 0, 0)
_HEAP_ONLY: tuple[tuple[int, int, _Handler], ...] = ((_PHYSICS_DONE, 0, lambda t_ns, stream, payload: None),)
_LOST = -2
"""Instant of arrival of what never arrives."""


class ClosedLoop:
    """One episode of one agent in one world.

    Args:
        world: A world, reset by the loop.
        case: What the world is put through.
        agent: The agent's fixed properties; the agent itself answers the yielded requests.
        timing: How long each stage takes.
        strategy: When to ask and how to install.
        episode_id: Written into the requests.

    Raises:
        IncompatibleAgentError: Agent, world and strategy do not fit.
        ConfigurationError: The world has no proprioception, its periods do not divide, the oracle predictor is asked
            for what cannot be foretold, or the control clock does not go with the other rules.
    """

    def __init__(
        self,
        *,
        world: World,
        case: Case,
        agent: AgentSpec,
        timing: Timing,
        strategy: Strategy,
        episode_id: str = "",
    ) -> None:
        spec = world.spec
        if spec.control_period_ns % spec.physics_period_ns:
            raise ConfigurationError(
                f"World {spec.name!r}: control period {spec.control_period_ns} ns is not a whole multiple of the "
                f"physics period {spec.physics_period_ns} ns."
            )
        embodiment = matching_embodiment(agent, spec, strategy)
        check_observed_sensors(timing, strategy, embodiment)
        proprioception = [s.name for s in spec.sensors if s.kind is SensorKind.PROPRIOCEPTION]
        if not proprioception:
            raise ConfigurationError(
                f"World {spec.name!r} has no proprioception sensor, which anchors actions."
            )
        # The anchor's sensor has number 0.
        anchor = next((s for s in proprioception if s in embodiment.observations), proprioception[0])
        sensors = tuple(spec.sensor(name) for name in dict.fromkeys((anchor, *embodiment.observations)))
        self._world, self._case, self._agent, self._strategy = world, case, agent, strategy
        self._action = spec.action
        self._timing = timing = timing.frozen() if strategy.freezes_world else timing
        self._is_locked = timing.control_clock is ControlClock.TICK_LOCKED
        self._period_ns = spec.control_period_ns
        self._limit_ns = case.scenario.time_limit_ns
        graph = make_stage_graph(
            timing, case.draw_id, control_period_ns=self._period_ns, strategy_name=strategy.name
        )
        self._graph = graph
        self._preprocess, self._jitter = graph.preprocess, graph.control_jitter
        self._uplink, self._downlink = graph.uplink, graph.downlink
        self._uplink_ns, self._downlink_ns = graph.uplink.constant_ns, graph.downlink.constant_ns
        self._reaches_at_once = self._preprocess.constant_ns == 0 and self._uplink_ns == 0
        if not self._is_locked:
            check_restarting_clock(timing, strategy, has_jitter=self._jitter.constant_ns != 0)
        self._queue = EventQueue()
        self._buffer = ActionBuffer(spec.action.size)
        self._recorder = EpisodeRecorder(
            sensors, spec.action.size, is_played_on_arrival=strategy.rules.align is Align.RESTART
        )
        self._channels = make_channels(
            graph,
            case_id=case.draw_id,
            agent=agent,
            action=spec.action,
            strategy=strategy,
            sensors=sensors,
            control_period_ns=self._period_ns,
            queue=self._queue,
        )
        self._main = self._channels[strategy.calls[0]]
        self._in_order = tuple(self._channels.values())
        self._stepper = Stepper(world)
        self._feed = SensorFeed(
            sensors,
            tuple(graph.sensor(s) for s in sensors),
            stepper=self._stepper,
            queue=self._queue,
            captures=self._recorder.captures,
            assemblies=tuple(c.assembly for c in self._in_order),
        )
        self._sealer = Sealer(
            agent=agent,
            embodiment=embodiment,
            action=spec.action,
            strategy=strategy,
            buffer=self._buffer,
            recorder=self._recorder,
            sensors=sensors,
            channels=self._channels,
            episode_id=episode_id,
            instruction=case.scenario.instruction,
            draw_keys=PrefixedKeys(timing.seed, case.draw_id, "agent"),
        )
        self._delivery = Delivery(
            strategy=strategy,
            main=self._main,
            buffer=self._buffer,
            recorder=self._recorder,
            agent=agent,
            action=spec.action,
            control_period_ns=self._period_ns,
        )
        self._controller = Controller(
            action=spec.action,
            buffer=self._buffer,
            control_period_ns=self._period_ns,
            physics_period_ns=spec.physics_period_ns,
            actuation=graph.actuation,
            stepper=self._stepper,
            queue=self._queue,
            ticks=self._recorder.ticks,
        )
        self._expiry_ns = expiry_ns(timing)
        self._is_first_free = timing.first_chunk is FirstChunk.FREE
        self._next_tick = 0
        self._next_tick_ns = 0
        self._num_captures = 1
        self._clock_epoch = 0
        self._asks: deque[Flight] = deque()
        self._triggers: deque[tuple[Channel, Observation, bool]] = deque()
        self._outcome = Outcome(state=_RUNNING)
        self._is_over = False
        self._facts = {
            "case_id": case.draw_id,
            "seed": case.seed,
            "strategy": strategy.name,
            "timing": dict(timing.config),
        }

    @property
    def outcome(self) -> Outcome:
        """The last verdict; ``fail`` with ``time_limit`` when the scenario's time is over."""
        return self._outcome

    def log(self) -> EpisodeLog:
        """Returns what was recorded so far and drains the world; call it once, after the episode or its error.

        Everything in flight is cancelled.
        """
        for channel in self._in_order:
            channel.cancel()
        return self._recorder.log(
            self._world,
            self._case.scenario,
            horizon=self._agent.horizon,
            end_ns=self._queue.now_ns,
            is_locked=self._is_locked,
            facts=self._facts,
        )

    # --- the course of events --------------------------------------------------------------------------------

    def run(self) -> EpisodeGenerator:
        """Plays the episode: yields requests, is sent replies, returns the log.

        Raises:
            AgentError: A reply has the wrong shape or is not finite.
        """
        self._world.expect_captures(self._feed.names)
        self._world.reset(self._case.scenario, self._case.seed)
        self._controller.start_from(self._action.start_action(self._world.anchor()))
        for channel in self._in_order:
            is_waiting = channel is self._main and not self._strategy.is_asynchronous
            if self._is_first_free and is_waiting:
                channel.last_armed_tick = 0
            else:
                self._arm(channel, 0)
        handlers: tuple[_Handler, ...] = (
            self._poll,
            self._capture_group,
            self._item_arrived,
            self._expire if self._is_locked else self._capture_on_demand,
            self._send,
            self._arrive,
            self._finish,
            self._deliver_event,
            self._late_tick if self._is_locked else self._restarted_tick,
            self._controller.effect,
        )
        yield from self._play(handlers, self._regular_events())
        self._graph.finish(self._queue.now_ns)
        return self.log()

    def _regular_events(self) -> tuple[tuple[int, int, _Handler], ...]:
        """Returns what happens at every control tick, and schedules all else; (phase, stream, handler), in order.

        These events make up most of an episode and never pass through the heap.
        """
        queue = self._queue
        if not self._is_locked:
            queue.schedule(0, _CAPTURE, 0, 0)
            queue.schedule(0, _CONTROL_TICK, 0, 0)
            if self._strategy.is_asynchronous:
                queue.schedule(self._period_ns * self._strategy.execution_horizon, _TRIGGER, 0)
            return ()
        events: list[tuple[int, int, _Handler]] = [(_PHYSICS_DONE, 0, self._poll)]
        for number, group in enumerate(self._feed.groups):
            if group.phase_ns == 0 and group.period_ns == self._period_ns:
                events.append((_CAPTURE, number, self._capture_at_tick))
            else:
                queue.schedule(group.phase_ns, _CAPTURE, number, 0)
        if self._jitter.constant_ns == 0:
            events.append((_CONTROL_TICK, 0, self._tick))
        else:
            queue.schedule(self._jitter.ns(0, 0), _CONTROL_TICK, 0, 0)
        return tuple(events)

    def _play(self, handlers: Sequence[_Handler], regular: Sequence[tuple[int, int, _Handler]]) -> Requests:
        """Handles event after event; between two of them, asks the agent and seals what has been triggered."""
        queue, heap = self._queue, self._queue.heap
        asks, triggers, sealer = self._asks, self._triggers, self._sealer
        for tick in itertools.count():
            now_ns = tick * self._period_ns
            for phase, stream, handler in regular or _HEAP_ONLY:
                first = (now_ns, phase, stream) if regular else _NEVER
                is_regular = False
                while not is_regular:
                    if heap and heap[0] < first:
                        t_ns, at_phase, at_stream, _, payload = queue.pop()
                        handlers[at_phase](t_ns, at_stream, payload)
                    else:
                        is_regular = True
                        t_ns = now_ns
                        queue.now_ns, queue.phase = t_ns, phase
                        handler(t_ns, stream, tick)
                    while asks or triggers:
                        if asks:
                            flight = asks.popleft()
                            reply = yield sealer.request(flight)
                            self._answered(t_ns, flight, reply)
                        else:
                            channel, items, is_free = triggers.popleft()
                            self._trigger(t_ns, channel, items, is_free=is_free)
                    if self._is_over:
                        return

    # --- world -----------------------------------------------------------------------------------------------

    def _poll(self, t_ns: int, stream: int, tick: int) -> None:
        """Asks for the verdict, at the instant of every tick but the first."""
        if not tick:
            return
        self._stepper.advance(t_ns)
        outcome = self._world.outcome()
        if outcome.state is _RUNNING:
            if t_ns >= self._limit_ns:
                outcome = Outcome(
                    state=OutcomeState.FAIL,
                    reason="time_limit",
                    stage=outcome.stage,
                    is_goal_met=outcome.is_goal_met,
                )
                self._is_over = True
        else:
            self._is_over = True
        self._outcome = outcome
        self._recorder.add_outcome(t_ns, outcome)

    # --- sensors and triggers --------------------------------------------------------------------------------

    def _capture_at_tick(self, t_ns: int, group: int, tick: int) -> None:
        sensors = self._feed.groups[group].sensors
        if tick:
            for number, observed in self._feed.capture(t_ns, sensors, tick, tick):
                self._triggers.append((self._in_order[number], observed, False))
        else:
            self._capture(t_ns, sensors, 0, 0)

    def _capture_group(self, t_ns: int, number: int, index: int) -> None:
        if self._is_locked:
            group = self._feed.groups[number]
            self._capture(t_ns, group.sensors, index, t_ns // self._period_ns)
            self._queue.schedule(t_ns + group.period_ns, _CAPTURE, number, index + 1)
        else:
            self._capture(t_ns, self._feed.all_sensors, index, 0)

    def _capture(self, t_ns: int, sensors: Sequence[int], index: int, tick: int) -> None:
        completed = self._feed.capture(t_ns, sensors, index, tick)
        if index == 0 and self._is_first_free and not self._feed.num_first_missing:
            items: list[Item] = self._feed.first_items  # type: ignore[assignment] # none is missing
            free = [c for c in self._in_order if c is self._main or c.call is Call.CONTEXT]
            self._triggers.extend((channel, items, True) for channel in free)
        for number, observed in completed:
            self._triggers.append((self._in_order[number], observed, False))

    def _item_arrived(self, t_ns: int, stream: int, item: Item) -> None:
        for number, items in self._feed.arrived(item):
            self._triggers.append((self._in_order[number], items, False))

    def _arm(self, channel: Channel, tick: int) -> None:
        since_ns = tick * self._period_ns
        channel.assembly.arm(since_ns)
        channel.last_armed_tick = tick
        if self._expiry_ns is not None:
            # A tick that comes late may arm one whose instant is over.
            at_ns = max(since_ns + self._expiry_ns, self._queue.now_ns + (self._queue.phase >= _TRIGGER))
            self._queue.schedule(at_ns, _TRIGGER, channel.number, since_ns)

    def _expire(self, t_ns: int, number: int, since_ns: int) -> None:
        channel = self._in_order[number]
        items = channel.assembly.expire(since_ns)
        if items is not None:
            self._triggers.append((channel, items, False))

    def _capture_on_demand(self, t_ns: int, stream: int, payload: None) -> None:
        """By the restarting clock: the trigger captures, and an asynchronous strategy triggers every s periods."""
        if self._strategy.is_asynchronous:
            self._main.assembly.arm(t_ns)
        tick = self._next_tick if self._next_tick_ns == t_ns else self._next_tick - 1
        self._main.last_armed_tick = tick
        self._num_captures += 1
        self._capture(t_ns, self._feed.all_sensors, self._num_captures - 1, tick)
        if self._strategy.is_asynchronous:
            self._queue.schedule(t_ns + self._period_ns * self._strategy.execution_horizon, _TRIGGER, 0)

    # --- requests --------------------------------------------------------------------------------------------

    def _trigger(self, t_ns: int, channel: Channel, items: Observation, *, is_free: bool) -> None:
        tick = items[0].tick
        flight: Flight | None = None
        if is_free or tick > channel.last_observation_tick:
            if not is_free:
                self._deliver_due(t_ns)
            flight = self._sealer.seal(t_ns, channel, items, is_free=is_free)
        if flight is None:
            if not channel.assembly.num_armed and self._is_locked:
                self._arm(channel, t_ns // self._period_ns + 1)
            return
        if is_free:
            flight.sent_ns = flight.arrived_ns = t_ns
            flight.batch = 1
            self._start(t_ns, flight)
            return
        channel.last_observation_tick = tick
        if self._reaches_at_once:
            flight.sent_ns = flight.arrived_ns = t_ns
            if channel.accelerator.arrive(flight) is not None:
                self._start(t_ns, flight)
            return
        preprocess = self._preprocess
        duration_ns = preprocess.constant_ns
        if duration_ns is None:
            duration_ns = preprocess.ns(tick, t_ns)
        if duration_ns:
            self._queue.schedule(t_ns + duration_ns, _PREPROCESS_DONE, flight.request, flight)
        else:
            self._send(t_ns, 0, flight)

    def _send(self, t_ns: int, stream: int, flight: Flight) -> None:
        """Preprocessing is done: the request goes over the uplink."""
        flight.sent_ns = t_ns
        arrives_ns = t_ns
        if flight.channel.is_on_link:
            delay_ns = self._uplink_ns
            if delay_ns is not None:
                arrives_ns = t_ns + delay_ns
            else:
                arrivals = self._uplink.arrivals(flight.observation_tick, t_ns, flight.uplink_bytes)
                if not arrivals:
                    flight.lose("uplink_lost")
                    return
                # A second copy comes later and is ignored.
                arrives_ns = min(arrivals)
        if arrives_ns == t_ns:
            self._arrive(t_ns, 0, flight)
        else:
            self._queue.schedule(arrives_ns, _UPLINK_DONE, flight.request, flight)

    def _arrive(self, t_ns: int, stream: int, flight: Flight) -> None:
        flight.arrived_ns = t_ns
        if flight.channel.accelerator.arrive(flight) is not None:
            self._start(t_ns, flight)

    def _start(self, t_ns: int, flight: Flight) -> None:
        flight.start_ns = t_ns
        self._asks.append(flight)

    def _answered(self, t_ns: int, flight: Flight, reply: InferenceReply) -> None:
        """The reply is known, though not yet arrived: the model's time begins."""
        flight.actions = checked_actions(reply, flight, self._agent, self._action)
        flight.reply = reply
        if reply.notes:
            flight.notes = "; ".join(f"{k}: {v}" for k, v in sorted(reply.notes.items()))
        duration_ns = 0 if flight.is_free else self._inference_ns(t_ns, flight, reply)
        flight.done_at_ns = t_ns + duration_ns
        if duration_ns:
            self._queue.schedule(t_ns + duration_ns, _INFERENCE_DONE, flight.request, flight)
        else:
            self._finish(t_ns, 0, flight)

    def _inference_ns(self, t_ns: int, flight: Flight, reply: InferenceReply) -> int:
        channel = flight.channel
        is_first = not channel.num_started and self._timing.first_chunk is FirstChunk.CHARGED
        channel.num_started += 1
        if self._timing.mode is Mode.MEASURED:
            if reply.measured_ns is None:
                raise AgentError(
                    f"Agent {self._agent.name!r} replied without a measured time under timing mode 'measured'; play "
                    "the episode with the runner, which measures, or set timing.mode=modelled."
                )
            taken_ns = max(0, round(reply.measured_ns * self._timing.measured_factor))
            return taken_ns + self._timing.added_ns(channel.call)
        if channel.inference_constant_ns is not None:
            return channel.inference_constant_ns
        inference = channel.inference
        return inference.ns(
            flight.observation_tick,
            t_ns,
            is_first=is_first,
            batch=flight.batch,
            observation=self._sealer.observation(flight) if inference.needs_observation else None,
        )

    def _finish(self, t_ns: int, stream: int, flight: Flight) -> None:
        """The model is done: the reply goes over the downlink, and the server takes what waits."""
        flight.done_ns = t_ns
        if flight.delivers_at_ns == NOT_REACHED:
            flight.delivers_at_ns = self._delivery_ns(flight)
        if flight.delivers_at_ns == _LOST:
            flight.lose("downlink_lost")
        elif flight.delivers_at_ns == t_ns:
            self._deliver(t_ns, flight)
        else:
            self._queue.schedule(flight.delivers_at_ns, _DELIVER, flight.request, flight)
        if not flight.is_free:
            for started in flight.channel.accelerator.finish(flight):
                self._start(t_ns, started)

    def _delivery_ns(self, flight: Flight) -> int:
        """Returns the instant at which a reply arrives, given the instant at which its model is done."""
        done_ns = flight.done_at_ns
        if flight.is_free or not flight.channel.is_on_link:
            return done_ns
        assert flight.actions is not None
        assert flight.reply is not None
        context = flight.reply.context
        flight.downlink_bytes = flight.actions.nbytes + (
            context.nbytes if isinstance(context, np.ndarray) else 0
        )
        delay_ns = self._downlink_ns
        if delay_ns is not None:
            return done_ns + delay_ns
        arrivals = self._downlink.arrivals(flight.observation_tick, done_ns, flight.downlink_bytes)
        return min(arrivals) if arrivals else _LOST

    # --- delivery --------------------------------------------------------------------------------------------

    def _deliver_due(self, t_ns: int) -> None:
        """Installs what lands at this very instant, so that a request sealed now is conditioned on it."""
        due: list[Flight] = []
        for channel in self._in_order:
            for flight in channel.in_flight.values():
                if flight.done_at_ns == t_ns and flight.delivers_at_ns == NOT_REACHED:
                    flight.delivers_at_ns = self._delivery_ns(flight)
                if flight.delivers_at_ns == t_ns:
                    due.append(flight)
        if len(due) > 1:
            due.sort(key=lambda f: f.request)
        for flight in due:
            self._deliver(t_ns, flight)

    def _deliver_event(self, t_ns: int, stream: int, flight: Flight) -> None:
        self._deliver(t_ns, flight)

    def _deliver(self, t_ns: int, flight: Flight) -> None:
        if flight.channel.in_flight.pop(flight.request, None) is None:
            return
        # A tick may be so late that its successor's observation is there before it: that is the successor's.
        self._delivery.take(t_ns, flight, max(self._next_tick, flight.observation_tick))
        is_played = flight.channel is self._main and flight.state in ("installed", "elapsed")
        if is_played and not self._is_locked and t_ns != self._next_tick_ns:
            self._restart_clock(t_ns)

    # --- control ---------------------------------------------------------------------------------------------

    def _tick(self, t_ns: int, stream: int, tick: int) -> None:
        self._next_tick = tick + 1
        self._controller.act(t_ns, tick)
        for channel in self._in_order:
            if tick >= channel.last_armed_tick and self._wants_request(channel):
                self._arm(channel, tick + 1)

    def _wants_request(self, channel: Channel) -> bool:
        tick = self._next_tick
        return self._strategy.wants_request(
            channel.call,
            ExecutionState(
                tick,
                channel.last_armed_tick,
                self._buffer.remaining(tick),
                len(channel.in_flight) + channel.assembly.num_armed,
                self._agent.horizon,
                channel.last_delivered_tick,
            ),
        )

    def _late_tick(self, t_ns: int, stream: int, tick: int) -> None:
        """A tick with jitter: it is never before its instant, nor before the tick before it."""
        self._tick(t_ns, stream, tick)
        due_ns = (tick + 1) * self._period_ns
        next_ns = max(due_ns + self._jitter.ns(tick + 1, due_ns), t_ns + 1)
        self._queue.schedule(next_ns, _CONTROL_TICK, 0, tick + 1)

    def _restart_clock(self, t_ns: int) -> None:
        """The coming tick takes place now, at the arrival of a chunk, and the ticks after it follow from here."""
        self._clock_epoch += 1
        self._next_tick_ns = t_ns
        self._queue.schedule(t_ns, _CONTROL_TICK, 0, self._clock_epoch)

    def _restarted_tick(self, t_ns: int, stream: int, epoch: int) -> None:
        if epoch != self._clock_epoch:
            return
        tick = self._next_tick
        self._poll(t_ns, 0, tick)
        if self._is_over:
            return
        self._next_tick = tick + 1
        self._next_tick_ns = t_ns + self._period_ns
        self._controller.act(t_ns, tick)
        self._queue.schedule(self._next_tick_ns, _CONTROL_TICK, 0, epoch)
        if not self._strategy.is_asynchronous and self._wants_request(self._main):
            self._main.assembly.arm(self._next_tick_ns)
            self._queue.schedule(self._next_tick_ns, _TRIGGER, 0)
