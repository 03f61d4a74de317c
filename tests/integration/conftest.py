"""An agent that any strategy can run, and what the loop's tests do with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import Agent, AgentSpec, Call, Capability, Embodiment, InferenceReply, InferenceRequest
from simloop.world import WorldSpec

HORIZON = 8
Value = Callable[[int, int], float]


def label(observation_tick: int, row: int) -> float:
    """Tells where an action comes from: 100 * observation tick + row."""
    return 100.0 * observation_tick + row


class AnyCallAgent(Agent):
    """Answers every call: row i of a chunk is ``value(observation tick, i)``, a correction adds ``corrected_by``."""

    def __init__(
        self, world: WorldSpec, *, value: Value = label, horizon: int = HORIZON, corrected_by: float = 0.0
    ) -> None:
        self._value = value
        self._corrected_by = corrected_by
        self.requests: list[InferenceRequest] = []
        self._spec = AgentSpec(
            name="any_call",
            horizon=horizon,
            action_period_ns=world.control_period_ns,
            embodiments=(
                Embodiment(action_space=world.action.name, observations=tuple(s.name for s in world.sensors)),
            ),
            digest="any_call",
            calls=frozenset(Call),
            capabilities=frozenset(Capability),
        )

    @property
    def spec(self) -> AgentSpec:
        return self._spec

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        self.requests += requests
        return [self._reply(request) for request in requests]

    def _reply(self, request: InferenceRequest) -> InferenceReply:
        if request.call is Call.CONTEXT:
            return InferenceReply(actions=None, context=request.observation_tick)
        if request.call is Call.CORRECTOR:
            assert request.base_actions is not None
            return InferenceReply(actions=request.base_actions + self._corrected_by)
        first = 0 if request.rolled_actions is None else len(request.rolled_actions)
        rows: npt.NDArray[np.float64] = np.array(
            [self._value(request.observation_tick, first + row) for row in range(self._spec.horizon)]
        )[:, None]
        given = request.conditioning
        if given is not None and not given.is_guided:
            rows[: given.num_committed] = given.actions[: given.num_committed]
        return InferenceReply(actions=rows, first_index=first)


@pytest.fixture
def any_call_agent() -> Callable[..., AnyCallAgent]:
    """Makes an agent that any strategy can run."""
    return AnyCallAgent
