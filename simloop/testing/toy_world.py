"""What the toy worlds share: one sensor with the whole state, a recorded trajectory, no randomness."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from simloop.log import Column, Columns, TableSchema
from simloop.spec import Scenario
from simloop.world import (
    ActionDimension,
    ActionSpec,
    Anchor,
    Frame,
    Hold,
    SensorKind,
    SensorSpec,
    World,
    WorldSpec,
)

FloatArray = npt.NDArray[np.float64]


class ToyWorld(World):
    """A world whose state is a short vector, seen whole by the sensor ``state``.

    Args:
        name: Name of the world.
        state_names: Names of the state's entries, with units.
        unit: Unit of the one action entry.
        control_period_ns: Control period.
        physics_period_ns: Physics period; divides the control period.
        hold: What acts when no action is there.
    """

    def __init__(
        self,
        *,
        name: str,
        state_names: tuple[str, ...],
        unit: str,
        control_period_ns: int,
        physics_period_ns: int,
        hold: Hold,
    ) -> None:
        self._state: FloatArray = np.zeros(len(state_names))
        self._action = 0.0
        self._now_ns = 0
        self._rows: list[tuple[int, FloatArray]] = []
        self._spec = WorldSpec(
            name=name,
            physics_period_ns=physics_period_ns,
            control_period_ns=control_period_ns,
            action=ActionSpec(
                name=f"{name}_action",
                dimensions=(ActionDimension(name="action", unit=unit, low=-1e6, high=1e6),),
                hold=hold,
                null_action=(0.0,),
            ),
            sensors=(
                SensorSpec(
                    name="state",
                    kind=SensorKind.PROPRIOCEPTION,
                    shape=(len(state_names),),
                    dtype="float64",
                    period_ns=control_period_ns,
                    payload_bytes=8 * len(state_names),
                    description=", ".join(state_names),
                ),
            ),
            tables={
                "state": TableSchema(
                    columns=(
                        Column(name="t_ns", dtype="int64"),
                        *(Column(name=n) for n in state_names),
                    ),
                    description="The state at each physics instant.",
                )
            },
            versions={name: "1"},
        )

    @property
    def spec(self) -> WorldSpec:
        """The world's fixed properties."""
        return self._spec

    @abstractmethod
    def initial_state(self, scenario: Scenario, seed: int) -> FloatArray:
        """Returns the state at t = 0."""

    @abstractmethod
    def next_state(self, period_s: float) -> FloatArray:
        """Returns the state one physics period later under the present action."""

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts the world at t = 0."""
        self._now_ns = 0
        self._action = 0.0
        self._state = self.initial_state(scenario, seed)
        self._rows = [(0, self._state.copy())]

    def advance(self, until_ns: int) -> None:
        """Moves the state to ``until_ns``; ValueError if that is in the past or between physics instants."""
        period_ns = self._spec.physics_period_ns
        if until_ns < self._now_ns or until_ns % period_ns:
            raise ValueError(
                f"Cannot advance to {until_ns} ns: it must be a multiple of {period_ns} ns and not before "
                f"{self._now_ns} ns."
            )
        while self._now_ns < until_ns:
            self._state = self.next_state(period_ns * 1e-9)
            self._now_ns += period_ns
            self._rows.append((self._now_ns, self._state.copy()))

    def capture(self, sensor: str, index: int) -> Frame:
        """Freezes the state; KeyError for any sensor but ``state``."""
        self._spec.sensor(sensor)
        frozen = self._state.copy()
        return Frame(sensor=sensor, index=index, captured_at_ns=self._now_ns, render=lambda: frozen)

    def anchor(self) -> Anchor:
        """Returns an empty pose: actions are absolute."""
        return Anchor(captured_at_ns=self._now_ns, pose=np.zeros(0))

    def actuate(self, action: FloatArray) -> None:
        """Sets the action that acts from now on."""
        self._action = float(action[0])

    def drain(self) -> Mapping[str, Columns]:
        """Returns the trajectory since the last drain."""
        rows, self._rows = self._rows, []
        names = [c.name for c in self._spec.tables["state"].columns]
        columns: dict[str, list[float]] = {n: [] for n in names}
        for t_ns, state in rows:
            for name, value in zip(names, (t_ns, *state), strict=True):
                columns[name].append(value)
        return {"state": columns}
