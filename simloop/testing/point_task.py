"""What the fork, the lander and the LQR line share: a point under commands, one step a control period, noise on them.

The state is plain floats: a step of a few microseconds lets thousands of episodes run in seconds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from operator import add

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError, ParameterError
from simloop.log import Column, Columns, TableSchema
from simloop.randomness import generator, stream_key
from simloop.spec import Scenario
from simloop.world import (
    RUNNING,
    ActionDimension,
    ActionSpec,
    Anchor,
    Frame,
    Hold,
    Outcome,
    OutcomeState,
    SensorKind,
    SensorSpec,
    World,
    WorldSpec,
)

FloatArray = npt.NDArray[np.float64]
State = tuple[float, ...]

CONTROL_PERIOD_NS = 100_000_000
SUCCESS = Outcome(state=OutcomeState.SUCCESS, reason="goal", is_goal_met=True)


def failure(reason: str) -> Outcome:
    """Returns the verdict of a failed episode."""
    return Outcome(state=OutcomeState.FAIL, reason=reason)


class PointTask(World):
    """A point that is moved by commands and seen whole by the sensor ``observation``.

    Args:
        name: Name of the world; its action space is ``<name>_action``.
        action_dimensions: Names of the commands.
        action_unit: Their unit.
        action_limit: Commands are clipped to [-limit, limit].
        action_noise: Standard deviation of the normal noise that is added to the clipped commands.
        observation: Names of the observation's entries.
        state: Names of the state's entries, the columns of the table ``state``.
    """

    def __init__(
        self,
        *,
        name: str,
        action_dimensions: tuple[str, ...],
        action_unit: str,
        action_limit: float,
        action_noise: float,
        observation: tuple[str, ...],
        state: tuple[str, ...],
    ) -> None:
        if not 0.0 <= action_noise < 10.0:
            raise ParameterError(
                f"World {name!r}: the action noise is {action_noise!r} {action_unit}; allowed: 0 to 10."
            )
        self._action_noise = action_noise
        self._limit = action_limit
        self._null_action = (0.0,) * len(action_dimensions)
        self._now_ns = 0
        self._step = 0
        self._command = self._null_action
        self._state: State = ()
        self._rows: list[State] = []
        self._noise: list[list[float]] = []
        self._noise_key = (0, 0)
        self._outcome = RUNNING
        self._anchor_pose = np.zeros(0)
        self._spec = WorldSpec(
            name=name,
            physics_period_ns=CONTROL_PERIOD_NS,
            control_period_ns=CONTROL_PERIOD_NS,
            action=ActionSpec(
                name=f"{name}_action",
                dimensions=tuple(
                    ActionDimension(name=n, unit=action_unit, low=-action_limit, high=action_limit)
                    for n in action_dimensions
                ),
                hold=Hold.NULL,
                null_action=self._null_action,
            ),
            sensors=(
                SensorSpec(
                    name="observation",
                    kind=SensorKind.PROPRIOCEPTION,
                    shape=(len(observation),),
                    dtype="float64",
                    period_ns=CONTROL_PERIOD_NS,
                    payload_bytes=8 * len(observation),
                    description=", ".join(observation),
                ),
            ),
            tables={
                "state": TableSchema(
                    columns=(Column(name="t_ns", dtype="int64"), *(Column(name=n) for n in state)),
                    description="The whole state, one row a control period.",
                )
            },
            max_interleaved=512,
        )

    @property
    def spec(self) -> WorldSpec:
        """The world's fixed properties."""
        return self._spec

    @abstractmethod
    def _start(self, scenario: Scenario) -> State:
        """Returns the state at t = 0."""

    @abstractmethod
    def _moved(self, state: State, command: State) -> State:
        """Returns the state one control period later under the commands, noise included."""

    @abstractmethod
    def _verdict(self, state: State) -> Outcome:
        """Returns where an episode stands in ``state``."""

    @abstractmethod
    def _observation(self, state: State) -> State:
        """Returns the observation's entries."""

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts the world at t = 0; the noise of the whole episode is drawn at once.

        Raises:
            ConfigurationError: The scenario lacks a parameter or holds one that is not a number.
        """
        self._now_ns = self._step = 0
        self._command = self._null_action
        self._state = self._start(scenario)
        self._rows = [(0, *self._state)]
        self._outcome = RUNNING
        self._noise_key = stream_key("action-noise", self._spec.name, seed)
        self._noise = self._noise_block(0, scenario.time_limit_ns // CONTROL_PERIOD_NS + 1)

    def _noise_block(self, number: int, num_steps: int) -> list[list[float]]:
        if self._action_noise == 0.0:
            return [list(self._null_action)] * num_steps
        draws = generator(self._noise_key, number).standard_normal((num_steps, len(self._null_action)))
        block: list[list[float]] = (self._action_noise * draws).tolist()
        return block

    def advance(self, until_ns: int) -> None:
        """Moves the state to ``until_ns``; ValueError if that is in the past or between two steps."""
        if until_ns < self._now_ns or until_ns % CONTROL_PERIOD_NS:
            raise ValueError(
                f"Cannot advance to {until_ns} ns: it must be a multiple of {CONTROL_PERIOD_NS} ns and not before "
                f"{self._now_ns} ns."
            )
        while self._now_ns < until_ns:
            self._now_ns += CONTROL_PERIOD_NS
            if self._outcome is RUNNING:
                self._move()
            self._rows.append((self._now_ns, *self._state))

    def _move(self) -> None:
        within = self._step % len(self._noise)
        if within == 0 and self._step:
            self._noise = self._noise_block(self._step // len(self._noise), len(self._noise))
        self._step += 1
        self._state = self._moved(self._state, tuple(map(add, self._command, self._noise[within])))
        self._outcome = self._verdict(self._state)

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes the state; KeyError for any sensor but ``observation``."""
        if sensor != "observation":
            raise KeyError(sensor)
        state = self._state
        return Frame(
            sensor=sensor,
            index=index,
            captured_at_ns=self._now_ns,
            render=lambda: np.array(self._observation(state)),
        )

    def anchor(self) -> Anchor:
        """Returns an empty pose: actions are absolute."""
        return Anchor(captured_at_ns=self._now_ns, pose=self._anchor_pose)

    def actuate(self, action: FloatArray) -> None:
        """Sets the commands that act from now on, clipped."""
        limit = self._limit
        self._command = tuple([min(max(value, -limit), limit) for value in action.tolist()])

    def outcome(self) -> Outcome:
        """Returns the verdict; the state of an ended episode stays."""
        return self._outcome

    def drain(self) -> Mapping[str, Columns]:
        """Returns the trajectory since the last drain."""
        rows, self._rows = self._rows, []
        names = [c.name for c in self._spec.tables["state"].columns]
        columns = zip(*rows, strict=True) if rows else [()] * len(names)
        return {"state": {name: list(column) for name, column in zip(names, columns, strict=True)}}

    def _parameter(self, scenario: Scenario, name: str) -> float:
        value = scenario.parameters.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigurationError(
                f"World {self._spec.name!r} needs the parameter {name!r} as a number; got {value!r}. Parameters of "
                f"{scenario.family!r}: {', '.join(sorted(scenario.parameters)) or '(none)'}."
            )
        return float(value)
