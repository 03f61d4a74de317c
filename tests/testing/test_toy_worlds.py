"""The toy worlds against their closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.errors import ParameterError
from simloop.testing import BrakingWall, DelayedIntegrator, toy_case
from simloop.world import OutcomeState


def _reset(world: Any) -> None:
    world.reset(toy_case().scenario, 0)


@pytest.mark.parametrize("brake_after_s", [0.0, 0.25, 0.5, 1.0])
def test_the_braking_wall_moves_as_constant_deceleration_does(brake_after_s: float) -> None:
    world = BrakingWall(speed_mps=10.0, gap_m=100.0, deceleration_mps2=5.0)
    _reset(world)
    world.advance(round(brake_after_s * 1e9))
    world.actuate(np.array([99.0]))
    world.advance(4_000_000_000)
    drained = world.drain()["state"]
    t_s = np.asarray(drained["t_ns"]) * 1e-9
    braking_s = np.clip(t_s - brake_after_s, 0, 10.0 / 5.0)
    assert np.asarray(drained["speed_mps"]) == pytest.approx(10.0 - 5.0 * braking_s)
    travelled_m = 10.0 * np.minimum(t_s, brake_after_s) + 10.0 * braking_s - 2.5 * braking_s**2
    assert 100.0 - np.asarray(drained["gap_m"]) == pytest.approx(travelled_m)
    assert world.outcome().state is OutcomeState.SUCCESS


def test_the_wall_is_hit_and_says_so() -> None:
    world = BrakingWall(speed_mps=10.0, gap_m=5.0, deceleration_mps2=5.0)
    _reset(world)
    assert world.critical_latency_s == pytest.approx((5.0 - 100.0 / 10.0) / 10.0)
    world.advance(499_000_000)
    assert world.outcome().state is OutcomeState.RUNNING
    world.advance(501_000_000)
    assert (world.outcome().state, world.outcome().reason) == (OutcomeState.FAIL, "collision")


@pytest.mark.parametrize("name", ["speed_mps", "gap_m", "deceleration_mps2"])
def test_the_walls_figures_are_positive(name: str) -> None:
    with pytest.raises(ParameterError, match="speed_mps, gap_m and deceleration_mps2 must be positive; got"):
        BrakingWall(**{name: 0.0})


def test_the_integrator_adds_its_action_every_period() -> None:
    world = DelayedIntegrator(initial=2.0)
    _reset(world)
    for tick, action in enumerate([1.0, -0.5, 0.25]):
        world.actuate(np.array([action]))
        world.advance((tick + 1) * 50_000_000)
    assert list(world.drain()["state"]["x"]) == [2.0, 3.0, 2.5, 2.75]
    assert list(world.drain()["state"]["x"]) == []
    assert world.outcome().state is OutcomeState.RUNNING


@pytest.mark.parametrize("until_ns", [49_999_999, -50_000_000, 0])
def test_a_world_moves_forward_in_whole_periods(until_ns: int) -> None:
    world = DelayedIntegrator()
    _reset(world)
    world.advance(50_000_000)
    with pytest.raises(
        ValueError, match=rf"Cannot advance to {until_ns} ns: it must be a multiple of 50000000 ns"
    ):
        world.advance(until_ns)


def test_the_seed_draws_the_start() -> None:
    starts = []
    for seed in (1, 1, 2):
        world = DelayedIntegrator(initial=None)
        world.reset(toy_case().scenario, seed)
        starts.append(float(world.capture("state", 0).array[0]))
    assert starts[0] == starts[1] != starts[2]
    with pytest.raises(KeyError, match="lidar"):
        DelayedIntegrator().capture("lidar", 0)
