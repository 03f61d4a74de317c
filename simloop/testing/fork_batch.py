"""The fork task as arrays: many episodes at once, with the scripted expert whose demonstrations train its policies.

A point flies at 0.7 m/s along x towards K discs and passes each on one side or the other; the side is a coin toss that
the state does not tell, so a policy that commits to one side in one chunk and to the other in the next hits the disc.
``simloop.testing.fork.Fork`` is the same task as a world; a test compares the two bit for bit.

Lengths in metres, time in control steps of 0.1 s. The action is the commanded velocity (x, y) in m/s, clipped to
[-1, 1]; 0.1 of standard normal noise is added after clipping.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CONTROL_PERIOD_S = 0.1
ACTION_NOISE_MPS = 0.1
DISC_RADIUS_M = 0.5
DISC_SPACING_M = 2.2
MAX_VISIBLE_M = 2.0
ARRIVAL_TOLERANCE_M = 0.2
DECISION_DISTANCE_M = 1.0
CLEARANCE_M = 0.2
FORWARD_MPS = 0.7
POSITION_GAIN = 3.0
OBSERVATION_SIZE = 6
ACTION_SIZE = 2


def goal_x_m(num_discs: int) -> float:
    """Returns the x at which an episode with ``num_discs`` discs arrives."""
    return DISC_SPACING_M * (num_discs + 1) - 0.6


def num_steps(num_discs: int) -> int:
    """Returns the number of control steps after which an episode fails: 64 for one disc, 100 for two."""
    return 64 if num_discs == 1 else 100


class ForkBatch:
    """N episodes of the fork task, without action noise unless it is handed in.

    Args:
        num_discs: K.
        num_episodes: N.
        draws: Where the scene and the expert's hidden sides come from.

    Attributes:
        is_live: (N,) whether an episode still runs; an ended one keeps its state.
        is_success: (N,) whether it arrived within tolerance of the target.
    """

    observation_size = OBSERVATION_SIZE
    action_size = ACTION_SIZE

    def __init__(self, *, num_discs: int, num_episodes: int, draws: np.random.Generator) -> None:
        n, k = num_episodes, num_discs
        self.num_steps = num_steps(k)
        self.is_live: BoolArray = np.ones(n, dtype=bool)
        self.is_success: BoolArray = np.zeros(n, dtype=bool)
        self._goal_x = goal_x_m(k)
        self._x = np.zeros(n)
        self._y = draws.uniform(-0.3, 0.3, n)
        self._disc_x = DISC_SPACING_M * np.arange(1, k + 1) + draws.uniform(-0.1, 0.1, (n, k))
        self._disc_y = draws.uniform(-0.4, 0.4, (n, k))
        self._target_y = draws.uniform(-0.5, 0.5, n)
        self._target_drift = 0.006 * draws.uniform(-1.0, 1.0, n)
        self._sides = np.where(draws.random((n, k)) < 0.5, -1.0, 1.0)

    def set_scene(
        self,
        *,
        y_m: FloatArray,
        disc_x_m: FloatArray,
        disc_y_m: FloatArray,
        target_y_m: FloatArray,
        target_drift_m: FloatArray,
    ) -> None:
        """Replaces the drawn scene: start y (N,), discs (N, K), target y and its drift a step (N,)."""
        self._y, self._disc_x, self._disc_y = y_m.copy(), disc_x_m.copy(), disc_y_m.copy()
        self._target_y, self._target_drift = target_y_m.copy(), target_drift_m.copy()

    def _next_disc(self) -> tuple[BoolArray, FloatArray, FloatArray, npt.NDArray[np.intp]]:
        """Returns whether a disc is ahead, its dx and dy (2.2 and 0 if none), and its number."""
        ahead = self._x[:, None] <= self._disc_x + DISC_RADIUS_M
        number = np.argmax(ahead, axis=1)
        rows = np.arange(len(number))
        is_ahead = ahead[rows, number]
        delta_x = np.where(is_ahead, self._disc_x[rows, number] - self._x, DISC_SPACING_M)
        delta_y = np.where(is_ahead, self._disc_y[rows, number] - self._y, 0.0)
        return is_ahead, delta_x, delta_y, number

    def observe(self) -> FloatArray:
        """Returns the (N, 6) observations; ``Fork`` describes the entries."""
        is_ahead, delta_x, delta_y, _ = self._next_disc()
        return np.stack(
            [
                np.minimum(delta_x, MAX_VISIBLE_M),
                delta_y,
                is_ahead.astype(np.float64),
                np.minimum(self._goal_x - self._x, MAX_VISIBLE_M),
                np.where(is_ahead, 0.0, self._target_y - self._y),
                np.where(is_ahead, 0.0, 10.0 * self._target_drift),
            ],
            axis=1,
        )

    def expert(self) -> FloatArray:
        """Returns the (N, 2) commands of the scripted expert, within [-1, 1].

        It lines up on the disc's centre until the decision distance, then passes on its hidden side, then follows
        the moving target.
        """
        is_ahead, delta_x, delta_y, number = self._next_disc()
        side = self._sides[np.arange(len(number)), number]
        is_deciding = is_ahead & (delta_x <= DECISION_DISTANCE_M)
        error = np.where(is_deciding, delta_y + side * (DISC_RADIUS_M + CLEARANCE_M), delta_y)
        error = np.where(is_ahead, error, self._target_y - self._y)
        feed_forward = np.where(is_ahead, 0.0, self._target_drift / CONTROL_PERIOD_S)
        sideways = np.clip(POSITION_GAIN * error + feed_forward, -1.0, 1.0)
        return np.stack([np.full_like(sideways, FORWARD_MPS), sideways], axis=1)

    def step(self, actions: FloatArray, noise: FloatArray | None = None) -> None:
        """Moves every live episode one control step under (N, 2) actions and optional standard normal noise."""
        velocity = np.clip(actions, -1.0, 1.0)
        if noise is not None:
            velocity = velocity + ACTION_NOISE_MPS * noise
        live = self.is_live
        self._x = np.where(live, self._x + CONTROL_PERIOD_S * velocity[:, 0], self._x)
        self._y = np.where(live, self._y + CONTROL_PERIOD_S * velocity[:, 1], self._y)
        self._target_y = np.where(live, self._target_y + self._target_drift, self._target_y)
        distance_sq = (self._x[:, None] - self._disc_x) ** 2 + (self._y[:, None] - self._disc_y) ** 2
        is_hit = (distance_sq < DISC_RADIUS_M**2).any(axis=1)
        has_arrived = ~is_hit & (self._x >= self._goal_x)
        self.is_success |= live & has_arrived & (np.abs(self._y - self._target_y) < ARRIVAL_TOLERANCE_M)
        self.is_live = live & ~is_hit & ~has_arrived


def roll(observation: FloatArray, actions: FloatArray) -> FloatArray:
    """Returns how far committed actions will have moved the point: (N, 2) metres from (N, d, 2) actions.

    The discs and the target are only seen, so what can be rolled forward is the point's own position.
    """
    moved: FloatArray = CONTROL_PERIOD_S * np.clip(actions, -1.0, 1.0).sum(axis=1)
    return moved
