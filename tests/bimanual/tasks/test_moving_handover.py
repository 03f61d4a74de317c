"""A base that drifts: its course, the goals that follow it, what is recorded of it, and the task's verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest

from simloop.errors import ConfigurationError, ParameterError
from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_bimanual.physics.grasps import NUM_PADS
from simloop_bimanual.scenes.base_drift import ACCELERATION_MPS2, BaseDrift
from simloop_bimanual.world import BimanualWorld

TASK = "two_arm_moving_handover"
PERIOD_NS = 50_000_000
RIGHT_GRIPPER = 1


def _course(course_id: float, *, range_m: float = 0.1, speed_mps: float = 0.1, seconds: int = 20) -> Any:
    drift = BaseDrift([0, 1], [0, 1], 100.0)
    drift.start(range_m=range_m, speed_mps=speed_mps, course_id=course_id)
    return np.array([drift.at(number * 2_000_000).T for number in range(500 * seconds)])


@pytest.mark.parametrize("course_id", [0.0, 7.9, 123456.0])
def test_a_base_moves_as_a_cart_can(course_id: float) -> None:
    position, velocity, acceleration = np.moveaxis(_course(course_id), 1, 0)
    assert np.array_equal(position[0], [0.0, 0.0]) and np.array_equal(velocity[0], [0.0, 0.0])
    assert np.abs(velocity).max(axis=0) == pytest.approx([0.1, 0.05], rel=0.2)
    assert np.abs(acceleration).max() <= ACCELERATION_MPS2 + 1e-9
    assert np.abs(position).max(axis=0) == pytest.approx([0.08, 0.04], rel=0.6)
    # Place, speed and change of speed belong together.
    assert np.diff(position, axis=0) == pytest.approx(
        0.002 * (velocity + 0.001 * acceleration)[:-1], abs=1e-12
    )
    assert np.diff(velocity, axis=0) == pytest.approx(0.002 * acceleration[:-1], abs=1e-12)
    # It turns round again and again.
    assert (np.diff(np.sign(velocity[1:, 0])) != 0).sum() >= 6


def test_the_id_says_which_course_it_is() -> None:
    assert np.array_equal(_course(5.0, seconds=3), _course(5.7, seconds=3))
    assert not np.array_equal(_course(5.0, seconds=3), _course(6.0, seconds=3))
    assert not np.any(_course(5.0, speed_mps=0.0))


@pytest.mark.parametrize("range_m", [0.0, 1e-5, 0.005, 0.02, 0.05, 0.08, 0.12, 0.2])
@pytest.mark.parametrize("speed_mps", [0.01, 0.06, 0.1, 0.3])
def test_a_base_stays_within_its_range(range_m: float, speed_mps: float) -> None:
    """Half the range and half the speed along the line between the arms."""
    allowed_m, allowed_mps = range_m * np.array([1.0, 0.5]), speed_mps * np.array([1.0, 0.5])
    drift = BaseDrift([0, 1], [0, 1], 100.0)
    for course_id in (0.0, 1.0):
        drift.start(range_m=range_m, speed_mps=speed_mps, course_id=course_id)
        whole = np.array([drift.at(number * 10_000_000) for number in range(6200)])
        assert np.all(np.abs(whole[:, :, 0]) <= allowed_m + 1e-9)
        # The range is made use of: a minute takes the base far towards its edges.
        assert np.all(np.abs(whole[:, :, 0]).max(axis=0) >= 0.4 * np.minimum(allowed_m, allowed_mps))
        steps = _course(course_id, range_m=range_m, speed_mps=speed_mps, seconds=4)
        position, velocity, acceleration = np.moveaxis(steps, 1, 0)
        assert np.all(np.abs(position) <= allowed_m + 1e-9)
        assert np.all(np.abs(velocity) <= allowed_mps + 1e-9)
        assert np.abs(acceleration).max() <= ACCELERATION_MPS2 + 1e-9
        moved_m = 0.002 * (velocity + 0.001 * acceleration)
        assert np.abs(np.diff(position, axis=0) - moved_m[:-1]).max() < 1e-11
        assert np.abs(np.diff(velocity, axis=0) - 0.002 * acceleration[:-1]).max() < 1e-11


def test_after_its_course_the_base_stands() -> None:
    drift = BaseDrift([0, 1], [0, 1], 100.0)
    drift.start(range_m=0.1, speed_mps=0.1, course_id=3.0)
    first, second = drift.at(70_000_000_000), drift.at(3_600_000_000_000)
    assert np.array_equal(first, second)
    assert not np.any(first[:, 1:])
    assert np.any(first[:, 0]) and np.all(np.abs(first[:, 0]) <= [0.1, 0.05])


def test_the_velocity_now_does_not_tell_the_one_in_half_a_second() -> None:
    """What makes delay matter: extrapolating with the base's velocity errs by centimetres after half a second."""
    errors = []
    for course_id in range(8):
        position, velocity, _ = np.moveaxis(_course(float(course_id)), 1, 0)
        errors.append(position[250:, 0] - position[:-250, 0] - 0.5 * velocity[:-250, 0])
    assert 0.02 < float(np.sqrt(np.mean(np.square(errors)))) < 0.06


