"""A toy world for the latency wrapper's tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from simloop.testing import DelayedIntegrator

MS = 1_000_000


class RecordedClock(DelayedIntegrator):
    """A clock that is seen in seconds, moves by 1 ms, and notes when which action took effect."""

    def __init__(self) -> None:
        super().__init__(initial=0.0)
        self._spec = dataclasses.replace(self._spec, physics_period_ns=MS)
        self.effects: list[tuple[int, float]] = []

    def next_state(self, period_s: float) -> Any:
        return self._state + period_s

    def actuate(self, action: Any) -> None:
        super().actuate(action)
        self.effects.append((self._now_ns, float(action[0])))


@pytest.fixture
def recorded_clock() -> type[RecordedClock]:
    """The class of such a world."""
    return RecordedClock
