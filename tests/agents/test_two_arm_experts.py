"""The scripted two-arm experts: they do their tasks, keep committed actions, remember nothing."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from simloop.agent import Call, Conditioning, InferenceRequest
from simloop.errors import AgentError
from simloop.scenario_files import load_family
from simloop.spec import ScenarioFamily
from simloop.world import OutcomeState
from simloop_agents.experts.expert import ExpertAgent
from simloop_agents.experts.two_arm.planner import (
    HORIZON,
    MODULES,
    OBSERVATIONS,
    TwoArmExpert,
)
from simloop_bimanual.tasks import TASKS
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000
STEPS = 8


class Played(NamedTuple):
    """What a task's expert achieves on a few seeds; docs/two-arm-tasks.md has the table over a hundred."""

    family: str
    """Family whose name is its task's."""
    first_seed: int
    num_seeds: int
    least_successes: int
    longest_mean_s: float
    """Bound on the mean duration of the episodes."""
    least_delayed_successes: int
    """Of the first four seeds, with chunks that come six steps late and continue a clean prefix."""


PLAYED = (
    Played("two_arm_lift", 1000, 24, 24, 4.0, 4),
    Played("two_arm_transport", 1000, 2, 2, 20.5, 4),
    Played("two_arm_handover", 1000, 5, 5, 7.5, 4),
    Played("two_arm_peg_in_hole", 1000, 10, 10, 3.3, 4),
    Played("two_arm_moving_handover", 1000, 5, 5, 5.5, 3),
    Played("two_arm_disassemble", 1000, 5, 5, 2.0, 4),
    Played("two_arm_conveyor_lift", 1000, 6, 6, 4.2, 4),
    Played("two_arm_tray_balance", 1000, 6, 6, 5.0, 2),
    Played("two_arm_fold_towel", 1000, 3, 3, 8.2, 3),
)
FAMILIES = tuple(row.family for row in PLAYED)


@functools.cache
def _stage(name: str) -> tuple[BimanualWorld, ScenarioFamily]:
    family = load_family(name)
    return BimanualWorld(**family.world_config), family


def _expert(world: BimanualWorld) -> TwoArmExpert:
    return TwoArmExpert(world.spec.action.name)


def _request(world: BimanualWorld, conditioning: Conditioning | None = None) -> InferenceRequest:
    return InferenceRequest(
        episode_id="episode",
        call=Call.POLICY,
        embodiment=world.spec.action.name,
        observation={name: world.capture(name, 0).array for name in OBSERVATIONS},
        age_ns=dict.fromkeys(OBSERVATIONS, 0),
        instruction="",
        anchor=world.anchor(),
        observation_tick=0,
        predicted_delay_ticks=0,
        draw_key=(0, 0),
        conditioning=conditioning,
    )


def _prefix(plan: dict[int, npt.NDArray[np.float64]], tick: int, count: int, size: int) -> Conditioning:
    actions, weights = np.zeros((HORIZON, size)), np.zeros(HORIZON)
    for row in range(count):
        actions[row] = plan.get(tick + row, np.zeros(size))
        weights[row] = 1.0
    return Conditioning(actions=actions, weights=weights)


