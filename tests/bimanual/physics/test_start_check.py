"""Starts that are refused: an object in something else, of any robot, a deformable one too."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from simloop.errors import ConfigurationError
from simloop.scenario_files import load_family
from simloop.spec import Scenario
from simloop_bimanual.physics.grasps import Touches
from simloop_bimanual.physics.start_check import check_overlaps
from simloop_bimanual.world import BimanualWorld

PILLAR = {"distractor_2_height_m": 0.5, "distractor_2_radius_m": 0.04}


def _with(family: str, **parameters: float) -> Scenario:
    scenario = load_family(family).scenario(0)
    return dataclasses.replace(scenario, parameters={**scenario.parameters, **parameters})


@pytest.mark.parametrize("robots", [("Panda", "Panda"), ("Sawyer", "UR5e")])
def test_a_pillar_in_a_hand_is_refused_whatever_the_robot(robots: tuple[str, ...]) -> None:
    world = BimanualWorld(robots=robots)
    world.reset(_with("two_arm_lift", **PILLAR, distractor_2_x_m=0.3, distractor_2_y_m=0.3), 0)
    x_m, y_m, _ = world._data.site_xpos[world._model.grip_sites[0]].tolist()
    with pytest.raises(ConfigurationError, match=r"put .*'distractor_2'.* at the start; allowed are 8 mm"):
        world.reset(_with("two_arm_lift", **PILLAR, distractor_2_x_m=x_m, distractor_2_y_m=y_m), 0)


def test_what_is_fixed_to_a_hand_may_overlap_its_own_robot_only() -> None:
    """UR5e's plate starts 6 mm in the pedestal of its own robot; the limit is lowered here to ask about that."""
    family = load_family("two_arm_peg_in_hole")
    world = BimanualWorld(**family.world_config, robots=("Sawyer", "UR5e"))
    world.reset(family.scenario(1), 1)
    model, data = world._model, world._data
    check_overlaps(model, data, objects=("peg", "plate"), allowed_m=0.001, where="here")
    others = dataclasses.replace(model, controller=model.controller.copy())
    others.controller["grip_root"] = -1  # nobody's hands
    with pytest.raises(ConfigurationError, match=r"here: .*'hole_g.*; allowed are 1 mm"):
        check_overlaps(others, data, objects=("peg", "plate"), allowed_m=0.001, where="here")


def test_contacts_of_a_flex_are_its_own() -> None:
    """MuJoCo names no geom in them: index -1, which is the last geom's where nobody looks."""
    world = BimanualWorld(task="two_arm_fold_towel")
    world.reset(load_family("two_arm_fold_towel").scenario(0), 0)
    model = world._model
    board = next(number for number, name in enumerate(model.geom_names) if name.startswith("table"))
    contact = SimpleNamespace(
        geom=np.array([[board, -1]], dtype=np.int32),
        flex=np.array([[-1, 0]], dtype=np.int32),
        dist=np.array([-0.02]),
    )
    data = SimpleNamespace(contact=contact)
    touches = Touches(model.geom_names, [model.geom_names[-1]], [model.geom_names[board]])
    touches.update(data)
    assert not touches.between(0, 1)
    contact.geom[0, 1] = len(model.geom_names) - 1
    touches.update(data)
    assert touches.between(0, 1)
    contact.geom[0, 1] = -1
    match = rf"'{model.geom_names[board]}' 20.0 mm into 'towel.*'.*allowed are 8 mm"
    with pytest.raises(ConfigurationError, match=match):
        check_overlaps(model, data, objects=(), allowed_m=0.008, where="here")
    check_overlaps(model, data, objects=(), allowed_m=0.021, where="here")
