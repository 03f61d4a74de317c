"""The expert agent: a rule-based planner with ground truth for every embodiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simloop.agent import (
    Agent,
    AgentSpec,
    Call,
    Capability,
    Embodiment,
    InferenceReply,
    InferenceRequest,
)
from simloop.errors import AgentError, UnknownNameError
from simloop.source_digest import source_digest
from simloop_agents.experts.two_arm.planner import MODULES, OBSERVATIONS, ROBOT_STATE_SIZE

FloatArray = npt.NDArray[np.float64]

HORIZON = 32
ACTION_PERIOD_NS = 50_000_000


def _two_arm(action_space: str) -> Embodiment:
    sizes = sorted(size for size, (space, _) in MODULES.items() if space == action_space)
    return Embodiment(
        action_space=action_space,
        observations=OBSERVATIONS,
        shapes={"robot_state": ((ROBOT_STATE_SIZE,),), "object_state": tuple((size,) for size in sizes)},
    )


EMBODIMENTS = (
    Embodiment(
        action_space="waypoints",
        observations=("objects", "route", "ego_state"),
        dimensions=("x_m", "y_m", "yaw_rad", "speed_mps"),
        optional_observations=("road_ahead", "controls", "conflicts"),
    ),
    Embodiment(
        action_space="acceleration",
        observations=("objects", "route", "ego_state"),
        dimensions=("acceleration_mps2", "curvature_per_m"),
        optional_observations=("road_ahead", "controls", "conflicts"),
    ),
    _two_arm("two_arm_delta"),
    _two_arm("two_arm_pose_delta"),
)


class Planner(Protocol):
    """Plans for one embodiment."""

    def chunk(self, request: InferenceRequest) -> FloatArray:
        """Returns the (H, A) chunk for a request; committed rows come back bit for bit."""
        ...


def _make_planner(action_space: str) -> Planner:
    """Makes the planner of one embodiment; each is imported only when it is needed."""
    if action_space == "waypoints":
        from simloop_agents.experts.driving import DrivingExpert

        return DrivingExpert(horizon=HORIZON)
    if action_space == "acceleration":
        from simloop_agents.experts.driving_acceleration import AccelerationExpert

        return AccelerationExpert(horizon=HORIZON)
    if action_space in ("two_arm_delta", "two_arm_pose_delta"):
        from simloop_agents.experts.two_arm.planner import TwoArmExpert

        return TwoArmExpert(action_space, horizon=HORIZON)
    raise UnknownNameError("action space of the expert", action_space, (e.action_space for e in EMBODIMENTS))


class ExpertAgent(Agent):
    """Answers by the driving or the two-arm expert, whichever the request's embodiment asks for.

    Both plan a chunk by rolling out their own closed loop, so that a chunk stays plausible when it arrives late,
    and continue committed actions. There is nothing random and no state between calls.
    """

    def __init__(self) -> None:
        self._planners: dict[str, Planner] = {}
        self._spec = AgentSpec(
            name="expert",
            horizon=HORIZON,
            action_period_ns=ACTION_PERIOD_NS,
            embodiments=EMBODIMENTS,
            capabilities=frozenset({Capability.PREFIX}),
            digest=source_digest("simloop_agents.experts"),
        )

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return self._spec

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request.

        Raises:
            AgentError: A call other than ``policy``.
            UnknownNameError: An embodiment that no expert acts in.
        """
        return [InferenceReply(actions=self._chunk(request)) for request in requests]

    def _chunk(self, request: InferenceRequest) -> FloatArray:
        if request.call is not Call.POLICY:
            raise AgentError(f"The expert answers policy calls only, got {request.call.value!r}.")
        planner = self._planners.get(request.embodiment)
        if planner is None:
            planner = self._planners[request.embodiment] = _make_planner(request.embodiment)
        return planner.chunk(request)
