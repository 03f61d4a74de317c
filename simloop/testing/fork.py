"""The fork: a point has to pass each disc on one side, and which side is a matter of commitment.

``simloop.testing.fork_batch`` holds the task's constants, the same task as arrays, and the scripted expert.
"""

from __future__ import annotations

from simloop.errors import ParameterError
from simloop.spec import Scenario
from simloop.testing.fork_batch import (
    ACTION_NOISE_MPS,
    ARRIVAL_TOLERANCE_M,
    CONTROL_PERIOD_S,
    DISC_RADIUS_M,
    DISC_SPACING_M,
    MAX_VISIBLE_M,
    goal_x_m,
)
from simloop.testing.point_task import SUCCESS, PointTask, State, failure
from simloop.world import RUNNING, Outcome

_HIT = failure("collision")
_MISSED = failure("missed_target")


class Fork(PointTask):
    """K discs in the way and a slowly moving target behind them.

    Each control period of 0.1 s the point moves by the commanded velocity plus noise. Touching a disc fails; at the
    goal's x the episode succeeds if the point is within 0.2 m of the target.

    The scenario's parameters: ``start_y_m``, for each disc i from 1 ``disc_<i>_offset_m`` (of its x from 2.2 i) and
    ``disc_<i>_y_m``, ``target_y_m`` at the start, ``target_drift_mps``.

    Args:
        num_discs: K, 1 or 2.
        action_noise_mps: Standard deviation of the noise on the commanded velocity.

    Raises:
        ParameterError: A value is out of range.
    """

    def __init__(self, *, num_discs: int = 1, action_noise_mps: float = ACTION_NOISE_MPS) -> None:
        if num_discs not in (1, 2):
            raise ParameterError(f"World 'fork': num_discs is {num_discs!r}; allowed: 1 or 2.")
        self._num_discs = num_discs
        self._goal_x = goal_x_m(num_discs)
        self._discs: tuple[tuple[float, float], ...] = ()
        self._target_drift = 0.0
        super().__init__(
            name="fork",
            action_dimensions=("x_mps", "y_mps"),
            action_unit="m/s",
            action_limit=1.0,
            action_noise=action_noise_mps,
            observation=(
                "ahead of the next disc's centre, at most 2 (m)",
                "its offset in y, 0 if no disc is ahead (m)",
                "1 if a disc is ahead, else 0",
                "distance in x to the goal, at most 2 (m)",
                "offset in y to the target, 0 while a disc is ahead (m)",
                "drift of the target in 0.1 m/step, 0 while a disc is ahead",
            ),
            state=("x_m", "y_m", "target_y_m"),
        )

    def _start(self, scenario: Scenario) -> State:
        self._discs = tuple(
            (
                DISC_SPACING_M * i + self._parameter(scenario, f"disc_{i}_offset_m"),
                self._parameter(scenario, f"disc_{i}_y_m"),
            )
            for i in range(1, self._num_discs + 1)
        )
        self._target_drift = self._parameter(scenario, "target_drift_mps") * CONTROL_PERIOD_S
        return 0.0, self._parameter(scenario, "start_y_m"), self._parameter(scenario, "target_y_m")

    def _moved(self, state: State, command: State) -> State:
        x, y, target_y = state
        vx, vy = command
        return x + CONTROL_PERIOD_S * vx, y + CONTROL_PERIOD_S * vy, target_y + self._target_drift

    def _verdict(self, state: State) -> Outcome:
        x, y, target_y = state
        for disc_x, disc_y in self._discs:
            if (x - disc_x) * (x - disc_x) + (y - disc_y) * (y - disc_y) < DISC_RADIUS_M * DISC_RADIUS_M:
                return _HIT
        if x < self._goal_x:
            return RUNNING
        return SUCCESS if abs(y - target_y) < ARRIVAL_TOLERANCE_M else _MISSED

    def _observation(self, state: State) -> State:
        x, y, target_y = state
        goal = min(self._goal_x - x, MAX_VISIBLE_M)
        for disc_x, disc_y in self._discs:
            if x <= disc_x + DISC_RADIUS_M:
                return min(disc_x - x, MAX_VISIBLE_M), disc_y - y, 1.0, goal, 0.0, 0.0
        return MAX_VISIBLE_M, 0.0, 0.0, goal, target_y - y, 10.0 * self._target_drift
