"""Reference drivers as agents: what a competent driver does in the same case, in the same world."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simloop.agent import Agent, AgentSpec, Call, Embodiment, InferenceReply, InferenceRequest
from simloop.errors import AgentError, ParameterError
from simloop.source_digest import source_digest
from simloop.spec import digest
from simloop_agents.experts.reference_models import model_code
from simloop_agents.experts.reference_plan import STEP_S, plan_accelerations, plan_curvatures

FloatArray = npt.NDArray[np.float64]

HORIZON = 32
ACTION_PERIOD_NS = 50_000_000


class ReferenceDriverAgent(Agent):
    """Drives as one of the four reference models; brakes, keeps its lane, never speeds up.

    It needs a driving world in the action space ``acceleration`` with the sensor ``history``. The dead time of a
    timing acts on it as on any agent; ``added_latency_s`` is dead time that the driver knows of.

    Args:
        model: One of ``REFERENCE_MODELS``.
        added_latency_s: Dead time on top of the model's own reaction time.

    Raises:
        UnknownNameError: There is no such model.
        ParameterError: The latency is not a number from 0 to 10 s.
    """

    def __init__(self, *, model: str, added_latency_s: float = 0.0) -> None:
        self._model = model_code(model)
        if not (math.isfinite(added_latency_s) and 0.0 <= added_latency_s <= 10.0):
            raise ParameterError(f"added_latency_s is {added_latency_s!r}; allowed: a number from 0 to 10.")
        self._added_latency_s = float(added_latency_s)
        self._spec = AgentSpec(
            name=model,
            horizon=HORIZON,
            action_period_ns=ACTION_PERIOD_NS,
            embodiments=(
                Embodiment(
                    action_space="acceleration",
                    observations=("ego_state", "route", "history"),
                    dimensions=("acceleration_mps2", "curvature_per_m"),
                ),
            ),
            digest=digest([source_digest("simloop_agents.experts"), model, self._added_latency_s]),
        )

    @property
    def spec(self) -> AgentSpec:
        """The agent's fixed properties."""
        return self._spec

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        """Answers every request.

        Raises:
            AgentError: A call other than ``policy``.
        """
        return [InferenceReply(actions=self._chunk(request)) for request in requests]

    def _chunk(self, request: InferenceRequest) -> FloatArray:
        if request.call is not Call.POLICY:
            raise AgentError(f"A reference driver answers policy calls only, got {request.call.value!r}.")
        observation, age_ns = request.observation, request.age_ns
        lag_rows = round((age_ns["history"] - age_ns["ego_state"]) * 1e-9 / STEP_S)
        return self.chunk(
            np.asarray(observation["history"], dtype=np.float64),
            np.asarray(observation["route"], dtype=np.float64),
            float(observation["ego_state"][0]),
            max(lag_rows, 0),
        )

    def chunk(
        self, history: FloatArray, route: FloatArray, speed_mps: float, lag_rows: int = 0
    ) -> FloatArray:
        """Returns the (H, 2) accelerations and curvatures for the ticks from the observation on.

        Args:
            history: (T, N, 7) as the driving world's sensor.
            route: (M, 8) as the driving world's sensor.
            speed_mps: Speed of the ego.
            lag_rows: By how many control ticks the chunk begins after the history's last row.
        """
        chunk = np.empty((HORIZON, 2))
        plan_accelerations(history, lag_rows, self._model, self._added_latency_s, chunk)
        plan_curvatures(route, speed_mps, chunk)
        return chunk
