"""Variation that every task shares: masses, friction, distractors; neutral values change nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from simloop.errors import ConfigurationError, ParameterError
from simloop.scenario_files import load_family, shipped_families
from simloop.spec import Scenario
from simloop_bimanual.models.variation import PARAMETERS, SHARED
from simloop_bimanual.rendering import looks
from simloop_bimanual.tasks import TASKS
from simloop_bimanual.world import BimanualWorld

PERIOD_NS = 50_000_000
LIFT, HANDOVER = "two_arm_lift", "two_arm_handover"


def _scenario(family: str, **parameters: Any) -> Scenario:
    scenario = load_family(family).scenario(0)
    return dataclasses.replace(scenario, parameters={**scenario.parameters, **parameters})


def _run(world: BimanualWorld, scenario: Scenario, num_ticks: int = 10) -> bytes:
    world.reset(scenario, 0)
    rng = np.random.default_rng(0)
    for tick in range(num_ticks):
        world.actuate(rng.uniform(-0.5, 0.5, world.spec.action.size))
        world.advance((tick + 1) * PERIOD_NS)
    image = world.capture("front_camera", 0).array
    return bytes(world._data.qpos.tobytes() + world._data.qacc_warmstart.tobytes() + image.tobytes())


@pytest.mark.parametrize("family", [LIFT, HANDOVER])
def test_neutral_values_leave_every_bit(family: str) -> None:
    world = BimanualWorld(**load_family(family).world_config)
    plain = _run(world, _scenario(family))
    neutral = {name: value for name, (_, _, value) in SHARED.items()}
    assert _run(world, _scenario(family, **neutral)) == plain
    varied = _run(world, _scenario(family, object_mass_ratio=2.0, friction_ratio=0.5))
    assert varied != plain
    assert _run(world, _scenario(family)) == plain
    assert _run(world, _scenario(family, object_mass_ratio=2.0, friction_ratio=0.5)) == varied


@pytest.mark.parametrize("family", [LIFT, HANDOVER])
def test_masses_and_friction_are_scaled_once_and_in_this_world_only(family: str) -> None:
    config = load_family(family).world_config
    world, other = BimanualWorld(**config), BimanualWorld(**config)
    other.reset(_scenario(family), 0)
    for _ in range(2):  # a second reset scales the original, not the scaled one
        world.reset(_scenario(family, object_mass_ratio=3.0, friction_ratio=0.5), 0)
    ours, original = world._model.mj_model, other._model.mj_model
    bodies = list(world._model.object_bodies.values())
    for name in ("body_mass", "body_inertia", "body_subtreemass"):
        assert getattr(ours, name)[bodies] == pytest.approx(3.0 * getattr(original, name)[bodies])
    assert ours.body_mass.sum() - original.body_mass.sum() == pytest.approx(
        2.0 * original.body_mass[bodies].sum()
    )
    assert ours.geom_friction[:, 0] == pytest.approx(0.5 * original.geom_friction[:, 0])
    assert np.array_equal(ours.geom_friction[:, 1:], original.geom_friction[:, 1:])
    # What MuJoCo derives from masses follows: a heavier body yields less to a force.
    assert ours.body_invweight0[bodies, 0] == pytest.approx(original.body_invweight0[bodies, 0] / 3.0)


def test_the_pot_weighs_on_the_table_as_its_mass_says() -> None:
    world = BimanualWorld()
    weights = []
    for ratio in (1.0, 2.5):
        world.reset(_scenario(LIFT, object_mass_ratio=ratio), 0)
        world.advance(10 * PERIOD_NS)
        weights.append(world._contacts.state.pairs["force_n"].max())
    mass_kg = 9.81 * BimanualWorld()._model.mj_model.body("pot_root").mass[0]
    assert weights == pytest.approx([mass_kg, 2.5 * mass_kg], rel=0.02)


def test_distractors_stand_on_the_table_and_are_seen_and_touched() -> None:
    world = BimanualWorld()
    plain = _run(world, _scenario(LIFT))
    there = {"distractor_1_x_m": 0.3, "distractor_1_y_m": 0.25, "distractor_1_height_m": 0.2}
    standing = _run(world, _scenario(LIFT, **there))
    assert standing != plain  # they are in the picture
    model, data = world._model, world._data
    geom = model.geom_names.index("distractor_1")
    assert model.class_names[model.geom_class[geom]] == "distractor"
    assert data.geom_xpos[geom] == pytest.approx([0.3, 0.25, 0.8 + 0.1], abs=1e-9)
    assert data.geom_xpos[model.geom_names.index("distractor_2")][2] < -1.0
    # Put into the way of a hand that goes to the side, one is a collision.
    hand = data.site_xpos[model.grip_sites[0]]
    beside = {"x_m": float(hand[0]) + 0.2, "y_m": float(hand[1]), "height_m": 0.4}
    world.reset(_scenario(LIFT, **{f"distractor_1_{name}": value for name, value in beside.items()}), 0)
    aside = np.zeros(14)
    aside[1] = -0.8  # the arm faces +y, so that its right is the world's +x
    for tick in range(20):
        world.actuate(aside)
        world.advance((tick + 1) * PERIOD_NS)
    world.advance(10_000_000_000)
    contacts = world.drain()["contacts"]
    seen = dict(zip(contacts["class_pair"], np.asarray(contacts["is_collision"]), strict=True))
    assert [pair for pair in seen if pair.endswith("-distractor") and seen[pair]], seen
    assert _run(world, _scenario(LIFT)) == plain


@pytest.mark.parametrize(
    ("family", "parameters", "error", "match"),
    [
        (LIFT, {"object_mass_ratio": 9.0}, ParameterError, "from 0.2 to 5"),
        (LIFT, {"friction_ratio": True}, ParameterError, "allowed: a number"),
        (LIFT, {"distractor_1_height_m": 0.1}, ConfigurationError, "put .*distractor_1.* mm into"),
        (
            LIFT,
            {"distractor_2_x_m": 0.45, "distractor_2_height_m": 0.1},
            ConfigurationError,
            "distractor 2 at .* does not stand on the table",
        ),
        ("two_arm_peg_in_hole", {"distractor_1_height_m": 0.1}, ConfigurationError, "no single table"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_lost(
    family: str, parameters: dict[str, Any], error: type[Exception], match: str
) -> None:
    world = BimanualWorld(**load_family(family).world_config)
    before = _run(world, _scenario(family), 2)
    with pytest.raises(error, match=match):
        world.reset(_scenario(family, **parameters), 0)
    assert _run(world, _scenario(family), 2) == before


def test_ranges_of_a_users_file_are_drawn_by_seed(tmp_path: Path) -> None:
    text = shipped_families()[LIFT].read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    content["family"] = "varied"
    content["parameters"] |= {
        "object_mass_ratio": {"low": 0.5, "high": 2.0, "distribution": "log_uniform"},
        "friction_ratio": {"low": 0.7, "high": 1.3},
        "light_intensity_ratio": {"low": 0.6, "high": 1.4},
    }
    path = tmp_path / "varied.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    family = load_family(str(path))
    world = BimanualWorld(**family.world_config)
    drawn = []
    for seed in (0, 1, 0):
        world.reset(family.scenario(seed), seed)
        drawn.append(float(world._model.mj_model.body("pot_root").mass[0]))
    assert drawn[0] == drawn[2] != drawn[1]


def test_no_task_names_a_parameter_of_its_own_like_a_shared_one() -> None:
    assert not set(PARAMETERS) & set(looks.PARAMETERS)
    for name, task in TASKS.items():
        assert not {*task.parameters, *task.flags} & set(SHARED), name
    for name, (low, high, neutral) in SHARED.items():
        assert low <= neutral <= high, name
