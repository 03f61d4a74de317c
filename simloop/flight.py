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

    __slots__ = (
        "actions",
        "anchor",
        "anchor_captured_at_ns",
        "arrived_ns",
        "base_actions",
        "base_request",
        "base_row",
        "batch",
        "call",
        "channel",
        "conditioning",
        "context",
        "context_age_ns",
        "deliver_ns",
        "delivers_at_ns",
        "done_at_ns",
        "done_ns",
        "downlink_bytes",
        "install_tick",
        "is_free",
        "items",
        "notes",
        "num_committed",
        "observation_tick",
        "predicted_delay_ticks",
        "realised_delay_ticks",
        "reply",
        "request",
        "rolled_actions",
        "sent_ns",
        "start_ns",
        "state",
        "trigger_ns",
        "uplink_bytes",
    )

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
        self.call = channel.call.value
        self.items = items
        self.anchor = anchor
        self.observation_tick = observation_tick
        self.anchor_captured_at_ns = anchor.captured_at_ns
        self.trigger_ns = trigger_ns
        self.is_free = is_free
        self.predicted_delay_ticks = 0
        self.num_committed = 0
        self.conditioning: Conditioning | None = None
        self.rolled_actions: FloatArray | None = None
        self.base_actions: FloatArray | None = None
        self.base_request = -1
        self.base_row = -1
        self.context: object = None
        self.context_age_ns = -1
        self.reply: InferenceReply | None = None
        self.actions: FloatArray | None = None
        self.batch = 0
        self.uplink_bytes = 0
        self.downlink_bytes = 0
        self.sent_ns = self.arrived_ns = self.start_ns = self.done_ns = self.deliver_ns = NOT_REACHED
        self.done_at_ns = self.delivers_at_ns = NOT_REACHED
        self.install_tick = self.realised_delay_ticks = NOT_REACHED
        self.state = "in_flight"
        self.notes = ""

    def release(self) -> None:
        """Lets go of what it carries (frames, arrays); its row of the log stays."""
        self.items = ()
        self.conditioning = self.rolled_actions = self.base_actions = None
        self.context = self.reply = self.actions = None

    def lose(self, state: str) -> None:
        """Ends it without a delivery, in the given state."""
        self.state = state
        del self.channel.in_flight[self.request]
        self.release()

    def drop_in_queue(self) -> None:
        """Ends it in front of the accelerator."""
        self.lose("queue_dropped")
