"""Which logs are kept of episodes that are played several times, and what a table of them holds."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from simloop.store.play_logs import PlayLogs
from simloop.store.row import FIXED_COLUMNS, rows_to_table


def play(
    number: int | None, status: str = "success", episode_hash: str | None = "a", **columns: Any
) -> dict[str, Any]:
    names = {"case_id": "c", "agent": "a", "timing": "t", "strategy": "s"} | columns
    return {
        **names,
        "status": status,
        "episode_hash": episode_hash,
        "repeat": number,
        "episode_id": f"e{number}",
    }


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([play(1), play(2), play(3)], [True, False, False]),
        ([play(1), play(2, "fail", "b"), play(3, "fail", "b"), play(4)], [True, True, False, False]),
        (
            [play(1), play(2, episode_hash="b"), play(3, episode_hash="c"), play(4)],
            [True, True, False, False],
        ),
        ([play(1), play(2, "infra_error", None), play(3, episode_hash="b")], [True, True, True]),
        ([play(1), play(2, agent="b"), play(3, case_id="d"), play(4, agent="b")], [True, True, True, False]),
        ([play(None), play(None)], [False, False]),
    ],
)
def test_one_log_a_verdict_and_one_of_another_course_are_kept(rows: list[Any], kept: list[bool]) -> None:
    logs = PlayLogs()
    found = []
    for row in rows:
        found.append(logs.wants(row))
        if found[-1]:
            logs.note(row)
    assert found == kept


def test_only_a_run_with_repeats_has_their_column() -> None:
    once = [{key: value for key, value in play(None).items() if key != "repeat"}, play(None)]
    assert rows_to_table(once).column_names == list(FIXED_COLUMNS)
    table = rows_to_table([play(3), play(None)])
    assert table.column_names == [*FIXED_COLUMNS, "repeat"]
    assert table.column("repeat").type == pa.int64()
    assert table.column("repeat").to_pylist() == [3, None]
