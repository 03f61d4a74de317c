"""A sweep comes to the same on Ray, with its logs, and can be replayed whatever round an episode is of."""

from __future__ import annotations

from typing import Any

import pytest

from simloop.cli.main import main
from simloop.store.run_store import RunStore

WORDS = ("latency_ms=0,100,350", "critical.cases=1", "causes=1", "strategy=naive_async,paused")


@pytest.mark.usefixtures("ray_cluster")
def test_a_sweep_on_ray_has_the_same_hashes_findings_and_logs(wall_sweep: Any) -> None:
    wall_sweep.wall("38.0")
    alone, _ = wall_sweep.run(*WORDS, "run_id=alone")
    spread, _ = wall_sweep.run(*WORDS, "run_id=spread", "runner=ray", "runner.workers=2")
    columns = ("episode_id", "episode_hash", "has_log")
    rows = [
        sorted(tuple(r.values()) for r in RunStore.open_read_only(p.folder).read_rows(columns).to_pylist())
        for p in (alone, spread)
    ]
    assert rows[0] == rows[1]
    assert wall_sweep.findings_text(alone) == wall_sweep.findings_text(spread)


def test_an_episode_of_a_later_round_is_replayed(wall_sweep: Any, capsys: pytest.CaptureFixture[str]) -> None:
    wall_sweep.wall("38.0")
    plan, _ = wall_sweep.run(*WORDS)
    rows = RunStore.open_read_only(plan.folder).read_rows(("episode_id", "timing")).to_pylist()
    step = next(r["episode_id"] for r in rows if r["timing"].endswith("+bisection"))
    with pytest.raises(SystemExit, match="0"):
        main(["replay", step, "--run", str(plan.folder)])
    assert "Identical." in capsys.readouterr().out
