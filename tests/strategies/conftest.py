"""Chunks and action spaces for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import Call
from simloop.strategies.buffer import NO_REQUEST, ActionBuffer, ArrivedChunk
from simloop.strategies.strategy import Strategy
from simloop.world import ActionDimension, ActionSpec, Hold


def _action_space(hold: Hold = Hold.REPEAT, *, units: Sequence[str] = ("m",)) -> ActionSpec:
    """An action space with one entry for each unit."""
    dimensions = tuple(
        ActionDimension(name=f"a{n}", unit=unit, low=-1e9, high=1e9) for n, unit in enumerate(units)
    )
    return ActionSpec(name="a", dimensions=dimensions, hold=hold, null_action=(0.0,) * len(units))


def _arrived(
    request: int,
    values: Sequence[float] | npt.NDArray[np.float64],
    *,
    k: int,
    d: int = 0,
    first_row: int = 0,
    call: Call = Call.POLICY,
    base_request: int = NO_REQUEST,
) -> ArrivedChunk:
    """A chunk of the observation tick ``k`` that arrived ``d`` ticks later."""
    actions = np.array(values, dtype=np.float64)
    return ArrivedChunk(
        request=request,
        observation_tick=k,
        install_tick=k + d,
        actions=actions.reshape(len(actions), -1),
        first_row=first_row,
        call=call,
        base_request=base_request,
        arrival_ns=(k + d) * 50,
        observation_ns=k * 50,
        action_period_ns=50,
        control_period_ns=50,
    )


def _installed(
    strategy: Strategy, chunks: Sequence[ArrivedChunk], action: ActionSpec | None = None
) -> ActionBuffer:
    """A buffer in which the chunks were installed, in their order."""
    chosen = action or _action_space()
    buffer = ActionBuffer(chosen.size)
    for chunk in chunks:
        strategy.install(buffer, chunk, chosen)
    return buffer


@pytest.fixture
def action_space() -> Callable[..., ActionSpec]:
    """Makes an action space with one entry for each unit."""
    return _action_space


@pytest.fixture
def arrived() -> Callable[..., ArrivedChunk]:
    """Makes a chunk of the observation tick ``k`` that arrived ``d`` ticks later."""
    return _arrived


@pytest.fixture
def installed() -> Callable[..., ActionBuffer]:
    """Makes a buffer in which chunks were installed, in their order."""
    return _installed
