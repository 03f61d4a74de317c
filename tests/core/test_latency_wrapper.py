"""The latency wrapper against the bare environment, Gymnasium's own delay, the stage graph and the closed loop."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import DelayObservation, RescaleAction, TimeLimit

from simloop import LatencyWrapper
from simloop.agent import Call
from simloop.gym_env import WorldEnv
from simloop.spec import Case, ScenarioFamily
from simloop.strategies.naive_async import NaiveAsync
from simloop.testing import BrakingWall, DelayedIntegrator, ScriptedAgent, play
from simloop.timing.stage_graph import make_stage_graph, timing_from_config

MS = 1_000_000
PERIOD_NS = 50 * MS
FAMILY = ScenarioFamily(name="toy", world="toy", parameters={}, time_limit_ns=2_000 * MS)
JITTER = {
    "distribution": "shifted_lognormal",
    "shift_ms": 20,
    "median_ms": 40,
    "sigma": 0.8,
    "ceiling_ms": 400,
}


def constant(value_ms: float) -> dict[str, Any]:
    return {"distribution": "constant", "value_ms": value_ms}


def rollout(env: gymnasium.Env[Any, Any], *, num_steps: int, seed: int = 3) -> list[Any]:
    """Returns what reset and each step gave, without what the wrapper reports."""
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    seen: list[Any] = [(observation, {k: v for k, v in info.items() if k != "latency"})]
    for _ in range(num_steps):
        *result, info = env.step(env.action_space.sample())
        seen.append((*result, {k: v for k, v in info.items() if k != "latency"}))
        if result[2] or result[3]:
            break
    return seen


def is_equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(is_equal(first[k], second[k]) for k in first)
    if isinstance(first, tuple | list):
        return len(first) == len(second) and all(map(is_equal, first, second))
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    return type(first) is type(second) and bool(first == second)


# --- against the bare environment ----------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "MountainCar-v0"])
def test_without_latency_any_environment_is_itself(env_id: str) -> None:
    bare = rollout(gymnasium.make(env_id), num_steps=60)
    wrapped = LatencyWrapper(gymnasium.make(env_id), timing="zero", control_period_ns=PERIOD_NS)
    assert wrapped.is_quantised
    assert is_equal(rollout(wrapped, num_steps=60), bare)


@pytest.mark.parametrize("normalise_actions", [True, False])
def test_without_latency_a_world_is_itself(normalise_actions: bool) -> None:
    make = functools.partial(WorldEnv, BrakingWall, FAMILY, normalise_actions=normalise_actions)
    wrapped = LatencyWrapper(make(), timing="zero")
    assert not wrapped.is_quantised
    assert is_equal(rollout(wrapped, num_steps=60), rollout(make(), num_steps=60))


def test_other_wrappers_may_lie_between_it_and_a_world() -> None:
    def make() -> gymnasium.Env[Any, Any]:
        inner = WorldEnv(DelayedIntegrator, FAMILY, normalise_actions=False)
        return TimeLimit(RescaleAction(inner, np.float32(-1), np.float32(1)), max_episode_steps=5)

    wrapped = LatencyWrapper(make(), timing="zero")
    seen = rollout(wrapped, num_steps=60)
    assert not wrapped.is_quantised
    assert (len(seen), seen[-1][3]) == (6, True)
    assert is_equal(seen, rollout(make(), num_steps=60))


# --- against Gymnasium's delay -------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [1, 3])
def test_a_constant_transport_is_gymnasiums_delayed_observation(delay: int) -> None:
    theirs = rollout(DelayObservation(gymnasium.make("Pendulum-v1"), delay=delay), num_steps=40)
    timing = {"transport": {"proprioception": constant(50 * delay)}}
    ours = rollout(
        LatencyWrapper(gymnasium.make("Pendulum-v1"), timing=timing, control_period_ns=PERIOD_NS),
        num_steps=40,
    )
    # Until the first one arrives theirs is zero and ours the state at the reset.
    assert is_equal(ours[delay:], [(o, *rest) for (o, *rest) in theirs[delay:]])
    assert all(is_equal(step[0], ours[0][0]) for step in ours[:delay])


# --- against the stage graph ---------------------------------------------------------------------------------


def test_random_delays_are_the_draws_of_the_stage_graph() -> None:
    timing = timing_from_config(
        name="random",
        transport={"proprioception": JITTER},
        uplink=JITTER,
        inference=JITTER,
        actuation=constant(10),
        first_chunk="charged",
        servers=0,
        seed=5,
    )
    env = LatencyWrapper(gymnasium.make("Pendulum-v1"), timing=timing, control_period_ns=PERIOD_NS)
    env.reset(seed=8)
    infos = [env.step(np.array([0.1 * k], dtype=np.float32))[4]["latency"] for k in range(60)]

    graph = make_stage_graph(timing, "gymnasium/8/0", control_period_ns=PERIOD_NS)
    inference = graph.inference(Call.POLICY)
    arrivals_ns = []
    for tick in range(60):
        (sent_ns,) = graph.uplink.arrivals(tick, tick * PERIOD_NS, 0)
        taken_ns = inference.ns(tick, sent_ns, is_first=tick == 0, batch=1, observation=None)
        arrivals_ns.append(sent_ns + taken_ns)
    path = graph.sensor(env._sensors[0])
    seen_ns = [path.arrival_ns(k, k * PERIOD_NS, 0) for k in range(61)]
    newest = -1
    for tick, info in enumerate(infos):
        there = [k for k in range(tick + 1) if arrivals_ns[k] <= tick * PERIOD_NS]
        assert info["acting_step"] == (max(there) if there and max(there) > newest else -1)
        newest = max([newest, *there])
        now_ns = (tick + 1) * PERIOD_NS
        delivered = [k for k in range(tick + 2) if seen_ns[k] <= now_ns]
        assert info["age_ns"] == {"observation": now_ns - max(delivered, default=0) * PERIOD_NS}
    assert len({info["delay_ticks"] for info in infos}) > 3


def test_the_seed_of_the_reset_repeats_an_episode_and_the_root_seed_moves_the_draws() -> None:
    def ages(root: int, seeds: list[int | None]) -> list[list[int]]:
        timing = {"transport": {"proprioception": JITTER}}
        env = LatencyWrapper(
            gymnasium.make("Pendulum-v1"), timing=timing, seed=root, control_period_ns=PERIOD_NS
        )
        assert env.timing.seed == root
        found = []
        for seed in seeds:
            env.reset(seed=seed)
            found.append(
                [env.step(np.zeros(1, np.float32))[4]["latency"]["age_ns"]["observation"] for _ in range(20)]
            )
        return found

    first = ages(1, [4, None, None])
    assert ages(1, [9, 4, None, None])[1:] == first
    assert first[0] != first[1] != first[2]
    assert ages(2, [4])[0] != first[0]


# --- against the closed loop ---------------------------------------------------------------------------------


def effects_of(env: gymnasium.Env[Any, Any]) -> list[tuple[int, float]]:
    inner: Any = env.unwrapped
    effects: list[tuple[int, float]] = inner.world.effects
    return effects


PIPELINED = {"servers": "pipelined"}
LOOPS: dict[str, dict[str, Any]] = {
    "half a tick": {"inference": constant(30)},
    "every stage constant": {
        "transport": {"proprioception": constant(17)},
        "preprocess": constant(3),
        "uplink": constant(21),
        "inference": constant(80),
        "downlink": constant(13),
        "actuation": constant(7.5),
        "servers": 0,
    },
    "from then on: a transport of two ticks": {
        "transport": {"proprioception": constant(100)},
        "inference": constant(60),
        "servers": 0,
    },
    "a busy server": {"inference": constant(130)},
    "jitter": {"uplink": JITTER, "inference": JITTER, "downlink": JITTER, "actuation": JITTER, **PIPELINED},
    "a queue with jitter": {"inference": JITTER, "queue": "fifo"},
    "a lossy link": {
        "uplink": {"netem": "delay 20ms loss 30%"},
        "downlink": {"netem": "delay 5ms loss 20%"},
        "servers": 0,
    },
    "control jitter": {
        "inference": constant(70),
        "control": {"jitter": {"distribution": "uniform", "low_ms": 0, "high_ms": 45}},
        "servers": 0,
    },
    "from then on: a late phase": {
        "capture": {"proprioception": {"phase_ms": 30}},
        "inference": constant(60),
        "servers": 0,
    },
}


@pytest.mark.parametrize("name", LOOPS)
def test_over_a_world_effects_are_those_of_the_closed_loop(recorded_clock: Any, name: str) -> None:
    """An agent that repeats one action over its chunk, asked at every tick, is a policy whose action is held."""
    timing = timing_from_config(name="loop", assembly="latest", first_chunk="charged", seed=3, **LOOPS[name])
    case = Case(scenario=FAMILY.scenario(6), seed=6)

    looped = recorded_clock()
    agent = ScriptedAgent(looped.spec, lambda r: np.full((64, 1), policy(r.observation["state"])), horizon=64)
    log = play(looped, agent, case=case, timing=timing, strategy=NaiveAsync(execution_horizon=1))

    env = LatencyWrapper(
        WorldEnv(recorded_clock, FAMILY, normalise_actions=False), timing=timing, hold="repeat"
    )
    observation, _ = env.reset(seed=6)
    ages = []
    for _ in range(40):
        observation, *_, info = env.step(policy(observation["agent_pos"]))
        ages.append(info["latency"]["action_age_ns"])
    # The loop cannot ask before the first item has arrived; here the state at the reset is known.
    begin_ns = 250 * MS if name.startswith("from then on") else 0
    theirs = [e for e in looped.effects if begin_ns <= e[0] < 40 * PERIOD_NS]
    assert [e for e in effects_of(env) if begin_ns <= e[0] < 40 * PERIOD_NS] == theirs
    assert len({action for _, action in theirs}) > 10
    assert set(ages[10:]) - {-1} <= set(log.column("ticks", "action_age_ns").tolist())


def policy(state: Any) -> Any:
    return np.array([7.0 - 3.0 * state[0]])


def test_over_a_case_of_a_run_the_draws_are_the_runs(recorded_clock: Any) -> None:
    """The wrapper's episode of a seed is keyed by the case that a run makes of the same scenario and seed."""
    timing = timing_from_config(name="draws", transport={"proprioception": JITTER})
    env = LatencyWrapper(WorldEnv(recorded_clock, FAMILY), timing=timing)
    env.reset(seed=6)
    zero = np.zeros(1, np.float32)
    ages = [env.step(zero)[4]["latency"]["age_ns"]["state"] for _ in range(30)]
    case = FAMILY.case(6)
    path = make_stage_graph(timing, case.case_id, control_period_ns=PERIOD_NS).sensor(
        recorded_clock().spec.sensors[0]
    )
    arrivals = [path.arrival_ns(k, k * PERIOD_NS, 8) for k in range(31)]
    for tick, age_ns in enumerate(ages, start=1):
        now_ns = tick * PERIOD_NS
        newest = max([k for k in range(31) if arrivals[k] <= now_ns], default=0)
        assert age_ns == now_ns - newest * PERIOD_NS


