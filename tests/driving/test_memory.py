"""Resident memory over many episodes in one process: reset, expert, loop, log and all metrics leave nothing behind."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simloop.compose import make_agent, make_strategy, make_timing, make_world
from simloop.log import EpisodeLog
from simloop.loop import ClosedLoop
from simloop.metrics.evaluate import evaluate
from simloop.plugins import load_metrics
from simloop.runner.planning import plan_run

STATM = Path("/proc/self/statm")
PAGE_BYTES = 4096
ALLOWED_MB = 20.0
FAMILIES = (
    "cut_in",
    "lead_deceleration",
    "signal_left",
    "unsignalised_right",
    "roundabout",
    "parked_obstacle",
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")


def _resident_mb() -> float:
    gc.collect()
    return int(STATM.read_text().split()[1]) * PAGE_BYTES / 1e6


def _episodes(count: int) -> Iterator[EpisodeLog]:
    """Plays ``count`` different episodes of the expert, the families in turns; one world a family."""
    per_family = -(-count // len(FAMILIES))
    plan = plan_run(
        ["suite=driving_core", f"scenario={','.join(FAMILIES)}", "timing=zero", f"seeds.count={per_family}",
         "runner=in_process"]
    )  # fmt: skip
    by_family = {f: [t for t in plan.tasks if t.spec.case.scenario.family == f] for f in FAMILIES}
    worlds = {f: make_world(tasks[0].world) for f, tasks in by_family.items()}
    first = plan.tasks[0].spec
    agent, timing = make_agent(first.agent), make_timing(first.timing)
    strategy = make_strategy(first.strategy)
    for number in range(count):
        family = FAMILIES[number % len(FAMILIES)]
        case = by_family[family][number // len(FAMILIES)].spec.case
        loop = ClosedLoop(world=worlds[family], case=case, agent=agent.spec, timing=timing, strategy=strategy)
        episode = loop.run()
        request = next(episode)
        try:
            while True:
                request = episode.send(agent.infer([request])[0])
        except StopIteration as stop:
            yield stop.value


def _check_flat(num_first: int, num_more: int) -> None:
    """Resident memory after ``num_first`` episodes and at ten instants over ``num_more`` more."""
    metrics = load_metrics()
    readings: list[float] = []
    for number, log in enumerate(_episodes(num_first + num_more), start=1):
        assert evaluate(metrics, log).values["progress_m"] is not None
        if number >= num_first and (number - num_first) % (num_more // 10) == 0:
            readings.append(_resident_mb())
    assert len(readings) == 11
    grown_mb = [mb - readings[0] for mb in readings]
    assert max(map(abs, grown_mb)) <= ALLOWED_MB, [round(mb, 1) for mb in readings]


def test_memory_is_flat() -> None:
    _check_flat(40, 80)


@pytest.mark.nightly
def test_memory_is_flat_over_ten_thousand_episodes() -> None:
    _check_flat(500, 9500)
