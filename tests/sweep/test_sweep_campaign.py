"""Critical latencies and first causes against closed forms; a stopped sweep goes on to the same findings."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from simloop.agent import Call
from simloop.errors import ConfigurationError
from simloop.runner.run import execute
from simloop.store.run_store import RunStore
from simloop.sweep.causes import lossless
from simloop.sweep.planning import plan_sweep
from simloop.sweep.results import read_sweep
from simloop.testing.braking_wall import BrakingWall

SWEEP = ("latency_ms=0,100,350", "critical.cases=2", "critical.tolerance_ms=5", "causes=2")


def test_the_critical_latency_is_that_of_the_closed_form(wall_sweep: Any) -> None:
    """(g - v^2 / 2a) / v, within a control period and the bisection's tolerance; the paused world has none."""
    wall_sweep.wall("38.0")
    plan, findings = wall_sweep.run(*SWEEP, "strategy=paused,naive_async", "causes=0")
    expected_ms = 1e3 * BrakingWall(gap_m=38.0).critical_latency_s
    assert {c["strategy"] for c in findings["critical"]} == {"naive_async"}
    assert {c["state"] for c in findings["critical"]} == {"found"}
    for case in findings["critical"]:
        assert case["high_ms"] - case["low_ms"] <= 5.0
        assert expected_ms - 50.0 - 5.0 <= case["low_ms"] <= expected_ms
    (summary,) = read_sweep(RunStore.open_read_only(plan.folder)).critical
    assert summary.median is not None
    assert summary.median.value == pytest.approx(expected_ms, abs=55.0)


def test_cases_that_never_or_always_fail_are_not_bisected(wall_sweep: Any) -> None:
    plan, findings = wall_sweep.run("latency_ms=0,100", "critical.cases=2")
    assert {(c["state"], c["high_ms"]) for c in findings["critical"]} == {("censored", 100.0)}
    assert len(RunStore.open_read_only(plan.folder).done_ids()) == len(plan.tasks)
    wall_sweep.wall("30.0")
    _, findings = wall_sweep.run("latency_ms=0,100", "critical.cases=2", "run_id=near")
    assert {c["state"] for c in findings["critical"]} == {"always_fails"}


def sensors_take(ms: int) -> str:
    return f"timing.transport={{proprioception: {{distribution: constant, value_ms: {ms}}}}}"


CAUSES = [
    ("wrong_plan", "30.0", ["latency_ms=0,100"]),
    ("stale", "45.0", ["latency_ms=0,700"]),
    # A chunk of 8 actions that is asked for every 8 ticks leaves the hold for the length of the delay.
    ("starved", "36.0", ["latency_ms=0,100", "s=8", "timing.first_chunk=free"]),
    ("late_perception", "45.0", ["latency_ms=0,10", sensors_take(700)]),
    ("combined", "45.0", ["latency_ms=0,400", sensors_take(400)]),
    ("boundary_jump", "38.0", ["latency_ms=0,200", "s=4", "agent=slow_starter:HalfBraking", "timing.first_chunk=free"]),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "gap_m", "words"), CAUSES, ids=[c for c, _, _ in CAUSES])
def test_the_first_cause_of_a_constructed_failure_is_found(
    wall_sweep: Any, cause: str, gap_m: str, words: list[str]
) -> None:
    wall_sweep.wall(gap_m)
    plan, findings = wall_sweep.run("causes=2", *words)
    last = max(c["latency_ms"] for c in findings["causes"])
    found = [c for c in findings["causes"] if c["latency_ms"] == last]
    assert found
    assert {c["first_cause"] for c in found} == {cause}
    assert all(
        c["cured_by"][:1] == ([cause] if cause not in ("wrong_plan", "combined") else []) for c in found
    )
    summary = read_sweep(RunStore.open_read_only(plan.folder)).causes[-1]
    assert summary.counts == {cause: len(found)}


WAITING = [
    "latency_ms=0,700",
    "timing.queue=fifo",
    "timing.servers=1",
    "timing.batching={max_batch: 2, base_ms: 5, per_item_ms: 5}",
]
# A microsecond on this machine becomes a second: too late for the wall, whatever is added.
MEASURED = ["latency_ms=0,700", "timing=measured", "timing.measured_factor=1000000", "runner.interleave=1"]


