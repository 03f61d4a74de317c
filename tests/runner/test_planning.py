"""Everything that can be wrong with a run is found before its first episode, with a message that helps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simloop.errors import (
    ConfigurationError,
    IncompatibleAgentError,
    ParameterError,
    SimloopError,
    UnknownNameError,
    WorldError,
)
from simloop.runner.planning import plan_run
from simloop.source_digest import EPISODE_SOURCES, source_digest
from simloop.testing.faulty_wall import FaultyWall

BRAKE = "simloop.testing.brake_agent:BrakeAgent"
WRONG = [
    (["suite=smoek"], UnknownNameError, "Unknown suite 'smoek'. Did you mean 'smoke'"),
    (["agent=experd"], UnknownNameError, "Unknown agent 'experd'. Did you mean 'expert'"),
    (["strategy=prefixx"], UnknownNameError, "Unknown strategy 'prefixx'. Did you mean 'prefix'"),
    (["timing=zer"], UnknownNameError, "Unknown timing 'zer'. Did you mean 'zero'"),
    (["scenario=cutin"], UnknownNameError, "Unknown scenario 'cutin'. Did you mean 'cut_in'"),
    (["runner=rey"], UnknownNameError, "Unknown runner 'rey'. Did you mean 'ray'"),
    (["stratgy=prefix"], UnknownNameError, "Unknown key 'stratgy' in the command line. Did you mean 'strategy'"),
    (["prefix"], ConfigurationError, "'prefix' is not of the form key=value"),
    (["timing=zero", "timing=xr0_4090"], ConfigurationError, "timing is given twice"),
    (["seeds.count=0"], ParameterError, "seeds.count is '0'; allowed: a whole number >= 1"),
    (["seeds.count=1.5"], ParameterError, "seeds.count is '1.5'; allowed: a whole number >= 1"),
    (["run_id=../x"], ParameterError, "run_id is '../x'; allowed: letters, digits"),
    (["timing=constant", "timing.inference.value_ms=-3"], ParameterError, r"timing.inference.value_ms is -3"),
    (["timing=constant", "timing.inference.mean_ms=3"], ConfigurationError, "inference: unknown keys .'mean_ms'"),
    (["strategy.execution_horizon=0"], ParameterError, "strategy.execution_horizon is 0; allowed: a whole number >= 1"),
    (["strategy.execution_horizon=9"], IncompatibleAgentError, "plans chunks of 8 actions; strategy .* executes 9"),
    (["strategy._target_=os.system"], ConfigurationError, "keys that start with _ belong to conf/ alone"),
    (["agent.target=nowhere:Agent"], ConfigurationError, "module 'nowhere' does not import"),
    (["agent.target=simloop.errors:Nothing"], ConfigurationError, "'Nothing' is not an Agent subclass"),
    (["agent=:x"], ConfigurationError, "must read module:Class"),
    (["agent=expert"], IncompatibleAgentError, "acts in .*two_arm_delta, .*waypoints; world 'braking_wall' takes"),
    (["runner.workers=-1"], ParameterError, "runner.workers is -1; allowed: a whole number >= 0"),
    (["runner.call_limit_s=0"], ParameterError, "runner.call_limit_s is 0"),
    (["world.speed_mps=-1"], ParameterError, "speed_mps, gap_m and deceleration_mps2 must be positive"),
]  # fmt: skip


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize(("words", "error", "message"), WRONG, ids=[" ".join(w) for w, _, _ in WRONG])
def test_wrong_words_are_refused_before_anything_starts(
    words: list[str], error: type[Exception], message: str
) -> None:
    given = words if words[0].startswith("suite=") else ["suite=walls.yaml", *words]
    with pytest.raises(error, match=message.replace("(", r"\(")):
        plan_run(given)
    assert not Path("results").exists()


@pytest.mark.usefixtures("walls")
def test_a_plan_holds_every_combination_once_in_case_order() -> None:
    plan = plan_run(["suite=walls.yaml", "run_id=x"])
    assert len(plan.tasks) == 32
    assert len({t.spec.episode_id for t in plan.tasks}) == 32
    assert [t.spec.case.seed for t in plan.tasks] == [s for s in range(4) for _ in range(8)]
    assert len({t.spec.case.case_id for t in plan.tasks}) == 4
    assert plan.folder == Path("results/runs/x")


@pytest.mark.usefixtures("walls")
def test_words_replace_whole_axes_and_reach_into_choices() -> None:
    plan = plan_run(
        ["suite=walls.yaml", "timing=constant", "timing.inference.value_ms=70", "strategy=prefix", "seeds.first=9",
         "seeds.count=2", "strategy.execution_horizon=4"]
    )  # fmt: skip
    assert [t.spec.case.seed for t in plan.tasks] == [9, 10]
    spec = plan.tasks[0].spec
    assert spec.timing.config["inference"]["value_ms"] == 70
    assert spec.timing.name == "constant[inference.value_ms=70]"
    assert spec.strategy.config["execution_horizon"] == 4


@pytest.mark.usefixtures("walls")
def test_a_run_without_an_id_gets_a_readable_one() -> None:
    assert plan_run(["suite=walls.yaml"]).run_id.startswith("walls-20")


def test_criteria_of_a_replaced_axis_are_for_the_verdict_and_unknown_metrics_refused(walls: Any) -> None:
    suite = walls.folder / "walls.yaml"
    suite.write_text(
        suite.read_text()
        + "criteria:\n  - {metric: success, timing: zero, at_least: 1}\n  - all_episodes_ended: true\n"
    )
    assert len(plan_run(["suite=walls.yaml"]).suite.criteria) == 2
    replaced = plan_run(["suite=walls.yaml", "timing=xr0_4090"]).manifest
    assert len(replaced.criteria) == 2
    assert replaced.axes["timing"] == ["xr0_4090"]
    suite.write_text(suite.read_text().replace("metric: success", "metric: sucess_once"))
    with pytest.raises(UnknownNameError, match="Unknown metric 'sucess_once'"):
        plan_run(["suite=walls.yaml", "timing=xr0_4090"])


HOSTILE = [
    "{_target_: builtins.open, path: x}",
    "{speed_mps: {_target_: builtins.open, _args_: [opened, w]}}",
    "{speed_mps: [{_target_: builtins.open, _args_: [opened, w]}]}",
]


@pytest.mark.parametrize("world_config", HOSTILE)
@pytest.mark.parametrize("world", ["faulty_wall", "driving"])
def test_a_scenario_file_cannot_name_code_to_run(walls: Any, world: str, world_config: str) -> None:
    (walls.folder / "wall.yaml").write_text(
        f"family: wall\nworld: {world}\nworld_config: {world_config}\ntime_limit_s: 6\n"
        "parameters: {fault: {choices: [none]}}\n"
    )
    with pytest.raises(
        ConfigurationError, match="sets '_target_'; keys that start with _ belong to conf/ alone"
    ):
        plan_run(["suite=walls.yaml"])
    assert not (walls.folder / "opened").exists()


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize(
    "words",
    [
        ["agent=unified", "agent.weights={_target_:builtins.open,_args_:[opened,w]}"],
        ["world._target_=builtins.open"],
    ],
)
def test_a_command_line_cannot_name_code_to_run(words: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="keys that start with _ belong to conf/ alone"):
        plan_run(["suite=walls.yaml", *words])
    assert not Path("opened").exists()


@pytest.mark.usefixtures("walls")
def test_the_manifest_holds_what_was_composed_in_plain_values() -> None:
    words = ["suite=walls.yaml", "timing=constant", "timing.inference.value_ms=70", "runner.workers=1"]
    manifest = plan_run(words).manifest
    config = json.loads(json.dumps(manifest.config))
    assert config["words"] == words
    assert [c["name"] for c in config["timing"]] == ["constant[inference.value_ms=70]"]
    assert config["timing"][0]["config"]["inference"]["value_ms"] == 70
    assert {c["name"] for c in config["strategy"]} == {"paused", "blocking", "naive_async", "prefix"}
    assert config["world"] == [{"name": "faulty_wall", "config": {"physics_period_ns": 10_000_000}}]
    assert config["agent"][0]["config"]["target"] == "simloop.testing.brake_agent:BrakeAgent"
    assert config["runner"]["workers"] == 1
    assert len(manifest.lock_digest) == 32


@pytest.mark.usefixtures("walls")
def test_the_source_of_the_core_is_part_of_an_episodes_identity() -> None:
    plan = plan_run(["suite=walls.yaml"])
    assert plan.manifest.versions["simloop"] == plan.tasks[0].spec.versions["simloop"]
    assert plan.manifest.versions["simloop"] == source_digest("simloop", EPISODE_SOURCES)


GRID = """
suite: grid
reference_agents: BRAKE
heat_map: {x: gap_m, y: speed_mps}
axes:
  scenario: fast_wall.yaml
  agent: BRAKE
  timing: xr0_4090
  strategy: prefix
  seeds: {first: 0, count: 2}
  parameters: {gap_m: {first: 10, last: 30, step: 5}, speed_mps: [8, 12]}
  cells: {count: 4, seed: 0}
