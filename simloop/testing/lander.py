"""The lander: a double integrator that has to come down gently in one place.

``simloop.testing.lander_batch`` holds the task's constants, the same task as arrays, and the scripted expert.
"""

from __future__ import annotations

from simloop.spec import Scenario
from simloop.testing.lander_batch import (
    ACTION_NOISE_MPS2,
    CONTROL_PERIOD_S,
    LANDING_DOWN_TOLERANCE_MPS,
    LANDING_SIDE_TOLERANCE_MPS,
    LANDING_TOLERANCE_M,
    MAX_OFFSET_M,
)
from simloop.testing.point_task import SUCCESS, PointTask, State, failure
from simloop.world import RUNNING, Outcome

_HARD = failure("hard_landing")
_LOST = failure("out_of_bounds")
_HALF_SQUARE = 0.5 * CONTROL_PERIOD_S * CONTROL_PERIOD_S


class Lander(PointTask):
    """A point mass under commanded acceleration beyond gravity, exact zero-order hold over 0.1 s.

    At y <= 0 the episode succeeds if |x| < 0.08 m, |vx| < 0.16 m/s and |vy| < 0.25 m/s; |x| > 3 m fails.

    The scenario's parameters: ``start_x_m``, ``start_x_mps``, ``start_y_m``, ``start_y_mps``.

    Args:
        action_noise_mps2: Standard deviation of the noise on the commanded acceleration.

    Raises:
        ParameterError: The noise is out of range.
    """

    def __init__(self, *, action_noise_mps2: float = ACTION_NOISE_MPS2) -> None:
        names = ("x_m", "x_mps", "y_m", "y_mps")
        super().__init__(
            name="lander",
            action_dimensions=("x_mps2", "y_mps2"),
            action_unit="m/s2",
            action_limit=1.0,
            action_noise=action_noise_mps2,
            observation=names,
            state=names,
        )

    def _start(self, scenario: Scenario) -> State:
        names = ("start_x_m", "start_x_mps", "start_y_m", "start_y_mps")
        return tuple(self._parameter(scenario, name) for name in names)

    def _moved(self, state: State, command: State) -> State:
        x, vx, y, vy = state
        side, up = command
        return (
            x + vx * CONTROL_PERIOD_S + side * _HALF_SQUARE,
            vx + side * CONTROL_PERIOD_S,
            y + vy * CONTROL_PERIOD_S + up * _HALF_SQUARE,
            vy + up * CONTROL_PERIOD_S,
        )

    def _verdict(self, state: State) -> Outcome:
        x, vx, y, vy = state
        if y <= 0.0:
            is_soft = (
                abs(x) < LANDING_TOLERANCE_M
                and abs(vx) < LANDING_SIDE_TOLERANCE_MPS
                and abs(vy) < LANDING_DOWN_TOLERANCE_MPS
            )
            return SUCCESS if is_soft else _HARD
        return _LOST if abs(x) > MAX_OFFSET_M else RUNNING

    def _observation(self, state: State) -> State:
        return state