@pytest.mark.parametrize("words", [WAITING, MEASURED], ids=["batches", "measured"])
def test_every_intervention_is_judged_whatever_the_timing(wall_sweep: Any, words: list[str]) -> None:
    _, findings = wall_sweep.run("causes=1", *words)
    (failure,) = findings["causes"]
    assert failure["first_cause"] == "stale"
    assert failure["cured_by"] == ["stale"]
    assert {"wrong_plan", "stale"} <= set(failure["tried"])


def test_what_is_taken_out_is_out() -> None:
    batching = {"max_batch": 2, "base_ms": 60, "per_item_ms": 5}
    starved = lossless({"batching": batching, "servers": 2}, (Call.EXPERT, Call.CONTEXT, Call.POLICY))
    assert starved == {
        "inference": {"distribution": "constant", "value_ms": 65},
        "servers": 0,
        "context_servers": 0,
        "expert_servers": 0,
    }
    assert lossless({"servers": "pipelined"}, (Call.POLICY,)) == {"servers": "pipelined"}


def test_a_clock_that_does_not_go_with_the_rules_is_refused_before_the_first_episode(wall_sweep: Any) -> None:
    clock = "{clock: restart_on_arrival, jitter: {distribution: uniform, low_ms: 0, high_ms: 3}}"
    with pytest.raises(ConfigurationError, match="does not go with control jitter"):
        wall_sweep.plan(f"timing.control={clock}")


def test_an_oracle_that_cannot_foretell_is_refused_before_the_first_episode(wall_sweep: Any) -> None:
    with pytest.raises(ConfigurationError, match="the delay of a policy call cannot be foretold"):
        wall_sweep.plan(
            "strategy.rules={predictor: {kind: oracle}}", "timing.uplink={rate_mbps: 1, delay_ms: 3}"
        )


def test_no_latency_is_added_to_a_trace() -> None:
    words = ["scenario=fork", "agent=toy_fork", "strategy=naive_async", "latency_ms=0,50", "timing=replay"]
    with pytest.raises(
        ConfigurationError, match=r"timing=replay.* replays a trace, to which no latency can be added"
    ):
        plan_sweep([*words, "timing.trace=recorded.jsonl"])


def test_of_many_failures_some_of_each_latency_are_explained(wall_sweep: Any) -> None:
    _, findings = wall_sweep.run("latency_ms=0,700,800", "causes=2", "seeds.count=3")
    assert Counter(c["latency_ms"] for c in findings["causes"]) == {700.0: 1, 800.0: 1}


@pytest.mark.parametrize("count", [1, 7, 13, 17])
def test_a_stopped_sweep_goes_on_to_the_same_rows_and_findings(
    wall_sweep: Any, interrupt_after: Any, count: int
) -> None:
    wall_sweep.wall("38.0")
    whole, _ = wall_sweep.run(*SWEEP, "run_id=whole")
    stopped = wall_sweep.plan(*SWEEP, "run_id=stopped")
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        execute(stopped, interrupt_after(count))
    assert len(RunStore.open_read_only(stopped.folder).done_ids()) == count
    assert RunStore.open_read_only(stopped.folder).read_findings() == {}
    execute(stopped, lambda row: None)
    stores = [RunStore.open_read_only(p.folder) for p in (whole, stopped)]
    hashes = [
        {r["episode_id"]: r["episode_hash"] for r in s.read_rows(("episode_id", "episode_hash")).to_pylist()}
        for s in stores
    ]
    assert hashes[0] == hashes[1]
    assert wall_sweep.findings_text(whole) == wall_sweep.findings_text(stopped)
    assert stores[0].manifest.num_planned == stores[1].manifest.num_planned == len(hashes[0])
    assert execute(stopped, lambda row: None).num_episodes == 0


def test_logs_are_kept_of_the_first_cases_in_every_arm(wall_sweep: Any) -> None:
    plan, _ = wall_sweep.run("strategy=paused,naive_async", "logs=1", "seeds.count=3", "causes=2")
    rows = RunStore.open_read_only(plan.folder).read_rows().to_pylist()
    grid = {t.spec.episode_id for t in plan.tasks}
    assert {r["seed"] for r in rows if r["has_log"]} == {0}
    assert sum(r["has_log"] for r in rows) == 2 * 3
    assert all(r["episode_id"] in grid for r in rows if r["has_log"])
