"""What a sweep says is checked before its first episode; file and command line say the same."""

from __future__ import annotations

from typing import Any

import pytest

from simloop.errors import ConfigurationError, IncompatibleAgentError, ParameterError, UnknownNameError
from simloop.suites import load_suite, shipped_suites
from simloop.sweep.definition import HorizonRule, sweep_from_block, sweep_from_words
from simloop.sweep.planning import plan_command, plan_sweep

WORDS = {"scenario": "a", "agent": "b", "strategy": "c,d", "latency_ms": "0,50.5,100"}
WRONG = [
    ({"latency_ms": "0,-5"}, r"latency_ms is '0,-5'; allowed: numbers >= 0 that rise"),
    ({"latency_ms": "100,50"}, r"latency_ms is '100,50'; allowed: numbers >= 0 that rise"),
    ({"latency_ms": "0,nan"}, r"latency_ms is '0,nan'; allowed: numbers >= 0 that rise"),
    ({"latency_ms": "0,fast"}, r"latency_ms is '0,fast'; allowed: numbers >= 0 that rise"),
    ({"s": "max(d,0)"}, r"s is 'max\(d,0\)'; allowed: a whole number >= 1, or max\(d,N\)"),
    ({"s": "0"}, r"s is '0'; allowed: a whole number >= 1, or max\(d,N\)"),
    ({"s": "d+1"}, r"s is 'd\+1'; allowed: a whole number >= 1, or max\(d,N\)"),
    ({"seeds.count": "0"}, r"seeds.count is '0'; allowed: a whole number >= 1"),
    ({"causes": "-1"}, r"causes is '-1'; allowed: a whole number >= 0"),
    ({"critical.tolerance_ms": "0"}, r"critical.tolerance_ms is '0'; allowed: a number over 0"),
    ({"strategy": "a,,b"}, r"strategy is 'a,,b'; allowed: names, separated by commas"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG, ids=[str(c) for c, _ in WRONG])
def test_values_out_of_range_name_key_value_and_what_is_allowed(
    changed: dict[str, str], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        sweep_from_words(WORDS | changed)


def test_ticks_are_whole_and_one_unit_is_given() -> None:
    words = {k: v for k, v in WORDS.items() if k != "latency_ms"}
    assert sweep_from_words(words | {"latency_ticks": "0,1,4"}).levels == (0.0, 1.0, 4.0)
    with pytest.raises(
        ParameterError, match=r"latency_ticks is '0,1.5'; allowed: whole numbers >= 0 that rise"
    ):
        sweep_from_words(words | {"latency_ticks": "0,1.5"})
    with pytest.raises(ConfigurationError, match=r"got none of them"):
        sweep_from_words(words)
    with pytest.raises(ConfigurationError, match=r"got \['latency_ms', 'latency_ticks'\]"):
        sweep_from_words(WORDS | {"latency_ticks": "1"})
    with pytest.raises(ConfigurationError, match=r"needs agent=\.\.\."):
        sweep_from_words({"scenario": "a"})


def test_a_block_and_the_words_that_say_the_same_make_one_sweep() -> None:
    block = {
        "kind": "latency",
        "scenario": ["a"],
        "agent": "b",
        "strategy": ["c", "d"],
        "latency_ticks": [0, 2],
        "execution_horizon": "max(d,2)",
        "seeds": {"first": 5, "count": 7},
        "set": {"timing.servers": 0},
        "critical": {"cases": 3, "tolerance_ms": 2.5},
        "twins": {"cases": 1},
        "causes": 9,
    }
    sweep = sweep_from_words(sweep_from_block(block, "x.yaml: sweep"))
    assert (sweep.scenario, sweep.strategy, sweep.levels, sweep.unit) == (
        ("a",),
        ("c", "d"),
        (0.0, 2.0),
        "ticks",
    )
    assert sweep.execution_horizon == HorizonRule(low=2, follows_delay=True)
    assert [sweep.execution_horizon.at(d) for d in (0, 2, 4)] == [2, 2, 4]
    assert (list(sweep.seeds), sweep.overrides) == (list(range(5, 12)), (("timing.servers", "0"),))
    assert (sweep.num_critical_cases, sweep.critical_tolerance_ms) == (3, 2.5)
    assert (sweep.num_twins, sweep.num_causes) == (1, 9)


@pytest.mark.parametrize(
    ("block", "error", "message"),
    [
        ([], ConfigurationError, "it must be a mapping with: kind"),
        ({"knid": "latency"}, UnknownNameError, "Unknown key 'knid'"),
        ({"kind": "bandwidth"}, UnknownNameError, "Unknown kind of sweep 'bandwidth'"),
        ({"seeds": 3}, ConfigurationError, "x: sweep.seeds is 3; it must be a mapping"),
    ],
)
def test_a_wrong_block_is_refused(block: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sweep_from_block(block, "x: sweep")


def test_strategies_that_an_agent_cannot_run_are_refused_with_those_that_it_can(wall_sweep: Any) -> None:
    with pytest.raises(
        IncompatibleAgentError, match=r"cannot run rtc, fast_slow; it can run: paused, .*prefix"
    ):
        wall_sweep.plan("strategy=naive_async,rtc,fast_slow")
    with pytest.raises(UnknownNameError, match="Unknown strategy 'naive_asink'"):
        wall_sweep.plan("strategy=naive_asink")
    with pytest.raises(IncompatibleAgentError, match="plans chunks of 8 actions"):
        wall_sweep.plan("s=max(d,1)", "latency_ticks=0,9")
    assert not (wall_sweep.folder / "results").exists()


def test_twins_need_a_scenario_that_says_what_its_event_is(wall_sweep: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"wall.yaml: twin is missing"):
        wall_sweep.plan("twins.cases=1")


def test_the_latency_is_added_to_the_preset_and_s_follows_it(wall_sweep: Any) -> None:
    plan = wall_sweep.plan("timing=xr0_4090", "latency_ticks=0,3", "s=max(d,1)")
    by_latency = {t.spec.timing.name: t.spec for t in plan.tasks}
    assert [s.timing.config["added_inference_ms"] for s in by_latency.values()] == [0.0, 150.0]
    assert [s.strategy.config["execution_horizon"] for s in by_latency.values()] == [1, 3]
    assert all(s.timing.config["inference"]["value_ms"] == 80 for s in by_latency.values())
    arms = plan.manifest.config["sweep"]["arms"]
    assert [(a["latency_ms"], a["latency_ticks"], a["execution_horizon"]) for a in arms] == [
        (0.0, 0, 1),
        (150.0, 3, 3),
    ]


def test_a_suite_file_is_swept_by_run_as_well_and_words_replace_its_keys(wall_sweep: Any) -> None:
    (wall_sweep.folder / "walls.yaml").write_text(
        "suite: walls\nsweep:\n  scenario: wall.yaml\n  agent: simloop.testing.brake_agent:BrakeAgent\n"
        "  strategy: [naive_async, prefix]\n  latency_ticks: [0, 2]\n  seeds: {first: 0, count: 3}\n"
    )
    words = ["suite=walls.yaml", "runner=in_process", "run_id=x"]
    assert len(plan_command("run", words).tasks) == len(plan_sweep(words).tasks) == 12
    assert len(plan_sweep([*words, "strategy=prefix", "latency_ms=0,1,2", "seeds.count=1"]).tasks) == 3
    with pytest.raises(ConfigurationError, match="has axes, not a sweep"):
        plan_sweep(["suite=smoke"])
    with pytest.raises(UnknownNameError, match="Unknown key 'latencies' in the command line"):
        plan_sweep([*words, "latencies=3"])


@pytest.mark.parametrize("name", [n for n in shipped_suites() if load_suite(n).sweep is not None])
def test_shipped_sweeps_plan(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_command("run", [f"suite={name}", "seeds.count=1", "runner=in_process"])
    definition = plan.manifest.config["sweep"]["definition"]
    curves = len(definition["scenario"]) * len(definition["strategy"])
    assert len(plan.tasks) == curves * len(definition["levels"])
