"""Links: what happens to a message between the vehicle or robot and a remote accelerator.

The state of a link is a process over control ticks, never over messages, so neither the strategy nor the number of
messages moves a draw. A message counts as one packet, whatever its size.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass, replace

from simloop.clock import NS_PER_S
from simloop.randomness import generator, stream_key
from simloop.timing.distribution import ZERO, Distribution, Durations, Sampler
from simloop.timing.loss import Loss, LossDraw
from simloop.timing.process import Key


class Link(ABC):
    """A link during one episode; messages are given in the order in which they are sent."""

    __slots__ = ()

    @property
    def constant_ns(self) -> int | None:
        """Delay of a link that only delays, always alike; None otherwise."""
        return None

    @property
    def has_memory(self) -> bool:
        """Whether earlier messages delay later ones (a queue), so that no delay can be foretold."""
        return False

    @abstractmethod
    def arrivals(self, tick: int, t_ns: int, payload_bytes: int) -> tuple[int, ...]:
        """Returns the instants at which copies of a message arrive; empty if it is lost, two if duplicated.

        Args:
            tick: Control tick of the observation that the message belongs to; numbers the draws.
            t_ns: Instant at which the message is sent.
            payload_bytes: Its size.
        """


class LinkModel(ABC):
    """What kind of link; makes the link of an episode."""

    @abstractmethod
    def mean_ns(self, payload_bytes: int) -> float:
        """Returns the mean delay of a message that arrives and meets no queue."""

    @abstractmethod
    def make(self, key: Key, control_period_ns: int) -> Link:
        """Returns the link of one episode.

        Args:
            key: Parts of the key of its draws: seed, case, stage.
            control_period_ns: Control period.
        """

    @abstractmethod
    def without_losses(self) -> LinkModel:
        """Returns the same link with every message arriving, and all other draws as they are."""


class DelayLink(Link):
    """A link that only delays, with one draw a tick."""

    __slots__ = ("_constant_ns", "_distribution", "_durations", "_key")

    def __init__(self, distribution: Distribution, key: Key) -> None:
        self._constant_ns = distribution.constant_ns
        self._distribution = distribution
        self._key = key
        self._durations: Durations | None = None

    @property
    def constant_ns(self) -> int | None:
        """Its delay, if that is always the same."""
        return self._constant_ns

    def arrivals(self, tick: int, t_ns: int, payload_bytes: int) -> tuple[int, ...]:
        """Returns the one instant of arrival."""
        if self._constant_ns is not None:
            return (t_ns + self._constant_ns,)
        if self._durations is None:
            self._durations = self._distribution.durations(self._key)
        return (t_ns + self._durations[tick],)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Messages pile up and cross together at slots (netem ``slot``: a shared medium, a power-saving radio).

    Attributes:
        gap: Time from one slot to the next, > 0; drawn by number of the slot. The first slot is at a random place of
            the first gap.
        max_packets: Messages that cross at one slot; None is without bound.
        max_bytes: Bytes after which a slot is full; None is without bound.
    """

    gap: Distribution
    max_packets: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketLink(LinkModel):
    """A link in netem's terms.

    Attributes:
        delay: Delay; correlated jitter is a ``simloop.timing.jitter.Jitter``.
        loss: Messages that are lost.
        corrupt: Messages with a wrong bit: the receiver's checksum refuses them, so they are lost too.
        duplicate: Messages that are sent twice; the second copy has a delay of its own.
        reorder: Messages that are sent at once, without delay, so that they overtake.
        reorder_gap: Only every gap-th message after the last reordered one can be reordered.
        rate_bps: Bits per second; messages queue for it. None is without bound.
        packet_overhead_bytes: Added to every message at the rate; may be negative.
        cell_bytes: Messages occupy whole cells of so many bytes; 0 is none.
        cell_overhead_bytes: Added to every cell.
        slots: When messages cross.
        limit: Messages that may be under way; more are lost. None is without bound.
        seed: Moves the draws of this link alone.
    """

    delay: Distribution = ZERO
    loss: Loss | None = None
    corrupt: Loss | None = None
    duplicate: Loss | None = None
    reorder: Loss | None = None
    reorder_gap: int = 1
    rate_bps: float | None = None
    packet_overhead_bytes: int = 0
    cell_bytes: int = 0
    cell_overhead_bytes: int = 0
    slots: Slots | None = None
    limit: int | None = None
    seed: int | None = None

    def transmission_ns(self, payload_bytes: int) -> int:
        """Returns how long the rate keeps a message, overheads included (as netem's ``packet_time_ns``)."""
        if self.rate_bps is None:
            return 0
        num_bytes = max(0, payload_bytes + self.packet_overhead_bytes)
        if self.cell_bytes:
            num_cells = -(-num_bytes // self.cell_bytes)
            num_bytes = max(0, num_cells * (self.cell_bytes + self.cell_overhead_bytes))
        return round(num_bytes * 8 * NS_PER_S / self.rate_bps)

    def mean_ns(self, payload_bytes: int) -> float:
        """Returns the mean delay of a message that arrives and meets no queue; a slot counts half its gap."""
        slot_ns = 0.5 * self.slots.gap.mean_ns if self.slots is not None else 0.0
        share = self.reorder.long_run_share if self.reorder is not None else 0.0
        # After gap - 1 ticks that cannot be reordered come 1 / share on average until one is.
        at_once = share / (1.0 + (self.reorder_gap - 1) * share)
        return (1.0 - at_once) * (self.delay.mean_ns + self.transmission_ns(payload_bytes)) + slot_ns

    def make(self, key: Key, control_period_ns: int) -> Link:
        """Returns the link of one episode."""
        seeded = key if self.seed is None else (*key, self.seed)
        if self == PacketLink(delay=self.delay, seed=self.seed):
            return DelayLink(self.delay, seeded)
        return _PacketLinkRun(self, seeded)

    def without_losses(self) -> PacketLink:
        """Returns the same link with every message arriving."""
        return replace(self, loss=None, corrupt=None, limit=None)


class _PacketLinkRun(Link):
    """A packet link during one episode."""

    __slots__ = (
        "_copies",
        "_duplicate",
        "_key",
        "_last_sent_ns",
        "_loss",
        "_model",
        "_reorder",
        "_slots",
        "_under_way",
    )

    def __init__(self, model: PacketLink, key: Key) -> None:
        self._model = model
        self._key = key
        self._loss = _draws(model.loss, (*key, "loss"))
        self._duplicate = _draws(model.duplicate, (*key, "duplicate"))
        self._reorder = _reordering(model, (*key, "reorder"))
        self._copies = [self._copy(key)]
        self._slots = _SlotRun(model.slots, (*key, "slot")) if model.slots is not None else None
        self._last_sent_ns = 0
        self._under_way: list[int] = []

    def _copy(self, key: Key) -> tuple[Sampler, LossDraw | None]:
        return self._model.delay.sampler(key), _draws(self._model.corrupt, (*key, "corrupt"))

    @property
    def has_memory(self) -> bool:
        """Whether messages wait for each other: at a rate, at slots or at a limit."""
        return self._model.rate_bps is not None or self._slots is not None or self._model.limit is not None

    def arrivals(self, tick: int, t_ns: int, payload_bytes: int) -> tuple[int, ...]:
        """Returns the instants of arrival, earliest first."""
        num_copies = 1
        if self._duplicate is not None and self._duplicate(tick, tick):
            num_copies += 1
            if len(self._copies) == 1:
                self._copies.append(self._copy((*self._key, "copy")))
        if self._loss is not None and self._loss(tick, tick):
            num_copies -= 1
        arrived = []
        for sampler, corrupt in self._copies[:num_copies]:
            if not self._is_admitted(t_ns):
                continue
            arrival_ns = self._leaves_ns(sampler, tick, t_ns, payload_bytes)
            if self._model.limit is not None:
                heapq.heappush(self._under_way, arrival_ns)
            if corrupt is None or not corrupt(tick, tick):
                arrived.append(arrival_ns)
        return tuple(sorted(arrived))

    def _is_admitted(self, t_ns: int) -> bool:
        limit = self._model.limit
        if limit is None:
            return True
        while self._under_way and self._under_way[0] <= t_ns:
            heapq.heappop(self._under_way)
        return len(self._under_way) < limit

    def _leaves_ns(self, sampler: Sampler, tick: int, t_ns: int, payload_bytes: int) -> int:
        if self._reorder is not None and self._reorder(tick, tick):
            leaves_ns = t_ns
        else:
            leaves_ns = t_ns + max(0, round(sampler(tick, tick)))
            if self._model.rate_bps is not None:
                # As netem: the delay passes while earlier messages are still being sent.
                leaves_ns = max(self._last_sent_ns, leaves_ns) + self._model.transmission_ns(payload_bytes)
                self._last_sent_ns = leaves_ns
        return leaves_ns if self._slots is None else self._slots.crosses_ns(leaves_ns, payload_bytes)


class _SlotRun:
    """The slots of one episode, and what already crosses at each."""

    __slots__ = ("_bytes", "_gap", "_instants", "_packets", "_slots")

    def __init__(self, slots: Slots, key: Key) -> None:
        self._slots = slots
        self._gap = slots.gap.sampler(key)
        phase = generator(stream_key(*key, "phase")).random()
        self._instants = [int(phase * self._gap_ns(0))]
        self._packets: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def _gap_ns(self, number: int) -> int:
        return max(1, round(self._gap(number, number)))

    def crosses_ns(self, ready_ns: int, payload_bytes: int) -> int:
        """Returns the first slot at or after ``ready_ns`` that still takes a message."""
        instants = self._instants
        while instants[-1] < ready_ns:
            instants.append(instants[-1] + self._gap_ns(len(instants)))
        number = bisect_left(instants, ready_ns)
        while self._is_full(number):
            number += 1
            if number == len(instants):
                instants.append(instants[-1] + self._gap_ns(number))
        self._packets[number] = self._packets.get(number, 0) + 1
        self._bytes[number] = self._bytes.get(number, 0) + payload_bytes
        return instants[number]

    def _is_full(self, number: int) -> bool:
        packets, size = self._slots.max_packets, self._slots.max_bytes
        return (packets is not None and self._packets.get(number, 0) >= packets) or (
            size is not None and self._bytes.get(number, 0) >= size
        )


def _draws(loss: Loss | None, key: Key) -> LossDraw | None:
    return None if loss is None else loss.draws(key)


def _reordering(model: PacketLink, key: Key) -> LossDraw | None:
    """Returns which ticks' messages overtake: netem counts messages since the last one, this counts ticks."""
    if model.reorder is None:
        return None
    draw, gap = model.reorder.draws(key), model.reorder_gap
    if gap <= 1:
        return draw
    hits: list[bool] = []
    since = 0

    def is_reordered(index: int, tick: int) -> bool:
        nonlocal since
        while len(hits) <= tick:
            hit = since >= gap - 1 and draw(len(hits), len(hits))
            since = 0 if hit else since + 1
            hits.append(hit)
        return hits[tick]

    return is_reordered
