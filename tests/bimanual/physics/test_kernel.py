"""The compiled controller against robosuite's own: torques, trajectories, and actions that come between ticks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from simloop.spec import Scenario
from simloop_bimanual.physics import kernel
from simloop_bimanual.physics.kernel import gripper_jacobians, substep
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000


@pytest.mark.parametrize("seed", [3])
def test_free_run_follows_robosuite_for_200_steps(
    world: BimanualWorld,
    hard_reset: Callable[[int], Any],
    stock_scenario: Callable[[int], Scenario],
    seed: int,
) -> None:
    env = hard_reset(seed)
    world.reset(stock_scenario(seed), seed)
    rng = np.random.default_rng(seed)
    for tick in range(200):
        action = rng.uniform(-0.3, 0.3, 14)
        env.step(action)
        world.actuate(action)
        world.advance((tick + 1) * PERIOD_NS)
        expected = env.sim.data._data
        assert np.abs(expected.qpos - world._data.qpos).max() <= 1e-9
        assert np.abs(expected.ctrl - world._data.ctrl).max() <= 1e-6


def test_torques_agree_in_the_same_state_at_full_range(
    world: BimanualWorld, hard_reset: Callable[[int], Any], stock_scenario: Callable[[int], Scenario]
) -> None:
    """Teacher-forced: before every control step the state is copied from robosuite, arms slam into things."""
    env = hard_reset(11)
    expected = env.sim.data._data
    world.reset(stock_scenario(11), 11)
    rng = np.random.default_rng(11)
    differences = []
    for tick in range(30):
        state = np.empty(mujoco.mj_stateSize(env.sim.model._model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(env.sim.model._model, expected, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_setState(world._model.mj_model, world._data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        action = rng.uniform(-1.0, 1.0, 14)
        world.actuate(action)
        world.advance(tick * PERIOD_NS + 2_000_000)
        torques = world._data.ctrl.copy()
        env.sim.step1()
        env._pre_action(action, True)
        differences.append(np.abs(env.sim.data._data.ctrl - torques).max())
        env.sim.step2()
        for _ in range(24):
            env.sim.step1()
            env._pre_action(action, False)
            env.sim.step2()
        world.advance((tick + 1) * PERIOD_NS)
    assert max(differences) <= 1e-8


def test_substeps_by_hand_equal_env_step_bit_for_bit(
    hard_reset: Callable[[int], Any],
) -> None:
    """The seam at which an action may come in: mj_step1, control, mj_step2."""
    env = hard_reset(2)
    actions = np.random.default_rng(2).uniform(-1.0, 1.0, (10, 14))
    for action in actions:
        env.step(action)
    expected = env.sim.data._data.qpos.copy()
    env = hard_reset(2)
    for action in actions:
        for number in range(25):
            env.sim.step1()
            env._pre_action(action, number == 0)
            env.sim.step2()
    assert np.array_equal(env.sim.data._data.qpos, expected)


def test_an_action_between_ticks_matches_robosuites_controllers(
    world: BimanualWorld, hard_reset: Callable[[int], Any], stock_scenario: Callable[[int], Scenario]
) -> None:
    """With dead time an action takes effect at any physics instant and sets goals from the pose at that instant."""
    env = hard_reset(4)
    world.reset(stock_scenario(4), 4)
    rng = np.random.default_rng(4)
    lengths = [7, 25, 31, 1, 18, 43]
    now_ns = 0
    for length in lengths:
        action = rng.uniform(-0.4, 0.4, 14)
        for number in range(length):
            env.sim.step1()
            env._pre_action(action, number == 0)
            env.sim.step2()
        world.actuate(action)
        now_ns += length * 2_000_000
        world.advance(now_ns)
        assert np.abs(env.sim.data._data.qpos - world._data.qpos).max() <= 1e-11


def test_gripper_velocity_equals_mujocos_jacobian(
    world: BimanualWorld, stock_scenario: Callable[[int], Scenario]
) -> None:
    world.reset(stock_scenario(6), 6)
    world.actuate(np.full(14, 0.5))
    world.advance(4 * PERIOD_NS)
    model, data, record = world._model, world._data, world._record
    mujoco.mj_kinematics(model.mj_model, data)
    mujoco.mj_comPos(model.mj_model, data)
    gripper_jacobians(record[0], data.site_xpos, data.cdof, data.subtree_com, data.qvel)
    for arm in range(2):
        linear, angular = np.zeros((3, model.mj_model.nv)), np.zeros((3, model.mj_model.nv))
        mujoco.mj_jacSite(model.mj_model, data, linear, angular, model.grip_sites[arm])
        expected = np.concatenate([linear @ data.qvel, angular @ data.qvel])
        assert record[0]["velocity"][arm] == pytest.approx(expected, abs=1e-12)


def test_a_singular_inertia_is_solved_by_its_pseudo_inverse() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((7, 7))
    right, lower, solved = rng.standard_normal((6, 7)), np.zeros((7, 7)), np.zeros((7, 6))
    regular = root @ root.T
    kernel._solve_rows(regular, lower, right, solved)
    assert solved == pytest.approx(np.linalg.solve(regular, right.T), rel=1e-9)
    singular = np.diag([1.0, 2.0, 3.0, 0.0, 5.0, 6.0, 7.0])
    kernel._solve_rows(singular, lower, right, solved)
    assert solved == pytest.approx(np.linalg.pinv(singular) @ right.T, abs=1e-12)
    assert not solved[3].any()


def test_a_singular_pose_gives_finite_torques(
    world: BimanualWorld, stock_scenario: Callable[[int], Scenario]
) -> None:
    world.reset(stock_scenario(0), 0)
    data, record = world._data, world._record
    for arm in range(2):
        data.qpos[record[0]["arm_qpos"][arm]] = 0.0  # the stretched-out arm
    mujoco.mj_step1(world._model.mj_model, data)
    positions, velocities = np.zeros((3, 3)), np.zeros((3, 3))
    substep(record, np.ones(14), True, *world._stepper._views, positions, velocities)
    limits = world._model.mj_model.actuator_ctrlrange
    assert np.isfinite(data.ctrl).all()
    assert (data.ctrl >= limits[:, 0]).all() and (data.ctrl <= limits[:, 1]).all()
