"""A request on its way from its trigger to the arrival of its reply; also its row in the ``inferences`` table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simloop.agent import Conditioning, InferenceReply
from simloop.assembly import Observation
from simloop.strategies.buffer import FloatArray
from simloop.world import Anchor

if TYPE_CHECKING:
    from simloop.channel import Channel

NOT_REACHED = -1
"""Instant of a stage that the request has not come to."""


class Flight:
    """What a request carries, where it stands, and when it passed each stage.

    The attributes named like columns of the ``inferences`` table are that table's row; instants are ``NOT_REACHED``
    until the stage is passed.

    Args:
        request: Number of the request in the episode.
        channel: Channel that it belongs to.
        items: The observation.
        anchor: Pose that the reply's actions refer to.
        observation_tick: Control tick of the anchor item's capture.
        trigger_ns: Instant at which it is sealed.
        is_free: Whether it costs nothing (the free first chunk).
    """

    # What only some requests come to is an attribute of the class until it is set: one is made for every request.
    predicted_delay_ticks: int = 0
    num_committed: int = 0
    conditioning: Conditioning | None = None
    rolled_actions: FloatArray | None = None
    base_actions: FloatArray | None = None
    base_request: int = -1
    base_row: int = -1
    context: object = None
    context_age_ns: int = -1
    reply: InferenceReply | None = None
    actions: FloatArray | None = None
    batch: int = 0
    uplink_bytes: int = 0
    downlink_bytes: int = 0
    sent_ns: int = NOT_REACHED
    arrived_ns: int = NOT_REACHED
    start_ns: int = NOT_REACHED
    done_at_ns: int = NOT_REACHED
    done_ns: int = NOT_REACHED
    delivers_at_ns: int = NOT_REACHED
    deliver_ns: int = NOT_REACHED
    install_tick: int = NOT_REACHED
    realised_delay_ticks: int = NOT_REACHED
    state: str = "in_flight"
    notes: str = ""

    def __init__(
        self,
        request: int,
        channel: Channel,
        items: Observation,
        anchor: Anchor,
        observation_tick: int,
        trigger_ns: int,
        *,
        is_free: bool,
    ) -> None:
        self.request = request
        self.channel = channel
        self.call = channel.name
        self.items = items
        self.anchor = anchor
        self.observation_tick = observation_tick
        self.anchor_captured_at_ns = anchor.captured_at_ns
        self.trigger_ns = trigger_ns
        self.is_free = is_free

    def release(self) -> None:
        """Lets go of what it carries (frames, arrays); its row of the log stays."""
        self.items = ()
        self.reply = self.actions = None
        self.conditioning = self.rolled_actions = self.base_actions = self.context = None

    def lose(self, state: str) -> None:
        """Ends it without a delivery, in the given state."""
        self.state = state
        del self.channel.in_flight[self.request]
        self.release()

    def drop_in_queue(self) -> None:
        """Ends it in front of the accelerator."""
        self.lose("queue_dropped")