def _episode(name: str, seed: int, delay_ticks: int = 0) -> tuple[bool, float]:
    """Plays an episode that asks every eight ticks and gets the chunk ``delay_ticks`` later, with a clean prefix."""
    assert delay_ticks < STEPS, "one chunk is on its way at a time"
    world, family = _stage(name)
    scenario = family.scenario(seed)
    world.reset(scenario, seed)
    expert, size = _expert(world), world.spec.action.size
    plan: dict[int, npt.NDArray[np.float64]] = {}
    coming: tuple[int, int, npt.NDArray[np.float64]] | None = None
    for tick in range(scenario.time_limit_ns // PERIOD_NS):
        if tick % STEPS == 0:
            conditioning = _prefix(plan, tick, delay_ticks, size) if delay_ticks else None
            coming = (tick, tick + delay_ticks, expert.chunk(_request(world, conditioning)))
        if coming is not None and coming[1] == tick:
            plan.update({coming[0] + row: coming[2][row] for row in range(delay_ticks, HORIZON)})
            coming = None
        world.actuate(plan.get(tick, np.zeros(size)))
        world.advance((tick + 1) * PERIOD_NS)
        if world.outcome().state is not OutcomeState.RUNNING:
            break
    world.drain()
    return world.outcome().state is OutcomeState.SUCCESS, (tick + 1) * 0.05


@pytest.mark.parametrize("row", PLAYED, ids=FAMILIES)
def test_it_does_its_task(row: Played) -> None:
    results = [_episode(row.family, row.first_seed + number) for number in range(row.num_seeds)]
    assert sum(is_success for is_success, _ in results) >= row.least_successes
    assert np.mean([duration_s for _, duration_s in results]) < row.longest_mean_s


@pytest.mark.parametrize("row", PLAYED, ids=FAMILIES)
def test_with_a_clean_prefix_it_does_its_task_under_delay(row: Played) -> None:
    results = [_episode(row.family, seed, delay_ticks=6)[0] for seed in range(4)]
    assert sum(results) >= row.least_delayed_successes


@pytest.mark.parametrize("name", FAMILIES)
def test_committed_rows_come_back_bit_for_bit_and_change_the_rest(name: str) -> None:
    world, family = _stage(name)
    world.reset(family.scenario(0), 0)
    expert, size = _expert(world), world.spec.action.size
    free = expert.chunk(_request(world))
    rng = np.random.default_rng(0)
    for count in (1, 5, HORIZON):
        plan = {row: rng.uniform(-1.0, 1.0, size) for row in range(count)}
        chunk = expert.chunk(_request(world, _prefix(plan, 0, count, size)))
        assert all(np.array_equal(chunk[row], plan[row]) for row in range(count))
        if count < HORIZON:
            assert not np.array_equal(chunk[count:], free[count:])


@pytest.mark.parametrize("name", FAMILIES)
def test_replies_depend_on_the_request_only(name: str) -> None:
    world, family = _stage(name)
    expert = _expert(world)
    world.reset(family.scenario(2), 2)
    request = _request(world)
    first = expert.chunk(request)
    assert first.shape == (HORIZON, world.spec.action.size)
    assert np.abs(first).max() <= 1.0 + 1e-12
    world.reset(family.scenario(3), 3)
    assert not np.array_equal(expert.chunk(_request(world)), first)
    assert np.array_equal(_expert(world).chunk(request), first)


def test_the_plan_foresees_where_the_grippers_go() -> None:
    """The predicted motion is that of the arms: one chunk carried out blindly ends over the handles (they start 11 cm
    off), where an arm that stands still would keep its distance."""
    world, family = _stage("two_arm_lift")
    nearest = []
    for seed in range(20):
        world.reset(family.scenario(seed), seed)
        chunk = TwoArmExpert().chunk(_request(world))
        for tick, action in enumerate(chunk):
            world.actuate(action)
            world.advance((tick + 1) * PERIOD_NS)
        task: Any = world.drain()["task"]
        distances_m = np.maximum(task["left_handle_distance_m"], task["right_handle_distance_m"])
        assert distances_m[0] > 0.09
        nearest.append(float(distances_m.min()))
    assert np.median(nearest) < 0.06


@pytest.mark.parametrize("name", ["two_arm_handover", "two_arm_peg_in_hole"])
def test_the_expert_touches_nothing_that_its_task_does_not_ask_for(name: str) -> None:
    world, _ = _stage(name)
    for seed in range(2):
        world.reset(_stage(name)[1].scenario(seed), seed)
        expert = _expert(world)
        for tick in range(160):
            if tick % STEPS == 0:
                chunk = expert.chunk(_request(world))
            world.actuate(chunk[tick % STEPS])
            world.advance((tick + 1) * PERIOD_NS)
        contacts: Any = world.drain()["contacts"]
        assert not np.any(contacts["is_collision"]), contacts["class_pair"]


def test_every_task_has_a_ground_truth_of_its_own_size() -> None:
    sizes = [task.object_state_size for task in TASKS.values()]
    assert len(set(sizes)) == len(sizes)
    assert set(MODULES) == set(sizes)


def test_the_agent_acts_in_the_action_space_of_every_task() -> None:
    spaces = {embodiment.action_space for embodiment in ExpertAgent().spec.embodiments}
    for task in TASKS.values():
        space = "two_arm_delta" if task.has_grippers else "two_arm_pose_delta"
        assert space in spaces
        if task.object_state_size in MODULES:
            assert MODULES[task.object_state_size][0] == space


def test_it_refuses_a_ground_truth_that_it_does_not_know() -> None:
    world, family = _stage("two_arm_lift")
    world.reset(family.scenario(0), 0)
    request = _request(world)
    with pytest.raises(AgentError, match="no plan for an object_state of 32 entries in 'two_arm_pose_delta'"):
        TwoArmExpert("two_arm_pose_delta").chunk(request)
    request.observation = {**request.observation, "object_state": np.zeros(31)}
    with pytest.raises(AgentError, match=r"31 entries.*knows the tasks.*lift \(32\)"):
        TwoArmExpert().chunk(request)


def test_the_experts_do_not_need_the_simulator() -> None:
    names = [f"simloop_agents.experts.two_arm.{module}" for _, module in MODULES.values()]
    assert all(callable(importlib.import_module(name).plan) for name in names)
    code = (
        f"import sys, {', '.join(names)}\n"
        "print(sorted({'mujoco', 'robosuite', 'torch', 'simloop_bimanual'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
