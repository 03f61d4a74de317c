"""Puts together what one request observes, from items that arrive one by one and at different ages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from simloop.timing.stage_graph import Assembly
from simloop.world import Frame


class Item(NamedTuple):
    """A capture on its way: the frame, the instant it was due, and its row in the ``captures`` table."""

    frame: Frame
    t_ns: int
    row: int


Observation = dict[str, Item]


@dataclass(slots=True, kw_only=True, eq=False)
class _ArmedTick:
    """A control tick that asks for a chunk and waits for its observation."""

    tick: int
    since_ns: int
    items: Observation = field(default_factory=dict)


class ObservationAssembly:
    """Meets armed ticks with observations.

    By ``captured_since`` every armed tick collects, of each sensor, the first item captured at or after it, so the
    items of one observation belong together however long each of them travels, and several ticks may wait at once.
    By ``latest`` an armed tick takes what has arrived by its instant, or waits until there is one item of each
    sensor. One arrival that completes several ticks answers all of them at once, with the items of the newest.

    Args:
        num_sensors: Sensors that an observation is made of.
        rule: When an observation is complete.
        control_period_ns: Control period.
    """

    __slots__ = ("_armed", "_is_due", "_is_latest", "_latest", "_num_sensors", "_period_ns")

    def __init__(self, *, num_sensors: int, rule: Assembly, control_period_ns: int) -> None:
        self._num_sensors = num_sensors
        self._period_ns = control_period_ns
        self._is_latest = rule is Assembly.LATEST
        self._is_due = False
        self._latest: Observation = {}
        self._armed: deque[_ArmedTick] = deque()

    @property
    def num_armed(self) -> int:
        """Armed ticks whose observation is not complete."""
        return len(self._armed)

    def arm(self, tick: int) -> None:
        """Makes ``tick`` ask for a chunk; ticks are armed in ascending order and before their instant."""
        self._armed.append(_ArmedTick(tick=tick, since_ns=tick * self._period_ns))

    def awaits(self, captured_ns: int) -> bool:
        """Whether an item that is captured now, at ``captured_ns``, can become part of an observation."""
        return self._is_latest or (bool(self._armed) and self._armed[0].since_ns <= captured_ns)

    def add(self, t_ns: int, item: Item) -> Observation | None:
        """Takes an item that arrives at ``t_ns``; returns the observation that it completes, if any."""
        frame = item.frame
        if self._is_latest:
            held = self._latest.get(frame.sensor)
            if held is None or held.frame.index < frame.index:
                self._latest[frame.sensor] = item
            return self._take_latest(t_ns) if self._is_due else None
        completed: _ArmedTick | None = None
        for armed in self._armed:
            if item.t_ns < armed.since_ns:
                break
            held = armed.items.get(frame.sensor)
            if held is None or frame.index < held.frame.index:
                armed.items[frame.sensor] = item
            if len(armed.items) == self._num_sensors:
                completed = armed
        if completed is None:
            return None
        while self._armed.popleft() is not completed:
            pass
        return completed.items

    def trigger(self, t_ns: int) -> Observation | None:
        """By ``latest``: an armed tick has come; returns its observation once there is an item of each sensor."""
        self._is_due = True
        return self._take_latest(t_ns)

    def _take_latest(self, t_ns: int) -> Observation | None:
        if len(self._latest) < self._num_sensors:
            return None
        self._is_due = False
        while self._armed and self._armed[0].since_ns <= t_ns:
            self._armed.popleft()
        return dict(self._latest)
