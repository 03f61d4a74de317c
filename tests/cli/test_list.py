"""``simloop list``: one name a line with a sentence, or JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

EXPECTED = {
    "scenarios": {"cut_in", "lead_deceleration", "two_arm_lift"},
    "suites": {"smoke"},
    "agents": {"expert", "unified", "unified_scratch"},
    "strategies": {"blocking", "fast_slow", "naive_async", "paused", "prefix", "rtc"},
    "timings": {"constant", "pi05_4090_mobile", "xr0_4090", "zero"},
    "metrics": {"success_once", "min_ttc_s", "max_pot_tilt_rad", "path_length_m"},
    "worlds": {"bimanual", "braking_wall", "delayed_integrator", "driving", "faulty_wall"},
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_kind_lists_names_with_a_sentence(simloop: Any, kind: str) -> None:
    lines = simloop("list", kind)
    assert lines.code == 0
    by_name = dict(line.split(maxsplit=1) for line in lines.out.splitlines())
    assert by_name.keys() >= EXPECTED[kind]
    assert list(by_name) == sorted(by_name)
    for name, sentence in by_name.items():
        assert len(sentence.split()) >= 3, f"{name} is not described: {sentence!r}"

    machine = simloop("list", kind, "--json")
    assert machine.code == 0
    rows = json.loads(machine.out)
    assert [r["name"] for r in rows] == list(by_name)
    for row in rows:
        source = f" [{row['source']}]" if "source" in row else ""
        assert by_name[row["name"]] == row["description"] + source


@pytest.mark.parametrize(
    ("tag", "listed", "left_out"),
    [
        ("iso34502", {"cut_in", "r157_cut_out", "cyclist_crossing"}, {"two_arm_lift", "fork"}),
        ("unece_r157=deceleration", {"lead_deceleration", "r157_deceleration"}, {"cut_in", "r157_cut_in"}),
    ],
)
def test_scenarios_are_found_by_tag(simloop: Any, tag: str, listed: set[str], left_out: set[str]) -> None:
    result = simloop("list", "scenarios", "--tag", tag)
    names = {line.split()[0] for line in result.out.splitlines()}
    assert result.code == 0
    assert names >= listed
    assert not names & left_out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scenarios", "--tag", "iso3450"], "Did you mean 'iso34502'?"),
        (["scenarios", "--tag", "unece_r157=cut"], "Unknown tag 'unece_r157=cut'."),
        (["suites", "--tag", "iso34502"], "--tag is given for suites; allowed: for scenarios only"),
    ],
)
def test_a_tag_that_nothing_carries_is_refused(simloop: Any, words: list[str], message: str) -> None:
    result = simloop("list", *words)
    assert result.code == 4
    assert message in result.err


def test_strategies_carry_their_source(simloop: Any) -> None:
    sources = {r["name"]: r["source"] for r in json.loads(simloop("list", "strategies", "--json").out)}
    assert "2506.07339" in sources["rtc"]
    assert "2304.13705" in sources["temporal_ensemble"]
    assert all(sources.values())
    assert sources["rtc"] in simloop("list", "strategies").out


def test_metrics_carry_their_unit(simloop: Any) -> None:
    units = {r["name"]: r["unit"] for r in json.loads(simloop("list", "metrics", "--json").out)}
    assert units["min_ttc_s"] == "s"
    assert units["max_pot_tilt_rad"] == "rad"


def test_an_unknown_kind_is_refused_with_the_kinds(simloop: Any) -> None:
    ended = simloop("list", "cars")
    assert ended.code == 4
    assert all(kind in ended.err for kind in EXPECTED)


def test_an_unknown_command_is_refused(simloop: Any) -> None:
    ended = simloop("runn")
    assert ended.code == 4
    assert "No such command 'runn'" in ended.err
