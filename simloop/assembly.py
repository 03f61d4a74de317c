"""Puts together what one request observes, from items that arrive one by one and at different ages."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from simloop.timing.stage_graph import Assembly
from simloop.world import Anchor, Frame


class Item(NamedTuple):
    """A capture on its way.

    Attributes:
        sensor: Number of the sensor.
        frame: What was captured.
        t_ns: Instant that the capture was due.
        row: Row in the ``captures`` table.
        stamp_ns: Time stamp that the sensor reports.
        anchor: Pose at the capture, of the anchor sensor's items only.
        tick: Control tick at or before the capture, of the anchor sensor's items only.
    """

    sensor: int
    frame: Frame
    t_ns: int
    row: int
    stamp_ns: int
    anchor: Anchor | None = None
    tick: int = -1


Observation = Sequence[Item]
"""One item of each sensor, in the order of the sensors' numbers."""


class _Armed:
    """An instant that asks for a request and waits for its observation."""

    __slots__ = ("items", "num_missing", "since_ns")

    def __init__(self, since_ns: int, num_sensors: int) -> None:
        self.since_ns = since_ns
        self.items: list[Item | None] = [None] * num_sensors
        self.num_missing = num_sensors


class ObservationAssembly:
    """Meets armed instants with observations.

    - ``captured_since``: every armed instant collects, of each sensor, the first item captured at or after it, so the
      items of one observation belong together however long each of them travels, and several instants may wait at
      once. One arrival that completes several of them answers all at once, with the items of the newest.
    - ``wait_all``: the same, but ``expire`` ends the wait: of a sensor without such an item the newest one is taken.
    - ``latest``: an armed instant takes the newest items that have arrived by then.
    - ``nearest``: as ``latest``, but of each sensor the item whose time stamp is nearest to the newest stamp of the
      sensor that lags most, so that ages are alike.

    Whatever the rule, an observation has an item of each sensor: the first one waits until all have delivered.

    Args:
        num_sensors: Sensors that an observation is made of.
        rule: When an observation is complete.
    """

    __slots__ = (
        "_armed",
        "_due_ns",
        "_history",
        "_is_fresh",
        "_newest",
        "_num_sensors",
        "_rule",
        "keeps_items",
    )

    def __init__(self, *, num_sensors: int, rule: Assembly) -> None:
        self._num_sensors = num_sensors
        self._rule = rule
        self._is_fresh = rule in (Assembly.CAPTURED_SINCE, Assembly.WAIT_ALL)
        self.keeps_items = rule is not Assembly.CAPTURED_SINCE
        """Whether items matter that no armed instant waits for."""
        self._due_ns = -1
        self._newest: dict[int, Item] = {}
        self._history: list[deque[Item]] = [deque() for _ in range(num_sensors)] if self.keeps_items else []
        self._armed: deque[_Armed] = deque()

    @property
    def num_armed(self) -> int:
        """Armed instants whose observation is not complete."""
        return len(self._armed)

    def arm(self, since_ns: int) -> None:
        """Makes ``since_ns`` ask for a request; instants are armed in ascending order and not in the past."""
        self._armed.append(_Armed(since_ns, self._num_sensors))

    def awaits(self, captured_ns: int) -> bool:
        """Whether an item that is captured now, at ``captured_ns``, can become part of an observation."""
        if self.keeps_items:
            return True
        armed = self._armed
        return bool(armed) and armed[0].since_ns <= captured_ns

    def add(self, item: Item) -> Observation | None:
        """Takes an item that arrives; returns the observation that it completes, if any."""
        if self.keeps_items:
            self._keep(item)
            if self._due_ns >= 0:
                completed = self._collect(item) if self._is_fresh else None
                if completed is not None:
                    self._due_ns = -1
                return completed if completed is not None else self._take(self._due_ns)
        return self._collect(item) if self._is_fresh else None

    def _collect(self, item: Item) -> Observation | None:
        completed: _Armed | None = None
        number, index = item.sensor, item.frame.index
        for armed in self._armed:
            if item.t_ns < armed.since_ns:
                break
            held = armed.items[number]
            if held is None:
                armed.num_missing -= 1
                armed.items[number] = item
            elif index < held.frame.index:
                armed.items[number] = item
            if not armed.num_missing:
                completed = armed
        if completed is None:
            return None
        while self._armed.popleft() is not completed:
            pass
        return completed.items  # type: ignore[return-value] # none is missing

    def _keep(self, item: Item) -> None:
        held = self._newest.get(item.sensor)
        if held is None or held.frame.index < item.frame.index:
            self._newest[item.sensor] = item
        if self._rule is Assembly.NEAREST:
            history = self._history[item.sensor]
            history.append(item)
            if len(self._newest) == self._num_sensors:
                wanted_ns = min(newest.stamp_ns for newest in self._newest.values())
                while len(history) > 1 and history[1].stamp_ns <= wanted_ns:
                    history.popleft()

    def expire(self, since_ns: int) -> Observation | None:
        """By any rule but ``captured_since``: the instant ``since_ns`` waits no longer; returns its observation.

        None if it has been answered, or if there is a sensor of which nothing has arrived: then the first such item
        completes it.
        """
        if not self._armed or self._armed[0].since_ns > since_ns:
            return None
        return self._take(since_ns)

    def _take(self, since_ns: int) -> Observation | None:
        if len(self._newest) < self._num_sensors:
            self._due_ns = since_ns
            return None
        self._due_ns = -1
        collected: list[Item | None] = [None] * self._num_sensors
        while self._armed and self._armed[0].since_ns <= since_ns:
            collected = self._armed.popleft().items
        if self._rule is Assembly.NEAREST:
            return self._nearest()
        return [self._newest[number] if item is None else item for number, item in enumerate(collected)]

    def _nearest(self) -> Observation:
        wanted_ns = min(item.stamp_ns for item in self._newest.values())
        return [
            min(history, key=lambda item: (abs(item.stamp_ns - wanted_ns), -item.stamp_ns))
            for history in self._history
        ]
