"""The conformance checks pass what is right and name what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import AgentSpec, Capability, InferenceReply, InferenceRequest
from simloop.errors import AgentError, LogError, WorldError
from simloop.log import Columns
from simloop.spec import Scenario
from simloop.strategies.naive_async import NaiveAsync
from simloop.testing import (
    BrakingWall,
    DelayedIntegrator,
    ScriptedAgent,
    check_agent,
    check_world,
    play,
    toy_case,
)
from simloop.timing.stage_graph import Timing
from simloop.world import ActionSpec, Anchor, Frame, SensorKind, WorldSpec

FloatArray = npt.NDArray[np.float64]


def _with(world: DelayedIntegrator, **changed: Any) -> None:
    fields = {name: getattr(world.spec, name) for name in WorldSpec.__dataclass_fields__}
    world._spec = WorldSpec(**{**fields, **changed})


def _with_sensor(world: DelayedIntegrator, **changed: Any) -> None:
    _with(world, sensors=(dataclasses.replace(world.spec.sensors[0], **changed),))


class IgnoresReset(DelayedIntegrator):
    def reset(self, scenario: Scenario, seed: int) -> None:
        state, self._now_ns, self._rows = self._state, 0, []
        self._state = state + 1.0


class DiffersByInstance(DelayedIntegrator):
    count = 0

    def __init__(self) -> None:
        super().__init__()
        DiffersByInstance.count += 1
        self._initial = float(DiffersByInstance.count)


class WrongDtype(DelayedIntegrator):
    def __init__(self) -> None:
        super().__init__()
        _with_sensor(self, dtype="float32")


class WrongShape(DelayedIntegrator):
    def __init__(self) -> None:
        super().__init__()
        _with_sensor(self, shape=(2,))


class NoProprioception(DelayedIntegrator):
    def __init__(self) -> None:
        super().__init__()
        _with_sensor(self, kind=SensorKind.OBJECTS)


class PeriodsDoNotDivide(DelayedIntegrator):
    def __init__(self) -> None:
        super().__init__()
        _with(self, physics_period_ns=30_000_000)


class NullActionTooLong(DelayedIntegrator):
    def __init__(self) -> None:
        super().__init__()
        action = self._spec.action
        fields = {name: getattr(action, name) for name in ActionSpec.__dataclass_fields__}
        _with(self, action=ActionSpec(**{**fields, "null_action": (0.0, 0.0)}))


class Lossy(ActionSpec):
    def from_world(self, actions: FloatArray, anchor: Anchor) -> FloatArray:
        return actions + 1.0


class NotInverse(DelayedIntegrator):
    def __init__(self) -> None:
        super().__init__()
        action = self._spec.action
        _with(self, action=Lossy(**{name: getattr(action, name) for name in ActionSpec.__dataclass_fields__}))


class ReadsTheFuture(DelayedIntegrator):
    def capture(self, sensor: str, index: int) -> Frame:
        frame = super().capture(sensor, index)
        return Frame(
            sensor=sensor, index=index, captured_at_ns=frame.captured_at_ns + 1, render=lambda: frame.array
        )


class DoesNotFreeze(DelayedIntegrator):
    def next_state(self, period_s: float) -> FloatArray:
        return super().next_state(period_s) + 1.0

    def capture(self, sensor: str, index: int) -> Frame:
        return Frame(
            sensor=sensor, index=index, captured_at_ns=self._now_ns, render=lambda: self._state.copy()
        )


class GoesBack(DelayedIntegrator):
    def advance(self, until_ns: int) -> None:
        if until_ns >= self._now_ns:
            super().advance(until_ns)


class DrawsWhenExpected(DelayedIntegrator):
    def expect_captures(self, sensors: Collection[str]) -> None:
        self._initial += len(sensors)


class ForgetsAColumn(DelayedIntegrator):
    def drain(self) -> Mapping[str, Columns]:
        return {"state": {"t_ns": super().drain()["state"]["t_ns"]}}


def test_the_toy_worlds_pass() -> None:
    check_world(DelayedIntegrator, toy_case())
    check_world(lambda: DelayedIntegrator(initial=None), toy_case(seed=3))
    check_world(BrakingWall, toy_case(), num_ticks=30)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            IgnoresReset,
            WorldError,
            r"two resets with one seed gave different bytes; reset must restore every state",
        ),
        (DiffersByInstance, WorldError, r"two worlds with one seed gave different bytes"),
        (DrawsWhenExpected, WorldError, r"other bytes after expect_captures had named its sensors"),
        (WrongDtype, WorldError, r"sensor 'state' gave float64 \(1,\), its spec says float32 \(1,\)"),
        (WrongShape, WorldError, r"sensor 'state' gave float64 \(1,\), its spec says float64 \(2,\)"),
        (NoProprioception, WorldError, r"no sensor of kind proprioception"),
        (PeriodsDoNotDivide, WorldError, r"control period 50000000 ns is not a multiple of 30000000 ns"),
        (NullActionTooLong, WorldError, r"null_action does not have one entry a dimension"),
        (NotInverse, WorldError, r"from_world\(to_world\(actions\)\) differs"),
        (ReadsTheFuture, WorldError, r"sensor 'state' at 0 ns is stamped 1 ns, in the future"),
        (
            DoesNotFreeze,
            WorldError,
            r"sensor 'state' gives another array when it is read after the world has moved",
        ),
        (GoesBack, WorldError, r"advance\(0\) must raise ValueError"),
        (ForgetsAColumn, LogError, r"missing columns \['x'\]"),
    ],
)
def test_a_broken_world_is_named(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_world(make, toy_case())


WORLD = DelayedIntegrator()


def _requests() -> list[InferenceRequest]:
    collected: list[InferenceRequest] = []

    def plan(request: InferenceRequest) -> FloatArray:
        collected.append(request)
        return np.full((8, 1), -0.5 * request.observation["state"][0])

    agent = ScriptedAgent(WORLD.spec, plan, horizon=8)
    play(DelayedIntegrator(), agent, case=toy_case(), timing=Timing(name="t"), strategy=NaiveAsync())
    return collected[1:4]


class Broken(ScriptedAgent):
    """An agent that answers by a function of (request's number in the batch, size of the batch, number of the call)."""

    def __init__(self, answer: Any) -> None:
        super().__init__(WORLD.spec, lambda request: np.zeros((8, 1)), horizon=8)
        self._answer = answer
        self._calls = 0

    def infer(self, requests: Sequence[InferenceRequest]) -> Sequence[InferenceReply]:
        self._calls += 1
        replies = [
            InferenceReply(actions=self._answer(n, len(requests), self._calls)) for n in range(len(requests))
        ]
        return replies[:1] if self._answer is _too_few and len(requests) > 1 else replies


def _too_few(number: int, size: int, call: int) -> FloatArray:
    return np.zeros((8, 1))


class ForgetsThePrefix(ScriptedAgent):
    def _continued(self, request: InferenceRequest) -> FloatArray:
        return np.ones((8, 1))


class NoPrefix(ForgetsThePrefix):
    @property
    def spec(self) -> AgentSpec:
        return dataclasses.replace(super().spec, capabilities=frozenset[Capability]())


def test_a_scripted_agent_passes_and_a_claim_that_is_not_made_is_not_checked() -> None:
    check_agent(
        ScriptedAgent(WORLD.spec, lambda r: np.full((8, 1), r.observation["state"][0]), horizon=8),
        _requests(),
    )
    check_agent(NoPrefix(WORLD.spec, lambda r: np.zeros((8, 1)), horizon=8), _requests())


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (
            Broken(lambda n, size, call: np.full((8, 1), float(size))),
            r"request 0 is answered differently alone and in a batch",
        ),
        (
            Broken(lambda n, size, call: np.full((8, 1), float(call > 4))),
            r"answered differently the second time",
        ),
        (Broken(_too_few), r"3 requests got 1 replies"),
        (Broken(lambda n, size, call: np.zeros((7, 1))), r"reply 0 is not a chunk of 8 rows; got \(7, 1\)"),
        (Broken(lambda n, size, call: np.zeros(8)), r"reply 0 is not a chunk of 8 rows; got \(8,\)"),
        (Broken(lambda n, size, call: None), r"reply 0 is not a chunk of 8 rows; got None"),
        (
            Broken(lambda n, size, call: np.full((8, 1), np.nan if n == 2 else 0.0)),
            r"reply 2 holds NaN or infinity",
        ),
        (
            ForgetsThePrefix(WORLD.spec, lambda r: np.zeros((8, 1)), horizon=8),
            r"claims prefix, but committed rows do not",
        ),
    ],
)
def test_a_broken_agent_is_named(agent: ScriptedAgent, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        check_agent(agent, _requests())


def test_batches_are_compared_only_with_two_requests_or_more() -> None:
    with pytest.raises(ValueError, match="at least two requests; got 1"):
        check_agent(Broken(_too_few), _requests()[:1])
