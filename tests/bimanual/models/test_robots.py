"""Other robots and absolute actions, against robosuite's own controllers; and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.errors import ConfigurationError, UnknownNameError
from simloop.scenario_files import load_family
from simloop_bimanual.models import arms
from simloop_bimanual.models.two_arm_model import make_stock_env, two_arm_model
from simloop_bimanual.tasks import TASKS
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000
PAIRS = (("Sawyer", "UR5e"), ("Kinova3", "Jaco"))
BAXTER = ("Baxter",)
LIFT, HANDOVER, PEG = "two_arm_lift", "two_arm_handover", "two_arm_peg_in_hole"


def _actions(world: BimanualWorld, count: int, scale: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    actions = np.random.default_rng(1).uniform(-scale, scale, (count, world.spec.action.size))
    if not world.spec.action.anchor_layout:
        return actions
    actions = actions.reshape(count, 2, -1)
    actions[:, :, :6] *= 0.1  # up to 2 cm and 0.02 rad from where the grippers start
    return actions.reshape(count, -1) + world.spec.action.start_action(world.anchor())


@pytest.mark.parametrize(
    ("task", "robots", "action"),
    [
        *((HANDOVER, robots, "delta") for robots in PAIRS),
        (LIFT, BAXTER, "delta"),
        (LIFT, ("Panda", "Panda"), "absolute"),
        pytest.param(LIFT, BAXTER, "absolute", marks=pytest.mark.nightly),
        pytest.param(PEG, ("Panda", "UR5e"), "absolute", marks=pytest.mark.nightly),
    ],
)
def test_the_compiled_controller_follows_robosuites(task: str, robots: tuple[str, ...], action: str) -> None:
    family = load_family(task)
    config = {**family.world_config, "robots": robots, "action": action}
    world, stock = BimanualWorld(**config), BimanualWorld(**config, controller="stock")
    for other in (world, stock):
        other.reset(family.scenario(3), 3)
    start = world._data.qpos.copy()
    for tick, values in enumerate(_actions(world, 8, 0.2)):
        for other in (world, stock):
            other.actuate(values)
            other.advance((tick + 1) * PERIOD_NS)
        assert np.abs(world._data.qpos - stock._data.qpos).max() <= 1e-9
        assert np.abs(world._data.ctrl - stock._data.ctrl).max() <= 1e-6
    moved = np.abs(world._data.qpos - start)
    assert all(moved[arm.qpos].max() > 1e-3 for arm in world._model.arms)
    joints = world.spec.tables["joints"].normalise("joints", world.drain()["joints"])
    assert joints["joint_position_rad"].shape == (200, sum(len(arm.qpos) for arm in world._model.arms))
    state: Any = world.capture("robot_state", 0).array.reshape(2, 16)
    if world.spec.action.size == 14:
        assert ((state[:, 15] > 0.0) & (state[:, 15] < 0.2)).all()


@pytest.mark.parametrize("robots", [pytest.param(("UR5e", "UR5e"), marks=pytest.mark.nightly), BAXTER])
def test_a_start_equals_robosuites_for_other_robots(robots: tuple[str, ...]) -> None:
    family = load_family(LIFT)
    env = make_stock_env(seed=0, task=LIFT, robots=robots)
    env.rng = np.random.default_rng(7)
    env.placement_initializer.rng = env.rng
    env.reset()
    world = BimanualWorld(**{**family.world_config, "robots": list(robots)})
    world.reset(family.scenario(7), 7)
    for arm in world._model.arms:
        assert np.array_equal(env.sim.data._data.qpos[arm.qpos], world._data.qpos[arm.qpos])
        assert arm.gripper is not None
        assert np.array_equal(env.sim.data._data.qpos[arm.gripper.qpos], world._data.qpos[arm.gripper.qpos])


def test_an_arm_of_a_robot_with_two_is_told_from_its_torso() -> None:
    model = two_arm_model(LIFT, BAXTER)
    sides = {"left": set[str](), "right": set[str](), "torso": set[str]()}
    for geom, number in zip(model.geom_names, model.geom_class, strict=True):
        name = model.class_names[number]
        if geom.startswith(("robot", "gripper")):
            sides[name.split("_")[0]].add(geom)
    assert all(sides.values())
    # robosuite's right arm is the one at y < 0, which is the left one of the picture.
    assert all("_right_" in geom for geom in sides["left"])
    assert all("_left_" in geom for geom in sides["right"])
    world = BimanualWorld(robots="Baxter")
    world.reset(load_family(LIFT).scenario(0), 0)
    left, right = (world._data.site_xpos[site] for site in world._model.grip_sites)
    assert left[1] < 0.0 < right[1]


def test_an_absolute_target_is_the_same_place_whenever_it_arrives() -> None:
    family = load_family(LIFT)
    world = BimanualWorld(action="absolute")
    ends = []
    for delay in (0, 3, 8):
        world.reset(family.scenario(2), 2)
        target = world.spec.action.start_action(world.anchor()).reshape(2, 7)
        target[:, 2] += 0.06
        for tick in range(40):
            if tick >= delay:
                world.actuate(target.reshape(-1))
            world.advance((tick + 1) * PERIOD_NS)
        state = world.capture("robot_state", 0).array.reshape(2, 16)
        assert state[:, :3] == pytest.approx(target[:, :3], abs=2e-3)
        assert world.anchor().pose.reshape(2, 7)[:, :6] == pytest.approx(target[:, :6], abs=0.02)
        ends.append(state[:, :9])
    assert ends[1] == pytest.approx(ends[0], abs=2e-3)
    assert ends[2] == pytest.approx(ends[0], abs=2e-3)


def test_absolute_actions_say_what_they_are() -> None:
    world = BimanualWorld(action="two_arm_absolute")
    space = world.spec.action
    assert space.hold.value == "repeat"
    assert [d.name for d in space.dimensions[:7]] == [
        "left_x_m", "left_y_m", "left_z_m", "left_rx_rad", "left_ry_rad", "left_rz_rad", "left_grip",
    ]  # fmt: skip
    world.reset(load_family(LIFT).scenario(0), 0)
    anchor = world.anchor()
    actions = np.arange(28.0).reshape(2, 14)
    assert np.array_equal(space.to_world(actions, anchor), actions)
    state = world.capture("robot_state", 0).array.reshape(2, 16)
    assert anchor.pose.reshape(2, 7)[:, :3] == pytest.approx(state[:, :3], abs=1e-12)
    assert not anchor.pose.reshape(2, 7)[:, 6].any()


@pytest.mark.parametrize(
    ("task", "robots", "error", "match"),
    [
        (LIFT, ("Panda", "Pandas"), UnknownNameError, "Unknown robot 'Pandas'.*Did you mean 'Panda'"),
        (LIFT, ("Panda",), ConfigurationError, "two of Panda, .*, or one of Baxter alone"),
        (LIFT, ("Baxter", "Baxter"), ConfigurationError, "or one of Baxter alone"),
        (LIFT, ("Panda", "Panda", "Panda"), ConfigurationError, "two of Panda"),
        (HANDOVER, BAXTER, ConfigurationError, "has places for two robots"),
    ],
)
def test_robots_are_checked(task: str, robots: tuple[str, ...], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        BimanualWorld(**{**load_family(task).world_config, "robots": robots})


def test_robots_that_a_scene_is_not_built_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS[LIFT], "only_robots", (("Panda", "Panda"),))
    with pytest.raises(
        ConfigurationError, match=r"is \['Sawyer', 'Sawyer'\]; the scene of 'two_arm_lift' is built for"
    ):
        BimanualWorld(robots=("Sawyer", "Sawyer"))


def test_a_controller_that_does_not_fit_a_robot_is_refused() -> None:
    """robosuite hangs the frame of the IIWA's actions on its first link, which turns."""
    family = load_family(LIFT)
    with pytest.raises(
        ConfigurationError, match=r"'controller' is 'fast'.*of IIWA turns.*world.controller=stock"
    ):
        BimanualWorld(**{**family.world_config, "robots": ("IIWA", "Panda")})
    world = BimanualWorld(**{**family.world_config, "robots": ("IIWA", "Panda")}, controller="stock")
    world.reset(family.scenario(0), 0)
    world.actuate(np.full(14, 0.2))
    world.advance(PERIOD_NS)
    assert np.abs(np.asarray(world.drain()["joints"]["joint_torque_nm"])[-1]).min() > 0.0


