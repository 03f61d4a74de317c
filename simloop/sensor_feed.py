"""Captures the sensors and sends each capture on its way to the assemblies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simloop.assembly import Item, Observation, ObservationAssembly
from simloop.clock import EventQueue, Phase
from simloop.episode_recorder import CaptureColumns
from simloop.stepper import Stepper
from simloop.timing.stage_graph import SensorPath
from simloop.world import SensorSpec

_TRANSPORT_DONE = int(Phase.TRANSPORT_DONE)
_new = tuple.__new__
"""Makes a named tuple of a tuple; its own constructor takes twice as long, for every capture."""


@dataclass(frozen=True, slots=True)
class SensorGroup:
    """Sensors that capture at the same instants.

    Attributes:
        period_ns: Time between two captures.
        phase_ns: Instant of the first one.
        sensors: Numbers of the sensors.
    """

    period_ns: int
    phase_ns: int
    sensors: tuple[int, ...]


class SensorFeed:
    """The sensors of one episode.

    Args:
        sensors: The sensors, by number; the capture of number 0 anchors actions.
        paths: The way of each of them.
        stepper: Moves the world.
        queue: Takes the arrivals that are not at once.
        captures: Takes the record.
        assemblies: All assemblies that are fed.
    """

    def __init__(
        self,
        sensors: Sequence[SensorSpec],
        paths: Sequence[SensorPath],
        *,
        stepper: Stepper,
        queue: EventQueue,
        captures: CaptureColumns,
        assemblies: Sequence[ObservationAssembly],
    ) -> None:
        self.names = tuple(s.name for s in sensors)
        """Names of the sensors, by number."""
        self._num_bytes = tuple(s.payload_bytes for s in sensors)
        self._paths = tuple(paths)
        self._constants = tuple(p.constant_delay_ns for p in paths)
        self._stamp_offsets = tuple(p.stamp_offset_ns for p in paths)
        self._stepper = stepper
        self._world = stepper.world
        self._queue = queue
        self._cells = captures.cells
        self._assemblies = tuple(assemblies)
        instants = dict.fromkeys((p.period_ns, p.phase_ns) for p in paths)
        self.groups = tuple(
            SensorGroup(
                period_ns,
                phase_ns,
                tuple(n for n, p in enumerate(paths) if (p.period_ns, p.phase_ns) == (period_ns, phase_ns)),
            )
            for period_ns, phase_ns in instants
        )
        self.all_sensors = tuple(range(len(self._paths)))
        self.first_items: list[Item | None] = [None] * len(self._paths)
        """The first capture of each sensor, whatever became of it on its way."""
        self.num_first_missing = len(self._paths)
        """Sensors that have not captured yet."""

    def capture(
        self, t_ns: int, sensors: Sequence[int], index: int, tick: int
    ) -> list[tuple[int, Observation]]:
        """Captures ``sensors`` at ``t_ns``; returns (number of the assembly, observation) for each completed one.

        Args:
            t_ns: Instant that the capture is due.
            sensors: Numbers of the sensors.
            index: Capture number.
            tick: Control tick at or before the instant.
        """
        if t_ns > self._stepper.now_ns:
            self._stepper.advance(t_ns)
        is_awaited = index == 0
        for assembly in self._assemblies:
            if assembly.awaits(t_ns):
                is_awaited = True
        completed: list[tuple[int, Observation]] = []
        if not is_awaited:
            self._note(t_ns, sensors, index)
            return completed
        cells = self._cells
        for number in sensors:
            frame = self._world.capture(self.names[number], index)
            constant_ns = self._constants[number]
            is_dropped = 0
            if constant_ns is not None:
                arrival_ns = t_ns + constant_ns
            else:
                path = self._paths[number]
                is_dropped = int(path.is_dropped(index))
                arrival_ns = -1 if is_dropped else path.arrival_ns(index, t_ns, self._num_bytes[number])
            cells += (number, index, t_ns, frame.captured_at_ns, arrival_ns, is_dropped)
            stamp_ns = frame.captured_at_ns + self._stamp_offsets[number]
            anchor = self._world.anchor() if number == 0 else None
            item = _new(Item, (number, frame, t_ns, len(cells) // 6 - 1, stamp_ns, anchor, tick))
            if index == 0:
                self.first_items[number] = item
                self.num_first_missing -= 1
            if arrival_ns > t_ns:
                self._queue.schedule(arrival_ns, _TRANSPORT_DONE, number, item)
            elif arrival_ns == t_ns:
                for place, assembly in enumerate(self._assemblies):
                    observation = assembly.add(item)
                    if observation is not None:
                        completed.append((place, observation))
        return completed

    def _note(self, t_ns: int, sensors: Sequence[int], index: int) -> None:
        """Records captures that no assembly waits for; their frames are not made."""
        cells, names, constants = self._cells, self.names, self._constants
        captured_at_ns = self._world.captured_at_ns
        for number in sensors:
            captured_ns = captured_at_ns(names[number], index)
            constant_ns = constants[number]
            if constant_ns is not None:
                cells += (number, index, t_ns, captured_ns, t_ns + constant_ns, 0)
            elif self._paths[number].is_dropped(index):
                cells += (number, index, t_ns, captured_ns, -1, 1)
            else:
                arrival_ns = self._paths[number].arrival_ns(index, t_ns, self._num_bytes[number])
                cells += (number, index, t_ns, captured_ns, arrival_ns, 0)

    def arrived(self, item: Item) -> list[tuple[int, Observation]]:
        """Hands an item that has arrived to the assemblies; returns what ``capture`` does."""
        completed = []
        for number, assembly in enumerate(self._assemblies):
            observation = assembly.add(item)
            if observation is not None:
                completed.append((number, observation))
        return completed
