"""An agent made of one function, for tests and for trying out worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from simloop.agent import Agent, AgentSpec, Capability, Embodiment, InferenceReply, InferenceRequest
from simloop.world import WorldSpec

FloatArray = npt.NDArray[np.float64]


class ScriptedAgent(Agent):
    """Answers every request by ``plan(request)``.

    Args:
        world: The world that it acts in; it reads every sensor of it.
        plan: From a request to a (H, A) chunk; committed rows of a conditioning are copied over it.
        horizon: H.
        digest: Identity; give two agents with different plans different digests.
    """

    def __init__(
        self,
        world: WorldSpec,
        plan: Callable[[InferenceRequest], FloatArray],
        *,
        horizon: int,
        digest: str = "scripted",
    ) -> None:
        self._plan = plan
        self._spec = AgentSpec(
            name="scripted",
            horizon=horizon,
            action_period_ns=world.control_period_ns,
            embodiments=(
                Embodiment(action_space=world.action.name, observations=tuple(s.name for s in world.sensors)),
            ),
            capabilities=frozenset({Capability.PREFIX}),
            digest=digest,
        )

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return self._spec

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request by the plan."""
        return [InferenceReply(actions=self._continued(request)) for request in requests]

    def _continued(self, request: InferenceRequest) -> FloatArray:
        chunk = np.array(self._plan(request), dtype=np.float64)
        if request.conditioning is not None:
            committed = request.conditioning.num_committed
            chunk[:committed] = request.conditioning.actions[:committed]
        return chunk
