"""Size of a report and what building it costs: many toy episodes, a dozen driving ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from simloop import wall_clock
from simloop.report.build import build_report
from simloop.runner.planning import plan_run
from simloop.runner.run import execute

LIMIT_BYTES = 12_000_000
"""A mail's attachment; every browser opens it at once."""

TOYS = """
suite: walls
axes:
  scenario: wall.yaml
  agent: simloop.testing.brake_agent:BrakeAgent
  timing: [zero, xr0_4090]
  strategy: [blocking, naive_async, prefix]
  seeds: {first: 0, count: 20}
"""
WALL = """
family: wall
world: braking_wall
world_config: {physics_period_ns: 10_000_000}
time_limit_s: 6
parameters: {}
"""
DRIVING = """
suite: driving
axes:
  scenario: [cut_in, lead_deceleration]
  agent: expert
  timing: pi05_4090_mobile
  strategy: [naive_async, prefix]
  seeds: {first: 0, count: 3}
"""


@pytest.mark.bench
@pytest.mark.parametrize(("name", "suite", "num_episodes"), [("toys", TOYS, 120), ("driving", DRIVING, 12)])
def test_report_size_and_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suite: str, num_episodes: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("suite.yaml").write_text(suite)
    Path("wall.yaml").write_text(WALL)
    plan = plan_run(["suite=suite.yaml", "runner=in_process", f"run_id={name}"])
    assert execute(plan, lambda row: None).num_episodes == num_episodes
    build_report(plan.folder)
    wall_s, cpu_s = wall_clock.now_s(), wall_clock.cpu_s()
    files = build_report(plan.folder)
    wall_s, cpu_s = wall_clock.now_s() - wall_s, wall_clock.cpu_s() - cpu_s
    num_bytes = files.report_html.stat().st_size
    kept = sum(1 for _ in (plan.folder / "episodes").iterdir())
    print(
        f"\nreport of {num_episodes} episodes ({name}): {num_bytes:,} bytes with {kept} kept logs, built in "
        f"{cpu_s:.2f} CPU-seconds ({wall_s:.2f} s of wall time on this machine now); limited by the episodes that play "
        f"in the page, about {num_bytes // max(1, kept):,} bytes a kept log"
    )
    assert num_bytes < LIMIT_BYTES
