"""Every task against robosuite's own environment: starts, models, controllers, verdicts; and what is refused."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.scenario_files import load_family
from simloop.testing import check_world
from simloop_bimanual.models.two_arm_model import physics_spec
from simloop_bimanual.rendering.views import detailed_view
from simloop_bimanual.tasks import TASKS, lift
from simloop_bimanual.world import BimanualWorld

LIFT, HANDOVER, PEG, TRANSPORT, *OWN = TASKS
SAMPLED = (HANDOVER, PEG, TRANSPORT)
NEW = (*SAMPLED, *OWN)
BY_DAY = dict.fromkeys(NEW, (0, 7)) | {
    task: range(5) for task in (*SAMPLED, "two_arm_fold_towel", "two_arm_moving_handover")
}
"""Starts that are always compared: more where geometry is sampled, and of two more of our own."""
PERIOD_NS = 50_000_000
SUBSTEP_NS = 2_000_000
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_FIELDS = ("qpos", "qvel", "qacc", "qacc_warmstart", "site_xpos", "site_xmat", "xpos", "xquat", "qM")


def _assert_same_start(oracle: Any, world: BimanualWorld, seed: int) -> None:
    expected = oracle.hard_reset(seed).sim.data._data
    world.reset(oracle.scenario(seed), seed)
    for name in _FIELDS:
        assert np.array_equal(getattr(expected, name), getattr(world._data, name)), (oracle.task, seed, name)


@pytest.mark.parametrize("task", NEW)
def test_starts_equal_robosuites_hard_reset_bit_for_bit(
    task: str, oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    """Those of the lift are in ``test_reset.py``."""
    for seed in BY_DAY[task]:
        _assert_same_start(oracle(task), world_of(task), seed)


@pytest.mark.nightly
@pytest.mark.parametrize("task", TASKS)
def test_twenty_starts_equal_robosuites_hard_reset_bit_for_bit(
    task: str, oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    """Nightly, since robosuite builds its model anew for each: 10 seconds a task. Every test run takes the first."""
    for seed in range(20):
        _assert_same_start(oracle(task), world_of(task), seed)


@pytest.mark.parametrize("task", NEW)
def test_a_patched_model_equals_the_compiled_one_in_every_array(
    task: str, oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    world = world_of(task)
    world.reset(oracle(task).scenario(5), 5)
    expected, patched = physics_spec(oracle(task).hard_reset(5)).compile(), world._model.mj_model
    compared = 0
    for name in dir(expected):
        array = getattr(expected, name)
        # How things look, and names, do not matter; ``body_simple`` is read by nothing but the compiler's own checks.
        if isinstance(array, np.ndarray) and name not in ("geom_rgba", "text_data", "names", "paths"):
            assert np.array_equal(array, getattr(patched, name)), name
            compared += 1
    assert compared > 200
    assert patched.stat.meaninertia == expected.stat.meaninertia


def _copy_state(source: Any, env: Any, world: BimanualWorld) -> None:
    model = env.sim.model._model
    state = np.empty(mujoco.mj_stateSize(model, _STATE))
    mujoco.mj_getState(model, source, state, _STATE)
    mujoco.mj_setState(world._model.mj_model, world._data, state, _STATE)


@pytest.mark.parametrize("task", TASKS)
def test_torques_in_random_states_are_robosuites(
    task: str, oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    """Joints anywhere in their ranges, fast: test (a) of the controller's parity plan."""
    env, world = oracle(task).hard_reset(3), world_of(task)
    world.reset(oracle(task).scenario(3), 3)
    data, model = env.sim.data._data, env.sim.model._model
    rng = np.random.default_rng(3)
    size = world.spec.action.size
    env.step(np.zeros(size))
    world.actuate(np.zeros(size))
    world.advance(PERIOD_NS)
    joints = world._record[0]["arm_qpos"].reshape(-1)
    dofs = world._record[0]["arm_dof"].reshape(-1)
    ranges = np.array([model.jnt_range[np.flatnonzero(model.jnt_qposadr == joint)[0]] for joint in joints])
    for number in range(60):
        data.qpos[joints] = rng.uniform(ranges[:, 0], ranges[:, 1])
        data.qvel[:] = 0.0
        data.qvel[dofs] = rng.normal(0.0, 0.5, len(dofs))
        _copy_state(data, env, world)
        action = rng.uniform(-1.5, 1.5, size)
        env.sim.step1()
        env._pre_action(np.clip(action, -1.0, 1.0), True)
        world.actuate(action)
        world.advance(PERIOD_NS + (number + 1) * SUBSTEP_NS)
        # The goals of a random state are those of its pose: stale ones would be off by newton metres.
        differences, largest = np.abs(data.ctrl - world._data.ctrl), np.abs(data.ctrl).max()
        assert differences.max() <= min(1e-6, 1e-7 * largest)
        assert largest > 1.0


