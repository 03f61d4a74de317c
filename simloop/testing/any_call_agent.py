"""An agent that takes every kind of call and keeps what it was asked, for tests of loops and strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simloop.agent import Agent, AgentSpec, Call, Capability, Embodiment, InferenceReply, InferenceRequest
from simloop.world import WorldSpec


class AnyCallAgent(Agent):
    """Answers policy, context, expert and corrector calls by one function, and has every capability.

    Args:
        world: The world that it acts in; it reads every sensor of it.
        reply: From a request to its reply.
        horizon: H, rows of a chunk.
        action_period_ns: Time between two rows; the world's control period if not given.

    Attributes:
        requests: What it was asked, in order.
    """

    def __init__(
        self,
        world: WorldSpec,
        reply: Callable[[InferenceRequest], InferenceReply],
        *,
        horizon: int,
        action_period_ns: int | None = None,
    ) -> None:
        self.requests: list[InferenceRequest] = []
        self._reply = reply
        self._spec = AgentSpec(
            name="any_call",
            horizon=horizon,
            action_period_ns=world.control_period_ns if action_period_ns is None else action_period_ns,
            embodiments=(
                Embodiment(action_space=world.action.name, observations=tuple(s.name for s in world.sensors)),
            ),
            digest="any_call",
            calls=frozenset(Call),
            capabilities=frozenset(Capability),
        )

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return self._spec

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request by the function."""
        self.requests += requests
        return [self._reply(request) for request in requests]

    def asked(self, call: Call) -> list[InferenceRequest]:
        """Returns the requests of one kind of call, in order."""
        return [request for request in self.requests if request.call is call]
