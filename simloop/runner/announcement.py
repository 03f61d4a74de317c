"""A worker says what it is about to do before each uninterrupted call, so that somebody outside can see it hang."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simloop.log import Columns
from simloop.spec import Scenario
from simloop.world import Anchor, Frame, Outcome, SensorKind, World, WorldSpec

CALLS = (
    "idle",
    "make",
    "reset",
    "advance",
    "capture",
    "render",
    "actuate",
    "outcome",
    "drain",
    "infer",
    "evaluate",
)
_CODES = {call: code for code, call in enumerate(CALLS)}
_LAYOUT = struct.Struct("<qqq")


class Announcer(Protocol):
    """Is told which call of which episode starts now; episode -1 is none in particular."""

    def __call__(self, episode: int, call: str) -> None:
        """Notes that ``call`` (one of ``CALLS``) of the episode with that number starts now."""


def silent(episode: int, call: str) -> None:
    """An announcer that nobody listens to."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """The last thing that a worker announced.

    Attributes:
        number: How many calls it has announced; while this stays the same, so does the call.
        episode: Number of the episode in the run; -1 for none in particular.
        call: One of ``CALLS``.
    """

    number: int
    episode: int
    call: str


class FileAnnouncer:
    """Announces through a memory-mapped file, which outlives the worker and needs no lock of the interpreter.

    It is called several times a control tick and reads no clock: who looks on notes when a call was first seen.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._number = 0

    def __call__(self, episode: int, call: str) -> None:
        """Notes the call."""
        self._number += 1
        _LAYOUT.pack_into(self._map, 0, self._number, episode, _CODES[call])


def create_announcement_file(path: Path) -> None:
    """Makes the file of a worker that is idle."""
    path.write_bytes(_LAYOUT.pack(0, -1, 0))


def read_announcement(path: Path) -> Announcement:
    """Reads what a worker announced last."""
    number, episode, call = _LAYOUT.unpack(path.read_bytes())
    return Announcement(number, episode, CALLS[call])


class AnnouncedWorld(World):
    """A world that announces each of its calls.

    Attributes:
        episode: Number of the episode that it plays.
    """

    def __init__(self, world: World, announce: Announcer) -> None:
        self._world = world
        self._announce = announce
        self._cameras = frozenset(s.name for s in world.spec.sensors if s.kind is SensorKind.CAMERA)
        self.episode = -1

    @property
    def spec(self) -> WorldSpec:
        """The world's fixed properties."""
        return self._world.spec

    def expect_captures(self, sensors: Collection[str]) -> None:
        """Passes the notice on."""
        self._world.expect_captures(sensors)

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Announces and resets."""
        self._announce(self.episode, "reset")
        self._world.reset(scenario, seed)

    def advance(self, until_ns: int) -> None:
        """Announces and advances."""
        self._announce(self.episode, "advance")
        self._world.advance(until_ns)

    def capture(self, sensor: str, index: int) -> Frame:
        """Announces and captures; a camera's rendering is announced when it happens."""
        episode = self.episode
        self._announce(episode, "capture")
        frame = self._world.capture(sensor, index)
        if sensor not in self._cameras:
            return frame

        def render() -> npt.NDArray[np.generic]:
            self._announce(episode, "render")
            return frame.array

        return Frame(sensor=sensor, index=index, captured_at_ns=frame.captured_at_ns, render=render)

    def captured_at_ns(self, sensor: str, index: int) -> int:
        """Announces a capture and returns the instant that it would show."""
        self._announce(self.episode, "capture")
        return self._world.captured_at_ns(sensor, index)

    def anchor(self) -> Anchor:
        """Returns the world's anchor."""
        return self._world.anchor()

    def actuate(self, action: npt.NDArray[np.float64]) -> None:
        """Announces and actuates."""
        self._announce(self.episode, "actuate")
        self._world.actuate(action)

    def outcome(self) -> Outcome:
        """Announces and returns the verdict."""
        self._announce(self.episode, "outcome")
        return self._world.outcome()

    def drain(self) -> Mapping[str, Columns]:
        """Announces and drains."""
        self._announce(self.episode, "drain")
        return self._world.drain()

    def log_attributes(self) -> Mapping[str, Any]:
        """Returns the world's facts for the log."""
        return self._world.log_attributes()

    def close(self) -> None:
        """Closes the world."""
        self._world.close()
