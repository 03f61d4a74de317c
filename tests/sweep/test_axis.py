"""Sweeps over a key of the timing: what is refused, what is planned, and that they agree with latency sweeps."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from simloop.errors import ConfigurationError, ParameterError
from simloop.report.build import build_report
from simloop.runner.run import execute
from simloop.store.run_store import RunStore
from simloop.sweep.definition import sweep_from_block, sweep_from_words
from simloop.sweep.planning import plan_command, plan_sweep

WORDS = {
    "scenario": "a",
    "agent": "b",
    "strategy": "c",
    "vary": "timing.downlink.jitter_ms",
    "levels": "0,50",
}
WALL = (
    "scenario=wall.yaml",
    "agent=simloop.testing.brake_agent:BrakeAgent",
    "seeds.count=2",
    "s=1",
    "timing.servers=0",
    "timing.first_chunk=blocking",
    "runner=in_process",
)
WRONG: list[tuple[dict[str, str], type[Exception], str]] = [
    ({"vary": "downlink"}, ParameterError, r"vary is 'downlink'; allowed: a key of the timing"),
    ({"vary": "timing.down link"}, ParameterError, r"vary is 'timing.down link'; allowed: a key of the timing"),
    ({"levels": ""}, ParameterError, r"levels is ''; allowed: numbers >= 0 that rise"),
    ({"levels": "5,0"}, ParameterError, r"levels is '5,0'; allowed: numbers >= 0 that rise"),
    ({"levels": "{5: x, 0: y}"}, ParameterError, r"levels is '5,0'; allowed: numbers >= 0 that rise"),
    ({"levels": "{5: [x}"}, ConfigurationError, r"levels is '\{5: \[x\}', which is not YAML"),
    ({"latency_ms": "0,5"}, ConfigurationError, r"one of .* got \['latency_ms', 'vary'\]"),
    ({"s": "max(d,1)"}, ParameterError, r"s is 'max\(d,1\)'; with vary=timing.downlink.jitter_ms allowed"),
    ({"critical.cases": "3"}, ParameterError, r"critical.cases is 3; it bisects latencies"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "error", "message"), WRONG, ids=[str(c) for c, _, _ in WRONG])
def test_a_wrong_variation_is_refused(changed: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sweep_from_words(WORDS | changed)


def test_a_block_gives_the_value_of_each_level_on_one_line() -> None:
    line = "delay 150ms loss gemodel 20% 80% " + "limit 1000 " * 12
    block = {"kind": "timing", "scenario": "a", "agent": "b", "strategy": "c", "vary": "timing.downlink"}
    block |= {"levels": {1.25: {"netem": line}, 5: {"delay_ms": 3}}, "level_name": "length of a burst"}
    sweep = sweep_from_words(sweep_from_block(block, "x.yaml: sweep"))
    assert (sweep.levels, sweep.unit) == ((1.25, 5.0), "")
    assert sweep.variation is not None
    assert (sweep.variation.key, sweep.variation.name) == ("downlink", "length of a burst")
    assert [v.count("\n") for v in sweep.variation.values] == [0, 0]
    assert line.strip() in sweep.variation.values[0]
    with pytest.raises(ConfigurationError, match=r"sweep.kind is 'latency'; timing goes with the key vary"):
        sweep_from_block(block | {"kind": "latency"}, "x.yaml: sweep")


def test_inference_as_a_varied_key_and_as_an_added_latency_come_to_the_same(wall_sweep: Any) -> None:
    found = []
    for command, words in (
        ("latency", ["latency_ms=0,400,800"]),
        ("timing", ["timing=constant", "vary=timing.inference.value_ms", "levels=0,400,800"]),
    ):
        words = [*WALL, *words, "strategy=naive_async,prefix", f"run_id={command}"]
        plan = plan_command(f"sweep {command}", words)
        execute(plan, lambda row: None)
        build_report(plan.folder)
        text = (plan.folder / "sweep.csv").read_text().splitlines()
        found.append([(r["strategy"], r["successes"], r["delay_max_ticks"]) for r in csv.DictReader(text)])
        levels = RunStore.open_read_only(plan.folder).manifest.config["sweep"]["definition"]["levels"]
        assert levels == [0.0, 400.0, 800.0]
        figure = (plan.folder / "sweep.svg").read_text()
        assert figure.startswith("<svg") and "prefix" in figure
    assert found[0] == found[1]
    assert {successes for _, successes, _ in found[0]} == {"0", "2"}
    assert "inference.value_ms" in figure
    assert "added latency" not in figure


def test_the_command_says_which_kind_of_sweep_it_takes(wall_sweep: Any) -> None:
    words = [*WALL, "strategy=prefix"]
    with pytest.raises(ConfigurationError, match=r"simloop sweep timing got latencies"):
        plan_sweep([*words, "latency_ms=0"], "sweep timing")
    with pytest.raises(ConfigurationError, match=r"simloop sweep latency got vary"):
        plan_sweep([*words, "vary=timing.inference.value_ms", "levels=0", "timing=constant"])
    with pytest.raises(ConfigurationError, match=r"inferrence"):
        plan_sweep([*words, "vary=timing.inferrence.value_ms", "levels=0,5"], "sweep timing")
