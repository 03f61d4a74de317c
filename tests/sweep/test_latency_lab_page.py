"""docs/latency-lab.md says what the code does: commands plan, keys exist, causes are those that are tried."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from simloop.scenario_files import load_family
from simloop.sweep.causes import CAUSES
from simloop.sweep.definition import SWEEP_WORDS
from simloop.sweep.planning import plan_command, plan_sweep


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "docs" / "latency-lab.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_commands_and_the_suite_file_plan_the_same_grid(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = blocks(text, "bash")[0]
    words = shlex.split(command)
    assert words[:3] == ["simloop", "sweep", "latency"]
    planned = plan_sweep([*words[3:], "runner=in_process"])
    (tmp_path / "small.yaml").write_text(blocks(text, "yaml")[0])
    from_file = plan_command("run", ["suite=small.yaml", "runner=in_process"])
    assert len(planned.tasks) == len(from_file.tasks) == 4 * 3 * 64
    assert planned.manifest.config["sweep"]["arms"] == [
        {**a, "timing": a["timing"].replace("[servers=0]", "")}
        for a in from_file.manifest.config["sweep"]["arms"]
    ]


def test_every_key_and_cause_is_on_the_page(text: str) -> None:
    assert [key for key in SWEEP_WORDS if f"`{key}`" not in text] == []
    rows = re.findall(r"^\| ([a-z ]+) \| ", text.partition("## First cause")[2], flags=re.MULTILINE)
    assert [r.replace(" ", "_") for r in rows if r != "cause"] == list(CAUSES)


def test_the_twin_on_the_page_is_one_that_a_scenario_has(text: str) -> None:
    path, _, value = blocks(text, "yaml")[1].splitlines()[1].partition("#")[0].partition(": ")
    assert load_family("cut_in").twin[path.strip()] == yaml.safe_load(value)
