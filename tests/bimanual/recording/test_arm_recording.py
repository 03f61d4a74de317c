"""The table ``arms`` and the limits in the log, against MuJoCo, the task's own view of a grasp and the data sheet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop import compose
from simloop.log import EpisodeLog
from simloop.metrics.evaluate import evaluate
from simloop.plugins import load_metrics
from simloop.scenario_files import load_family
from simloop.spec import Case
from simloop.testing import play
from simloop_bimanual.recording.arm_distance import FARTHEST_M
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000


def _arms_distance(world: BimanualWorld) -> float:
    """Least distance of any two moving geoms of the two arms; every pair is measured."""
    model, data = world._model, world._data
    mj_model = model.mj_model
    sides: dict[str, list[int]] = {"0": [], "1": []}
    for geom, name in enumerate(model.geom_names):
        if name.startswith(("robot", "gripper")) and mj_model.body_weldid[mj_model.geom_bodyid[geom]]:
            sides[name.removeprefix("robot").removeprefix("gripper")[0]].append(geom)
    found = [
        load_mujoco().mj_geomDistance(mj_model, data, a, b, FARTHEST_M, None)
        for a in sides["0"]
        for b in sides["1"]
    ]
    return float(
        min(distance for distance in found if distance != 0.0)
    )  # 0.0 is MuJoCo's answer when it gives up


@pytest.mark.parametrize("seed", [0, 1])
def test_the_least_distance_is_that_of_all_pairs(world: BimanualWorld, seed: int) -> None:
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    rng = np.random.default_rng(seed)
    expected = [_arms_distance(world)]
    for tick in range(40):
        action = rng.uniform(-1.0, 1.0, 14)
        if tick < 10:
            action[[2, 9]] = 0.8
        elif tick < 22:
            action[[0, 7]] = 0.6
        world.actuate(action)
        world.advance((tick + 1) * PERIOD_NS)
        expected.append(min(expected[-1], _arms_distance(world)))
    least = np.asarray(world.drain()["arms"]["least_arm_distance_m"])
    assert least[0] > 0.1 > least[-1], "the script is meant to bring the arms near"
    assert least == pytest.approx(expected, abs=1e-9)


@pytest.fixture(scope="module")
def lift(world: BimanualWorld) -> EpisodeLog:
    """An episode of the expert."""
    family = load_family("two_arm_lift")
    return play(
        world,
        compose.make_agent(compose.component("agent", "expert")),
        case=Case(scenario=family.scenario(0), seed=0, world_config=family.world_config),
        timing=compose.make_timing(compose.component("timing", "zero")),
        strategy=compose.make_strategy(compose.component("strategy", "naive_async")),
    )


def test_what_is_held_is_what_the_task_sees_grasped(lift: EpisodeLog) -> None:
    held = lift.column("world.arms", "held_object") >= 0
    for arm, side in enumerate(("left", "right")):
        grasped = lift.column("world.task", f"is_{side}_grasped")
        assert grasped.any()
        # The task looks at one instant, the table at the last 50 ms.
        assert (held[:, arm] | ~grasped).all()
        assert np.count_nonzero(held[:, arm] != grasped) <= 3
    opening = lift.column("world.arms", "gripper_opening_m")
    assert opening[0] == pytest.approx(0.0416 + np.zeros(2), abs=0.002)  # robosuite's initial fingers
    assert (opening[held.all(axis=1)] < 0.04).all()


def test_limits_are_those_of_the_arm(lift: EpisodeLog) -> None:
    # Franka's data sheet; the torques are robosuite's, the real arm has 87 N m in the first four.
    low = [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]
    high = [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]
    facts = lift.attributes
    assert facts["joint_low_rad"] == pytest.approx(low * 2)
    assert facts["joint_high_rad"] == pytest.approx(high * 2)
    assert facts["torque_limit_nm"] == pytest.approx([80.0] * 5 + [12.0] * 2 + [80.0] * 5 + [12.0] * 2)
    assert facts["joint_velocity_limit_radps"] == pytest.approx(([2.175] * 4 + [2.61] * 3) * 2)
    assert facts["joint_arms"] == ["left"] * 7 + ["right"] * 7
    assert facts["object_classes"] == ["pot"]
    assert facts["force_limits"]["quasi_static_n"] == 140.0
    torque = np.abs(lift.column("world.joints", "joint_torque_nm"))
    assert (torque.max(axis=0) <= np.array(facts["torque_limit_nm"]) + 1e-9).all()


def test_an_episode_of_the_expert_has_a_value_or_a_reason_for_every_metric(lift: EpisodeLog) -> None:
    metrics = load_metrics()
    found = evaluate(metrics, lift)
    assert not {name: why for name, why in found.reasons.items() if "raised" in why}
    ours = {m.name for m in metrics if type(m).__module__.startswith("simloop_bimanual")}
    missing = {name: found.reasons[name] for name in ours if found.values[name] is None}
    assert missing == {
        "force_limit_ratio": "no collision",
        "hand_over_gap_s": "no object changed hands",
        "peak_collision_force_n": "no collision",
    }
    values: dict[str, Any] = found.values
    assert values["stage_progress_ratio"] == 1.0
    assert 0.0 < values["max_held_tilt_rad"] <= values["max_pot_tilt_rad"] + 1e-9
    assert 0.0 < values["grasp_position_error_m"] < 0.05
    # What the arms do at the same time shows in few idle moments.
    assert values["idle_arm_ratio"] < 0.2


def test_arms_of_any_number_of_joints_are_judged() -> None:
    """Seven joints and six: limits are the models', and every metric has a value or a reason."""
    family = load_family("two_arm_handover")
    world = BimanualWorld(**{**family.world_config, "robots": ("Sawyer", "UR5e")})
    world.reset(family.scenario(0), 0)
    rng = np.random.default_rng(0)
    for tick in range(20):
        world.actuate(rng.uniform(-1.0, 1.0, world.spec.action.size))
        world.advance((tick + 1) * PERIOD_NS)
    attributes = {**world.log_attributes(), "motion_points": list(world.spec.motion_points)}
    log = EpisodeLog.from_columns(
        {f"world.{name}": schema for name, schema in world.spec.tables.items()},
        {f"world.{name}": columns for name, columns in world.drain().items()},
        attributes,
    )
    assert attributes["joint_arms"] == ["left"] * 7 + ["right"] * 6
    assert attributes["joint_velocity_limit_radps"][7:] == pytest.approx([np.pi] * 6)
    found = evaluate(load_metrics(), log)
    assert not {name: why for name, why in found.reasons.items() if "raised" in why}
    speeds = np.abs(log.column("world.joints", "joint_velocity_radps"))
    assert speeds.shape == (500, 13)
    expected = (speeds / np.array(attributes["joint_velocity_limit_radps"])).max()
    assert found.values["max_joint_velocity_ratio"] == pytest.approx(expected)
