"""An agent for the braking walls: full braking in every row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simloop.agent import Agent, AgentSpec, Capability, Embodiment, InferenceReply, InferenceRequest

_HORIZON = 8


class BrakeAgent(Agent):
    """Brakes at 6 m/s2 in every row of its chunk of 8; takes no configuration."""

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return AgentSpec(
            name="brake",
            horizon=_HORIZON,
            action_period_ns=50_000_000,
            embodiments=(Embodiment(action_space="braking_wall_action", observations=("state",)),),
            capabilities=frozenset({Capability.PREFIX}),
            digest="brake-1",
        )

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request by full braking."""
        return [InferenceReply(actions=np.full((_HORIZON, 1), 6.0)) for _ in requests]
