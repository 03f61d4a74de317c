"""PPO of stable-baselines3 learns through the latency wrapper, and the submitted actions make it learn better."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from simloop import LatencyWrapper
from simloop.gym_env import WorldEnv
from simloop.spec import Scenario, ScenarioFamily
from simloop.testing import DelayedIntegrator

FAMILY = ScenarioFamily(name="centre", world="centre", parameters={}, time_limit_ns=1_000_000_000)
LATENCY = {"inference": {"distribution": "constant", "value_ms": 150}, "servers": "pipelined"}
NUM_STEPS = 12_288
NUM_EPISODES = 50


class Centre(DelayedIntegrator):
    """x[k+1] = x[k] + u[k] with |u| <= 1, from anywhere within 2 of the centre."""

    def __init__(self) -> None:
        super().__init__()
        (bounded,) = (dataclasses.replace(d, low=-1.0, high=1.0) for d in self._spec.action.dimensions)
        action = dataclasses.replace(self._spec.action, dimensions=(bounded,))
        self._spec = dataclasses.replace(self._spec, action=action)

    def initial_state(self, scenario: Scenario, seed: int) -> Any:
        return np.random.default_rng(seed).uniform(-2.0, 2.0, 1)

    @property
    def error(self) -> float:
        return abs(float(self._state[0]))


class Closeness(gymnasium.RewardWrapper[Any, Any]):
    """Minus the distance to the centre, now: the reward knows no latency."""

    def reward(self, reward: Any) -> float:
        inner: Any = self.env.unwrapped
        return -float(inner.world.error)


def make_env(*, augment_actions: bool) -> gymnasium.Env[Any, Any]:
    env = LatencyWrapper(Closeness(WorldEnv(Centre, FAMILY)), timing=LATENCY, augment_actions=augment_actions)
    assert not env.is_quantised
    return FlattenObservation(env)


def mean_return(model: PPO, env: gymnasium.Env[Any, Any]) -> float:
    total = 0.0
    for seed in range(NUM_EPISODES):
        observation, _ = env.reset(seed=1000 + seed)
        is_over = False
        while not is_over:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            is_over = terminated or truncated
    return total / NUM_EPISODES


def trained(*, augment_actions: bool) -> tuple[float, float]:
    """Returns the mean return under latency before and after training."""
    envs = DummyVecEnv([lambda: make_env(augment_actions=augment_actions)] * 16)
    model = PPO(
        "MlpPolicy",
        envs,
        seed=0,
        device="cpu",
        n_steps=32,
        batch_size=128,
        n_epochs=8,
        learning_rate=3e-3,
        gamma=0.9,
        gae_lambda=0.9,
        policy_kwargs={"net_arch": [32], "log_std_init": -0.7},
    )
    env = make_env(augment_actions=augment_actions)
    before = mean_return(model, env)
    model.learn(NUM_STEPS)
    return before, mean_return(model, env)


@pytest.mark.filterwarnings("ignore::UserWarning:stable_baselines3")
def test_ppo_learns_under_latency_and_better_with_the_actions_under_way() -> None:
    """At a delay of 3 ticks a policy of x alone must stay below a gain of 0.45 (Levin and May 1976) to be stable."""
    before, plain = trained(augment_actions=False)
    assert plain > 0.6 * before
    before, augmented = trained(augment_actions=True)
    assert augmented > 0.3 * before
    assert augmented > plain + 2.0
