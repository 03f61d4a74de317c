"""A line on which optimal control is known: how much a delay costs is a matter of linear algebra, without learning.

The world is a double integrator with force noise; the agent plans by the linear-quadratic regulator. Played with a
delay of d control periods, the spread of the position follows from the closed loop's equations, for chunks that
switch on arrival as well as for chunks that continue the committed actions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_discrete_are

from simloop.agent import Agent, AgentSpec, Capability, Embodiment, InferenceReply, InferenceRequest
from simloop.errors import ParameterError
from simloop.source_digest import module_digest
from simloop.spec import Scenario
from simloop.testing.point_task import CONTROL_PERIOD_NS, PointTask, State
from simloop.world import RUNNING, Outcome

FloatArray = npt.NDArray[np.float64]

_PERIOD_S = CONTROL_PERIOD_NS * 1e-9
TRANSITION = np.array([[1.0, _PERIOD_S], [0.0, 1.0]])
"""State matrix of one control period; the state is (x_m, x_mps)."""
INPUT = np.array([[0.5 * _PERIOD_S * _PERIOD_S], [_PERIOD_S]])
"""Effect of one control period of acceleration, exact zero-order hold."""


class LqrWorld(PointTask):
    """A point mass on a line that starts at rest at 0 and never ends by itself.

    Args:
        action_noise_mps2: Standard deviation of the noise on the commanded acceleration.

    Raises:
        ParameterError: The noise is out of range.
    """

    def __init__(self, *, action_noise_mps2: float = 0.1) -> None:
        super().__init__(
            name="lqr",
            action_dimensions=("x_mps2",),
            action_unit="m/s2",
            action_limit=1e6,
            action_noise=action_noise_mps2,
            observation=("x_m", "x_mps"),
            state=("x_m", "x_mps"),
        )

    def _start(self, scenario: Scenario) -> State:
        return 0.0, 0.0

    def _moved(self, state: State, command: State) -> State:
        x, vx = state
        (force,) = command
        return x + vx * _PERIOD_S + force * 0.5 * _PERIOD_S * _PERIOD_S, vx + force * _PERIOD_S

    def _verdict(self, state: State) -> Outcome:
        return RUNNING

    def _observation(self, state: State) -> State:
        return state


def lqr_gains(position_weight: float) -> FloatArray:
    """Returns the (2,) gains of the regulator for Q = diag(q, q / 10), R = 1: the command is -gains @ state."""
    cost = np.diag([position_weight, position_weight / 10.0])
    value = solve_discrete_are(TRANSITION, INPUT, cost, np.eye(1))
    gains: FloatArray = np.linalg.solve(np.eye(1) + INPUT.T @ value @ INPUT, INPUT.T @ value @ TRANSITION)[0]
    return gains


class LqrAgent(Agent):
    """Plans the regulator's noise-free roll-out from the observation.

    Committed actions of a conditioning are kept, and the roll-out goes on from the state that they lead to: what an
    ideal prefix-conditioned policy does.

    Args:
        position_weight: q of Q = diag(q, q / 10), with R = 1.
        horizon: H.

    Raises:
        ParameterError: A value is out of range.
    """

    def __init__(self, *, position_weight: float = 10.0, horizon: int = 8) -> None:
        if not position_weight > 0.0 or horizon < 1:
            raise ParameterError(
                f"LqrAgent: position_weight must be over 0 and horizon at least 1; got {position_weight!r} and "
                f"{horizon!r}."
            )
        self._horizon = horizon
        self._gains = lqr_gains(position_weight).tolist()
        self._spec = AgentSpec(
            name=f"lqr-{position_weight:g}",
            horizon=horizon,
            action_period_ns=CONTROL_PERIOD_NS,
            embodiments=(Embodiment(action_space="lqr_action", observations=("observation",)),),
            capabilities=frozenset({Capability.PREFIX}),
            digest=f"{module_digest(__name__)}-{position_weight!r}-{horizon}",
        )

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return self._spec

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request by its roll-out."""
        return [InferenceReply(actions=self._plan(request)) for request in requests]

    def _plan(self, request: InferenceRequest) -> FloatArray:
        x, vx = request.observation["observation"].tolist()
        given = request.conditioning
        committed = [] if given is None else given.actions[: given.num_committed, 0].tolist()
        chunk: list[float] = []
        for row in range(self._horizon):
            force = committed[row] if row < len(committed) else -self._gains[0] * x - self._gains[1] * vx
            chunk.append(force)
            x, vx = x + vx * _PERIOD_S + force * 0.5 * _PERIOD_S * _PERIOD_S, vx + force * _PERIOD_S
        return np.array(chunk)[:, None]