@pytest.mark.parametrize("task", TASKS)
def test_forced_and_restarted_steps_follow_robosuite(
    task: str, oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    """Full-range actions from robosuite's own states: (b) torque and velocity after one substep, (c) a whole step."""
    env, world = oracle(task).hard_reset(11), world_of(task)
    world.reset(oracle(task).scenario(11), 11)
    expected, rng = env.sim.data._data, np.random.default_rng(11)
    torques, velocities, ends = [], [], []
    for tick in range(25):
        _copy_state(expected, env, world)
        action = rng.uniform(-1.0, 1.0, world.spec.action.size)
        world.actuate(action)
        for number in range(25):
            env.sim.step1()
            env._pre_action(action, number == 0)
            env.sim.step2()
            if number == 0:
                world.advance(tick * PERIOD_NS + SUBSTEP_NS)
                torques.append(np.abs(expected.ctrl - world._data.ctrl).max())
                velocities.append(np.abs(expected.qvel - world._data.qvel).max())
        world.advance((tick + 1) * PERIOD_NS)
        ends.append(np.abs(expected.qpos - world._data.qpos).max())
    assert max(torques) <= 1e-8
    assert max(velocities) <= 1e-11
    assert np.quantile(ends, 0.95) <= 1e-11


_FREE_SEEDS = {"two_arm_conveyor_lift": (0, 3)}
"""Seeds whose arms touch nothing edgy, of tasks that need others than 0 and 2."""


def _free_run(oracle: Any, world: BimanualWorld, seed: int, num_steps: int) -> float:
    env = oracle.hard_reset(seed)
    world.reset(oracle.scenario(seed), seed)
    rng, worst = np.random.default_rng(seed), 0.0
    for tick in range(num_steps):
        action = rng.uniform(-0.3, 0.3, world.spec.action.size)
        env.step(action)
        world.actuate(action)
        world.advance((tick + 1) * PERIOD_NS)
        worst = max(worst, float(np.abs(env.sim.data._data.qpos - world._data.qpos).max()))
    return worst


@pytest.mark.parametrize("task", NEW)
def test_a_free_run_follows_robosuite(
    task: str, oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    assert _free_run(oracle(task), world_of(task), _FREE_SEEDS.get(task, (0, 2))[1], 50) <= 1e-9


@pytest.mark.parametrize("task", [PEG, HANDOVER, *OWN])
def test_the_stock_controller_is_robosuites_to_the_bit(task: str, oracle: Callable[[str], Any]) -> None:
    """Full-range actions: the same controllers on the model without visuals give the same bits as ``env.step``."""
    world = BimanualWorld(**load_family(task).world_config, controller="stock")
    for seed in (1, 2):
        env = oracle(task).hard_reset(seed)
        world.reset(oracle(task).scenario(seed), seed)
        rng = np.random.default_rng(seed)
        for tick in range(10):
            action = rng.uniform(-1.0, 1.0, world.spec.action.size)
            env.step(action)
            world.actuate(action)
            world.advance((tick + 1) * PERIOD_NS)
            assert np.array_equal(env.sim.data._data.qpos, world._data.qpos), (seed, tick)
            assert np.array_equal(env.sim.data._data.ctrl, world._data.ctrl), (seed, tick)


@pytest.mark.nightly
@pytest.mark.parametrize("task", NEW)
def test_200_free_steps_follow_robosuite(
    task: str, oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    """Test (d) of the parity plan: two seeds without a touch of peg and plate. MuJoCo's contact of a cylinder with
    a box jumps by 5e-7 m for a difference of 2e-15 in the joints, and no two runs agree after it (seed 1: 2e-5). The
    same happens when a pot falls off the end of its belt, or when a finger knocks against it (seed 2)."""
    for seed in _FREE_SEEDS.get(task, (0, 2)):
        num_steps = 120 if task == "two_arm_conveyor_lift" else 200
        assert _free_run(oracle(task), world_of(task), seed, num_steps) <= 1e-9


def test_the_pegs_measures_are_robosuites(
    oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    env, world = oracle(PEG).hard_reset(1), world_of(PEG)
    world.reset(oracle(PEG).scenario(1), 1)
    rng, met = np.random.default_rng(0), 0
    peg, plate = (env.sim.model._model.body(name).id for name in ("peg_main", "hole_main"))
    for number in range(40):
        data = env.sim.data._data
        data.qpos[:] += rng.normal(0.0, 0.2, len(data.qpos))
        env.sim.forward()
        if number % 2:  # put the peg's frame into the hole: the verdict reads nothing but the two frames
            rotation = data.xmat[plate].reshape(3, 3)
            data.xpos[peg] = data.xpos[plate] + rotation @ (0.1 + rng.uniform(-0.04, 0.04), 0.0, 0.05)
            data.xmat[peg] = data.xmat[plate]
        depth, offset, alignment = env._compute_orientation()
        seen = world._task.measure(data)
        assert seen.row[:3] == pytest.approx((offset, depth, alignment), abs=1e-12)
        assert seen.is_goal_met == bool(env._check_success())
        assert (seen.stage == 2) == seen.is_goal_met
        met += seen.is_goal_met
    assert 10 <= met <= 30


def _put(env: Any, body: str, position_m: Any, quaternion: Any = (1.0, 0.0, 0.0, 0.0)) -> None:
    model, data = env.sim.model._model, env.sim.data._data
    first = model.jnt_qposadr[model.body(body).jntadr[0]]
    data.qpos[first : first + 3], data.qpos[first + 3 : first + 7] = position_m, quaternion


def test_the_handovers_verdict_is_robosuites(
    oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    env, world = oracle(HANDOVER).hard_reset(4), world_of(HANDOVER)
    world.reset(oracle(HANDOVER).scenario(4), 4)
    data, rng = env.sim.data._data, np.random.default_rng(4)
    grips = world._model.grip_sites
    stages = set()
    names = [f"gripper{arm}_right_grip_site" for arm in range(2)]
    assert [world._model.mj_model.site(site).name for site in grips] == names
    for number in range(60):
        at = data.site_xpos[env.sim.model._model.site(names[number % 2]).id] + rng.uniform(-0.02, 0.02, 3)
        quaternion = rng.normal(size=4)
        _put(env, "hammer_root", at, quaternion / np.linalg.norm(quaternion))
        env.sim.forward()
        _copy_state(data, env, world)
        mujoco.mj_forward(world._model.mj_model, world._data)
        left, right, height_m, table_m = env._get_task_info()
        seen = world._task.measure(world._data)
        assert seen.row[2:4] == (left, right)
        assert seen.row[4] == pytest.approx(height_m - table_m, abs=1e-6)
        assert seen.is_goal_met == bool(env._check_success())
        stages.add(seen.stage)
    assert {0, 4} <= stages and stages & {1, 2}


def test_the_transports_verdict_is_robosuites(
    oracle: Callable[[str], Any], world_of: Callable[[str], BimanualWorld]
) -> None:
    env, world = oracle(TRANSPORT).hard_reset(4), world_of(TRANSPORT)
    world.reset(oracle(TRANSPORT).scenario(4), 4)
    data = env.sim.data._data
    start, stages = data.qpos.copy(), []
    for is_open, is_cleared, is_delivered in np.ndindex(2, 2, 2):
        data.qpos[:] = start
        if is_open:
            _put(env, "transport_start_bin_lid_root", (-0.2, -0.45, 0.82))
        if is_cleared:
            _put(env, "trash_main", (0.2, 0.45, 0.8299))
        if is_delivered:
            lying = data.qpos[world._model.objects["payload"].qpos :][3:7].copy()
            _put(env, "payload_root", (-0.2, 0.45, 0.825), lying)
        env.sim.forward()
        _copy_state(data, env, world)
        mujoco.mj_forward(world._model.mj_model, world._data)
        seen = world._task.measure(world._data)
        assert seen.row[:3] == (bool(is_open), bool(is_cleared), bool(is_delivered))
        assert seen.is_goal_met == bool(env._check_success())
        stages.append(seen.stage)
    assert sorted(stages) == [0, 1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("task", NEW)
def test_worlds_keep_the_contract(task: str) -> None:
    family = load_family(task)
    check_world(functools.partial(BimanualWorld, **family.world_config), family.case(1))


@pytest.mark.parametrize("task", SAMPLED)
def test_two_worlds_do_not_share_geometry(task: str) -> None:
    family = load_family(task)
    first, second = (BimanualWorld(**family.world_config) for _ in range(2))
    first.reset(family.scenario(0), 0)
    alone = first._model.mj_model.geom_size.copy(), first.capture("object_state", 0).array
    second.reset(family.scenario(1), 1)
    assert np.array_equal(first._model.mj_model.geom_size, alone[0])
    assert not np.array_equal(second._model.mj_model.geom_size, alone[0])
    first.reset(family.scenario(1), 1)
    assert np.array_equal(first.capture("object_state", 1).array, second.capture("object_state", 0).array)
    first.reset(family.scenario(0), 0)
    assert np.array_equal(first.capture("object_state", 2).array, alone[1])


_STARTS = """
import hashlib, sys
import numpy as np
from simloop.scenario_files import load_family
from simloop_bimanual.world import BimanualWorld
family = load_family(sys.argv[1])
world = BimanualWorld(**family.world_config)
digest = hashlib.sha256()
for seed in range(int(sys.argv[2])):
    world.reset(family.scenario(seed), seed)
    model, data = world._model.mj_model, world._data
    for array in (data.qpos, data.qacc_warmstart, data.qM, model.geom_size, model.body_inertia, model.bvh_aabb):
        digest.update(array.tobytes())
    if world._task.is_driven:
        for tick in range(20 if seed % 10 == 0 else 2):
            world.advance((tick + 1) * 50_000_000)
        for name, table in sorted(world.drain().items()):
            for column, values in sorted(table.items()):
                array = np.asarray(values)
                digest.update(f"{name} {column} {array.dtype} {array.shape}".encode() + array.tobytes())
print(digest.hexdigest())
"""


def _starts(task: str, count: int) -> str:
    run = subprocess.run(
        [sys.executable, "-c", _STARTS, task, str(count)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return run.stdout.split()[-1]


@pytest.mark.nightly
@pytest.mark.parametrize("task", TASKS)
def test_a_thousand_starts_are_the_same_bytes_in_two_processes(task: str) -> None:
    """Where a scene moves by itself, what it does in the first second of every tenth episode, too."""
    first = _starts(task, 1000)
    assert first == _starts(task, 1000)
    assert first != hashlib.sha256().hexdigest()


@pytest.mark.parametrize("task", SAMPLED)
def test_objects_are_seen_from_the_front_and_change_with_their_size(
    task: str, world_of: Callable[[str], BimanualWorld]
) -> None:
    family, world = load_family(task), world_of(task)
    name = "peg_radius_m" if task == PEG else "head_size_ratio"
    allowed = family.parameters[name]
    images, areas = [], []
    for value in (allowed.low, allowed.high):
        assert value is not None
        world.reset(family.scenario(2, {name: value}), 2)
        images.append(world.capture("front_camera", 0).array)
        data = world._data
        view = detailed_view(world._model)
        seen = view.draw("front_camera", data.xpos, data.xmat, height_px=96, width_px=128)
        label = {HANDOVER: "hammer", PEG: "peg", TRANSPORT: "payload"}[task]
        areas.append(int((seen.semantic == view.semantics.index(label)).sum()))
        for side in ("left_arm", "right_arm"):
            assert (seen.semantic == view.semantics.index(side)).sum() > 50
    assert 20 < areas[0] < areas[1]
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize(
    ("config", "error", "match"),
    [
        ({"task": "two_arm_handoff"}, UnknownNameError, "Did you mean 'two_arm_handover'"),
        ({"controller": "slow"}, UnknownNameError, "Unknown controller 'slow'.*fast, stock"),
        ({"task": PEG}, ConfigurationError, "allows: 'two_arm_pose_delta'"),
        ({"task": HANDOVER, "action": "two_arm_pose_delta"}, ConfigurationError, "allows: 'two_arm_delta'"),
    ],
)
def test_world_config_is_checked(config: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        BimanualWorld(**config)


@pytest.mark.parametrize(
    ("task", "parameters", "error", "match"),
    [
        (
            HANDOVER,
            {"is_hammer_flipped": 0.3},
            ParameterError,
            "'is_hammer_flipped' is 0.3; allowed: true or false",
        ),
        (HANDOVER, {"handle_length_m": 0.5}, ParameterError, "from 0.1 to 0.25"),
        (PEG, {"pot_x_m": 0.0}, UnknownNameError, "Unknown parameter 'pot_x_m'"),
        (
            TRANSPORT,
            {"target_bin_x_m": -0.1, "trash_bin_x_m": 0.1},
            ConfigurationError,
            r"the parameters put 'transport_\w+' .* mm into 'transport_\w+' at the start",
        ),
    ],
)
def test_reset_refuses_what_does_not_fit(
    task: str,
    parameters: dict[str, Any],
    error: type[Exception],
    match: str,
    world_of: Callable[[str], BimanualWorld],
) -> None:
    scenario, world = load_family(task).scenario(0), world_of(task)
    with pytest.raises(error, match=match):
        world.reset(dataclasses.replace(scenario, parameters={**scenario.parameters, **parameters}), 0)
    world.reset(scenario, 0)  # nothing is lost
    world.advance(PERIOD_NS)


def test_the_arms_noise_alone_never_loses_a_seed(world_of: Callable[[str], BimanualWorld]) -> None:
    """robosuite's noise lets the peg start 12 mm inside the plate with this seed."""
    world = world_of(PEG)
    world.reset(load_family(PEG).scenario(269), 269)
    assert world._data.contact.dist.min() < -0.01
    world.advance(PERIOD_NS)


def test_a_goal_that_holds_at_the_start_is_refused(
    monkeypatch: pytest.MonkeyPatch, world: BimanualWorld
) -> None:
    monkeypatch.setattr(lift, "LIFT_M", -0.5)
    with pytest.raises(ConfigurationError, match="the goal of two_arm_lift is met at the start"):
        world.reset(load_family(LIFT).scenario(0), 0)


@pytest.mark.parametrize("action", [np.zeros(14), np.full(12, np.nan)])
def test_arms_without_grippers_take_twelve_numbers(
    action: Any, world_of: Callable[[str], BimanualWorld]
) -> None:
    world = world_of(PEG)
    world.reset(load_family(PEG).scenario(0), 0)
    with pytest.raises(ValueError, match="expected 12 numbers"):
        world.actuate(action)
