"""Whatever interrupts a run, the same command completes it: each episode once, with the same hashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from simloop import wall_clock
from simloop.errors import ResultsError
from simloop.runner.planning import plan_run
from simloop.runner.run import execute
from simloop.store.episode_logs import is_sampled
from simloop.store.run_store import RunStore

WORDS = ["suite=walls.yaml", "run_id=killed", "runner=in_process", "seeds.count=40"]
SCRIPT = """
import sys
from simloop import wall_clock
from simloop.runner.planning import plan_run
from simloop.runner.run import execute
num_rows = 0
def go_on(row):
    global num_rows
    num_rows += 1
    if num_rows == 300:
        wall_clock.sleep_s(3600.0)  # it is never over before it is killed
if __name__ == "__main__":
    execute(plan_run(sys.argv[1:]), go_on)
"""


def wait_until(is_true: Callable[[], bool], limit_s: float) -> None:
    deadline_s = wall_clock.now_s() + limit_s
    while not is_true():
        assert wall_clock.now_s() < deadline_s, "nothing happened in time"
        wall_clock.sleep_s(0.05)


def test_kill_nine_half_way_loses_nothing_and_doubles_nothing(walls: Any) -> None:
    (walls.folder / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "script.py", *WORDS], cwd=walls.folder, start_new_session=True
    )
    parts = walls.folder / "results/runs/killed/parts"
    try:
        wait_until(lambda: parts.is_dir() and any(parts.glob("part-*.parquet")), 300.0)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = RunStore.open_read_only(walls.folder / "results/runs/killed").done_ids()
    assert 0 < len(before) <= 300

    plan = plan_run(WORDS)
    num_run = execute(plan, lambda row: None).num_episodes
    assert num_run == 320 - len(before)
    rows = RunStore.open_read_only(plan.folder).read_rows().to_pylist()
    resumed = {r["episode_id"]: r["episode_hash"] for r in rows}
    assert len(rows) == len(resumed) == 320

    _, undisturbed = walls.run("run_id=undisturbed", "runner=in_process", "seeds.count=40")
    assert {r["episode_id"]: r["episode_hash"] for r in undisturbed} == resumed


@pytest.mark.usefixtures("walls")
def test_an_interrupt_records_what_is_finished_and_the_run_goes_on() -> None:
    seen = 0

    def interrupt(row: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            raise KeyboardInterrupt("stopped")

    plan = plan_run(["suite=walls.yaml", "run_id=stopped", "runner=in_process"])
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        execute(plan, interrupt)
    assert len(RunStore.open_read_only(plan.folder).done_ids()) == 5
    assert execute(plan, lambda row: None).num_episodes == 27
    assert execute(plan, lambda row: None).num_episodes == 0


def test_of_successes_one_log_a_cell_and_the_sample_is_kept(walls: Any) -> None:
    _, rows = walls.run("run_id=logs", "runner=in_process", "seeds.count=8")
    assert {r["status"] for r in rows} == {"success"}
    beyond_the_sample = Counter(
        (r["timing"], r["strategy"]) for r in rows if r["has_log"] and not is_sampled(r["episode_id"])
    )
    cells = {(r["timing"], r["strategy"]) for r in rows}
    assert {(r["timing"], r["strategy"]) for r in rows if r["has_log"]} == cells
    assert set(beyond_the_sample.values()) == {1}


def test_a_changed_agent_or_another_suite_is_refused(walls: Any) -> None:
    (walls.folder / "my_agent.py").write_text(
        "from simloop.testing.brake_agent import BrakeAgent\n"
        "import dataclasses\n"
        "class MyAgent(BrakeAgent):\n"
        "    digest = 'one'\n"
        "    @property\n"
        "    def spec(self):\n"
        "        return dataclasses.replace(super().spec, digest=self.digest)\n"
    )
    words = ["run_id=mine", "runner=in_process", "agent=my_agent:MyAgent", "timing=zero", "seeds.count=1"]
    walls.run(*words)
    sys.modules["my_agent"].MyAgent.digest = "two"  # type: ignore[attr-defined]
    with pytest.raises(ResultsError, match=r"agent my_agent:MyAgent digest: \w+ in the folder, \w+ now"):
        walls.run(*words)
    sys.modules["my_agent"].MyAgent.digest = "one"  # type: ignore[attr-defined]
    walls.run(*words)
    with (walls.folder / "my_agent.py").open("a") as source:
        source.write("# Another rule.\n")
    with pytest.raises(ResultsError, match=r"agent my_agent:MyAgent digest: \w+ in the folder, \w+ now"):
        walls.run(*words)
    with pytest.raises(ResultsError, match="suite digest"):
        walls.run("run_id=mine", "runner=in_process", "timing=zero", "seeds.count=1")
