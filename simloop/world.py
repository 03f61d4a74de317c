"""The seam to a simulated world: something that moves only when it is told to.

A world owns state. It reads no clock, draws randomness only from the seed it is given, and advances only in
whole physics periods. The loop (``simloop.loop``) owns time and calls it like this::

    [expect_captures ->] reset -> (advance | capture | anchor | actuate | outcome)* -> drain -> ... -> close

Frames are right-handed, x forward, y left, z up, metres and radians (ISO 8855) unless a sensor or action
dimension says otherwise.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import Columns, TableSchema
from simloop.spec import Scenario

FloatArray = npt.NDArray[np.float64]


class SensorKind(enum.Enum):
    """What kind of sensor an observation item comes from; latency presets name kinds, never sensors."""

    CAMERA = "camera"
    PROPRIOCEPTION = "proprioception"
    OBJECTS = "objects"


class Hold(enum.Enum):
    """What is applied when no fresh action is there; named by the world's action spec."""

    REPEAT = "repeat"
    """Absolute targets: the last target again."""
    NULL = "null"
    """Deltas and velocities: the null action."""
    PLAN_THEN_STOP = "plan_then_stop"
    """Waypoints (x, y, yaw, speed): coast along the last heading, then brake to a stop."""


class Determinism(enum.Enum):
    """How far a world repeats itself for one seed on one platform."""

    BIT_EXACT = "bit_exact"
    STATISTICAL = "statistical"


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSpec:
    """One sensor of a world.

    Attributes:
        name: Key of the item in an observation, for example ``"front_camera"``.
        kind: Kind of sensor.
        shape: Shape of one frame's array.
        dtype: numpy dtype name of one frame's array.
        period_ns: Time between two captures.
        payload_bytes: Size of one frame on a link.
        is_privileged: True if no real vehicle or robot could measure it (ground truth).
        description: Layout of the array: entries, units, frames.
    """

    name: str
    kind: SensorKind
    shape: tuple[int, ...]
    dtype: str
    period_ns: int
    payload_bytes: int
    is_privileged: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anchor:
    """The pose that relative actions refer to, frozen with a proprioception capture.

    Attributes:
        captured_at_ns: Virtual instant of the frozen state.
        pose: (D,) float64, laid out as the world's ``ActionSpec.anchor_layout`` says.
    """

    captured_at_ns: int
    pose: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDimension:
    """One entry of an action: name, unit and closed bounds as the agent sends it."""

    name: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """The action space of a world.

    Subclasses whose actions are relative to a moving pose override ``to_world`` and ``from_world``, which are
    pure functions and inverse to each other.

    Attributes:
        name: Name of the embodiment's action space, for example ``"waypoints"``.
        dimensions: The entries of one action, in order.
        hold: What is applied when no action is there.
        null_action: (A,) the action that asks for nothing; applied by ``Hold.NULL`` and before any chunk.
        anchor_layout: Names of the entries of ``Anchor.pose``.
    """

    name: str
    dimensions: tuple[ActionDimension, ...]
    hold: Hold
    null_action: tuple[float, ...]
    anchor_layout: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of entries A of one action."""
        return len(self.dimensions)

    def to_world(self, actions: FloatArray, anchor: Anchor) -> FloatArray:
        """Expresses (N, A) agent actions in the world frame; the identity unless overridden."""
        return np.array(actions, dtype=np.float64)

    def from_world(self, actions: FloatArray, anchor: Anchor) -> FloatArray:
        """Expresses (N, A) world-frame actions relative to ``anchor``; inverse of ``to_world``."""
        return np.array(actions, dtype=np.float64)

    def start_action(self, anchor: Anchor) -> FloatArray:
        """Returns the (A,) world-frame action that counts as the last one before an episode's first chunk.

        The hold starts from it. It is the null action unless overridden; a vehicle that is already moving goes on.
        """
        return np.array(self.null_action, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSpec:
    """What a world is, fixed for its whole life.

    Attributes:
        name: Plug-in name, for example ``"driving"``.
        physics_period_ns: Granularity of ``advance``.
        control_period_ns: Control period; a whole multiple of the physics period.
        action: The action space.
        sensors: All sensors that can be captured.
        tables: Schemas of the tables that ``drain`` returns. The shared ones are ``motion`` and ``contacts``
            (see docs/log.md).
        motion_points: Names of the points in the ``motion`` table, by index.
        determinism: How far an episode repeats itself.
        max_interleaved: How many such worlds one worker may hold at once.
        versions: Simulator packages and their versions; part of the episode's identity.
    """

    name: str
    physics_period_ns: int
    control_period_ns: int
    action: ActionSpec
    sensors: tuple[SensorSpec, ...]
    tables: Mapping[str, TableSchema] = field(default_factory=dict)
    motion_points: tuple[str, ...] = ()
    determinism: Determinism = Determinism.BIT_EXACT
    max_interleaved: int = 16
    versions: Mapping[str, str] = field(default_factory=dict)

    def sensor(self, name: str) -> SensorSpec:
        """Returns the sensor of that name; KeyError if there is none."""
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        raise KeyError(name)


class Frame:
    """One capture: the state is frozen now, the array is made when it is first read.

    Args:
        sensor: Name of the sensor.
        index: Capture number of that sensor in the episode, from 0.
        captured_at_ns: Virtual instant of the physics state that was captured (<= the asked instant).
        render: Makes the array from the frozen state; called at most once.
    """

    __slots__ = ("_array", "_render", "captured_at_ns", "index", "sensor")

    def __init__(
        self, *, sensor: str, index: int, captured_at_ns: int, render: Callable[[], npt.NDArray[np.generic]]
    ) -> None:
        self.sensor = sensor
        self.index = index
        self.captured_at_ns = captured_at_ns
        self._render: Callable[[], npt.NDArray[np.generic]] | None = render
        self._array: npt.NDArray[np.generic] | None = None

    @property
    def array(self) -> npt.NDArray[np.generic]:
        """The frame's array, of the sensor's shape and dtype; read-only."""
        if self._array is None:
            assert self._render is not None
            array = self._render()
            array.flags.writeable = False
            self._array, self._render = array, None
        return self._array


class OutcomeState(enum.Enum):
    """Where an episode stands."""

    RUNNING = "running"
    SUCCESS = "success"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The world's verdict at the present instant.

    Attributes:
        state: Running, or how the episode ended.
        reason: Why it ended, a snake_case word such as ``"collision"``; empty while running.
        stage: Index of the sub-task reached, from 0.
        is_goal_met: Whether the goal's condition holds at this very instant (``success`` may ask for it to be
            held for some steps).
    """

    state: OutcomeState
    reason: str = ""
    stage: int = 0
    is_goal_met: bool = False


