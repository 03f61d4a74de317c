"""The Gymnasium view of the two-arm world."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import simloop_bimanual
from simloop_bimanual import gym_ids

IDS = tuple(gym_ids.IDS)


@pytest.mark.parametrize("env_id", IDS)
def test_check_env_has_nothing_to_say(env_id: str) -> None:
    assert simloop_bimanual.__name__ in {spec.entry_point.split(".")[0] for spec in [gymnasium.spec(env_id)]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id)
        check_env(env.unwrapped)
        env.close()


def test_vectors_of_four_step() -> None:
    envs = gymnasium.make_vec(
        IDS[0], num_envs=4, vectorization_mode="sync", sensors=("robot_state", "object_state")
    )
    observations, _ = envs.reset(seed=3)
    first = np.array(observations["agent_pos"])
    assert first.shape == (4, 32)
    assert len(np.unique(first[:, 0])) == 4  # one seed each
    observations, rewards, terminated, truncated, info = envs.step(envs.action_space.sample())
    assert rewards.shape == terminated.shape == truncated.shape == (4,)
    assert not np.array_equal(np.array(observations["agent_pos"]), first)
    assert not info["is_success"].any()
    envs.close()


def test_time_limit_truncates() -> None:
    env = gymnasium.make(IDS[0], sensors=("robot_state",))
    env.reset(seed=1)
    steps, ended = 0, False
    while not ended:
        _, reward, terminated, ended, info = env.step(np.zeros(14, dtype=np.float32))
        steps += 1
        assert reward == 0.0 and not terminated and not info["is_success"]
    assert steps == 200
