"""The world's seam: time, actions, captures, tables, verdicts and what it refuses."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError, WorldError
from simloop.scenario_files import load_family
from simloop.spec import Scenario
from simloop.testing import check_world
from simloop.world import Outcome, OutcomeState
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000


@pytest.fixture
def scenario() -> Scenario:
    return load_family("two_arm_lift").scenario(3)


def test_world_keeps_the_contract() -> None:
    check_world(BimanualWorld, load_family("two_arm_lift").case(1))


@pytest.mark.parametrize("until_ns", [1_000_000, 2_000_001, -2_000_000])
def test_advance_refuses_instants_off_the_grid_or_past(
    world: BimanualWorld, scenario: Scenario, until_ns: int
) -> None:
    world.reset(scenario, 0)
    with pytest.raises(ValueError, match="multiples of 2000000"):
        world.advance(until_ns)


def test_advance_before_reset_says_what_to_do() -> None:
    with pytest.raises(WorldError, match="call reset"):
        BimanualWorld().advance(2_000_000)


@pytest.mark.parametrize(
    ("action", "got"),
    [
        (np.zeros(13), r"has shape \(13,\)"),
        (np.array([np.nan, *[0.0] * 12, np.inf]), r"is not finite in its entries \[0, 13\]"),
    ],
)
def test_actuate_refuses_unusable_actions(
    world: BimanualWorld, scenario: Scenario, action: Any, got: str
) -> None:
    world.reset(scenario, 0)
    match = rf"{got}; expected 14 numbers.*'two_arm_delta' \(left_dx, .*right_grip\).*key 'action'"
    with pytest.raises(ValueError, match=match):
        world.actuate(action)


@pytest.mark.parametrize(
    ("scene", "met_at", "success_tick"),
    [
        ({"success": "held", "num_held_steps": 3}, {2, 3, 5, 6, 7, 8}, 7),
        ({"num_held_steps": 3}, {2, 3, 5, 6, 7, 8}, 7),
        ({}, set(range(12)), 9),  # ten control periods: those that end at ticks 0 to 9
        ({"success": "once"}, {4}, 4),
        ({"success": "at_end"}, {2, 3, 4, 12}, 12),
        ({"success": "at_end"}, {2, 3, 4, 11}, None),
        ({"success": "once"}, set(), None),
    ],
)
def test_what_the_condition_has_to_do_for_a_success(
    monkeypatch: pytest.MonkeyPatch,
    scenario: Scenario,
    scene: dict[str, Any],
    met_at: set[int],
    success_tick: Any,
) -> None:
    """The condition is given by tick; the time limit is tick 12."""
    world = BimanualWorld()
    world.reset(dataclasses.replace(scenario, scene=scene, time_limit_ns=12 * PERIOD_NS), 0)
    task, ticks = world._task, itertools.count()
    task.read(dataclasses.replace(scenario, scene=scene, time_limit_ns=12 * PERIOD_NS))  # before tick 0
    seen = task.measure(world._data)
    monkeypatch.setattr(
        task, "measure", lambda _: dataclasses.replace(seen, is_goal_met=next(ticks) in met_at)
    )
    succeeded = None
    for tick in range(13):
        task.judge(world._data)
        if succeeded is None and task.outcome.state is OutcomeState.SUCCESS:
            succeeded = tick
    assert succeeded == success_tick
    assert task.outcome.state is (OutcomeState.RUNNING if success_tick is None else OutcomeState.SUCCESS)


@pytest.mark.parametrize("is_met", [False, True])
def test_a_failure_from_outside_the_task_keeps_what_was_judged_last(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario, is_met: bool
) -> None:
    """As at the time limit: with ``at_end`` the goal can be met while the episode runs on."""
    world = BimanualWorld()
    world.reset(dataclasses.replace(scenario, scene={"success": "at_end"}), 0)
    task = world._task
    seen = dataclasses.replace(task.measure(world._data), stage=2, is_goal_met=is_met)
    monkeypatch.setattr(task, "measure", lambda _: seen)
    task.judge(world._data)
    task.fail("physics_diverged")
    expected = Outcome(state=OutcomeState.FAIL, reason="physics_diverged", stage=2, is_goal_met=is_met)
    assert task.outcome == expected
    task.fail("another")
    assert task.outcome == expected  # over is over


def test_how_time_is_cut_does_not_matter(world: BimanualWorld, scenario: Scenario) -> None:
    """Goals stay between actions, and captures in between leave no trace in the physics."""
    ends = []
    for cuts in ([400], [2, 50, 51, 77, 150, 398, 400]):
        world.reset(scenario, 0)
        world.actuate(np.linspace(-0.5, 0.5, 14))
        for cut in cuts:
            world.advance(cut // 2 * 2 * 1_000_000)
            for sensor in world.spec.sensors:
                world.capture(sensor.name, 0)
        tables = world.drain()
        ends.append(
            (world._data.qpos.tobytes(), tables["motion"]["position_m"].tobytes(), tables["task"]["stage"])
        )
    assert ends[0][:2] == ends[1][:2]
    assert np.array_equal(ends[0][2], ends[1][2])


def test_a_frame_shows_the_instant_of_its_capture(world: BimanualWorld, scenario: Scenario) -> None:
    world.reset(scenario, 0)
    early = [world.capture(sensor.name, 0) for sensor in world.spec.sensors]
    now = [world.capture(sensor.name, 0).array.copy() for sensor in world.spec.sensors]
    world.actuate(np.full(14, 0.8))
    world.advance(6 * PERIOD_NS)
    for frame, expected in zip(early, now, strict=True):
        assert np.array_equal(frame.array, expected)
        later = world.capture(frame.sensor, 1)
        assert later.captured_at_ns == 6 * PERIOD_NS
        if frame.sensor != "object_state":
            assert not np.array_equal(later.array, expected)


def test_null_action_holds_the_grippers_command(world: BimanualWorld, scenario: Scenario) -> None:
    world.reset(scenario, 0)
    opening = np.array([[0.0] * 6 + [-1.0], [0.0] * 6 + [1.0]]).reshape(-1)
    for tick in range(10):
        world.actuate(opening)
        world.advance((tick + 1) * PERIOD_NS)
    before = world._data.ctrl[world._record[0]["finger_actuator"][:, :2].reshape(-1)].copy()
    assert before == pytest.approx([0.04, -0.04, 0.0, 0.0])
    for tick in range(10, 20):
        world.actuate(np.array(world.spec.action.null_action))
        world.advance((tick + 1) * PERIOD_NS)
    state = world.capture("robot_state", 0).array.reshape(2, 16)
    assert state[:, 15] == pytest.approx([0.08, 0.0], abs=2e-3)


def test_actions_move_each_arm_in_the_frame_of_its_own_base(world: BimanualWorld, scenario: Scenario) -> None:
    world.reset(scenario, 0)
    start = world.capture("robot_state", 0).array.reshape(2, 16)[:, :3].copy()
    action = np.zeros(14)
    action[[2, 7]] = 0.5, -0.5  # left arm up, right arm back to its base
    for tick in range(4):
        world.actuate(action)
        world.advance((tick + 1) * PERIOD_NS)
    moved = world.capture("robot_state", 1).array.reshape(2, 16)[:, :3] - start
    assert moved[0, 2] > 0.01 and abs(moved[0, :2]).max() < 0.005
    assert moved[1, 0] < -0.01 and abs(moved[1, 1:]).max() < 0.005
    tables = world.drain()
    points = np.asarray(tables["motion"]["position_m"]).reshape(-1, 3, 3)
    # The right arm faces -y, so back to its base is +y in the world.
    assert points[-1, 1, 1] - points[0, 1, 1] > 0.01


def test_tables_have_the_rates_that_they_promise(world: BimanualWorld, scenario: Scenario) -> None:
    world.reset(scenario, 0)
    for tick in range(4):
        world.actuate(np.full(14, 0.2))
        world.advance((tick + 1) * PERIOD_NS)
    tables = {
        name: world.spec.tables[name].normalise(name, columns) for name, columns in world.drain().items()
    }
    motion = tables["motion"]
    assert list(motion["t_ns"][::3]) == list(range(0, 4 * PERIOD_NS, 2_000_000))
    joints = tables["joints"]
    assert list(joints["t_ns"]) == list(motion["t_ns"][::3])
    # MuJoCo's semi-implicit Euler step: a position changes by the velocity that the step ends with.
    change = np.diff(joints["joint_position_rad"], axis=0) / 2e-3
    assert np.abs(change - joints["joint_velocity_radps"][1:]).max() < 1e-9
    assert list(tables["task"]["t_ns"]) == [tick * PERIOD_NS for tick in range(5)]
    # Recorded velocity is the derivative of recorded position (MuJoCo's Euler step: the backward difference).
    for point in range(3):
        rows = motion["point"] == point
        derivative = np.diff(motion["position_m"][rows], axis=0) / 2e-3
        assert np.abs(derivative - motion["velocity_mps"][rows][1:]).max() < 1e-3
    # A joint row holds what MuJoCo was given, within the actuators' limits.
    assert list(joints["joint_torque_nm"][-1]) == list(
        world._data.ctrl[world._record[0]["arm_actuator"].reshape(-1)]
    )
    assert np.abs(tables["joints"]["joint_torque_nm"]).max() <= 80.0
    assert world.drain()["motion"]["t_ns"].size == 0


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"scene": {"tilt_limit": 0.3}}, UnknownNameError, "Did you mean 'tilt_limit_rad'"),
        ({"scene": {"tilt_limit_rad": 3.0}}, ParameterError, "allowed: above 0"),
        ({"scene": {"num_held_steps": 0}}, ParameterError, "1 to 1000"),
        ({"scene": {"success": "at_once"}}, ParameterError, "allowed: held, at_end, once"),
        (
            {"scene": {"success": "once", "num_held_steps": 2}},
            ConfigurationError,
            "'num_held_steps' goes with 'success: held'",
        ),
        ({"scene": {"task": "two_arm_fold"}}, ConfigurationError, "allowed: 'two_arm_lift'"),
        ({"parameters": {"pot_z_m": 0.0}}, UnknownNameError, "Unknown parameter 'pot_z_m'"),
        ({"parameters": {"pot_x_m": 0.2}}, ParameterError, "from -0.03 to 0.03"),
    ],
)
def test_reset_refuses_what_does_not_fit(
    world: BimanualWorld, scenario: Scenario, changes: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        world.reset(dataclasses.replace(scenario, **changes), 0)


@pytest.mark.parametrize(
    ("config", "match"),
    [({"action": "joint"}, "'two_arm_delta'"), ({"camera_width_px": 4}, "8 to 2048")],
)
def test_world_config_is_checked(config: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        BimanualWorld(**config)


def test_two_worlds_in_one_process_do_not_touch_each_other(world: BimanualWorld, scenario: Scenario) -> None:
    other = BimanualWorld()
    world.reset(scenario, 0)
    world.actuate(np.full(14, 0.4))
    world.advance(4 * PERIOD_NS)
    alone = world._data.qpos.copy()
    world.reset(scenario, 0)
    other.reset(load_family("two_arm_lift").scenario(9), 9)
    world.actuate(np.full(14, 0.4))
    for tick in range(4):
        other.actuate(np.full(14, -0.4))
        other.advance((tick + 1) * PERIOD_NS)
        world.advance((tick + 1) * PERIOD_NS)
    assert np.array_equal(world._data.qpos, alone)
    assert other._model is world._model


def test_the_pot_off_the_table_ends_the_episode(world: BimanualWorld, scenario: Scenario) -> None:
    world.reset(scenario, 0)
    world._data.qpos[world._model.objects["pot"].qpos] = 1.0  # beside the table
    for tick in range(12):
        world.advance((tick + 1) * PERIOD_NS)
    assert world.outcome().state is OutcomeState.FAIL
    assert world.outcome().reason == "pot_dropped"


def test_a_tipped_pot_ends_the_episode(world: BimanualWorld, scenario: Scenario) -> None:
    world.reset(scenario, 0)
    address = world._model.objects["pot"].qpos
    world._data.qpos[address + 3 : address + 7] = (np.cos(0.7), np.sin(0.7), 0.0, 0.0)
    world._data.qpos[address + 2] += 0.3
    world.advance(PERIOD_NS)
    assert world.outcome().reason == "pot_tipped"
