"""The fork and the lander: worlds equal their batched form, experts do as well as measured before."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ConfigurationError, ParameterError
from simloop.plugins import world_class
from simloop.randomness import generator, stream_key
from simloop.scenario_files import load_family
from simloop.spec import Case
from simloop.testing import check_world, toy_case
from simloop.testing.fork import Fork
from simloop.testing.fork_batch import ACTION_NOISE_MPS, ForkBatch
from simloop.testing.lander import Lander
from simloop.testing.lander_batch import ACTION_NOISE_MPS2, SIDE_GAINS, LanderBatch
from simloop.testing.lqr import lqr_gains
from simloop.world import OutcomeState

FAMILIES = ("fork", "fork_two", "lander")
NUM_CASES = 200


def _column(cases: list[Case], name: str) -> npt.NDArray[np.float64]:
    return np.array([case.scenario.parameters[name] for case in cases], dtype=np.float64)


def _batch(family: str, cases: list[Case]) -> Any:
    draws = np.random.default_rng(0)
    if family == "lander":
        batch = LanderBatch(num_episodes=len(cases), draws=draws)
        names = ("start_x_m", "start_x_mps", "start_y_m", "start_y_mps")
        batch.set_state(np.stack([_column(cases, name) for name in names], axis=1))
        return batch
    num_discs = 2 if family == "fork_two" else 1
    fork = ForkBatch(num_discs=num_discs, num_episodes=len(cases), draws=draws)
    discs = range(1, num_discs + 1)
    fork.set_scene(
        y_m=_column(cases, "start_y_m"),
        disc_x_m=np.stack([2.2 * i + _column(cases, f"disc_{i}_offset_m") for i in discs], axis=1),
        disc_y_m=np.stack([_column(cases, f"disc_{i}_y_m") for i in discs], axis=1),
        target_y_m=_column(cases, "target_y_m"),
        target_drift_m=_column(cases, "target_drift_mps") * 0.1,
    )
    return fork


@pytest.mark.parametrize("name", FAMILIES)
def test_the_world_is_the_batch_bit_for_bit(name: str) -> None:
    family = load_family(name)
    cases = [family.case(seed) for seed in range(NUM_CASES)]
    batch = _batch(name, cases)
    num_steps = batch.num_steps
    assert family.time_limit_ns == num_steps * 100_000_000
    kind = world_class(family.world)
    scale = ACTION_NOISE_MPS2 if name == "lander" else ACTION_NOISE_MPS
    noise = np.stack(
        [
            generator(stream_key("action-noise", family.world, case.seed)).standard_normal((num_steps + 1, 2))
            for case in cases
        ]
    )
    assert scale == 0.1
    worlds = [kind(**family.world_config) for _ in cases]
    for world, case in zip(worlds, cases, strict=True):
        world.reset(case.scenario, case.seed)
    for step in range(num_steps):
        observations = np.stack([w.capture("observation", step).array for w in worlds])
        assert np.array_equal(observations, batch.observe()), step
        # Beyond the limits in places, so that clipping is compared too.
        commands = 1.3 * batch.expert()
        for world, command in zip(worlds, commands, strict=True):
            world.actuate(command)
            world.advance((step + 1) * 100_000_000)
        batch.step(commands, noise[:, step])
    states = [world.outcome().state for world in worlds]
    assert [s is OutcomeState.SUCCESS for s in states] == batch.is_success.tolist()
    assert [s is OutcomeState.RUNNING for s in states] == batch.is_live.tolist()
    assert 0.2 < batch.is_success.mean() < 1.0 or name == "lander"


@pytest.mark.parametrize("name", FAMILIES)
def test_the_worlds_keep_the_contract(name: str) -> None:
    family = load_family(name)
    kind = world_class(family.world)
    check_world(lambda: kind(**family.world_config), family.case(5), num_ticks=20)
    assert kind(**family.world_config).spec.max_interleaved == 512


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        # 98.9 %, 95.9 % and 100 % were measured with exploration noise of 0.2 in 2,000 to 4,000 episodes.
        (lambda draws: ForkBatch(num_discs=1, num_episodes=4000, draws=draws), 0.98, 0.995),
        (lambda draws: ForkBatch(num_discs=2, num_episodes=3000, draws=draws), 0.94, 0.975),
        (lambda draws: LanderBatch(num_episodes=2000, draws=draws), 0.998, 1.0),
    ],
)
def test_the_expert_succeeds_as_often_as_it_did(make: Any, low: float, high: float) -> None:
    draws = np.random.default_rng(3)
    batch = make(draws)
    for _ in range(batch.num_steps):
        command = batch.expert()
        batch.step(np.clip(command + 0.2 * draws.standard_normal(command.shape), -1.0, 1.0))
    assert low <= batch.is_success.mean() <= high


def test_the_experts_side_is_a_coin_toss_that_the_state_does_not_tell() -> None:
    batch = ForkBatch(num_discs=1, num_episodes=20_000, draws=np.random.default_rng(1))
    side = np.zeros(20_000)
    lateral = batch.observe()[:, 1]
    for _ in range(30):
        near = (batch.observe()[:, 0] <= 1.0) & (side == 0.0)
        side[near] = np.sign(batch.expert()[near, 1])
        batch.step(batch.expert())
    assert np.all(side != 0.0)
    # Four standard errors of a fair coin, and of a correlation of 0.
    assert abs(side.mean()) < 4.0 / np.sqrt(20_000)
    assert abs(np.corrcoef(side, lateral)[0, 1]) < 4.0 / np.sqrt(20_000)


def test_the_landers_expert_is_the_regulator_of_its_cost() -> None:
    assert lqr_gains(10.0) == pytest.approx(SIDE_GAINS, abs=5e-5)


def test_noise_is_the_seeds_and_goes_on_beyond_the_time_limit() -> None:
    def positions(seed: int, noise_mps: float = 0.1) -> npt.NDArray[np.float64]:
        world = Fork(action_noise_mps=noise_mps)
        scenario = load_family("fork").scenario(0, {"disc_1_y_m": 0.4, "disc_1_offset_m": 0.1})
        world.reset(scenario, seed)
        world.advance(12_000_000_000)
        return np.asarray(world.drain()["state"]["y_m"])

    first = positions(1)
    assert np.array_equal(first, positions(1))
    assert not np.array_equal(first, positions(2))
    assert len(first) == 121
    assert np.all(np.diff(first) != 0.0)
    assert np.all(np.diff(positions(1, 0.0)) == 0.0)


def test_an_ended_episode_keeps_its_state() -> None:
    world = Lander()
    case = load_family("lander").case(0)
    world.reset(case.scenario, case.seed)
    world.actuate(np.array([0.0, -1.0]))
    world.advance(5_000_000_000)
    assert (world.outcome().state, world.outcome().reason) == (OutcomeState.FAIL, "hard_landing")
    heights = np.asarray(world.drain()["state"]["y_m"])
    landed = int(np.argmax(heights <= 0.0))
    assert 0 < landed < 40
    assert np.all(heights[landed:] == heights[landed])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fork(num_discs=3), r"num_discs is 3; allowed: 1 or 2"),
        (lambda: Fork(action_noise_mps=-0.1), r"noise is -0.1 m/s; allowed: 0 to 10"),
        (lambda: Lander(action_noise_mps2=float("nan")), r"noise is nan m/s2; allowed: 0 to 10"),
    ],
)
def test_bad_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()


def test_a_scenario_of_another_world_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"needs the parameter 'disc_1_offset_m' as a number; got None"
    ):
        Fork().reset(toy_case("fork").scenario, 0)
