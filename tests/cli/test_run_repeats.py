"""``simloop run repeats=N``: what the console, the report, the summary and the exit code say of flaky cases."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simloop.testing import WobblingWall

WOBBLE = """
family: wall
world: wobbling_wall
time_limit_s: 6
parameters:
  fail_every_count: {choices: [0, 3]}
  nudge_every_count: {choices: [0, 2]}
"""
WORDS = (
    "run", "suite=walls.yaml", "runner=in_process", "strategy=paused", "timing=zero", "seeds.count=6",
    "scenario.parameters.nudge_every_count=0",
)  # fmt: skip
FOLDER = Path("results/runs")


@pytest.fixture(autouse=True)
def _wobbling(walls: Any) -> Iterator[None]:
    (walls.folder / "wall.yaml").write_text(WOBBLE)
    WobblingWall.num_plays.clear()
    yield
    WobblingWall.num_plays.clear()


def test_a_run_with_repeats_says_how_often_the_verdict_flips_everywhere(simloop: Any) -> None:
    ended = simloop(*WORDS, "world.determinism=statistical", "repeats=5", "run_id=toy")
    assert ended.code == 0
    table = list(csv.DictReader((FOLDER / "toy/repeats.csv").open()))
    flaky = [line for line in table if line["is_flaky"] == "1"]
    assert 0 < len(flaky) < len(table) == 6
    assert {line["verdicts"] for line in flaky} == {"4 success, 1 fail: collision"}
    rate = f"{100 * len(flaky) / 6:.1f} % ({len(flaky)}/6, 95 % interval "
    assert f"Repeats: 6 cases, 5 plays each: the verdict flips in {rate}" in ended.out
    # 4 of the 10 pairs of plays of a flaky case differ.
    assert f"Two plays of a case disagree with a chance of {100 * 0.4 * len(flaky) / 6:.2g} %." in ended.out
    assert ended.out.count("  flaky: wall / seed ") == len(flaky)
    assert f"{30 - len(flaky)}/30 of 6 cases" in ended.out

    summary = json.loads((FOLDER / "toy/summary.json").read_text())
    block = summary["repeats"]
    assert (block["num_repeats"], block["num_compared"], block["num_flaky"]) == (5, 6, len(flaky))
    assert block["num_to_the_bit"] == 6 - len(flaky)
    assert {case["seed"] for case in block["flaky"]} == {int(line["seed"]) for line in flaky}
    assert not re.search(r"\b[0-9a-f]{32}\b", json.dumps(block)), "summaries hold no ids"
    (cell,) = summary["cells"]
    assert (cell["num_judged"], cell["num_cases"]) == (30, 6)
    assert "## Repeats" in (FOLDER / "toy/summary.md").read_text()
    junit = ElementTree.parse(FOLDER / "toy/junit.xml")
    (case,) = (c for c in junit.iter("testcase") if c.get("name") == "repeats")
    assert rate in (case.findtext("system-out") or "")

    page = (FOLDER / "toy/report.html").read_text()
    section = page[page.index('<section id="repeats">') :].partition("</section>")[0]
    assert rate in section
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    for line in flaky:
        success, fail = sorted(
            line["first_plays"].split(), key=lambda i: f'fail <span class="mono">{i[:8]}' in section
        )
        for play in (success, fail):
            assert f'href="#/episode/{play}"' in section
            assert data["details"][play]["log"] is not None
            assert f"simloop replay {play[:12]}" in ended.out
    seeds = {row[data["columns"].index("seed")] for row in data["rows"]}
    assert {"0, play 1", "5, play 5"} <= seeds


def test_a_world_that_breaks_its_promise_ends_the_run_with_one(simloop: Any) -> None:
    ended = simloop(*WORDS, "world.determinism=bit_exact", "repeats=5", "run_id=toy")
    assert ended.code == 1
    assert "walls: FAIL. NOT DETERMINISTIC: " in ended.out
    assert "FAIL  plays of one case are equal to the bit where the world promises it: " in ended.out
    assert "  not deterministic: wall / seed " in ended.out
    assert "Not deterministic</b> wall / seed " in (FOLDER / "toy/report.html").read_text()
    again = simloop("report", "toy")
    assert again.code == 1
    assert "  not deterministic: wall / seed " in again.out
    junit = ElementTree.parse(FOLDER / "toy/junit.xml")
    assert [c.get("name") for c in junit.iter("testcase") if c.find("failure") is not None] == [
        "plays of one case are equal to the bit where the world promises it"
    ]


def test_a_play_is_replayed_by_its_id(simloop: Any) -> None:
    words = (
        "world.determinism=bit_exact",
        "repeats=2",
        "run_id=toy",
        "scenario.parameters.fail_every_count=0",
    )
    assert simloop(*WORDS, *words).code == 0
    line = next(csv.DictReader((FOLDER / "toy/repeats.csv").open()))
    ended = simloop("replay", line["first_plays"])
    assert ended.code == 0
    assert re.search(r"wall, seed \d, .*, paused, play 1", ended.out)
    assert "Identical." in ended.out


def test_compare_takes_the_plays_that_both_have_and_counts_cases(simloop: Any) -> None:
    quiet = ("world.determinism=statistical", "scenario.parameters.fail_every_count=0")
    for name, words in (("one", ()), ("four", ("repeats=4",))):
        assert simloop(*WORDS, *quiet, *words, f"run_id={name}").code == 0
    ended = simloop("compare", "one", "four")
    assert ended.code == 0
    assert (
        "Cases were played 1 times in the baseline and 4 times in the run: the first 1 of each are compared"
        in ended.out
    )
    assert re.search(r"paused +│ 6 +│ 0 +│ 0 +│ \+0.0 points", ended.out)
    both = simloop("compare", "four", "four")
    assert both.code == 0
    assert re.search(r"paused +│ 6 +│ 0.00 +│ 0.00 +│ \+0.0 points", both.out)
    assert "Cases were played" not in simloop("compare", "one", "one").out


def test_a_run_without_repeats_says_nothing_of_them(simloop: Any) -> None:
    ended = simloop(
        *WORDS, "world.determinism=statistical", "scenario.parameters.fail_every_count=0", "run_id=toy"
    )
    assert ended.code == 0
    folder = FOLDER / "toy"
    assert not (folder / "repeats.csv").exists()
    for text in (ended.out, *((folder / n).read_text() for n in ("summary.json", "summary.md", "junit.xml"))):
        assert "epeats" not in text
    assert 'id="repeats"' not in (folder / "report.html").read_text()