# --- what it promises to Gymnasium ---------------------------------------------------------------------------

HARD = {
    "transport": {"proprioception": JITTER},
    "uplink": {"netem": "delay 20ms 10ms loss 20%"},
    "inference": constant(60),
    "servers": "pipelined",
}


@pytest.fixture
def toy_id() -> Iterator[str]:
    name = "simloop/TestLatency-v0"
    gymnasium.register(name, entry_point=functools.partial(WorldEnv, BrakingWall, FAMILY))
    yield name
    del gymnasium.registry[name]


def wrap(env: gymnasium.Env[Any, Any], *, augment_actions: bool = False) -> LatencyWrapper:
    """Wraps a world, or any other environment as one of 50 ms."""
    is_world = isinstance(env.unwrapped, WorldEnv)
    return LatencyWrapper(
        env,
        timing=HARD,
        control_period_ns=None if is_world else PERIOD_NS,
        augment_actions=augment_actions,
        num_actions=4 if augment_actions else None,
    )


def complaints(env: gymnasium.Env[Any, Any]) -> set[str]:
    """Returns what Gymnasium's checker warns of, but for its advice to check the bare environment."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    env.close()
    return {str(w.message) for w in caught if "is different from the unwrapped version" not in str(w.message)}


@pytest.mark.parametrize("augment_actions", [False, True])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "simloop/TestLatency-v0"])
def test_gymnasiums_checker_warns_of_nothing_new(env_id: str, augment_actions: bool, toy_id: str) -> None:
    bare = gymnasium.make(env_id, disable_env_checker=True)
    of_its_own = complaints(bare.unwrapped)
    assert not of_its_own or env_id != toy_id
    bare = gymnasium.make(env_id, disable_env_checker=True)
    assert complaints(wrap(bare, augment_actions=augment_actions)) <= of_its_own


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "simloop/TestLatency-v0"])
def test_vectors_of_it_are_its_copies(env_id: str, mode: str, toy_id: str) -> None:
    wrapper = functools.partial(wrap, augment_actions=True)
    seeds: Any = [3, 4, 3]
    many = gymnasium.make_vec(env_id, num_envs=3, vectorization_mode=mode, wrappers=[wrapper])
    many.action_space.seed(1)
    many.reset(seed=seeds)
    copies = [wrapper(gymnasium.make(env_id)) for _ in seeds]
    for env, seed in zip(copies, seeds, strict=True):
        env.reset(seed=seed)
    for _ in range(12):
        actions = many.action_space.sample()
        actions[2] = actions[0]
        observation, reward, _, _, info = many.step(actions)
        assert observation["submitted_actions"].shape == (3, 4, 1)
        for i, env in enumerate(copies):
            alone, alone_reward, _, _, alone_info = env.step(actions[i])
            assert all(np.array_equal(observation[key][i], alone[key]) for key in alone)
            assert reward[i] == alone_reward
            assert info["latency"]["action_age_ns"][i] == alone_info["latency"]["action_age_ns"]
            for sensor, age_ns in alone_info["latency"]["age_ns"].items():
                assert info["latency"]["age_ns"][sensor][i] == age_ns
    assert np.array_equal(observation["delay_ticks"][0], observation["delay_ticks"][2])
    many.close()


def test_augmented_observations_hold_the_last_submitted_actions() -> None:
    env = LatencyWrapper(
        gymnasium.make("CartPole-v1"),
        timing={"transport": {"proprioception": constant(20)}, "inference": constant(30), "servers": 0},
        control_period_ns=20 * MS,
        augment_actions=True,
    )
    observation, _ = env.reset(seed=0)
    # 20 ms + 30 ms at 50 Hz: three actions; Discrete(2) is one-hot.
    assert observation["submitted_actions"].tolist() == [[0, 0]] * 3
    seen = [env.step(action)[0] for action in (1, 0, 1, 1)]
    assert seen[1]["submitted_actions"].tolist() == [[0, 0], [0, 1], [1, 0]]
    assert seen[3]["submitted_actions"].tolist() == [[1, 0], [0, 1], [0, 1]]
    # Age in ticks of the observation; d of what acts: ceil(30 / 20) of the decision and 1 of its observation.
    assert [s["delay_ticks"].tolist() for s in seen] == [[1, 0], [1, -1], [1, 2], [1, 3]]
    assert env.observation_space.contains(seen[3])
