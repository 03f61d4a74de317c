"""Virtual time: integer nanoseconds, one heap, and a published order for events at the same instant.

Events run in the order (instant, phase, stream, sequence). A handler schedules only later (instant, phase) pairs, so
stages of zero length cascade forward inside one instant: with no latency an observation made at a tick yields an
action at that same tick, and a chunk that lands exactly on a tick is usable at that tick. This order *is* the
rounding rule; docs/timing-model.md explains it.
"""

from __future__ import annotations

import enum
import heapq
from typing import Any

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Phase(enum.IntEnum):
    """What happens first among events of one instant."""

    PHYSICS_DONE = 0
    CAPTURE = 1
    TRANSPORT_DONE = 2
    TRIGGER = 3
    PREPROCESS_DONE = 4
    UPLINK_DONE = 5
    INFERENCE_DONE = 6
    DELIVER = 7
    CONTROL_TICK = 8
    ACTUATION_EFFECT = 9
    PHYSICS_START = 10


class EventQueue:
    """A heap of events in the published order.

    Events that happen at every control tick need not be scheduled: who handles them sets ``now_ns`` and ``phase``.

    Attributes:
        now_ns: Instant of the present event.
        phase: Phase of that event.
        heap: The events, as ``heapq`` orders them.
    """

    __slots__ = ("_sequence", "heap", "now_ns", "phase")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, int, int, Any]] = []
        self._sequence = 0
        self.now_ns = 0
        self.phase = -1

    def __len__(self) -> int:
        return len(self.heap)

    def schedule(self, t_ns: int, phase: int, stream: int, payload: Any = None) -> None:
        """Adds an event.

        Args:
            t_ns: Instant; not before ``now_ns``.
            phase: Phase; at ``now_ns`` it must come after the present one.
            stream: Breaks ties inside a phase (sensor number, request number).
            payload: Handed back by ``pop``.

        Raises:
            ValueError: The event would lie in the past.
        """
        if t_ns < self.now_ns or (t_ns == self.now_ns and phase <= self.phase):
            raise ValueError(
                f"An event at {t_ns} ns in phase {int(phase)} is not after the present ({self.now_ns} ns, phase "
                f"{int(self.phase)}); handlers may schedule later (instant, phase) pairs only."
            )
        heapq.heappush(self.heap, (t_ns, phase, stream, self._sequence, payload))
        self._sequence += 1

    def pop(self) -> tuple[int, int, int, int, Any]:
        """Removes the first event: (instant, phase, stream, sequence, payload); IndexError when empty."""
        event = heapq.heappop(self.heap)
        self.now_ns = event[0]
        self.phase = event[1]
        return event


def ceil_to(t_ns: int, period_ns: int) -> int:
    """Returns the first multiple of ``period_ns`` at or after ``t_ns``."""
    return -(-t_ns // period_ns) * period_ns
