"""Makes requests: seals at the trigger what an agent will be asked, and words it when the model starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.agent import AgentSpec, Call, Conditioning, Embodiment, InferenceRequest
from simloop.assembly import Observation
from simloop.channel import Channel
from simloop.episode_recorder import EpisodeRecorder
from simloop.flight import Flight
from simloop.randomness import PrefixedKeys
from simloop.strategies.buffer import NO_REQUEST, ActionBuffer
from simloop.strategies.strategy import Strategy
from simloop.world import ActionSpec, Anchor, SensorSpec

FloatArray = npt.NDArray[np.float64]


class Sealer:
    """Makes the requests of one episode.

    Args:
        agent: The agent's fixed properties.
        embodiment: How it acts in this world.
        action: The action space.
        strategy: Names what is handed over with an observation.
        buffer: What is planned.
        recorder: Takes the record.
        sensors: The sensors, by number; the capture of number 0 anchors actions.
        channels: The channels by call.
        episode_id: Written into the requests.
        instruction: The task in words.
        draw_keys: Keys of the agent's draws, by observation tick.
    """

    def __init__(
        self,
        *,
        agent: AgentSpec,
        embodiment: Embodiment,
        action: ActionSpec,
        strategy: Strategy,
        buffer: ActionBuffer,
        recorder: EpisodeRecorder,
        sensors: Sequence[SensorSpec],
        channels: dict[Call, Channel],
        episode_id: str,
        instruction: str,
        draw_keys: PrefixedKeys,
    ) -> None:
        self._horizon = agent.horizon
        self._action = action
        self._strategy = strategy
        # Most strategies hand nothing over: asking them each time would cost more than it tells.
        self._has_weights = type(strategy).weights is not Strategy.weights
        self._buffer = buffer
        self._recorder = recorder
        self._main = strategy.calls[0]
        self._contexts = channels.get(Call.CONTEXT)
        self._episode_id = episode_id
        self._instruction = instruction
        self._draw_keys = draw_keys
        numbers = {s.name: n for n, s in enumerate(sensors)}
        self._named = tuple((name, numbers[name]) for name in embodiment.observations)
        self._by_name = tuple(numbers[name] for name in sorted(numbers))
        self._uplink_bytes = sum(s.payload_bytes for s in sensors)

    def seal(self, t_ns: int, channel: Channel, items: Observation, *, is_free: bool) -> Flight | None:
        """Seals a request at ``t_ns``; None if there is nothing to ask: no context yet, or no action to correct.

        Args:
            t_ns: The trigger.
            channel: Channel that asks.
            items: The observation.
            is_free: Whether this is a free first request.
        """
        anchor_item = items[0]
        tick, anchor = anchor_item.tick, anchor_item.anchor
        assert anchor is not None
        call = channel.call
        context = None if self._contexts is None else self._contexts.newest
        if call is Call.EXPERT and context is None:
            return None
        if call is Call.CORRECTOR and self._buffer.provenance(tick)[0] == NO_REQUEST:
            return None
        recorder = self._recorder
        request = len(recorder.inferences)
        flight = Flight(request, channel, items, anchor, tick, t_ns, is_free=is_free)
        if not is_free:
            if channel.foresight is not None:
                channel.predictor.tell(channel.foresight.delay_ticks(tick))
            flight.predicted_delay_ticks = channel.predictor.predict(tick)
        if channel.is_on_link:
            flight.uplink_bytes = self._uplink_bytes
        if call is self._main:
            self._hand_over(flight, tick, anchor)
        elif call is Call.CORRECTOR:
            self._add_base(flight, tick, anchor)
        if call is Call.EXPERT and context is not None:
            self._add_context(flight, context)
        recorder.inferences.append(flight)
        for number in self._by_name:
            frame = items[number].frame
            recorder.consumed += (request, number, frame.index, t_ns - frame.captured_at_ns)
        channel.in_flight[request] = flight
        return flight

    def _hand_over(self, flight: Flight, tick: int, anchor: Anchor) -> None:
        """Adds the planned actions that the chunk continues: as conditioning, or to roll the state over."""
        predicted, horizon = flight.predicted_delay_ticks, self._horizon
        if self._strategy.rolls_state:
            committed = self._buffer.committed(tick, min(predicted, horizon))
            is_rolled = len(committed) > 0
            flight.rolled_actions = self._action.from_world(committed, anchor) if is_rolled else committed
            flight.num_committed = len(committed)
        if not self._has_weights:
            return
        given = self._strategy.weights(predicted, self._buffer.remaining(tick), horizon)
        if given is None:
            return
        count = len(given)
        actions = np.zeros((horizon, self._action.size))
        weights = np.zeros(horizon)
        if count:
            actions[:count] = self._action.from_world(self._buffer.committed(tick, count), anchor)
            weights[:count] = given
        flight.conditioning = Conditioning(
            actions=actions,
            weights=weights,
            max_guidance=self._strategy.max_guidance,
            is_guided=self._strategy.is_guided,
        )
        flight.num_committed = flight.conditioning.num_committed

    def _add_base(self, flight: Flight, tick: int, anchor: Anchor) -> None:
        """Adds the uncorrected plan, and the context that the newest chunk in it brought."""
        flight.base_request, flight.base_row = self._buffer.provenance(tick)
        flight.base_actions = self._action.from_world(self._buffer.base(tick, self._horizon), anchor)
        self._add_context(flight, self._recorder.inferences[flight.base_request])

    def _add_context(self, flight: Flight, source: Flight) -> None:
        if source.reply is not None and source.reply.context is not None:
            flight.context = source.reply.context
            flight.context_age_ns = flight.trigger_ns - source.anchor_captured_at_ns

    def observation(self, flight: Flight) -> dict[str, npt.NDArray[np.generic]]:
        """Returns a sealed request's arrays by sensor name; renders the frames."""
        items = flight.items
        return {name: items[number].frame.array for name, number in self._named}

    def request(self, flight: Flight) -> InferenceRequest:
        """Returns a sealed request as the agent is asked it; renders the frames."""
        items, trigger_ns = flight.items, flight.trigger_ns
        captures = self._recorder.captures
        for item in items:
            captures.consume(item.row, item.frame)
        return InferenceRequest(
            episode_id=self._episode_id,
            call=flight.channel.call,
            embodiment=self._action.name,
            observation=self.observation(flight),
            age_ns={name: trigger_ns - items[number].stamp_ns for name, number in self._named},
            instruction=self._instruction,
            anchor=flight.anchor,
            observation_tick=flight.observation_tick,
            predicted_delay_ticks=flight.predicted_delay_ticks,
            conditioning=flight.conditioning,
            context=flight.context,
            context_age_ns=flight.context_age_ns,
            base_actions=flight.base_actions,
            base_row=flight.base_row,
            rolled_actions=flight.rolled_actions,
            draw_key=self._draw_keys[flight.observation_tick],
        )