""".replace("BRAKE", BRAKE)
FAMILY = """
family: fast_wall
world: braking_wall
time_limit_s: 6
parameters: {gap_m: {low: 5, high: 40}, speed_mps: {low: 1, high: 20}, side: {choices: [left, right]}}
"""


@pytest.fixture
def grid(walls: Any) -> Path:
    (walls.folder / "fast_wall.yaml").write_text(FAMILY)
    path: Path = walls.folder / "grid.yaml"
    path.write_text(GRID)
    return path


@pytest.mark.usefixtures("grid")
def test_a_grid_is_a_case_a_cell_and_seed_which_the_reference_plays_too() -> None:
    plan = plan_run(["suite=grid.yaml"])
    cases = {t.spec.case.case_id: t.spec.case for t in plan.tasks}
    assert (len(plan.tasks), len(cases)) == (16, 8)
    cells = {(c.scenario.parameters["gap_m"], c.scenario.parameters["speed_mps"]) for c in cases.values()}
    assert len(cells) == 4 and cells < {(g, v) for g in (10.0, 15.0, 20.0, 25.0, 30.0) for v in (8.0, 12.0)}
    assert {type(value) for cell in cells for value in cell} == {float}
    arms = {(t.spec.timing.name, t.spec.strategy.name) for t in plan.tasks}
    assert arms == {("xr0_4090", "prefix"), ("zero", "naive_async")}
    manifest = plan.manifest
    assert manifest.reference == {"agents": [BRAKE], "timing": "zero", "strategy": "naive_async"}
    assert manifest.heat_map == {"x": "gap_m", "y": "speed_mps"}


@pytest.mark.usefixtures("grid")
def test_what_the_command_line_sets_is_not_for_the_reference() -> None:
    plan = plan_run(
        ["suite=grid.yaml", "timing=constant", "timing.inference.value_ms=70", "strategy.execution_horizon=2"]
    )
    arms = {(t.spec.timing.name, t.spec.strategy.name) for t in plan.tasks}
    assert arms == {
        ("constant[inference.value_ms=70]", "prefix[execution_horizon=2]"),
        ("zero", "naive_async"),
    }
    assert {c["name"] for c in plan.manifest.config["timing"]} == {"constant[inference.value_ms=70]", "zero"}


@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize(
    ("words", "num_cases"),
    [
        (["cells=all"], 20),
        (["cells=3", "seeds.count=1"], 3),
        (["cells=all", "scenario.parameters.gap_m=10,20", "seeds.count=1"], 4),
        (["cells=all", "scenario.parameters.gap_m={first: 10, last: 13, step: 1}", "seeds.count=1"], 8),
        (["cells=all", "scenario.parameters.side=[left, right]", "scenario.parameters.gap_m=12.5"], 8),
    ],
)
def test_words_choose_cells_and_values(words: list[str], num_cases: int) -> None:
    plan = plan_run(["suite=grid.yaml", *words, "reference_agents=none"])
    assert len(plan.tasks) == num_cases == len({t.spec.case.case_id for t in plan.tasks})
    assert plan.manifest.reference == {}


@pytest.mark.usefixtures("grid")
def test_a_value_is_fixed_in_a_suite_without_a_grid() -> None:
    drawn = [t.spec.case.scenario.parameters for t in plan_run(["suite=walls.yaml", "seeds.count=1"]).tasks]
    fixed = plan_run(["suite=walls.yaml", "scenario=fast_wall.yaml", "scenario.parameters.gap_m=12"]).tasks
    assert "gap_m" not in drawn[0]
    assert {t.spec.case.scenario.parameters["gap_m"] for t in fixed} == {12.0}
    assert len({t.spec.case.scenario.parameters["speed_mps"] for t in fixed}) == 4


@pytest.mark.usefixtures("grid")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["suite=grid.yaml", "scenario.parameters.gap_m=99"],
            "parameter 'gap_m' is 99; allowed: a number from 5 to 40",
        ),
        (
            ["suite=grid.yaml", "scenario.parameters.gap=9"],
            "unknown parameter 'gap'; fast_wall has: gap_m, side",
        ),
        (
            ["suite=grid.yaml", "scenario.parameters.gap_m={first: 1}"],
            "scenario.parameters.gap_m is .*three numbers",
        ),
        (
            ["suite=grid.yaml", "scenario.parameters.gap_m={"],
            "scenario.parameters.gap_m is '{', which cannot be read",
        ),
        (["suite=grid.yaml", "scenario.parametrs.gap_m=9"], "Unknown key 'scenario.parametrs.gap_m'"),
        (["suite=grid.yaml", "cells=0"], "cells is '0'; allowed: a whole number >= 1"),
        (["suite=grid.yaml", "reference_agents=expert"], "world 'braking_wall' takes"),
        (["suite=walls.yaml", "cells=all"], "suite 'walls' has none"),
    ],
)
def test_wrong_cells_and_values_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(SimloopError, match=message):
        plan_run(words)


def test_wrong_grids_and_references_are_refused(grid: Path) -> None:
    for before, after, message in (
        ("reference_agents: ", "reference_agents: {timing: zero}\nx: ", "Unknown key 'x'"),
        (
            f"reference_agents: {BRAKE}",
            "reference_agents: {timing: zero}",
            "allowed: a list of names, or {agents",
        ),
        (f"reference_agents: {BRAKE}", "reference_agents: {agent: a}", "Unknown key 'agent'"),
        ("x: gap_m", "z: gap_m", "heat_map is .*; allowed: {x: NAME, y: NAME, panels: NAME}"),
        (
            "  parameters",
            "  grid",
            "it must have the keys scenario, agent, timing, strategy, seeds, and may have",
        ),
        (
            f"reference_agents: {BRAKE}",
            "criteria: [{preventable_fails: {at_most: 0}}]",
            "has no reference_agents",
        ),
    ):
        grid.write_text(GRID.replace(before, after))
        with pytest.raises(SimloopError, match=message):
            plan_run(["suite=grid.yaml"])


def test_a_scene_that_the_world_refuses_is_known_before_the_start(walls: Any) -> None:
    (walls.folder / "mine.yaml").write_text(
        "family: mine\nworld: driving\nworld_config: {action: acceleration}\ntime_limit_s: 5\nparameters: {}\n"
        "scene: {map: highway, ego: {lane: -3, station_m: 50, initial_speed_mps: 9}, actors: {a: {lane: nowhere}}}\n"
    )
    words = ["suite=walls.yaml", "scenario=mine.yaml", "agent=expert", "timing=zero", "strategy=naive_async"]
    with pytest.raises(ConfigurationError, match=r"Unknown lane 'nowhere' in mine.yaml: scene.actors.a"):
        plan_run(words)
    assert not Path("results").exists()


@pytest.mark.parametrize(("error", "has_trace"), [(WorldError("no wall"), False), (OSError("no wall"), True)])
def test_what_breaks_at_reset_is_left_to_the_episodes(
    walls: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    has_trace: bool,
) -> None:
    """An error of simloop's own says what to do; only a foreign one is shown with where it came from."""

    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(FaultyWall, "reset", broken)
    assert len(plan_run([f"suite={walls.folder / 'walls.yaml'}"]).tasks) == 32
    assert "wall breaks at seed 0: no wall" in caplog.text
    assert ("Traceback" in caplog.text) is has_trace


def test_a_sweep_has_no_reference_agents(grid: Path) -> None:
    grid.write_text("suite: s\nreference_agents: rss\nsweep: {kind: latency}\n")
    with pytest.raises(ConfigurationError, match="reference_agents goes with axes; a sweep has none"):
        plan_run(["suite=grid.yaml"])
