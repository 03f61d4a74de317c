"""Sweeps of a point that brakes before a wall: when it hits is known in closed form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simloop.runner.planning import RunPlan
from simloop.runner.run import execute
from simloop.store.run_store import RunStore
from simloop.sweep.planning import plan_sweep

BRAKE = "simloop.testing.brake_agent:BrakeAgent"

WALL = """
family: wall
world: braking_wall
world_config: {physics_period_ns: 10_000_000, gap_m: GAP}
time_limit_s: 8
parameters: {lane_id: {choices: [1, 2]}}
"""
# It keeps the first half of a chunk for braking: what acts after a delay of four ticks never brakes, unless the chunk
# continues the committed actions.
SLOW_STARTER = """
import numpy as np
from simloop.testing.brake_agent import BrakeAgent
from simloop.agent import InferenceReply

class HalfBraking(BrakeAgent):
    def infer(self, requests):
        replies = []
        for request in requests:
            chunk = np.zeros((8, 1))
            chunk[:4] = 6.0
            if request.conditioning is not None and request.conditioning.num_committed:
                committed = request.conditioning.num_committed
                chunk[:] = 6.0
                chunk[:committed] = request.conditioning.actions[:committed]
            replies.append(InferenceReply(actions=chunk))
        return replies
"""


class WallSweep:
    """Plans and executes sweeps in an empty folder, made the current one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall("45.0")
        (folder / "slow_starter.py").write_text(SLOW_STARTER)

    def wall(self, gap_m: str) -> None:
        """Writes the family with the wall at a distance."""
        (self.folder / "wall.yaml").write_text(WALL.replace("GAP", gap_m))

    def plan(self, *words: str) -> RunPlan:
        """Plans a sweep of the wall; later words replace earlier ones."""
        given = {
            "scenario": "wall.yaml",
            "agent": BRAKE,
            "strategy": "naive_async",
            "latency_ms": "0,400,800",
            "seeds.count": "2",
            "s": "1",
            "timing.servers": "0",
            "timing.first_chunk": "blocking",
            "runner": "in_process",
            "run_id": "sweep",
        } | dict(word.split("=", 1) for word in words)
        if "latency_ticks" in given:
            del given["latency_ms"]
        return plan_sweep([f"{k}={v}" for k, v in given.items()])

    def run(self, *words: str) -> tuple[RunPlan, dict[str, Any]]:
        """Executes a sweep; returns its plan and findings."""
        plan = self.plan(*words)
        execute(plan, lambda row: None)
        return plan, RunStore.open_read_only(plan.folder).read_findings()

    def findings_text(self, plan: RunPlan) -> str:
        """Returns the findings as they are on disk."""
        return json.dumps(RunStore.open_read_only(plan.folder).read_findings(), sort_keys=True)


@pytest.fixture
def wall_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallSweep:
    """See ``WallSweep``."""
    monkeypatch.chdir(tmp_path)
    return WallSweep(tmp_path)


@pytest.fixture
def interrupt_after() -> Callable[[int], Callable[[object], None]]:
    """Makes an ``on_row`` that stops the run at its n-th row."""

    def make(count: int) -> Callable[[object], None]:
        seen = 0

        def on_row(row: object) -> None:
            nonlocal seen
            seen += 1
            if seen == count:
                raise KeyboardInterrupt("stopped")

        return on_row

    return make