@pytest.fixture(scope="module")
def moving(world_of: Callable[[str], BimanualWorld]) -> BimanualWorld:
    return world_of(TASK)


def _run(world: BimanualWorld, num_ticks: int, **parameters: float) -> Any:
    scenario = load_family(TASK).scenario(3)
    world.reset(dataclasses.replace(scenario, parameters={**scenario.parameters, **parameters}), 3)
    for tick in range(num_ticks):
        world.advance((tick + 1) * PERIOD_NS)
    return world.drain()


def test_a_gripper_without_orders_keeps_its_place_on_the_moving_base(moving: BimanualWorld) -> None:
    tables = _run(moving, 60)
    task, motion = tables["task"], tables["motion"]
    across = task["base_across_m"]
    assert np.ptp(across) > 0.05
    points = motion["position_m"].reshape(-1, len(moving.spec.motion_points), 3)[:, RIGHT_GRIPPER]
    # World +x is the direction of the first joint; the gripper goes where its base goes.
    on_base = points[::25][: len(across) - 1, 0] - across[:-1]
    assert np.ptp(on_base) < 0.01
    assert np.ptp(points[:, 0]) > 0.05


def test_recorded_velocities_are_those_in_the_world(moving: BimanualWorld) -> None:
    motion = _run(moving, 30)["motion"]
    shape = (-1, len(moving.spec.motion_points), 3)
    points, velocities = motion["position_m"].reshape(shape), motion["velocity_mps"].reshape(shape)
    between = np.diff(points[:, RIGHT_GRIPPER], axis=0) / 0.002
    assert np.abs(between[:, 0]).max() > 0.04
    assert np.abs(between - 0.5 * (velocities[:-1] + velocities[1:])[:, RIGHT_GRIPPER]).max() < 5e-3


def test_the_base_is_where_its_course_says(moving: BimanualWorld) -> None:
    world = moving
    task = _run(world, 40)["task"]
    drift = world._task._drift  # type: ignore[attr-defined]
    course = np.array([drift.at(int(t_ns)) for t_ns in task["t_ns"]])
    assert task["base_across_m"] == pytest.approx(course[:, 0, 0], abs=2e-5)
    assert task["base_forward_m"] == pytest.approx(course[:, 1, 0], abs=2e-5)
    assert task["base_speed_mps"] == pytest.approx(np.linalg.norm(course[:, :, 1], axis=1), abs=3e-3)
    state = world.capture("object_state", 0).array
    forward, left = world._data.qpos[world._task._slide_qpos[::-1]]  # type: ignore[attr-defined]
    assert state[31:33] == pytest.approx([forward, left])


