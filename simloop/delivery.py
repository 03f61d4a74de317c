"""What becomes of a reply on arrival: it is dropped by a rule, kept as a context, or installed."""

from __future__ import annotations

from collections import deque

from simloop.agent import AgentSpec, Call, InferenceReply
from simloop.channel import Channel
from simloop.episode_recorder import EpisodeRecorder
from simloop.flight import Flight
from simloop.strategies.buffer import ActionBuffer, ArrivedChunk
from simloop.strategies.strategy import Strategy
from simloop.world import ActionSpec


class Delivery:
    """Takes the replies of one episode.

    Args:
        strategy: Its rules say what is dropped; it installs the rest.
        main: Channel whose chunks are played.
        buffer: What is planned.
        recorder: Takes the record.
        agent: The agent's fixed properties.
        action: The action space.
        control_period_ns: Control period.
    """

    __slots__ = (
        "_action",
        "_action_period_ns",
        "_buffer",
        "_control_period_ns",
        "_horizon",
        "_main",
        "_recorder",
        "_strategy",
        "_with_context",
    )

    def __init__(
        self,
        *,
        strategy: Strategy,
        main: Channel,
        buffer: ActionBuffer,
        recorder: EpisodeRecorder,
        agent: AgentSpec,
        action: ActionSpec,
        control_period_ns: int,
    ) -> None:
        self._strategy = strategy
        self._main = main
        self._buffer = buffer
        self._recorder = recorder
        self._horizon = agent.horizon
        self._action_period_ns = agent.action_period_ns
        self._action = action
        self._control_period_ns = control_period_ns
        self._with_context: deque[Flight] = deque()

    def take(self, t_ns: int, flight: Flight, tick: int) -> None:
        """Takes a reply that arrives at ``t_ns`` and is usable at control tick ``tick``; sets the request's state."""
        channel = flight.channel
        flight.deliver_ns = t_ns
        flight.install_tick = tick
        flight.realised_delay_ticks = tick - flight.observation_tick
        channel.last_delivered_tick = tick
        if not flight.is_free:
            channel.predictor.observe(flight.realised_delay_ticks)
        reply = flight.reply
        assert reply is not None
        flight.state = self._reason_to_drop(flight)
        is_kept = False
        if not flight.state:
            channel.installed_observation_tick = max(
                channel.installed_observation_tick, flight.observation_tick
            )
            is_kept = reply.context is not None
            if channel.call is Call.CONTEXT:
                self._replace_context(channel, flight)
            else:
                self._install(t_ns, flight)
                if is_kept:
                    self._keep_context(flight)
        flight.release()
        if is_kept:
            flight.reply = InferenceReply(actions=None, context=reply.context)

    def _reason_to_drop(self, flight: Flight) -> str:
        rules, channel = self._strategy.rules, flight.channel
        is_older = flight.observation_tick < channel.installed_observation_tick
        if is_older and (rules.drop_older or channel.call is Call.CONTEXT):
            return "stale_dropped"
        if channel is not self._main or flight.is_free:
            return ""
        age_ns = flight.deliver_ns - flight.anchor_captured_at_ns
        if rules.max_age_ns is not None and age_ns > rules.max_age_ns:
            return "too_old"
        if rules.is_discarded(flight.predicted_delay_ticks, flight.realised_delay_ticks):
            return "overrun_discarded"
        return ""

    def _install(self, t_ns: int, flight: Flight) -> None:
        assert flight.actions is not None
        chunk = ArrivedChunk(
            request=flight.request,
            observation_tick=flight.observation_tick,
            install_tick=flight.install_tick,
            actions=self._action.to_world(flight.actions, flight.anchor),
            call=flight.channel.call,
            first_row=0 if flight.rolled_actions is None else len(flight.rolled_actions),
            predicted_delay_ticks=flight.predicted_delay_ticks,
            arrival_ns=t_ns,
            observation_ns=flight.anchor_captured_at_ns,
            action_period_ns=self._action_period_ns,
            control_period_ns=self._control_period_ns,
            base_request=flight.base_request,
        )
        self._recorder.chunks.append(chunk)
        self._strategy.install(self._buffer, chunk, self._action)
        is_used = self._buffer.is_planned_by(flight.request, flight.install_tick)
        flight.state = "installed" if is_used else "elapsed"

    def _replace_context(self, channel: Channel, flight: Flight) -> None:
        if channel.newest is not None:
            channel.newest.release()
        channel.newest = flight
        flight.state = "delivered"

    def _keep_context(self, flight: Flight) -> None:
        """Keeps what a chunk's reply brought until no tick can be corrected that the chunk planned."""
        kept = self._with_context
        while kept and kept[0].install_tick + self._horizon < flight.install_tick:
            kept.popleft().release()
        kept.append(flight)
