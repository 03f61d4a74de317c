"""Contacts: a scripted touch of the two arms is seen exactly once, with the right names, speed and duration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simloop.log import EpisodeLog
from simloop.scenario_files import load_family
from simloop_bimanual.metrics.contact_metrics import NumArmCollisions
from simloop_bimanual.models.two_arm_model import geom_class_name
from simloop_bimanual.tasks.lift import LiftTask
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000


def _side(name: str) -> str:
    for index, side in enumerate(("left", "right")):
        if name.startswith((f"robot{index}_", f"gripper{index}_", f"fixed_mount{index}_")):
            return side
    return ""


def test_a_scripted_touch_of_the_two_arms_is_seen_exactly_once(world: BimanualWorld) -> None:
    """Both grippers go up, then towards each other until they touch, then back. The oracle walks MuJoCo's own list of
    contacts at every substep, by the names of the geoms."""
    scenario = load_family("two_arm_lift").scenario(0, {"pot_x_m": 0.0, "pot_y_m": 0.0, "pot_yaw_rad": 0.0})
    world.reset(scenario, 0)
    names = world._model.geom_names
    up, forth, back = np.zeros(14), np.zeros(14), np.zeros(14)
    up[[2, 9]] = 0.6
    forth[[0, 7]] = 0.35
    back[[0, 7]] = -0.6
    touching: list[int] = []
    has_touched = False
    for tick in range(70):
        world.actuate(up if tick < 12 else back if has_touched else forth)
        for number in range(25):
            instant = tick * 25 + number
            world.advance((instant + 1) * 2_000_000)
            sides = [{_side(names[a]), _side(names[b])} for a, b in world._data.contact.geom]
            if {"left", "right"} in sides:
                touching.append(instant)
                has_touched = True
    assert touching, "the script did not bring the arms together"
    assert max(np.diff(touching), default=0) <= 25, "the script is meant to touch once"

    tables = {
        name: world.spec.tables[name].normalise(name, columns) for name, columns in world.drain().items()
    }
    contacts = tables["contacts"]
    (row,) = (i for i, pair in enumerate(contacts["class_pair"]) if "left" in pair and "right" in pair)
    assert contacts["class_pair"][row] == "left_arm-right_arm"  # the wrists stand out further than the hands
    assert contacts["t_ns"][row] == touching[0] * 2_000_000
    assert contacts["duration_s"][row] == pytest.approx((touching[-1] - touching[0] + 1) * 0.002)
    assert contacts["is_collision"][row] and contacts["is_at_fault"][row]
    # The wrists move along y with the grippers: the speed at the onset is how fast those approach each other.
    motion = tables["motion"]
    velocity = motion["velocity_mps"].reshape(-1, 3, 3)[touching[0]]
    closing = float(velocity[0, 1] - velocity[1, 1])
    assert contacts["impact_speed_mps"][row] == pytest.approx(closing, rel=0.15)
    log = EpisodeLog.from_columns(
        {f"world.{name}": schema for name, schema in world.spec.tables.items()},
        {f"world.{name}": columns for name, columns in tables.items()},
    )
    assert NumArmCollisions().evaluate(log).value == 1.0


def test_contacts_that_last_are_reported_when_the_episode_is_over(world: BimanualWorld) -> None:
    world.reset(load_family("two_arm_lift").scenario(0), 0)
    world.advance(2 * PERIOD_NS)
    assert list(world.drain()["contacts"]["class_pair"]) == []
    world.advance(10_000_000_000)
    contacts = world.drain()["contacts"]
    assert list(contacts["class_pair"]) == ["pot-table"]
    assert not contacts["is_collision"][0]
    # The pot stands where it is put; it touches from the first substep that lets it sink in.
    assert contacts["duration_s"][0] == pytest.approx(10.0, abs=0.01)


def test_the_hand_on_the_pot_is_a_collision_and_fingers_are_not(world: BimanualWorld) -> None:
    scenario = load_family("two_arm_lift").scenario(0, {"pot_x_m": 0.0, "pot_y_m": 0.0, "pot_yaw_rad": 0.0})
    world.reset(scenario, 0)
    down = np.zeros(14)
    down[2] = -0.8
    for tick in range(30):
        world.actuate(down)
        world.advance((tick + 1) * PERIOD_NS)
    world.advance(10_000_000_000)
    contacts = world.drain()["contacts"]
    seen = dict(zip(contacts["class_pair"], contacts["is_collision"], strict=True))
    assert "left_gripper-pot" in seen
    assert {pair for pair in seen if "right" in pair} == set()


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("robot0_link3_collision", "left_arm"),
        ("fixed_mount1_pedestal_col", "right_arm"),
        ("gripper0_right_hand_collision", "left_gripper"),
        ("gripper1_right_finger2_pad_collision", "right_fingers"),
        ("pot_handle0_c", "pot"),
        ("table_collision", "table"),
        ("floor", "floor"),
    ],
)
def test_geoms_are_classed_by_name(name: str, group: str) -> None:
    assert geom_class_name(name, LiftTask.object_prefixes) == group


def test_every_geom_of_the_model_has_the_class_of_its_body(world: BimanualWorld) -> None:
    model: Any = world._model
    for geom, name in enumerate(model.geom_names):
        body = model.body_names[model.mj_model.geom_bodyid[geom]]
        side = _side(body)
        seen = model.class_names[model.geom_class[geom]]
        if side:
            assert seen.startswith(side), (name, body)
        else:
            assert seen == {"pot_root": "pot", "table": "table", "world": "floor"}[body]
