"""The Gymnasium view of the two-arm world; ``tests/integration`` asks Gymnasium's checker about every id."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest

import simloop_bimanual
from simloop.scenario_files import load_family, shipped_families
from simloop_bimanual import gym_ids
from simloop_bimanual.tasks import TASKS

IDS = tuple(gym_ids.IDS)


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


@pytest.mark.parametrize("env_id", IDS)
def test_the_keys_are_those_that_lerobot_reads(env_id: str) -> None:
    """lerobot's ``preprocess_observation`` takes ``pixels`` (a mapping of cameras: height, width, channels, uint8),
    ``agent_pos`` and ``environment_state``; its rollouts read ``info["is_success"]`` and ``task_description``."""
    assert str(gymnasium.spec(env_id).entry_point).startswith(f"{simloop_bimanual.__name__}.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id)
    family = load_family(gym_ids.IDS[env_id])
    observation, info = env.reset(seed=0)
    assert info["is_success"] is False
    for stage in ("reset", "step"):
        assert set(observation) == {"pixels", "agent_pos", "environment_state"}, stage
        assert set(observation["pixels"]) == {"front_camera", "left_wrist_camera", "right_wrist_camera"}
        for image in observation["pixels"].values():
            assert image.shape == (96, 128, 3) and image.dtype == np.uint8 and np.ptp(image) > 50
        assert observation["agent_pos"].shape == (32,)
        assert observation["environment_state"].ndim == 1
        assert env.observation_space.contains(observation)
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert isinstance(info["is_success"], bool) and reward == float(info["is_success"])
        assert not truncated and not (terminated and info["is_success"])
    assert env.unwrapped.task_description == family.instruction != ""  # type: ignore[attr-defined]
    assert env.unwrapped.task == family.name  # type: ignore[attr-defined]
    assert env.unwrapped.metadata["render_fps"] == 20
    env.close()


def test_every_family_has_an_id_named_after_it() -> None:
    families = sorted(name for name in shipped_families() if load_family(name).world == "bimanual")
    assert sorted(gym_ids.IDS.values()) == families
    assert set(TASKS) <= set(families)
    for env_id, family in gym_ids.IDS.items():
        words = env_id.removeprefix("simloop/").removesuffix("-v0")
        assert family == "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")


def test_options_of_the_world_go_through_make() -> None:
    env = gymnasium.make(
        IDS[0], sensors=("robot_state",), world_config={"action": "absolute", "robots": ["Sawyer", "Panda"]}
    )
    assert env.action_space.shape == (14,)
    observation, _ = env.reset(seed=0)
    assert observation["agent_pos"].shape == (32,)
    varied = gymnasium.make(IDS[0], family="two_arm_lift_varied", sensors=("robot_state",))
    _, info = varied.reset(seed=0)
    assert 0.5 <= info["simloop"]["parameters"]["object_mass_ratio"] <= 2.0
