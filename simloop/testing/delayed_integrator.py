"""A discrete integrator whose stability under delay is known in closed form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.spec import Scenario
from simloop.testing.toy_world import ToyWorld
from simloop.world import RUNNING, Hold, Outcome

FloatArray = npt.NDArray[np.float64]


class DelayedIntegrator(ToyWorld):
    """x[k+1] = x[k] + u[k], one step a physics period.

    With u[k] = -a x[k-d] it is stable if and only if 0 < a < 2 cos(d pi / (2 d + 1)) (Levin and May 1976).

    Args:
        control_period_ns: Control and physics period.
        initial: x at t = 0, or drawn from the seed when None.
    """

    def __init__(self, *, control_period_ns: int = 50_000_000, initial: float | None = 1.0) -> None:
        self._initial = initial
        super().__init__(
            name="delayed_integrator",
            state_names=("x",),
            unit="",
            control_period_ns=control_period_ns,
            physics_period_ns=control_period_ns,
            hold=Hold.NULL,
        )

    def initial_state(self, scenario: Scenario, seed: int) -> FloatArray:
        """Returns x at t = 0."""
        if self._initial is not None:
            return np.array([self._initial])
        return np.random.default_rng(seed).standard_normal(1)

    def next_state(self, period_s: float) -> FloatArray:
        """Adds the action."""
        return self._state + self._action

    def outcome(self) -> Outcome:
        """Never ends by itself."""
        return RUNNING
