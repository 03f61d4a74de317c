"""The examples of docs/scenarios.md are read by the code that reads a user's files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from simloop.criteria import parse_criteria
from simloop.scenario_files import UNIT_SUFFIXES, load_family
from simloop.suites import load_suite
from simloop.world import OutcomeState
from simloop_driving.scenario.scene import read_scene
from simloop_driving.scenario.scene_actors import BEHAVIOURS, LANES, OWN_PATH_LANES
from simloop_driving.scenario.scene_manoeuvres import COMBINATIONS, MANOEUVRES, TRIGGERS
from simloop_driving.world import DrivingWorld


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "docs" / "scenarios.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def blocks(text: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_family_and_scene_are_read(blocks: list[str], tmp_path: Path) -> None:
    family = yaml.safe_load(blocks[0])
    family["scene"] = yaml.safe_load(blocks[1])["scene"]
    family["parameters"] = {"ego_speed_mps": {"low": 20, "high": 30}, "headway_s": {"choices": [1.0, 2.0]}}
    path = tmp_path / "cut_in.yaml"
    path.write_text(yaml.safe_dump(family), encoding="utf-8")
    scene = read_scene(load_family(str(path)).scenario(seed=7))
    assert [actor.name for actor in scene.actors] == ["truck"]
    assert [m.trigger.kind for m in scene.manoeuvres] == ["time_s", "headway_s"]
    assert [flow.num_actors for flow in scene.flows] == [6]


def test_the_worked_example_is_a_family(blocks: list[str], tmp_path: Path) -> None:
    path = tmp_path / "left_past_everybody.yaml"
    path.write_text(next(b for b in blocks if b.startswith("family: left_past")), encoding="utf-8")
    family = load_family(str(path))
    world = DrivingWorld(**family.world_config)
    for seed in range(3):
        world.reset(family.scenario(seed), seed)
        assert world.outcome().state is OutcomeState.RUNNING
    assert [actor.name for actor in read_scene(family.scenario(0)).actors] == [
        "oncoming", "parked", "parked.door", "walker",
    ]  # fmt: skip


def test_every_word_of_the_language_is_described(text: str) -> None:
    page = text[text.index("## The scene of `driving`") : text.index("## The scene of `bimanual`")]
    words = (*TRIGGERS, *MANOEUVRES, *BEHAVIOURS, *LANES, *OWN_PATH_LANES, *COMBINATIONS)
    assert [word for word in words if not re.search(rf"\b{word}\b", page)] == []


def test_suite_and_criteria_are_read(blocks: list[str], tmp_path: Path) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_text(next(b for b in blocks if b.startswith("suite:")), encoding="utf-8")
    suite = load_suite(str(path))
    assert suite.axes[0].num_seeds == 20
    assert len(parse_criteria(suite.criteria, where=suite.where)) == 4


def test_the_grid_is_read(blocks: list[str], tmp_path: Path) -> None:
    path = tmp_path / "cut_ins.yaml"
    path.write_text(next(b for b in blocks if b.startswith("suite: cut_ins")), encoding="utf-8")
    suite = load_suite(str(path))
    assert suite.reference is not None and suite.reference.agents == ("cc_human_driver", "rss")
    family = load_family(suite.axes[0].scenario[0])
    assert len({family.case(0, cell).case_id for cell in suite.axes[0].cells()}) == 200
    assert len(parse_criteria(suite.criteria, where=suite.where)) == 1


def test_units_are_listed_in_full(text: str) -> None:
    sentence = text[text.index("ends in its unit:") : text.index("A seed draws")]
    assert set(re.findall(r"`(_\w+)`", sentence)) == set(UNIT_SUFFIXES)
