"""What an episode of a sweep costs: all ten strategies at the toy fork, and the part outside loop, world and agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simloop import wall_clock
from simloop.metrics.evaluate import evaluate
from simloop.plugins import load_metrics
from simloop.report.build import build_report
from simloop.runner.run import execute
from simloop.runner.worker import EpisodeWorker
from simloop.store.row import EpisodeStatus, episode_row, rows_to_table
from simloop.sweep.planning import plan_sweep

NUM_ALL = 10 * 5 * 2048
"""Episodes of ``suite=latency_fork``."""
CASES = 64


@pytest.mark.bench
def test_cpu_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["suite=latency_fork", "causes=0", "logs=0", "runner=in_process"]
    execute(plan_sweep([*words, "run_id=warm", "seeds.count=1"]), lambda row: None)
    start_s = wall_clock.cpu_s()
    plan = plan_sweep([*words, "run_id=all", f"seeds.count={CASES}"])
    planned_s = wall_clock.cpu_s()
    assert execute(plan, lambda row: None).num_episodes == 50 * CASES
    played_s = wall_clock.cpu_s()
    build_report(plan.folder)
    reported_s = wall_clock.cpu_s()
    per_episode_ms = 1e3 * (reported_s - start_s) / len(plan.tasks)
    print(
        f"\nsweep of ten strategies at the fork: {per_episode_ms:.2f} ms CPU an episode (plan "
        f"{planned_s - start_s:.1f} s, play {played_s - planned_s:.1f} s, report {reported_s - played_s:.1f} s for "
        f"{len(plan.tasks)} episodes); {NUM_ALL * per_episode_ms / 1e3:.0f} s for {NUM_ALL}"
    )


def _best_us(call: Callable[[], Any], repeats: int = 5, count: int = 100) -> float:
    best_s = float("inf")
    for _ in range(repeats):
        start_s = wall_clock.now_s()
        for _ in range(count):
            call()
        best_s = min(best_s, (wall_clock.now_s() - start_s) / count)
    return 1e6 * best_s


@pytest.mark.bench
def test_cost_outside_loop_world_and_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_sweep(
        ["suite=latency_fork", "seeds.count=1", "strategy=rtc", "runner=in_process", "run_id=x"]
    )
    worker = EpisodeWorker(facts=plan.facts, name="bench", interleave=8)
    results = list(worker.run(plan.tasks))
    worker.close()
    log, metrics, spec = results[0].log, load_metrics(plan.metrics), plan.tasks[0].spec
    assert log is not None
    evaluation = evaluate(metrics, log)
    rows = [result.row for result in results] * 200
    costs = {
        "hash": _best_us(lambda: log.episode_hash),
        f"{len(metrics)} metrics": _best_us(lambda: evaluate(metrics, log)),
        "row": _best_us(
            lambda: episode_row(
                spec=spec, run_id="x", suite="x", status=EpisodeStatus.FAIL, reason="x", evaluation=evaluation
            )
        ),
        "table": _best_us(lambda: rows_to_table(rows), count=3) / len(rows),
    }
    assert all(cost > 0.0 for cost in costs.values())
    parts = ", ".join(f"{name} {cost:.0f}" for name, cost in costs.items())
    print(f"\nan episode of the fork outside loop, world and agent: {sum(costs.values()):.0f} us ({parts})")