def test_a_model_is_built_once_however_it_is_asked_for() -> None:
    model = two_arm_model(LIFT)
    assert two_arm_model(LIFT, arms.DEFAULT_ROBOTS, has_distractors=False) is model
    assert BimanualWorld()._model is model
    assert two_arm_model(LIFT, has_distractors=True) is not model


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"kp": 100.0}, "gains of Panda are kp=100.0"),
        ({"input_ref_frame": "world"}, "input_ref_frame='world', it computes 'base' only"),
        ({"name": "JOINT_POSITION"}, "name='JOINT_POSITION'"),
        ({"qpos_index": range(8)}, "has 8 joints"),
    ],
)
def test_what_the_compiled_controller_does_not_compute_is_known(change: dict[str, Any], match: str) -> None:
    class Controller:
        name, input_type, input_ref_frame, impedance_mode = "OSC_POSE", "delta", "base", "fixed"
        uncoupling, interpolator_pos, interpolator_ori, naming_prefix = True, None, None, "robot0_"
        kp, kd, qpos_index = 150.0, 2.0 * np.sqrt(150.0), range(7)

    class Robot:
        name, arms = "Panda", ("right",)
        part_controllers = {"right": Controller()}  # noqa: RUF012

    class Env:
        robots = (Robot(),)

    model = two_arm_model(LIFT).mj_model
    assert arms.compiled_obstacle(Env(), model, ((),)) == ""
    for key, value in change.items():
        setattr(Robot.part_controllers["right"], key, value)
    assert match in arms.compiled_obstacle(Env(), model, ((),))
