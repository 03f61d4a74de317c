"""The lander task as arrays: many episodes at once, with the scripted expert whose demonstrations train its policies.

A double integrator is brought down gently in one place. The expert's gain is such that a delay of three or four
control steps makes uncompensated feedback oscillate. ``simloop.testing.lander.Lander`` is the same task as a world; a
test compares the two bit for bit.

Metres, seconds, control steps of 0.1 s. The action is the commanded acceleration (x, y) in m/s2 beyond gravity,
clipped to [-1, 1]; 0.1 of standard normal noise is added after clipping.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CONTROL_PERIOD_S = 0.1
ACTION_NOISE_MPS2 = 0.1
LANDING_TOLERANCE_M = 0.08
LANDING_SIDE_TOLERANCE_MPS = 0.16
LANDING_DOWN_TOLERANCE_MPS = 0.25
MAX_OFFSET_M = 3.0
NUM_STEPS = 90
OBSERVATION_SIZE = 4
ACTION_SIZE = 2
# Discrete LQR for Q = diag(10, 1), R = 1, closed-loop pole 0.8735.
SIDE_GAINS = (2.7623, 2.5075)


class LanderBatch:
    """N episodes of the lander task, without action noise unless it is handed in.

    Args:
        num_episodes: N.
        draws: Where the start states come from.

    Attributes:
        is_live: (N,) whether an episode still runs; an ended one keeps its state.
        is_success: (N,) whether it landed within tolerance.
    """

    observation_size = OBSERVATION_SIZE
    action_size = ACTION_SIZE
    num_steps = NUM_STEPS

    def __init__(self, *, num_episodes: int, draws: np.random.Generator) -> None:
        n = num_episodes
        self.is_live: BoolArray = np.ones(n, dtype=bool)
        self.is_success: BoolArray = np.zeros(n, dtype=bool)
        self._state: FloatArray = np.stack(
            [
                draws.uniform(-1.2, 1.2, n),
                draws.uniform(-0.4, 0.4, n),
                draws.uniform(2.4, 3.6, n),
                draws.uniform(-0.4, 0.0, n),
            ],
            axis=1,
        )

    def set_state(self, state: FloatArray) -> None:
        """Replaces the drawn states, (N, 4): x, vx, y, vy."""
        self._state = state.copy()

    def observe(self) -> FloatArray:
        """Returns the (N, 4) states: x, vx, y, vy."""
        return self._state.copy()

    def expert(self) -> FloatArray:
        """Returns the (N, 2) commands of the scripted expert: LQR sideways, a speed profile downwards."""
        x, vx, y, vy = self._state.T
        side = -SIDE_GAINS[0] * x - SIDE_GAINS[1] * vx
        wanted_vy = -np.clip(0.12 + 0.35 * y, 0.12, 0.8)
        command: FloatArray = np.clip(np.stack([side, 4.0 * (wanted_vy - vy)], axis=1), -1.0, 1.0)
        return command

    def step(self, actions: FloatArray, noise: FloatArray | None = None) -> None:
        """Moves every live episode one control step under (N, 2) actions and optional standard normal noise."""
        force = np.clip(actions, -1.0, 1.0)
        if noise is not None:
            force = force + ACTION_NOISE_MPS2 * noise
        live = self.is_live
        self._state = np.where(live[:, None], after_step(self._state, force), self._state)
        x, vx, y, vy = self._state.T
        has_landed = live & (y <= 0.0)
        is_soft = (
            (np.abs(x) < LANDING_TOLERANCE_M)
            & (np.abs(vx) < LANDING_SIDE_TOLERANCE_MPS)
            & (np.abs(vy) < LANDING_DOWN_TOLERANCE_MPS)
        )
        self.is_success |= has_landed & is_soft
        self.is_live = live & ~has_landed & (np.abs(x) <= MAX_OFFSET_M)


def after_step(state: FloatArray, force: FloatArray) -> FloatArray:
    """Returns the (N, 4) states one control step later under (N, 2) accelerations, exact zero-order hold."""
    x, vx, y, vy = state.T
    half_square = 0.5 * CONTROL_PERIOD_S * CONTROL_PERIOD_S
    return np.stack(
        [
            x + vx * CONTROL_PERIOD_S + force[:, 0] * half_square,
            vx + force[:, 0] * CONTROL_PERIOD_S,
            y + vy * CONTROL_PERIOD_S + force[:, 1] * half_square,
            vy + force[:, 1] * CONTROL_PERIOD_S,
        ],
        axis=1,
    )


def roll(observation: FloatArray, actions: FloatArray) -> FloatArray:
    """Returns the (N, 4) states after (N, d, 2) committed actions, from (N, 4) observations."""
    state = np.array(observation, dtype=np.float64)
    for step in range(actions.shape[1]):
        state = after_step(state, np.clip(actions[:, step], -1.0, 1.0))
    return state