def test_ground_truth_is_in_the_frame_of_the_base_as_it_is_now(moving: BimanualWorld) -> None:
    """The bar lies still; seen from the right base it moves against the drift."""
    _run(moving, 0)
    first: Any = moving.capture("object_state", 0).array
    _run(moving, 30)
    last: Any = moving.capture("object_state", 0).array
    assert last[:3] == pytest.approx(first[:3], abs=1e-3)
    assert last[13:16] == pytest.approx(first[13:16], abs=1e-3)
    assert last[22:24] - first[22:24] == pytest.approx(-last[31:33], abs=1e-3)
    assert np.abs(last[31:33]).max() > 0.01


def _put_bar(world: BimanualWorld, position_m: Any) -> Any:
    data, first = world._data, world._model.objects["bar"].qpos
    data.qpos[first : first + 7] = (*position_m, 1.0, 0.0, 0.0, 0.0)
    mujoco.mj_forward(world._model.mj_model, data)
    return world._task.measure(data)


def test_verdicts(moving: BimanualWorld) -> None:
    world = moving
    _run(world, 2)
    model, data = world._model, world._data
    grips = [data.site_xpos[site].copy() for site in model.grip_sites]
    for arm in model.arms:
        assert arm.gripper is not None
        data.qpos[arm.gripper.qpos] = (0.0149, -0.0149)  # closed on the bar's width of 30 mm
    left = _put_bar(world, grips[0] + (0.0, 0.09, 0.0))
    right = _put_bar(world, grips[1] - (0.0, 0.09, 0.0))
    assert (left.stage, left.is_goal_met) == (2, False)
    assert (right.stage, right.is_goal_met, right.row[2:4]) == (4, True, (False, True))
    low = _put_bar(world, (0.0, -0.12, 0.82))
    assert (low.stage, low.is_goal_met, low.failure) == (0, False, "")
    assert _put_bar(world, (0.5, 0.5, 0.1)).failure == "bar_dropped"


@pytest.mark.parametrize(("num_left_pads", "is_goal_met"), [(0, True), (1, False), (2, False)])
def test_a_giver_that_still_touches_the_bar_has_not_let_go(
    moving: BimanualWorld, monkeypatch: pytest.MonkeyPatch, num_left_pads: int, is_goal_met: bool
) -> None:
    _run(moving, 1)
    _put_bar(moving, (0.0, -0.12, 1.2))
    touches = moving._task._touches  # type: ignore[attr-defined]
    monkeypatch.setattr(touches, "update", lambda data: None)
    touches._matrix[:NUM_PADS, NUM_PADS] = [*(number < num_left_pads for number in range(2)), True, True]
    seen = moving._task.measure(moving._data)
    assert seen.is_goal_met == is_goal_met
    assert (seen.stage == 4) == is_goal_met


def test_a_bar_pushed_off_the_table_ends_the_episode(moving: BimanualWorld) -> None:
    _run(moving, 1)
    _put_bar(moving, (0.6, 0.3, 0.3))
    moving.advance(2 * PERIOD_NS)
    assert moving.outcome().state is OutcomeState.FAIL
    assert moving.outcome().reason == "bar_dropped"


def test_a_drift_out_of_range_is_refused(moving: BimanualWorld) -> None:
    scenario = load_family(TASK).scenario(0)
    with pytest.raises(ParameterError, match=r"'drift_speed_mps' is 0.9; allowed: a number from 0 to 0.3"):
        moving.reset(
            dataclasses.replace(scenario, parameters={**scenario.parameters, "drift_speed_mps": 0.9}), 0
        )


def test_an_arm_whose_own_joint_turns_its_base_frame_is_refused_on_a_cart_too() -> None:
    """What slides may carry the frame of the actions; a joint of the arm may not."""
    with pytest.raises(ConfigurationError, match="actions of IIWA turns with the arm's first joint"):
        BimanualWorld(**load_family(TASK).world_config, robots=["Panda", "IIWA"])
