"""Mahimahi's delivery-opportunity traces: a link on which the size of a message matters.

A trace is a list of milliseconds; at each of them 1,500 bytes of the queue may cross. After the last one it starts
again, shifted by the last. Bytes are counted, so one opportunity may end a message and begin the next; what is not
used is wasted. Sources: mm-link(1) and the README of mahimahi-traces; Netravali et al., "Mahimahi: Accurate
Record-and-Replay for HTTP", USENIX ATC 2015.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from dataclasses import dataclass

from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError
from simloop.randomness import generator, stream_key
from simloop.timing.distribution import ZERO, Distribution, Sampler
from simloop.timing.link import Link, LinkModel
from simloop.timing.process import Key

OPPORTUNITY_BYTES = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class MahimahiLink(LinkModel):
    """A link that a delivery trace paces, and a propagation delay behind it.

    Attributes:
        opportunities_ms: Ascending milliseconds, the last one > 0: it is the period of the trace.
        delay: Propagation delay (mm-delay).
        random_phase: Whether each episode starts at a random place of the trace; else all start at its beginning.

    Raises:
        ParameterError: The opportunities are none, not ascending, negative or all at 0.
    """

    opportunities_ms: tuple[int, ...]
    delay: Distribution = ZERO
    random_phase: bool = False

    def __post_init__(self) -> None:
        times = self.opportunities_ms
        ordered = all(a <= b for a, b in itertools.pairwise(times))
        if not times or times[0] < 0 or times[-1] <= 0 or not ordered:
            raise ParameterError(
                f"mahimahi opportunities are {list(times[:8])}{'...' if len(times) > 8 else ''}; allowed: ascending "
                "milliseconds >= 0, the last one > 0."
            )

    @property
    def rate_bps(self) -> float:
        """Mean rate in bits per second."""
        return len(self.opportunities_ms) * OPPORTUNITY_BYTES * 8000.0 / self.opportunities_ms[-1]

    def mean_ns(self, payload_bytes: int) -> float:
        """Returns the delay at the mean rate: half the mean time between opportunities, then the bytes."""
        gap_ns = self.opportunities_ms[-1] * NS_PER_MS / len(self.opportunities_ms)
        num = -(-max(1, payload_bytes) // OPPORTUNITY_BYTES)
        return gap_ns * (num - 0.5) + self.delay.mean_ns

    def make(self, key: Key, control_period_ns: int) -> Link:
        """Returns the link of one episode."""
        return _MahimahiRun(self, key)

    def without_losses(self) -> MahimahiLink:
        """Returns itself: its queue has no bound."""
        return self


class _MahimahiRun(Link):
    """A paced link during one episode: the next opportunity, and what of it is used up."""

    __slots__ = ("_delay", "_next", "_period_ns", "_phase_ns", "_times_ns", "_used_bytes")

    def __init__(self, model: MahimahiLink, key: Key) -> None:
        self._times_ns = [ms * NS_PER_MS for ms in model.opportunities_ms]
        self._period_ns = self._times_ns[-1]
        self._phase_ns = 0
        if model.random_phase:
            self._phase_ns = int(generator(stream_key(*key, "phase")).integers(self._period_ns))
        self._delay: Sampler = model.delay.sampler(key)
        self._next = 0
        self._used_bytes = 0

    @property
    def has_memory(self) -> bool:
        """True: messages queue."""
        return True

    def _instant_ns(self, number: int) -> int:
        rounds, place = divmod(number, len(self._times_ns))
        return rounds * self._period_ns + self._times_ns[place] - self._phase_ns

    def _first_at_or_after(self, t_ns: int) -> int:
        """Returns the number of the first opportunity at or after an instant; one at the very instant counts."""
        rounds, rest_ns = divmod(t_ns + self._phase_ns, self._period_ns)
        if rest_ns == 0 and rounds:
            # The last opportunities of a round and an opportunity at 0 of the next share an instant.
            rounds, rest_ns = rounds - 1, self._period_ns
        return rounds * len(self._times_ns) + bisect_left(self._times_ns, rest_ns)

    def arrivals(self, tick: int, t_ns: int, payload_bytes: int) -> tuple[int, ...]:
        """Returns the instant at which the last byte has crossed."""
        number = self._first_at_or_after(t_ns)
        if number > self._next:
            self._next, self._used_bytes = number, 0
        end = self._used_bytes + max(1, payload_bytes)
        full, rest = divmod(end, OPPORTUNITY_BYTES)
        last = self._next + full if rest else self._next + full - 1
        self._next, self._used_bytes = (last, rest) if rest else (last + 1, 0)
        return (self._instant_ns(last) + max(0, round(self._delay(tick, tick))),)
