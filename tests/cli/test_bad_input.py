"""What goes wrong outside simloop is one clear message, exit code 4, and nothing that was recorded is lost."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from simloop.store import episode_logs, parts
from simloop.store.atomic_file import write_atomically
from simloop.store.run_store import RunStore

RUN = Path("results/runs/toy")
WORDS = ("run", "suite=walls.yaml", "runner=in_process", "strategy=paused", "timing=zero", "run_id=toy",
         "seeds.count=100")  # fmt: skip

AGENTS = """
from simloop.errors import MissingWeightsError
from simloop.testing.brake_agent import BrakeAgent

class Untrained(BrakeAgent):
    def __init__(self):
        raise MissingWeightsError("There are no weights at weights/mine.safetensors; run: simloop train mine")

class Demanding(BrakeAgent):
    def __init__(self, camera):
        self.camera = camera

class Slow(BrakeAgent):
    @property
    def spec(self):
        import dataclasses
        return dataclasses.replace(super().spec, action_period_ns=100_000_000)
"""


def full_disk(*args: object, **kwargs: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_keeps_what_is_recorded(
    walls: Any, simloop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def first_part_only(path: Path, data: bytes) -> None:
        if written:
            full_disk()
        written.append(path)
        write_atomically(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(parts, "write_atomically", first_part_only)
        ended = simloop(*WORDS)
    assert ended.code == 4
    assert f"Cannot write to {RUN}: [Errno 28] No space left on device." in ended.err
    assert "What was recorded before stays; make room" in ended.err
    assert "Traceback" not in ended.err
    before = RunStore.open_read_only(RUN).done_ids()
    assert 0 < len(before) < 100

    again = simloop(*WORDS)
    assert again.code == 0
    assert f"Ran {100 - len(before)} episodes" in again.out
    after = RunStore.open_read_only(RUN).done_ids()
    assert len(after) == 100
    assert before < after


def test_a_disk_that_fills_up_with_a_log_keeps_the_rows_before(
    walls: Any, simloop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # A cell's first success keeps its log; the next log is that of a sampled success.
        real, calls = episode_logs.pq.write_table, []

        def fill_up(*args: Any, **kwargs: Any) -> None:
            calls.append(args)
            if len(calls) > 8:
                full_disk()
            real(*args, **kwargs)

        patch.setattr(episode_logs.pq, "write_table", fill_up)
        patch.setattr(parts, "write_atomically", write_atomically)
        ended = simloop(*WORDS)
    assert ended.code == 4
    assert "No space left on device" in ended.err
    assert simloop(*WORDS).code == 0
    rows = RunStore.open_read_only(RUN).read_rows().to_pylist()
    assert len(rows) == 100
    for row in rows:
        assert (RUN / "episodes" / row["episode_id"]).is_dir() == row["has_log"]


def test_a_results_folder_that_cannot_be_made_is_said(walls: Any, simloop: Any) -> None:
    (walls.folder / "taken").write_text("a file")
    ended = simloop(*WORDS, "results=taken")
    assert ended.code == 4
    assert "Cannot write to taken/toy: " in ended.err
    assert "Traceback" not in ended.err
    assert (walls.folder / "taken").read_text() == "a file"


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (
            "agents_of_mine:Untrained",
            "There are no weights at weights/mine.safetensors; run: simloop train mine",
        ),
        ("agents_of_mine:Demanding", "its class is called without arguments"),
        (
            "agents_of_mine:Slow",
            "plans one action every 100000000 ns; world 'braking_wall' is controlled every",
        ),
        ("agents_of_mine:Missing", "'Missing' is not an Agent subclass"),
        ("misspelt:Agent", "module 'misspelt' raises when it is imported"),
    ],
)
def test_an_agent_that_cannot_act_is_said_before_the_first_episode(
    walls: Any, simloop: Any, agent: str, message: str
) -> None:
    (walls.folder / "agents_of_mine.py").write_text(AGENTS)
    (walls.folder / "misspelt.py").write_text("from simloop.agent import Agent\nclass Mine(Agnt): ...\n")
    ended = simloop(*WORDS, f"agent.target={agent}")
    assert ended.code == 4
    assert message in ended.err
    assert not Path("results").exists()


def test_missing_weights_are_said_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simloop: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = simloop("run", "suite=smoke", "agent=unified", "agent.weights=nowhere", "runner=in_process")
    assert ended.code == 4
    assert "nowhere" in ended.err
    assert "simloop train unified" in ended.err
    assert "Traceback" not in ended.err
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "fault: {choices: [none]}",
            "gap: {low: 1, high: 2}",
            "parameters.gap: the name carries no known unit",
        ),
        ("fault: {choices: [none]}", "gap_m: {low: 3, high: 2}", "low is 3, high is 2; both must be numbers"),
        ("time_limit_s: 6", "time_limit_s: -6", "time_limit_s is -6; allowed: a number over 0, at most 3600"),
        (
            "world: faulty_wall",
            "world: faulty_wal",
            "Unknown world 'faulty_wal'. Did you mean 'faulty_wall'?",
        ),
        ("time_limit_s: 6", "time_limit: 6", "Unknown key 'time_limit' in wall.yaml"),
        ("family: wall", "family: [", "wall.yaml"),
    ],
)
def test_a_scenario_file_with_a_mistake_is_said_with_file_and_key(
    walls: Any, simloop: Any, old: str, new: str, message: str
) -> None:
    wall = walls.folder / "wall.yaml"
    text = wall.read_text()
    assert old in text
    wall.write_text(text.replace(old, new))
    ended = simloop(*WORDS)
    assert ended.code == 4
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not Path("results").exists()


def test_an_error_of_simloop_itself_is_four_with_its_traceback(
    simloop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Exit code 1 would tell CI that the agent has become worse.
    def broken(name: str) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("simloop.cli.list_names.choices", broken)
    ended = simloop("list", "agents")
    assert ended.code == 4
    assert "Traceback" in ended.err
    assert "RuntimeError: a mistake of ours" in ended.err
