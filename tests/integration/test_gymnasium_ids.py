"""Every registered Gymnasium id keeps to the conventions that learning libraries rely on."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import simloop_bimanual
import simloop_driving
from simloop import LatencyWrapper
from simloop.errors import ConfigurationError
from simloop.scenario_files import load_family, shipped_families
from simloop.world import SensorKind, World

assert simloop_bimanual.__name__ and simloop_driving.__name__  # importing them registers the ids
IDS = sorted(name for name in gymnasium.registry if name.startswith("simloop/"))
SOME_IDS = (
    "simloop/CutIn-v0",
    "simloop/LeadDeceleration-v0",
    "simloop/SignalLeft-v0",
    "simloop/TwoArmLift-v0",
    "simloop/Driving-v0",
)
"""One of each kind, for what does not depend on the scenario."""


def test_importing_the_packages_registers_an_id_for_every_family() -> None:
    named = {gymnasium.spec(env_id).kwargs["family"] for env_id in IDS if env_id != "simloop/Driving-v0"}
    shipped = {name for name in shipped_families() if load_family(name).world in ("driving", "bimanual")}
    assert named == shipped
    assert set(SOME_IDS) <= set(IDS)


def null_action(env: gymnasium.Env[Any, Any]) -> np.ndarray[Any, Any]:
    """Stops the car in its lane; leaves the arms where they are."""
    shape = env.action_space.shape
    assert shape is not None
    return np.zeros(shape, dtype=np.float32)


def world_of(env_id: str) -> World:
    """Returns a world of the kind behind an id."""
    env: Any = gymnasium.make(env_id).unwrapped
    world: World = env.world
    return world


def is_equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(is_equal(first[k], second[k]) for k in first)
    return first.dtype == second.dtype and bool(np.array_equal(first, second))


@pytest.mark.parametrize("env_id", IDS)
def test_the_checker_has_nothing_to_warn_of(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id, render_mode="rgb_array")
        check_env(env.unwrapped)
        env.close()


@pytest.mark.parametrize("env_id", SOME_IDS)
def test_four_copies_step(env_id: str) -> None:
    envs = gymnasium.make_vec(env_id, num_envs=4)
    observation, info = envs.reset(seed=[3, 4, 5, 3])
    assert info["is_success"].tolist() == [False] * 4
    assert info["simloop"]["seed"].tolist() == [3, 4, 5, 3]
    for _ in range(3):
        observation, reward, terminated, truncated, info = envs.step(
            np.zeros(envs.action_space.shape, np.float32)
        )
        assert info["is_success"].tolist() == [False] * 4
        assert reward.shape == terminated.shape == truncated.shape == (4,)
    pixels = next(iter(observation["pixels"].values()))
    assert pixels.shape[0] == 4
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[0], pixels[3])
    assert not np.array_equal(pixels[0], pixels[1])
    envs.close()


@pytest.mark.parametrize("env_id", SOME_IDS)
def test_the_same_seed_gives_the_same_observations_and_success_is_always_said(env_id: str) -> None:
    rollouts = []
    for _ in range(2):
        env = gymnasium.make(env_id)
        observation, info = env.reset(seed=11)
        env.action_space.seed(11)
        seen, said = [observation], [info["is_success"]]
        for _ in range(6):
            observation, *_, info = env.step(0.1 * env.action_space.sample())
            seen.append(observation)
            said.append(info["is_success"])
        env.close()
        assert said == [False] * 7
        rollouts.append(seen)
    assert all(is_equal(a, b) for a, b in zip(*rollouts, strict=True))
    assert not is_equal(rollouts[0][0], rollouts[0][-1])


@pytest.mark.parametrize("env_id", SOME_IDS)
def test_the_latency_wrapper_adds_nothing_but_latency(env_id: str) -> None:
    """Without latency every step is the bare one; with it the same world is played, later."""
    # Proprioception alone, so that nothing is rendered.
    sensor = next(s.name for s in world_of(env_id).spec.sensors if s.kind is SensorKind.PROPRIOCEPTION)

    def rollout(env: gymnasium.Env[Any, Any]) -> list[Any]:
        env.action_space.seed(2)
        return [env.reset(seed=11)[0], *(env.step(0.1 * env.action_space.sample())[0] for _ in range(8))]

    env = gymnasium.make(env_id, sensors=(sensor,))
    bare = rollout(env)
    without = LatencyWrapper(env, timing="zero")
    assert not without.is_quantised
    assert all(is_equal(a, b) for a, b in zip(bare, rollout(without), strict=True))
    without.close()
    late_env = LatencyWrapper(gymnasium.make(env_id, sensors=(sensor,)), timing="xr0_4090")
    late = rollout(late_env)
    assert is_equal(bare[0], late[0])
    assert not is_equal(bare[-1], late[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The checker recommends the bare environment; here the wrapper is what is checked.
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version.*")
        check_env(late_env)
    late_env.close()


@pytest.mark.parametrize("env_id", SOME_IDS)
def test_the_end_of_the_horizon_is_truncated_and_never_terminated(env_id: str) -> None:
    # Proprioception alone, so that nothing is rendered.
    spec = world_of(env_id).spec
    sensor = next(s.name for s in spec.sensors if s.kind is SensorKind.PROPRIOCEPTION)
    env = gymnasium.make(env_id, sensors=(sensor,), normalise_actions=False)
    _, info = env.reset(seed=0)
    action = null_action(env)
    num_steps = 0
    terminated = truncated = False
    while not (terminated or truncated):
        _, _, terminated, truncated, info = env.step(action)
        assert info["is_success"] is False
        num_steps += 1
    env.close()
    name: Any = gymnasium.spec(env_id).kwargs["family"]
    reason = info["simloop"]["reason"]
    if num_steps * spec.control_period_ns < load_family(name).time_limit_ns:
        assert (terminated, truncated, reason) == (True, False, "no_progress")
    else:
        assert (terminated, truncated) == (False, True)
        assert reason in ("", "time_limit")
    assert (reason == "no_progress") == (name in ("cut_in", "lead_deceleration"))


def test_any_scenario_is_played_by_options() -> None:
    env = gymnasium.make("simloop/Driving-v0", sensors=("ego_state",))
    _, info = env.reset(seed=4)
    assert info["simloop"]["family"] == "cut_in"
    _, info = env.reset(seed=4, options={"scenario": "signal_left", "parameters": {"ego_speed_mps": 9.0}})
    assert info["simloop"]["family"] == "signal_left"
    assert info["simloop"]["parameters"]["ego_speed_mps"] == 9.0
    observation, info = env.reset(seed=4)
    assert info["simloop"]["family"] == "signal_left"
    assert env.unwrapped.task == "signal_left"  # type: ignore[attr-defined]
    direct = gymnasium.make("simloop/SignalLeft-v0", sensors=("ego_state",))
    assert is_equal(observation, direct.reset(seed=4)[0])
    with pytest.raises(ConfigurationError, match=r"two_arm_lift is for the world 'bimanual'"):
        env.reset(options={"scenario": "two_arm_lift"})


@pytest.mark.parametrize(
    ("env_id", "options", "reason"),
    [
        (
            "simloop/CutIn-v0",
            {"world": "carla", "prt": 1},
            r"option 'prt' in gymnasium\.make\(\.\.\., world='carla'\)\. Did you mean 'port'\? .*patience_s.*sensors",
        ),
        ("simloop/CutIn-v0", {"port": 5}, r"option 'port' in gymnasium\.make\(\.\.\., world='driving'\).*sensors"),
        ("simloop/Driving-v0", {"port": 5}, r"option 'port' in gymnasium\.make\(\.\.\., world='driving'\)"),
        (
            "simloop/CutIn-v0",
            {"world_config": {"acton": "waypoints"}},
            r"option 'acton' in world_config of gymnasium\.make.* Did you mean 'action'\?",
        ),
        ("simloop/TwoArmLift-v0", {"world": "carla"}, r"option 'world' in gymnasium\.make.*robots.*sensors"),
        ("simloop/TwoArmLift-v0", {"sensor": ()}, r"option 'sensor' in gymnasium\.make.* Did you mean 'sensors'\?"),
    ],
)  # fmt: skip
def test_options_that_there_are_not_are_named(env_id: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        gymnasium.make(env_id, **options)


def test_a_worlds_own_options_may_stand_beside_those_of_the_environment() -> None:
    env: Any = gymnasium.make(
        "simloop/TwoArmLift-v0", camera_height_px=64, sensors=("front_camera",)
    ).unwrapped
    assert env.observation_space["pixels"]["front_camera"].shape == (64, 128, 3)
