"""Runs that play each case several times: which episodes they are, how they resume, and the flake rate to the digit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.repeats import find_repeats
from simloop.report.build import build_report
from simloop.report.criterion_verdict import CriterionState
from simloop.report.verdict import BIT_EXACT, RunState
from simloop.runner.planning import plan_run
from simloop.runner.run import execute
from simloop.stats.rate import wilson
from simloop.store.baseline import read_rows_and_manifest, write_baseline
from simloop.store.run_store import RunStore
from simloop.sweep.planning import plan_command
from simloop.testing import WobblingWall

WOBBLE = """
family: wall
world: wobbling_wall
time_limit_s: 6
parameters:
  fail_every_count: {choices: [0, 2, 3, 5]}
  nudge_every_count: {choices: [0, 4]}
  break_every_count: {choices: [BREAKS]}
"""
ONE_ARM = ("runner=in_process", "timing=zero", "strategy=paused")


@pytest.fixture
def wobbling(walls: Any) -> Iterator[Any]:
    """The walls, with a family that wobbles."""
    (walls.folder / "wall.yaml").write_text(WOBBLE.replace("BREAKS", "0"))
    WobblingWall.num_plays.clear()
    yield walls
    WobblingWall.num_plays.clear()


@pytest.mark.usefixtures("walls")
def test_plays_differ_in_their_ids_alone_and_lie_apart() -> None:
    once = plan_run(["suite=walls.yaml", "run_id=x"])
    plan = plan_run(["suite=walls.yaml", "run_id=x", "repeats=3"])
    assert len(plan.tasks) == plan.manifest.num_planned == 96
    ids = [task.spec.episode_id for task in plan.tasks]
    assert len(set(ids)) == 96
    assert ids[:32] == [task.spec.episode_id for task in once.tasks]
    assert [task.spec.repeat for task in plan.tasks] == [n for n in (1, 2, 3) for _ in range(32)]
    for number in range(32):
        first, second, third = (plan.tasks[number + 32 * n] for n in range(3))
        assert first.spec.case == second.spec.case == third.spec.case
        assert first.spec.case.draw_id == third.spec.case.draw_id
        assert (first.spec.timing, first.spec.strategy) == (third.spec.timing, third.spec.strategy)


@pytest.mark.usefixtures("walls")
def test_one_play_each_is_a_run_as_ever() -> None:
    once, one = (plan_run(["suite=walls.yaml", "run_id=x", *words]) for words in ([], ["repeats=1"]))
    assert one.tasks == once.tasks
    assert one.manifest.identity() == once.manifest.identity()
    assert "repeats" not in once.manifest.config
    assert {task.spec.repeat for task in once.tasks} == {0}


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize("value", ["0", "-2", "1.5", "many", ""])
def test_a_number_of_repeats_that_is_none_is_refused(value: str) -> None:
    with pytest.raises((ParameterError, ConfigurationError), match=r"repeats"):
        plan_run(["suite=walls.yaml", f"repeats={value}"])
    assert not Path("results").exists()


def test_a_suite_says_how_often_and_the_command_line_says_it_anew(walls: Any) -> None:
    suite = walls.folder / "walls.yaml"
    text = suite.read_text()
    suite.write_text(text + "repeats: 2\n")
    assert len(plan_run(["suite=walls.yaml"]).tasks) == 64
    assert len(plan_run(["suite=walls.yaml", "repeats=1"]).tasks) == 32
    for wrong in ("0", "2.5", "true", "[2]"):
        suite.write_text(text + f"repeats: {wrong}\n")
        with pytest.raises(ParameterError, match=r"repeats is .*; allowed: a whole number >= 1"):
            plan_run(["suite=walls.yaml"])


def test_a_sweep_refuses_repeats_and_says_what_takes_them() -> None:
    with pytest.raises(
        ConfigurationError, match=r"repeats is '3'; a sweep plays each case once .* suite of axes"
    ):
        plan_command("run", ["suite=latency_driving", "repeats=3"])
    with pytest.raises(UnknownNameError, match="Unknown key 'repeat'"):
        plan_run(["suite=smoke", "repeat=3"])


def test_reference_agents_judge_by_one_play(walls: Any) -> None:
    plan = plan_run(
        ["suite=walls.yaml", "strategy=paused", "timing=xr0_4090", "repeats=3",
         "reference_agents=simloop.testing.brake_agent:BrakeAgent"]
    )  # fmt: skip
    counts = Counter((task.spec.timing.name, task.spec.repeat) for task in plan.tasks)
    assert counts == {("xr0_4090", 1): 4, ("xr0_4090", 2): 4, ("xr0_4090", 3): 4, ("zero", 0): 4}


def test_a_deterministic_world_repeats_to_the_bit_and_the_check_passes(walls: Any) -> None:
    plan, rows = walls.run(
        "runner=in_process", "strategy=paused,prefix", "run_id=r", "repeats=3", "seeds.count=2"
    )
    hashes: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        hashes.setdefault((row["case_id"], row["timing"], row["strategy"]), set()).add(row["episode_hash"])
    assert {len(found) for found in hashes.values()} == {1}
    assert [row["repeat"] for row in rows] == [n for n in (1, 2, 3) for _ in range(8)]
    verdict = build_report(plan.folder).verdict
    (check,) = verdict.criteria
    assert (check.name, check.state, check.detail) == (
        BIT_EXACT,
        CriterionState.PASS,
        "8 of 8 repeated cases",
    )
    assert verdict.state is RunState.PASS


@pytest.mark.usefixtures("ray_cluster")
def test_plays_on_ray_workers_are_those_in_this_process(walls: Any) -> None:
    words = ("strategy=paused,naive_async", "repeats=3", "seeds.count=2")
    _, here = walls.run("runner=in_process", "run_id=here", *words)
    plan, there = walls.run("runner=ray", "runner.workers=2", "run_id=there", *words)
    assert [(r["episode_id"], r["episode_hash"]) for r in here] == [
        (r["episode_id"], r["episode_hash"]) for r in there
    ]
    found = find_repeats(there, plan.manifest.config)
    assert found is not None
    assert (found.num_to_the_bit, len(found.compared)) == (8, 8)


def _flips(case: Any, num_plays: int) -> bool:
    every = int(case.scenario.parameters["fail_every_count"])
    return every > 0 and 0 < num_plays // every < num_plays


@pytest.mark.parametrize("num_repeats", [2, 4, 7])
def test_the_flake_rate_is_the_share_of_cases_that_flip(wobbling: Any, num_repeats: int) -> None:
    plan, rows = wobbling.run(
        *ONE_ARM, "seeds.count=12", "run_id=w", "world.determinism=statistical", f"repeats={num_repeats}"
    )
    cases = {task.spec.case.case_id: task.spec.case for task in plan.tasks}
    found = find_repeats(rows, plan.manifest.config)
    assert found is not None
    expected = {case_id for case_id, case in cases.items() if _flips(case, num_repeats)}
    assert {case.case_id for case in found.flaky} == expected
    assert found.flake_rate == wilson(len(expected), 12)
    assert 0 < len(expected) < 12
    nudged = {i for i, c in cases.items() if c.scenario.parameters["nudge_every_count"] and num_repeats >= 4}
    assert {c.case_id for c in found.compared if not c.is_to_the_bit} == expected | nudged
    for case in found.compared:
        every = int(cases[case.case_id].scenario.parameters["fail_every_count"])
        assert case.num_successes == num_repeats - (num_repeats // every if every else 0)
    assert found.num_promised == 0
    assert build_report(plan.folder).verdict.state is RunState.PASS


def test_a_broken_promise_fails_the_run_and_says_where_plays_part(wobbling: Any) -> None:
    plan, _ = wobbling.run(
        *ONE_ARM, "seeds.count=12", "run_id=w", "world.determinism=bit_exact", "repeats=4",
        "scenario.parameters.fail_every_count=0",
    )  # fmt: skip
    files = build_report(plan.folder)
    verdict = files.verdict
    assert verdict.repeats is not None
    num_broken = len(verdict.repeats.broken_promises)
    assert 0 < num_broken < 12
    assert (verdict.state, verdict.exit_code) == (RunState.FAIL, 1)
    assert verdict.headline.startswith(
        f"NOT DETERMINISTIC: {num_broken} of 12 cases differ between their plays; "
    )
    assert f"{12 - num_broken} of 12 repeated cases; different: wall / seed " in verdict.criteria[-1].detail
    assert len(files.differences) == 3
    for sentence in files.differences.values():
        assert sentence.startswith("table 'world.state', row 1, column 'gap_m': ")
        assert " in one play, " in sentence


def test_a_stopped_run_with_repeats_goes_on(walls: Any) -> None:
    words = ["suite=walls.yaml", "run_id=stopped", "runner=in_process", "strategy=paused", "repeats=3"]
    seen = 0

    def interrupt(row: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 10:
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        execute(plan_run(words), interrupt)
    plan = plan_run(words)
    assert execute(plan, lambda row: None).num_episodes == 24 - 10
    rows = RunStore.open_read_only(plan.folder).read_rows().to_pylist()
    assert Counter(row["repeat"] for row in rows) == {1: 8, 2: 8, 3: 8}
    assert execute(plan, lambda row: None).num_episodes == 0


def test_a_lost_play_is_tried_again_and_then_does_not_count(wobbling: Any) -> None:
    (wobbling.folder / "wall.yaml").write_text(WOBBLE.replace("BREAKS", "3").replace("[0, 2, 3, 5]", "[0]"))
    words = (*ONE_ARM, "seeds.count=2", "world.determinism=statistical", "repeats=4")
    plan, rows = wobbling.run(*words, "run_id=tried")
    # Plays 1 2 3x 4 of the first pass, then 5 for the third again.
    assert Counter((r["status"], r["num_tries"]) for r in rows) == {("success", 1): 6, ("success", 2): 2}
    WobblingWall.num_plays.clear()
    plan, rows = wobbling.run(*words, "run_id=lost", "runner.max_tries=1")
    assert Counter(r["status"] for r in rows) == {"success": 6, "infra_error": 2}
    found = find_repeats(rows, plan.manifest.config)
    assert found is not None
    assert [(c.num_plays, c.num_judged, c.is_flaky) for c in found.cases] == [(4, 3, False)] * 2
    assert build_report(plan.folder).verdict.state is RunState.INCOMPLETE


def test_a_baseline_of_a_run_with_repeats_keeps_the_plays_in_order(wobbling: Any, tmp_path: Path) -> None:
    plan, _ = wobbling.run(
        *ONE_ARM, "seeds.count=3", "run_id=w", "world.determinism=statistical", "repeats=3"
    )
    build_report(plan.folder)
    rows, manifest = read_rows_and_manifest(write_baseline(plan.folder, tmp_path / "baseline"))
    assert [(r["seed"], r["repeat"]) for r in rows] == [(seed, n) for seed in range(3) for n in (1, 2, 3)]
    assert manifest.config["repeats"] == {
        "count": 3, "statistical_worlds": ["wobbling_wall"], "measured_timings": []
    }  # fmt: skip


def test_every_cell_of_a_grid_is_repeated_and_measured_timings_promise_nothing(wobbling: Any) -> None:
    words = (
        "suite=walls.yaml", "strategy=naive_async", "seeds.count=2", "repeats=3", "timing=zero,measured",
        "scenario.parameters.fail_every_count=0,2", "scenario.parameters.nudge_every_count=0", "runner=in_process",
    )  # fmt: skip
    plan = plan_run([*words, "world.determinism=bit_exact"])
    assert len(plan.tasks) == 2 * 2 * 2 * 3
    plays = Counter(
        (task.spec.case.scenario.parameters["fail_every_count"], task.spec.case.seed, task.spec.timing.name)
        for task in plan.tasks
    )
    assert len(plays) == 8
    assert set(plays.values()) == {3}
    assert plan.manifest.config["repeats"] == {
        "count": 3, "statistical_worlds": [], "measured_timings": ["measured"]
    }  # fmt: skip
    assert wobbling.folder == Path.cwd()
