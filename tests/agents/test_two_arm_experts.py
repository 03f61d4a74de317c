"""The scripted two-arm experts: they do their tasks, keep committed actions, remember nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import Call, Conditioning, InferenceRequest
from simloop.errors import AgentError
from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_agents.experts.two_arm.planner import HORIZON, MODULES, OBSERVATIONS, TwoArmExpert
from simloop_bimanual.tasks import TASKS
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000
STEPS = 8


@pytest.fixture(scope="module")
def world() -> BimanualWorld:
    return BimanualWorld()


def _request(world: BimanualWorld, conditioning: Conditioning | None = None) -> InferenceRequest:
    return InferenceRequest(
        episode_id="episode",
        call=Call.POLICY,
        embodiment="two_arm_delta",
        observation={name: world.capture(name, 0).array for name in OBSERVATIONS},
        age_ns=dict.fromkeys(OBSERVATIONS, 0),
        instruction="",
        anchor=world.anchor(),
        observation_tick=0,
        predicted_delay_ticks=0,
        draw_key=(0, 0),
        conditioning=conditioning,
    )


def _prefix(plan: dict[int, npt.NDArray[np.float64]], tick: int, count: int) -> Conditioning:
    actions, weights = np.zeros((HORIZON, 14)), np.zeros(HORIZON)
    for row in range(count):
        actions[row] = plan.get(tick + row, np.zeros(14))
        weights[row] = 1.0
    return Conditioning(actions=actions, weights=weights)


def _episode(
    world: BimanualWorld, expert: TwoArmExpert, seed: int, delay_ticks: int = 0
) -> tuple[bool, float]:
    """Plays an episode that asks every eight ticks and gets the chunk ``delay_ticks`` later, with a clean prefix."""
    world.reset(load_family("two_arm_lift").scenario(seed), seed)
    plan: dict[int, npt.NDArray[np.float64]] = {}
    coming: tuple[int, int, npt.NDArray[np.float64]] | None = None
    for tick in range(200):
        if tick % STEPS == 0:
            conditioning = _prefix(plan, tick, delay_ticks) if delay_ticks else None
            coming = (tick, tick + delay_ticks, expert.chunk(_request(world, conditioning)))
        if coming is not None and coming[1] == tick:
            plan.update({coming[0] + row: coming[2][row] for row in range(delay_ticks, HORIZON)})
            coming = None
        world.actuate(plan.get(tick, np.zeros(14)))
        world.advance((tick + 1) * PERIOD_NS)
        if world.outcome().state is not OutcomeState.RUNNING:
            break
    return world.outcome().state is OutcomeState.SUCCESS, (tick + 1) * 0.05


def test_it_lifts_the_pot_within_seven_seconds(world: BimanualWorld) -> None:
    results = [_episode(world, TwoArmExpert(), seed) for seed in range(1000, 1024)]
    assert np.mean([is_success for is_success, _ in results]) >= 0.95
    assert np.mean([duration_s for _, duration_s in results]) < 7.0


def test_with_a_clean_prefix_it_lifts_under_delay(world: BimanualWorld) -> None:
    results = [_episode(world, TwoArmExpert(), seed, delay_ticks=6) for seed in range(20)]
    assert np.mean([is_success for is_success, _ in results]) >= 0.9


def test_committed_rows_come_back_bit_for_bit_and_change_the_rest(world: BimanualWorld) -> None:
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    expert = TwoArmExpert()
    free = expert.chunk(_request(world))
    rng = np.random.default_rng(0)
    for count in (1, 5, HORIZON):
        plan = {row: rng.uniform(-1.0, 1.0, 14) for row in range(count)}
        chunk = expert.chunk(_request(world, _prefix(plan, 0, count)))
        assert all(np.array_equal(chunk[row], plan[row]) for row in range(count))
        if count < HORIZON:
            assert not np.array_equal(chunk[count:], free[count:])


def test_replies_depend_on_the_request_only(world: BimanualWorld) -> None:
    family = load_family("two_arm_lift")
    expert = TwoArmExpert()
    world.reset(family.scenario(2), 2)
    request = _request(world)
    first = expert.chunk(request)
    assert first.shape == (HORIZON, 14)
    assert np.abs(first).max() <= 1.0 + 1e-12
    world.reset(family.scenario(3), 3)
    assert not np.array_equal(expert.chunk(_request(world)), first)
    assert np.array_equal(TwoArmExpert().chunk(request), first)


def test_the_plan_foresees_where_the_grippers_go(world: BimanualWorld) -> None:
    """The predicted motion is that of the arms: one chunk carried out blindly ends over the handles (they start 11 cm
    off), where an arm that stands still would keep its distance."""
    nearest = []
    for seed in range(20):
        world.reset(load_family("two_arm_lift").scenario(seed), seed)
        chunk = TwoArmExpert().chunk(_request(world))
        for tick, action in enumerate(chunk):
            world.actuate(action)
            world.advance((tick + 1) * PERIOD_NS)
        task: Any = world.drain()["task"]
        distances_m = np.maximum(task["left_handle_distance_m"], task["right_handle_distance_m"])
        assert distances_m[0] > 0.09
        nearest.append(float(distances_m.min()))
    assert np.median(nearest) < 0.06


def test_every_task_has_a_ground_truth_of_its_own_size() -> None:
    sizes = [task.object_state_size for task in TASKS.values()]
    assert len(set(sizes)) == len(sizes)
    assert set(MODULES) <= set(sizes)


def test_it_refuses_a_ground_truth_that_it_does_not_know(world: BimanualWorld) -> None:
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    request = _request(world)
    with pytest.raises(AgentError, match="no plan for an object_state of 32 entries in 'two_arm_pose_delta'"):
        TwoArmExpert("two_arm_pose_delta").chunk(request)
    request.observation = {**request.observation, "object_state": np.zeros(31)}
    with pytest.raises(AgentError, match=r"31 entries.*knows the tasks.*lift \(32\)"):
        TwoArmExpert().chunk(request)


def test_it_does_not_need_the_simulator() -> None:
    code = (
        "import sys, simloop_agents.experts.two_arm.lift\n"
        "print(sorted({'mujoco', 'robosuite', 'torch', 'simloop_bimanual'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