RUNNING = Outcome(state=OutcomeState.RUNNING)


class World(ABC):
    """A simulated world that moves only when told to. See the module's docstring for the call order."""

    @property
    @abstractmethod
    def spec(self) -> WorldSpec:
        """The world's fixed properties."""

    def expect_captures(self, sensors: Collection[str]) -> None:
        """Takes notice, before a reset, of the sensors that the coming episodes capture, whenever that begins.

        Worlds whose sensors must be put up before an episode starts override it; in all others it changes nothing.
        Episodes have the same course with the notice and without it. A world that wraps another passes it on.
        """

    @abstractmethod
    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts the world at t = 0 of a scenario.

        Args:
            scenario: A concrete scenario of a family that this world understands.
            seed: Seed of everything random in the world during the episode.

        Raises:
            ConfigurationError: The scenario does not fit this world (key, got, allowed).
        """

    @abstractmethod
    def advance(self, until_ns: int) -> None:
        """Moves the state to ``until_ns``, a multiple of the physics period and not in the past, else ValueError."""

    @abstractmethod
    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes what ``sensor`` sees now; noise is drawn by ``index``; renders when ``.array`` is first read."""

    def captured_at_ns(self, sensor: str, index: int) -> int:
        """Returns ``captured_at_ns`` of what ``capture`` would return, for captures that nobody will read.

        Worlds that can tell without freezing their state may override it.
        """
        return self.capture(sensor, index).captured_at_ns

    @abstractmethod
    def anchor(self) -> Anchor:
        """Returns the pose that relative actions refer to, at the present instant."""

    @abstractmethod
    def actuate(self, action: FloatArray) -> None:
        """Sets the (A,) world-frame action that acts from now on until the next one."""

    @abstractmethod
    def outcome(self) -> Outcome:
        """Returns the verdict at the present instant; called once after each control tick."""

    @abstractmethod
    def drain(self) -> Mapping[str, Columns]:
        """Returns and forgets the rows recorded since the last drain, by the schemas in ``spec.tables``."""

    def log_attributes(self) -> Mapping[str, Any]:
        """Returns plain facts about the scene for the episode log's attributes; not hashed.

        The report draws ``road``: (N, 2) polylines of lane borders in metres, world frame.
        """
        return {}

    def close(self) -> None:
        """Frees what the world holds; it is not used afterwards."""
