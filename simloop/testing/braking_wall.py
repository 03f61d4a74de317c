"""A point that drives at a wall: the latency at which it hits is known in closed form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simloop.errors import ParameterError
from simloop.spec import Scenario
from simloop.testing.toy_world import ToyWorld
from simloop.world import RUNNING, Hold, Outcome, OutcomeState

FloatArray = npt.NDArray[np.float64]


class BrakingWall(ToyWorld):
    """A point at speed v sees a wall at distance g and can brake at a.

    With end-to-end latency L it hits the wall if and only if v L + v^2 / (2 a) > g; the critical latency is
    (g - v^2 / (2 a)) / v. The action is the commanded deceleration in m/s2, clipped to [0, a].

    Args:
        speed_mps: v.
        gap_m: g; the wall becomes visible at t = 0.
        deceleration_mps2: a.
        control_period_ns: Control period.
        physics_period_ns: Physics period.
    """

    def __init__(
        self,
        *,
        speed_mps: float = 20.0,
        gap_m: float = 45.0,
        deceleration_mps2: float = 6.0,
        control_period_ns: int = 50_000_000,
        physics_period_ns: int = 1_000_000,
    ) -> None:
        if min(speed_mps, gap_m, deceleration_mps2) <= 0:
            raise ParameterError(
                f"BrakingWall: speed_mps, gap_m and deceleration_mps2 must be positive; got {speed_mps}, {gap_m}, "
                f"{deceleration_mps2}."
            )
        self._speed_mps, self._gap_m, self._deceleration_mps2 = speed_mps, gap_m, deceleration_mps2
        super().__init__(
            name="braking_wall",
            state_names=("gap_m", "speed_mps"),
            unit="m/s2",
            control_period_ns=control_period_ns,
            physics_period_ns=physics_period_ns,
            hold=Hold.NULL,
        )

    @property
    def critical_latency_s(self) -> float:
        """(g - v^2 / (2 a)) / v."""
        return (self._gap_m - self._speed_mps**2 / (2 * self._deceleration_mps2)) / self._speed_mps

    def initial_state(self, scenario: Scenario, seed: int) -> FloatArray:
        """Returns (gap, speed) at t = 0."""
        return np.array([self._gap_m, self._speed_mps])

    def next_state(self, period_s: float) -> FloatArray:
        """Moves with constant deceleration, exactly, stopping at speed 0."""
        gap_m, speed_mps = (float(v) for v in self._state)
        deceleration = min(max(self._action, 0.0), self._deceleration_mps2)
        moving_s = period_s if deceleration * period_s <= speed_mps else speed_mps / deceleration
        gap_m -= speed_mps * moving_s - 0.5 * deceleration * moving_s**2
        return np.array([gap_m, speed_mps - deceleration * moving_s])

    def outcome(self) -> Outcome:
        """Fails at the wall, succeeds at standstill before it."""
        gap_m, speed_mps = (float(v) for v in self._state)
        if gap_m < -1e-9:
            return Outcome(state=OutcomeState.FAIL, reason="collision")
        if speed_mps <= 1e-9:
            return Outcome(state=OutcomeState.SUCCESS, reason="goal", is_goal_met=True)
        return RUNNING
