"""Links: what happens to a message between the vehicle or robot and a remote accelerator.

The state of a link is a process over control ticks, never over messages, so neither the strategy nor the number of
messages moves a draw.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from simloop.errors import ParameterError
from simloop.randomness import IndexedStream, stream_key
from simloop.timing.distribution import Distribution


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
    def make(self, key: tuple[object, ...], control_period_ns: int) -> Link:
        """Returns the link of one episode.

        Args:
            key: Parts of the key of its draws: seed, case, stage.
            control_period_ns: Control period.
        """


class DelayLink(Link):
    """A link that only delays, with one draw a tick."""

    __slots__ = ("_constant_ns", "_stream")

    def __init__(self, distribution: Distribution, key: tuple[object, ...]) -> None:
        self._constant_ns = distribution.constant_ns
        self._stream = IndexedStream(stream_key(*key), distribution.draw)

    @property
    def constant_ns(self) -> int | None:
        """Its delay, if that is always the same."""
        return self._constant_ns

    def arrivals(self, tick: int, t_ns: int, payload_bytes: int) -> tuple[int, ...]:
        """Returns the one instant of arrival."""
        if self._constant_ns is not None:
            return (t_ns + self._constant_ns,)
        return (t_ns + max(0, round(self._stream[tick])),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Independent losses.

    Attributes:
        probability: Share of the events that are lost.
    """

    probability: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ParameterError(f"loss probability is {self.probability!r}; allowed: 0 to 1.")
