"""Sensors that an agent reads where a world has them and does without elsewhere."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from simloop.agent import AgentSpec, Embodiment, InferenceRequest
from simloop.compatibility import matching_embodiment
from simloop.errors import IncompatibleAgentError
from simloop.strategies.naive_async import NaiveAsync
from simloop.testing import DelayedIntegrator, ScriptedAgent, play, toy_case
from simloop.timing.settings import Timing
from simloop.world import SensorKind, SensorSpec, WorldSpec

HORIZON = 16


class WithGauge(DelayedIntegrator):
    """The delayed integrator with a second sensor."""

    def __init__(self) -> None:
        super().__init__(initial=1.0)
        gauge = SensorSpec(
            name="gauge",
            kind=SensorKind.OBJECTS,
            shape=(1,),
            dtype="float64",
            period_ns=50_000_000,
            payload_bytes=8,
        )
        self._spec = dataclasses.replace(self._spec, sensors=(*self._spec.sensors, gauge))


def _spec(world: WorldSpec) -> AgentSpec:
    embodiment = Embodiment(
        action_space=world.action.name, observations=("state",), optional_observations=("gauge", "lidar")
    )
    agent = ScriptedAgent(world, lambda request: np.zeros((HORIZON, 1)), horizon=HORIZON)
    return dataclasses.replace(agent.spec, embodiments=(embodiment,))


@pytest.mark.parametrize(
    ("world", "names"),
    [(DelayedIntegrator(), {"state"}), (WithGauge(), {"state", "gauge"})],
    ids=["without", "with"],
)
def test_an_agent_gets_the_optional_sensors_that_the_world_has(
    world: DelayedIntegrator, names: set[str]
) -> None:
    spec = _spec(world.spec)
    resolved = matching_embodiment(spec, world.spec, NaiveAsync())
    assert set(resolved.observations) == names
    assert resolved.optional_observations == ()

    seen: list[InferenceRequest] = []

    class Reader(ScriptedAgent):
        """Notes what it is asked."""

        @property
        def spec(self) -> AgentSpec:
            return spec

    def plan(request: InferenceRequest) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        seen.append(request)
        return np.zeros((HORIZON, 1))

    agent = Reader(world.spec, plan, horizon=HORIZON)
    play(world, agent, case=toy_case(time_limit_s=1.0), timing=Timing(name="t"), strategy=NaiveAsync())
    assert len(seen) > 1
    for request in seen:
        assert set(request.observation) == set(request.age_ns) == names


@pytest.mark.parametrize(
    ("shapes", "known"),
    [({"gauge": ((1,), (4,))}, True), ({"gauge": ((2,), (4, 1))}, False), ({"lidar": ((9,),)}, True)],
)
def test_an_agent_is_refused_where_a_sensor_has_a_shape_that_it_does_not_know(
    shapes: dict[str, tuple[tuple[int, ...], ...]], known: bool
) -> None:
    world = WithGauge()
    spec = _spec(world.spec)
    told = dataclasses.replace(spec, embodiments=(dataclasses.replace(spec.embodiments[0], shapes=shapes),))
    if known:
        assert set(matching_embodiment(told, world.spec, NaiveAsync()).observations) == {"state", "gauge"}
        return
    with pytest.raises(
        IncompatibleAgentError, match=r"what 'gauge' holds .*gives shape \(1,\).*knows \(2,\), \(4, 1\)"
    ):
        matching_embodiment(told, world.spec, NaiveAsync())
