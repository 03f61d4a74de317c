"""The closed loop: one episode on virtual time, as a generator of inference requests.

The loop owns time. The world moves only to instants that the loop names; the agent is asked by yielding a request,
and answered by ``send``. A request is sealed at its trigger and yielded when its model starts; one that is dropped in
front of the accelerator is never yielded. There are no threads: a worker interleaves many such generators and hands
the agent one batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.agent import (
    AgentSpec,
    Call,
    Conditioning,
    Embodiment,
    InferenceReply,
    InferenceRequest,
)
from simloop.assembly import Item, Observation, ObservationAssembly
from simloop.clock import EventQueue, Phase, ceil_to, floor_to
from simloop.episode_recorder import EpisodeRecorder, InferenceRow
from simloop.errors import AgentError, ConfigurationError, IncompatibleAgentError
from simloop.log import EpisodeLog
from simloop.randomness import stream_key
from simloop.spec import Case
from simloop.strategies.buffer import NO_REQUEST, ActionBuffer, ArrivedChunk
from simloop.strategies.hold import hold_action
from simloop.strategies.strategy import ExecutionState, Strategy
from simloop.timing.stage_graph import Assembly, FirstChunk, QueueRule, Timing, make_stage_graph
from simloop.world import Anchor, Outcome, OutcomeState, SensorKind, World, WorldSpec

FloatArray = npt.NDArray[np.float64]
Requests = Generator[InferenceRequest, InferenceReply, None]
EpisodeGenerator = Generator[InferenceRequest, InferenceReply, EpisodeLog]

# Plain ints: the members of an IntEnum are several times slower to look up and compare, for every event.
_PHYSICS_DONE = int(Phase.PHYSICS_DONE)
_CAPTURE = int(Phase.CAPTURE)
_TRANSPORT_DONE = int(Phase.TRANSPORT_DONE)
_TRIGGER = int(Phase.TRIGGER)
_UPLINK_DONE = int(Phase.UPLINK_DONE)
_INFERENCE_DONE = int(Phase.INFERENCE_DONE)
_DELIVER = int(Phase.DELIVER)
_CONTROL_TICK = int(Phase.CONTROL_TICK)
_ACTUATION_EFFECT = int(Phase.ACTUATION_EFFECT)


def matching_embodiment(agent: AgentSpec, world: WorldSpec, strategy: Strategy) -> Embodiment:
    """Returns how ``agent`` acts in ``world``, checked before the first episode.

    Raises:
        IncompatibleAgentError: Action space, dimensions, sensors, chunk length, action period or a capability that
            the strategy needs do not fit; the message says which and what would.
    """
    offered = {e.action_space: e for e in agent.embodiments}
    embodiment = offered.get(world.action.name)
    if embodiment is None:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} acts in {', '.join(sorted(offered))}; world {world.name!r} takes actions in "
            f"{world.action.name!r}. Choose another agent, or another action space of the world."
        )
    names = tuple(d.name for d in world.action.dimensions)
    if embodiment.dimensions and embodiment.dimensions != names:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} answers {embodiment.dimensions} in {world.action.name!r}; world {world.name!r} "
            f"expects {names}."
        )
    sensors = {s.name for s in world.sensors}
    missing = sorted(set(embodiment.observations) - sensors)
    if missing:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} reads {', '.join(missing)}, which world {world.name!r} does not have; it has: "
            f"{', '.join(sorted(sensors))}."
        )
    if agent.action_period_ns != world.control_period_ns:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} plans one action every {agent.action_period_ns} ns; world {world.name!r} is "
            f"controlled every {world.control_period_ns} ns. The two must be equal."
        )
    if agent.horizon < strategy.execution_horizon:
        raise IncompatibleAgentError(
            f"Agent {agent.name!r} plans chunks of {agent.horizon} actions; strategy {strategy.name!r} executes "
            f"{strategy.execution_horizon} of each. Lower strategy.execution_horizon to at most {agent.horizon}."
        )
    lacking = sorted(c.value for c in strategy.needs - agent.capabilities)
    if lacking:
        raise IncompatibleAgentError(
            f"Strategy {strategy.name!r} needs an agent with {', '.join(lacking)}; agent {agent.name!r} supports: "
            f"{', '.join(sorted(c.value for c in agent.capabilities)) or 'plain chunks only'}."
        )
    return embodiment


@dataclass(slots=True, kw_only=True, eq=False)
class _Sealed:
    """A request on its way: what it carries and where it stands."""

    row: InferenceRow
    items: Observation
    age_ns: dict[str, int]
    anchor: Anchor
    conditioning: Conditioning | None
    reply: InferenceReply | None = None
    delivers_at_ns: int = -1


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
        ConfigurationError: The world has no proprioception, or its periods do not divide.
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
        self._embodiment = matching_embodiment(agent, spec, strategy)
        proprioception = [s.name for s in spec.sensors if s.kind is SensorKind.PROPRIOCEPTION]
        if not proprioception:
            raise ConfigurationError(
                f"World {spec.name!r} has no proprioception sensor, which anchors actions."
            )
        self._anchor_sensor = next(
            (s for s in proprioception if s in self._embodiment.observations), proprioception[0]
        )
        names = dict.fromkeys((self._anchor_sensor, *self._embodiment.observations))
        self._sensors = tuple(spec.sensor(name) for name in names)
        periods = dict.fromkeys(s.period_ns for s in self._sensors)
        self._sensor_groups = tuple(
            tuple(number for number, s in enumerate(self._sensors) if s.period_ns == period_ns)
            for period_ns in periods
        )
        self._world, self._case, self._agent = world, case, agent
        self._spec = spec
        self._strategy = strategy
        self._timing = timing.frozen() if strategy.freezes_world else timing
        self._case_id = case.case_id
        stages = make_stage_graph(
            self._timing,
            self._case_id,
            control_period_ns=spec.control_period_ns,
            strategy_name=strategy.name,
        )
        self._paths = tuple(stages.sensor(s) for s in self._sensors)
        self._preprocess = stages.preprocess
        self._uplink = stages.uplink
        self._inference = stages.inference(Call.POLICY)
        self._downlink = stages.downlink
        self._actuation = stages.actuation
        self._episode_id = episode_id
        self._period_ns = spec.control_period_ns
        self._physics_ns = spec.physics_period_ns
        nominal_ns = self._timing.nominal_ns(s.kind for s in self._sensors)
        self._predictor = strategy.rules.make_predictor(
            nominal_ns,
            self._period_ns,
            stream_key(self._timing.seed, self._case_id, "latency", "prediction"),
        )
        self._queue = EventQueue()
        self._buffer = ActionBuffer(spec.action.size)
        self._recorder = EpisodeRecorder()
        self._world_ns = 0
        self._assembly = ObservationAssembly(
            num_sensors=len(self._sensors), rule=self._timing.assembly, control_period_ns=self._period_ns
        )
        self._first_items: Observation = {}
        self._anchors: dict[int, Anchor] = {}
        self._last_armed_tick = -1
        self._last_observation_tick = -1
        self._in_flight: dict[int, _Sealed] = {}
        self._waiting: deque[_Sealed] = deque()
        self._num_running = 0
        self._installed_observation_tick = -1
        self._last_delivered_tick = -1
        self._last_action: FloatArray | None = None
        self._starved_ticks = 0
        self._last_effect_tick = -1
        self._outcome = Outcome(state=OutcomeState.RUNNING)

    @property
    def outcome(self) -> Outcome:
        """The last verdict; ``fail`` with ``time_limit`` when the scenario's time is over."""
        return self._outcome

    @property
    def now_ns(self) -> int:
        """Virtual instant of the last event."""
        return self._queue.now_ns

    def log(self) -> EpisodeLog:
        """Returns what was recorded so far and drains the world; call it once, after the episode or its error."""
        return self._recorder.log(
            self._world, self._case.scenario, horizon=self._agent.horizon, end_ns=self._queue.now_ns
        )

    def run(self) -> EpisodeGenerator:
        """Plays the episode: yields requests, is sent replies, returns the log.

        Raises:
            AgentError: A reply has the wrong shape or is not finite.
        """
        self._world.reset(self._case.scenario, self._case.seed)
        self._last_action = self._spec.action.start_action(self._world.anchor())
        queue = self._queue
        for number in range(len(self._sensor_groups)):
            queue.schedule(0, _CAPTURE, number, 0)
        queue.schedule(0, _CONTROL_TICK, 0, 0)
        is_first_free = self._timing.first_chunk is FirstChunk.FREE
        if is_first_free and not self._strategy.is_asynchronous:
            self._last_armed_tick = 0
        else:
            self._arm(0)
        limit_ns = self._case.scenario.time_limit_ns
        observation: Observation | None
        while True:
            t_ns, phase, stream, _, payload = queue.pop()
            if phase == _CAPTURE:
                completed = self._capture(t_ns, stream, payload)
                if is_first_free and len(self._first_items) == len(self._sensors):
                    is_first_free = False
                    yield from self._start_model(t_ns, self._seal(t_ns, 0, self._first_items, is_free=True))
                for observation in completed:
                    yield from self._trigger(t_ns, observation)
            elif phase == _TRANSPORT_DONE:
                observation = self._assembly.add(t_ns, payload)
                if observation is not None:
                    yield from self._trigger(t_ns, observation)
            elif phase == _TRIGGER:
                observation = self._assembly.trigger(t_ns)
                if observation is not None:
                    yield from self._trigger(t_ns, observation)
            elif phase == _UPLINK_DONE:
                yield from self._arrive_at_accelerator(t_ns, payload)
            elif phase == _INFERENCE_DONE:
                yield from self._finish_inference(t_ns, payload)
            elif phase == _DELIVER:
                self._deliver_chunk(payload)
            elif phase == _CONTROL_TICK:
                self._control_tick(t_ns, payload)
            elif phase == _ACTUATION_EFFECT:
                self._effect(t_ns, *payload)
            elif self._poll_outcome(t_ns, payload, limit_ns):
                break
        return self.log()

    # --- world -----------------------------------------------------------------------------------------------

    def _advance(self, t_ns: int) -> None:
        if t_ns > self._world_ns:
            self._world.advance(t_ns)
            self._world_ns = t_ns

    def _poll_outcome(self, t_ns: int, tick: int, limit_ns: int) -> bool:
        self._advance(t_ns)
        outcome = self._world.outcome()
        if outcome.state is OutcomeState.RUNNING and t_ns >= limit_ns:
            outcome = Outcome(
                state=OutcomeState.FAIL,
                reason="time_limit",
                stage=outcome.stage,
                is_goal_met=outcome.is_goal_met,
            )
        self._outcome = outcome
        self._recorder.add_outcome(tick, t_ns, outcome)
        return outcome.state is not OutcomeState.RUNNING

    # --- sensors ---------------------------------------------------------------------------------------------

    def _capture(self, t_ns: int, group: int, index: int) -> list[Observation]:
        """Captures all sensors of one period; returns the observations that this completes."""
        self._advance(floor_to(t_ns, self._physics_ns))
        captures = self._recorder.captures
        completed: list[Observation] = []
        period_ns = 0
        for number in self._sensor_groups[group]:
            sensor = self._sensors[number]
            period_ns = sensor.period_ns
            frame = self._world.capture(sensor.name, index)
            delay_ns = self._paths[number].arrival_ns(index, t_ns, sensor.payload_bytes) - t_ns
            row = captures.add(frame, t_ns, t_ns + delay_ns)
            if sensor.name == self._anchor_sensor:
                self._anchors[index] = self._world.anchor()
            if index == 0:
                self._first_items[sensor.name] = Item(frame, t_ns, row)
            if self._assembly.awaits(t_ns):
                item = Item(frame, t_ns, row)
                if delay_ns:
                    self._queue.schedule(t_ns + delay_ns, _TRANSPORT_DONE, number, item)
                elif (observation := self._assembly.add(t_ns, item)) is not None:
                    completed.append(observation)
        self._queue.schedule(t_ns + period_ns, _CAPTURE, group, index + 1)
        return completed

    # --- requests --------------------------------------------------------------------------------------------

    def _arm(self, tick: int) -> None:
        self._assembly.arm(tick)
        self._last_armed_tick = tick
        if self._timing.assembly is Assembly.LATEST:
            self._queue.schedule(tick * self._period_ns, _TRIGGER, 0)

    def _trigger(self, t_ns: int, items: Observation) -> Requests:
        observation_tick = items[self._anchor_sensor].t_ns // self._period_ns
        if observation_tick <= self._last_observation_tick:
            if not self._assembly.num_armed:
                self._arm(t_ns // self._period_ns + 1)
            return
        self._last_observation_tick = observation_tick
        self._deliver_due(t_ns)
        sealed = self._seal(t_ns, observation_tick, items)
        sent_ns = t_ns + self._preprocess.ns(observation_tick, t_ns)
        arrives_ns = self._uplink.arrivals(observation_tick, sent_ns, 0)[0]
        if arrives_ns == t_ns:
            yield from self._arrive_at_accelerator(t_ns, sealed)
        else:
            self._queue.schedule(arrives_ns, _UPLINK_DONE, sealed.row.request, sealed)

    def _seal(
        self, t_ns: int, observation_tick: int, items: Observation, *, is_free: bool = False
    ) -> _Sealed:
        anchor_frame = items[self._anchor_sensor].frame
        anchor = self._anchors[anchor_frame.index]
        predicted = 0 if is_free else self._predictor.predict(observation_tick)
        conditioning = self._conditioning(observation_tick, predicted, anchor)
        request = len(self._recorder.inferences)
        row = InferenceRow(
            request=request,
            observation_tick=observation_tick,
            anchor_captured_at_ns=anchor_frame.captured_at_ns,
            trigger_ns=t_ns,
            predicted_delay_ticks=predicted,
            num_committed=conditioning.num_committed if conditioning is not None else 0,
            is_free=is_free,
        )
        self._recorder.inferences.append(row)
        ages = {name: t_ns - item.frame.captured_at_ns for name, item in items.items()}
        for name in sorted(items):
            self._recorder.consumed.append((request, name, items[name].frame.index, ages[name]))
        sealed = _Sealed(row=row, items=items, age_ns=ages, anchor=anchor, conditioning=conditioning)
        self._in_flight[request] = sealed
        return sealed

    def _conditioning(self, observation_tick: int, predicted: int, anchor: Anchor) -> Conditioning | None:
        horizon = self._agent.horizon
        given = self._strategy.weights(predicted, self._buffer.remaining(observation_tick), horizon)
        if given is None or not len(given):
            return None
        committed = self._buffer.committed(observation_tick, len(given))
        actions = np.zeros((horizon, self._spec.action.size))
        weights = np.zeros(horizon)
        actions[: len(given)] = self._spec.action.from_world(committed, anchor)
        weights[: len(given)] = given
        return Conditioning(actions=actions, weights=weights, max_guidance=self._strategy.max_guidance)

    def _arrive_at_accelerator(self, t_ns: int, sealed: _Sealed) -> Requests:
        servers = self._timing.num_servers(Call.POLICY)
        if servers == 0 or self._num_running < servers:
            yield from self._start_model(t_ns, sealed)
            return
        if self._timing.queue is QueueRule.LATEST_WINS:
            while self._waiting:
                dropped = self._waiting.popleft()
                dropped.row.state = "queue_dropped"
                del self._in_flight[dropped.row.request]
        self._waiting.append(sealed)

    def _start_model(self, t_ns: int, sealed: _Sealed) -> Requests:
        sealed.row.start_ns = t_ns
        self._num_running += 1
        for item in sealed.items.values():
            self._recorder.captures.consume(item.row, item.frame)
        sealed.reply = self._checked((yield self._request(sealed)))
        sealed.row.notes = "; ".join(f"{k}: {v}" for k, v in sorted(sealed.reply.notes.items()))
        tick = sealed.row.observation_tick
        inference_ns = 0
        sealed.delivers_at_ns = t_ns
        if not sealed.row.is_free:
            inference_ns = self._inference.ns(tick, t_ns, is_first=False, batch=1, observation=None)
            sealed.delivers_at_ns = self._downlink.arrivals(tick, t_ns + inference_ns, 0)[0]
        if inference_ns == 0:
            yield from self._finish_inference(t_ns, sealed)
        else:
            self._queue.schedule(t_ns + inference_ns, _INFERENCE_DONE, sealed.row.request, sealed)

    def _request(self, sealed: _Sealed) -> InferenceRequest:
        wanted = self._embodiment.observations
        return InferenceRequest(
            episode_id=self._episode_id,
            call=Call.POLICY,
            embodiment=self._spec.action.name,
            observation={name: sealed.items[name].frame.array for name in wanted},
            age_ns={name: sealed.age_ns[name] for name in wanted},
            instruction=self._case.scenario.instruction,
            anchor=sealed.anchor,
            observation_tick=sealed.row.observation_tick,
            predicted_delay_ticks=sealed.row.predicted_delay_ticks,
            conditioning=sealed.conditioning,
            draw_key=stream_key(self._timing.seed, self._case_id, "agent", sealed.row.observation_tick),
        )

    def _checked(self, reply: InferenceReply) -> InferenceReply:
        expected = (self._agent.horizon, self._spec.action.size)
        try:
            actions = None if reply.actions is None else np.asarray(reply.actions, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise AgentError(
                f"Agent {self._agent.name!r} replied with actions that are not numbers: {error}."
            ) from error
        if reply.first_index:
            raise AgentError(
                f"Agent {self._agent.name!r} replied with first_index {reply.first_index}; a policy's chunk starts "
                "at row 0."
            )
        if actions is None or actions.shape != expected:
            got = "no actions" if actions is None else f"shape {actions.shape}"
            raise AgentError(
                f"Agent {self._agent.name!r} replied with {got}; a chunk for {self._spec.action.name!r} has shape "
                f"{expected} (horizon, action entries)."
            )
        if not np.all(np.isfinite(actions)):
            row, column = (int(v) for v in np.argwhere(~np.isfinite(actions))[0])
            raise AgentError(
                f"Agent {self._agent.name!r} replied with {actions[row, column]} in row {row}, entry "
                f"{self._spec.action.dimensions[column].name!r}; actions must be finite."
            )
        return reply

    def _finish_inference(self, t_ns: int, sealed: _Sealed) -> Requests:
        sealed.row.done_ns = t_ns
        self._num_running -= 1
        if sealed.delivers_at_ns == t_ns:
            self._deliver_chunk(sealed)
        else:
            self._queue.schedule(sealed.delivers_at_ns, _DELIVER, sealed.row.request, sealed)
        servers = self._timing.num_servers(Call.POLICY)
        if self._waiting and (servers == 0 or self._num_running < servers):
            yield from self._start_model(t_ns, self._waiting.popleft())

    def _deliver_due(self, t_ns: int) -> None:
        """Installs chunks that land at this very instant, so that a request sealed now is conditioned on them."""
        due = [s for s in self._in_flight.values() if s.delivers_at_ns == t_ns]
        for sealed in due:
            self._deliver_chunk(sealed)

    def _deliver_chunk(self, sealed: _Sealed) -> None:
        row = sealed.row
        if self._in_flight.pop(row.request, None) is None:
            return
        assert sealed.reply is not None and sealed.reply.actions is not None
        row.deliver_ns = sealed.delivers_at_ns
        row.install_tick = ceil_to(row.deliver_ns, self._period_ns) // self._period_ns
        row.realised_delay_ticks = row.install_tick - row.observation_tick
        if not row.is_free:
            self._predictor.observe(row.realised_delay_ticks)
        self._last_delivered_tick = row.install_tick
        if row.observation_tick < self._installed_observation_tick:
            row.state = "stale_dropped"
            return
        chunk = ArrivedChunk(
            request=row.request,
            observation_tick=row.observation_tick,
            install_tick=row.install_tick,
            actions=self._spec.action.to_world(
                np.asarray(sealed.reply.actions, dtype=np.float64), sealed.anchor
            ),
            predicted_delay_ticks=row.predicted_delay_ticks,
            arrival_ns=row.deliver_ns,
            observation_ns=row.anchor_captured_at_ns,
            action_period_ns=self._agent.action_period_ns,
            control_period_ns=self._period_ns,
        )
        self._installed_observation_tick = row.observation_tick
        self._recorder.chunks.append(chunk)
        self._strategy.install(self._buffer, chunk, self._spec.action)
        row.state = "installed" if self._buffer.is_planned_by(row.request, row.install_tick) else "elapsed"

    # --- control ---------------------------------------------------------------------------------------------

    def _control_tick(self, t_ns: int, tick: int) -> None:
        request, row = self._buffer.provenance(tick)
        is_hold = request == NO_REQUEST
        if is_hold:
            action = hold_action(self._spec.action, self._last_action, self._starved_ticks, self._period_ns)
            self._starved_ticks += 1
        else:
            action = self._buffer.action(tick)
            self._starved_ticks = 0
        self._last_action = action
        due_ns = t_ns + self._actuation.ns(tick, t_ns)
        effect_ns = ceil_to(due_ns, self._physics_ns)
        age_ns = -1 if is_hold else effect_ns - self._recorder.inferences[request].anchor_captured_at_ns
        self._recorder.ticks.append(
            (tick, t_ns, request, row, is_hold, effect_ns, effect_ns - due_ns, age_ns)
        )
        self._recorder.actions.append(action)
        if effect_ns == t_ns:
            self._effect(t_ns, tick, action)
        else:
            self._queue.schedule(effect_ns, _ACTUATION_EFFECT, tick, (tick, action))
        next_ns = t_ns + self._period_ns
        self._queue.schedule(next_ns, _PHYSICS_DONE, 0, tick + 1)
        self._queue.schedule(next_ns, _CONTROL_TICK, 0, tick + 1)
        if tick >= self._last_armed_tick:
            remaining = self._buffer.remaining(tick + 1)
            num_in_flight = len(self._in_flight) + self._assembly.num_armed
            state = ExecutionState(
                tick + 1,
                self._last_armed_tick,
                remaining,
                num_in_flight,
                self._agent.horizon,
                self._last_delivered_tick,
            )
            if self._strategy.wants_request(Call.POLICY, state):
                self._arm(tick + 1)

    def _effect(self, t_ns: int, tick: int, action: FloatArray) -> None:
        """Applies an action; one that a later action has overtaken is ignored and marked so in the log."""
        if tick < self._last_effect_tick:
            self._recorder.mark_overtaken(tick)
            return
        self._advance(t_ns)
        self._world.actuate(action)
        self._last_effect_tick = tick
