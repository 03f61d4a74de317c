"""Every YAML file in ``conf/`` composes, and what it names can be imported."""

from __future__ import annotations

import importlib
import importlib.resources
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from simloop import compose

CHOICES = [(group, name) for group in compose.GROUPS for name in compose.choices(group)]


def _targets(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        if "_target_" in config:
            yield config["_target_"]
        for value in config.values():
            yield from _targets(value)
    elif isinstance(config, list):
        for value in config:
            yield from _targets(value)


def test_every_file_belongs_to_a_group() -> None:
    root = importlib.resources.files("simloop_conf")
    folders = {entry.name for entry in root.iterdir() if entry.is_dir() and entry.name != "__pycache__"}
    assert folders == {*compose.GROUPS, "force_limits"}  # the latter is read by the two-arm world
    assert all(compose.choices(group) for group in compose.GROUPS)


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=[f"{g}-{n}" for g, n in CHOICES])
def test_choice_composes_and_its_targets_import(group: str, name: str) -> None:
    config = compose.component(group, name).config
    assert config
    for target in _targets(dict(config)):
        module, _, attribute = target.rpartition(".")
        assert module.startswith("simloop"), f"{target} is not one of ours"
        assert callable(getattr(importlib.import_module(module), attribute)), target


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=[f"{g}-{n}" for g, n in CHOICES])
def test_choice_says_what_it_is(group: str, name: str) -> None:
    sentence = compose.description(group, name)
    assert sentence.strip().endswith("."), f"conf/{group}/{name}.yaml needs a description of one sentence"


def test_latency_numbers_carry_their_source() -> None:
    folder = importlib.resources.files("simloop_conf") / "timing"
    for name in compose.choices("timing"):
        content = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        assert str(content.get("source", "")).strip(), f"conf/timing/{name}.yaml names no source"
