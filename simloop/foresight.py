"""Tells the oracle predictor the delay that a request will have, before it is sent."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from simloop.agent import Call
from simloop.clock import EventQueue
from simloop.errors import ConfigurationError
from simloop.timing.stage_graph import ControlClock, FirstChunk, Mode, StageGraph

if TYPE_CHECKING:
    from simloop.channel import Channel

_ITSELF = -1
"""Stands for the request that is foretold, among the observation ticks of the others."""


class Foresight:
    """Looks ahead through the stages of a request that is sealed now.

    Draws belong to events, so looking at one early changes nothing. What waits in front of the accelerator is taken
    into account; a request that is lost or dropped has no delay, and is foretold the delay of one that is not.

    Args:
        graph: The stages of the episode.
        channel: Channel whose requests are foretold.
        queue: Knows the present instant.
        uplink_bytes: Size of a request on the uplink.
        downlink_bytes: Size of a reply on the downlink.
        control_period_ns: Control period.
    """

    def __init__(
        self,
        graph: StageGraph,
        channel: Channel,
        queue: EventQueue,
        *,
        uplink_bytes: int,
        downlink_bytes: int,
        control_period_ns: int,
    ) -> None:
        self._graph = graph
        self._channel = channel
        self._queue = queue
        self._uplink_bytes = uplink_bytes
        self._downlink_bytes = downlink_bytes
        self._period_ns = control_period_ns

    def delay_ticks(self, tick: int) -> int:
        """Returns d for a request with observation tick ``tick`` that is sealed now."""
        channel = self._channel
        now_ns = self._queue.now_ns
        t_ns = self._start_ns(channel, self._arrival_ns(tick, now_ns, channel))
        is_first = not channel.num_started and self._graph.timing.first_chunk is FirstChunk.CHARGED
        t_ns += self._inference_ns(tick, t_ns, is_first=is_first)
        if channel.is_on_link:
            t_ns = min(self._graph.downlink.arrivals(tick, t_ns, self._downlink_bytes), default=t_ns)
        return -(-t_ns // self._period_ns) - tick

    def _arrival_ns(self, tick: int, trigger_ns: int, channel: Channel) -> int:
        """Returns when a request that was sealed at ``trigger_ns`` reaches the accelerator."""
        t_ns = trigger_ns + self._graph.preprocess.ns(tick, trigger_ns)
        if channel.is_on_link:
            t_ns = min(self._graph.uplink.arrivals(tick, t_ns, self._uplink_bytes), default=t_ns)
        return t_ns

    def _start_ns(self, channel: Channel, arrives_ns: int) -> int:
        """Returns when a server takes up a request that arrives at ``arrives_ns``; plays the queue until then."""
        accelerator = channel.accelerator
        if not accelerator.servers:
            return arrives_ns
        flights = channel.in_flight.values()
        running = [f.done_at_ns for f in flights if f.start_ns >= 0 > f.done_ns]
        heapq.heapify(running)
        waiting = deque(f.observation_tick for f in accelerator.waiting)
        coming = sorted(
            (self._arrival_ns(f.observation_tick, f.trigger_ns, channel), f.observation_tick)
            for f in flights
            if f.arrived_ns < 0
        )
        arrivals = deque([*(c for c in coming if c[0] <= arrives_ns), (arrives_ns, _ITSELF)])
        while True:
            # At one instant a request arrives before a server is freed.
            if arrivals and (not running or arrivals[0][0] <= running[0]):
                t_ns, tick = arrivals.popleft()
                is_started = len(running) < accelerator.servers
                if not is_started and accelerator.make_room(waiting) is not None:
                    waiting.append(tick)
                elif not is_started and tick == _ITSELF:
                    return running[0]
            else:
                t_ns = heapq.heappop(running)
                is_started = bool(waiting)
                tick = waiting.popleft() if waiting else _ITSELF
            if is_started and tick == _ITSELF:
                return t_ns
            if is_started:
                heapq.heappush(running, t_ns + self._inference_ns(tick, t_ns))

    def _inference_ns(self, tick: int, t_ns: int, *, is_first: bool = False) -> int:
        return self._channel.inference.ns(tick, t_ns, is_first=is_first, batch=1, observation=None)


def check_foreseeable(graph: StageGraph, call: Call) -> None:
    """Checks that the delays of one call's requests can be foretold.

    Not so for measured and replayed times, a duration that looks at the observation or at the batch, links that
    queue, ticks with jitter and a control clock that restarts.

    Raises:
        ConfigurationError: They cannot; the message names what it would take.
    """
    timing = graph.timing
    if (
        timing.mode is Mode.MODELLED
        and timing.control_clock is ControlClock.TICK_LOCKED
        and graph.control_jitter.constant_ns == 0
        and not graph.inference(call).needs_observation
        and (timing.batching is None or call is not Call.POLICY)
        and not graph.uplink.has_memory
        and not graph.downlink.has_memory
    ):
        return
    raise ConfigurationError(
        f"strategy.rules.predictor.kind is 'oracle', but under timing {timing.name!r} the delay of a {call.value} call "
        "cannot be foretold: that takes mode modelled, a tick-locked control clock without jitter, links without a "
        "rate, no batching and no scene-dependent duration. Change the timing, or choose constant, max_of_window, "
        "p95_of_window or ewma."
    )
