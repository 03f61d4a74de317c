"""``simloop replay``: the recorded episode again, or what is wrong with the id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simloop.store.parts import list_parts, read_part, write_part
from simloop.store.run_store import RunStore

RUN = Path("results/runs/toy")
WORDS = ("runner=in_process", "strategy=paused", "timing=zero", "run_id=toy")


@pytest.fixture
def rows(walls: Any) -> list[Any]:
    """The rows of a run of four episodes."""
    return walls.run(*WORDS)[1]


def test_a_recorded_episode_is_identical(rows: list[Any], simloop: Any) -> None:
    row = rows[2]
    ended = simloop("replay", row["episode_id"])
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].startswith(f"{row['episode_id']}: wall, seed 2, ")
    assert lines[1] == f"recorded: success (goal), hash {row['episode_hash']}"
    assert lines[2] == f"replayed: success (goal), hash {row['episode_hash']}"
    assert lines[3] == "Identical."


def test_eight_characters_and_a_run_are_enough(rows: list[Any], simloop: Any) -> None:
    assert simloop("replay", rows[0]["episode_id"][:8], "--run", "toy").code == 0
    assert simloop("replay", rows[0]["episode_id"][:8], "--run", str(RUN)).code == 0


def test_ids_that_do_not_name_one_episode_are_refused(rows: list[Any], simloop: Any) -> None:
    short = simloop("replay", rows[0]["episode_id"][:7])
    assert short.code == 4
    assert "is too short; give at least the first 8 characters" in short.err
    unknown = simloop("replay", "0" * 32)
    assert unknown.code == 4
    assert f"No episode '{'0' * 32}' in: {RUN}. Name the run with --run." in unknown.err
    nowhere = simloop("replay", rows[0]["episode_id"], "--run", "nowhere")
    assert nowhere.code == 4
    assert "not a results folder" in nowhere.err


def test_an_ambiguous_prefix_is_refused(rows: list[Any], simloop: Any) -> None:
    (part,) = list_parts(RUN / "parts")
    table = read_part(part)
    ids = [f"abcdabcd{n:024d}" for n in range(len(table))]
    table = table.set_column(table.column_names.index("episode_id"), "episode_id", [ids])
    part.unlink()
    write_part(RUN / "parts", 0, table)
    ended = simloop("replay", "abcdabcd")
    assert ended.code == 4
    assert f"'abcdabcd' fits 4 episodes of {RUN}; give more characters." in ended.err


def test_a_changed_suite_is_said(walls: Any, rows: list[Any], simloop: Any) -> None:
    wall = walls.folder / "wall.yaml"
    wall.write_text(wall.read_text().replace("time_limit_s: 6", "time_limit_s: 5"))
    ended = simloop("replay", rows[0]["episode_id"])
    assert ended.code == 4
    assert "cannot be simulated again" in ended.err
    assert "suite digest" in ended.err


def test_failures_are_replayed_as_well(walls: Any, simloop: Any) -> None:
    (walls.folder / "nan_agent.py").write_text(
        "import numpy as np\n"
        "from simloop.testing.brake_agent import BrakeAgent\n"
        "from simloop.agent import InferenceReply\n"
        "class NanAgent(BrakeAgent):\n"
        "    def infer(self, requests):\n"
        "        return [InferenceReply(actions=np.full((8, 1), np.nan)) for _ in requests]\n"
    )
    _, rows = walls.run(*WORDS, "agent=nan_agent:NanAgent", "seeds.count=1")
    assert RunStore.open_read_only(RUN).read_rows().to_pylist()[0]["has_log"]
    ended = simloop("replay", rows[0]["episode_id"])
    assert ended.code == 0
    assert "replayed: agent_error (AgentError: Agent 'brake' replied with nan" in ended.out
    assert ended.out.splitlines()[-1] == "Identical."
