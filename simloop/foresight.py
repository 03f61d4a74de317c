"""Tells the oracle predictor the delay that a request will have, before it is sent."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from simloop.agent import Call
from simloop.clock import EventQueue
from simloop.timing.stage_graph import ControlClock, FirstChunk, InferenceDuration, Mode, StageGraph

if TYPE_CHECKING:
    from simloop.channel import Channel


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
        t_ns = now_ns + self._graph.preprocess.ns(tick, now_ns)
        if channel.is_on_link:
            t_ns = min(self._graph.uplink.arrivals(tick, t_ns, self._uplink_bytes), default=t_ns)
        t_ns = self._start_ns(channel, t_ns)
        is_first = not channel.num_started and self._graph.timing.first_chunk is FirstChunk.CHARGED
        t_ns += self._inference_ns(tick, t_ns, is_first=is_first)
        if channel.is_on_link:
            t_ns = min(self._graph.downlink.arrivals(tick, t_ns, self._downlink_bytes), default=t_ns)
        return -(-t_ns // self._period_ns) - tick

    def _start_ns(self, channel: Channel, arrives_ns: int) -> int:
        """Returns when a server takes up a request that arrives at ``arrives_ns``."""
        servers = channel.accelerator.servers
        if not servers:
            return arrives_ns
        free_ns = [f.done_at_ns for f in channel.in_flight.values() if f.start_ns >= 0 > f.done_ns]
        ahead = [f for f in channel.in_flight.values() if f.start_ns < 0]
        heapq.heapify(free_ns)
        waiting = {f.request for f in channel.accelerator.waiting}
        if channel.accelerator.keeps_newest_only:
            ahead = []
        for flight in sorted(ahead, key=lambda f: (f.request not in waiting, f.request)):
            start_ns = heapq.heappop(free_ns) if len(free_ns) >= servers else self._queue.now_ns
            heapq.heappush(free_ns, start_ns + self._inference_ns(flight.observation_tick, start_ns))
        while len(free_ns) >= servers and free_ns[0] <= arrives_ns:
            heapq.heappop(free_ns)
        return arrives_ns if len(free_ns) < servers else free_ns[0]

    def _inference_ns(self, tick: int, t_ns: int, *, is_first: bool = False) -> int:
        return self._channel.inference.ns(tick, t_ns, is_first=is_first, batch=1, observation=None)


def is_foreseeable(graph: StageGraph, call: Call, inference: InferenceDuration) -> bool:
    """Whether the delays of one call's requests can be foretold.

    Not so for measured and replayed times, a duration that looks at the observation or at the batch, links that
    queue, ticks with jitter and a control clock that restarts.
    """
    timing = graph.timing
    return (
        timing.mode is Mode.MODELLED
        and timing.control_clock is ControlClock.TICK_LOCKED
        and graph.control_jitter.constant_ns == 0
        and not inference.needs_observation
        and (timing.batching is None or call is not Call.POLICY)
        and not graph.uplink.has_memory
        and not graph.downlink.has_memory
    )
