"""The run folder: nothing lost, nothing twice, nothing mixed up."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from simloop.errors import ResultsError
from simloop.metrics.evaluate import Evaluation
from simloop.spec import Case, Component, EpisodeSpec, Scenario
from simloop.store.episode_logs import is_sampled
from simloop.store.manifest import Manifest
from simloop.store.parts import list_parts
from simloop.store.row import EpisodeStatus, episode_row, rows_to_table
from simloop.store.run_store import RunStore


def manifest(**changes: Any) -> Manifest:
    base = Manifest(
        run_id="r1",
        suite="smoke",
        suite_digest="s1",
        agents={"expert": "d1"},
        platform={"cpu": "x86-64-v3"},
        machine={},
    )
    return dataclasses.replace(base, **changes)


def row(seed: int, status: EpisodeStatus = EpisodeStatus.SUCCESS, **metrics: float | None) -> dict[str, Any]:
    spec = EpisodeSpec(
        case=Case(
            scenario=Scenario(family="cut_in", world="driving", parameters={"gap_m": 10.0 + seed}), seed=seed
        ),
        agent=Component(group="agent", name="expert", config={}),
        timing=Component(group="timing", name="zero", config={}),
        strategy=Component(group="strategy", name="paused", config={}),
        agent_digest="d1",
    )
    return episode_row(
        spec=spec,
        run_id="r1",
        suite="smoke",
        status=status,
        reason="",
        evaluation=Evaluation(values=dict(metrics), reasons={}),
        episode_hash="ab" * 16,
        has_log=True,
    )


def test_rows_come_back_in_order_with_nulls_where_a_part_lacks_a_column(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        store.write_part([row(0, min_ttc_s=None), row(1, min_ttc_s=2)])
        store.write_part([row(2, jerk_rms_mps3=1.5)])
        table = store.read_rows()
    assert table.column("seed").to_pylist() == [0, 1, 2]
    assert table.column("min_ttc_s").to_pylist() == [None, 2.0, None]
    assert table.column("jerk_rms_mps3").to_pylist() == [None, None, 1.5]
    assert table.column("param_gap_m").to_pylist() == [10.0, 11.0, 12.0]


def test_duckdb_and_pandas_read_the_parts_without_simloop(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        store.write_part([row(0, success_held=1.0), row(1, success_held=0.0)])
        store.write_part([row(2, success_held=None, collision=1.0)])
        assert store.query("SELECT count(*) AS n FROM episodes").column("n").to_pylist() == [3]
    pattern = str(tmp_path / "r1" / "parts" / "*.parquet")
    sql = "SELECT scenario, avg(success_held) FROM read_parquet(?, union_by_name=true) GROUP BY scenario"
    assert duckdb.execute(sql, [pattern]).fetchall() == [("cut_in", 0.5)]
    assert len(pd.read_parquet(tmp_path / "r1" / "parts")) == 3


def test_an_episode_is_never_recorded_twice(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        store.write_part([row(0)])
        with pytest.raises(ResultsError, match="would be recorded twice"):
            store.write_part([row(1), row(0)])
        with pytest.raises(ResultsError, match="would be recorded twice"):
            store.write_part([row(1), row(1)])
        assert store.done_ids() == {row(0)["episode_id"]}
        assert store.read_rows().num_rows == 1


def test_reopening_goes_on_after_the_last_part(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        store.write_part([row(0)])
    with RunStore.create_or_open(tmp_path / "r1", manifest(command="another text")) as store:
        assert store.done_ids() == {row(0)["episode_id"]}
        store.write_part([row(1)])
    assert RunStore.open_read_only(tmp_path / "r1").read_rows().num_rows == 2


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_torn_part_is_set_aside_and_its_episodes_are_not_done(tmp_path: Path, keep: float) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        store.write_part([row(0)])
        torn = store.write_part([row(1)])
    assert torn is not None
    data = torn.read_bytes()
    torn.write_bytes(data[: int(len(data) * keep)])
    (torn.parent / ".unfinished-part").write_bytes(b"half")
    with pytest.raises(ResultsError, match="is torn"):
        RunStore.open_read_only(tmp_path / "r1")
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        assert store.done_ids() == {row(0)["episode_id"]}
        store.write_part([row(1)])
        assert store.read_rows().column("seed").to_pylist() == [0, 1]
    assert sorted(p.suffix for p in torn.parent.iterdir()) == [".parquet", ".parquet", ".torn"]


def test_one_flipped_bit_is_a_torn_part(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        part = store.write_part([row(0)])
    assert part is not None
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        assert store.done_ids() == frozenset()


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({"agents": {"expert": "d2"}}, "agent expert digest: d1 in the folder", "d2 now"),
        ({"suite_digest": "s2"}, "suite digest: s1 in the folder", "s2 now"),
        ({"platform": {"cpu": "x86-64-v4"}}, "platform cpu: x86-64-v3 in the folder", "x86-64-v4 now"),
        ({"platform": {}}, "platform cpu: x86-64-v3 in the folder", r"\(absent\) now"),
        ({"metric_versions": "ldlj:2"}, "metric versions:  in the folder", "ldlj:2 now"),
        ({"versions": {"mujoco": "3.9"}}, r"version of mujoco: \(absent\) in the folder", "3.9 now"),
    ],
)
def test_another_run_is_refused_and_both_values_are_shown(
    tmp_path: Path, changes: dict[str, Any], before: str, after: str
) -> None:
    RunStore.create_or_open(tmp_path / "r1", manifest()).close()
    with pytest.raises(ResultsError, match=f"{before}, {after}"):
        RunStore.create_or_open(tmp_path / "r1", manifest(**changes))
    RunStore.create_or_open(tmp_path / "r1", manifest()).close()


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()):
        with pytest.raises(ResultsError, match=f"written by another process \\(id {os.getpid()}\\)"):
            RunStore.create_or_open(tmp_path / "r1", manifest())
        assert RunStore.open_read_only(tmp_path / "r1").read_rows().num_rows == 0


def test_a_reader_cannot_write_and_a_stranger_is_no_run(tmp_path: Path) -> None:
    RunStore.create_or_open(tmp_path / "r1", manifest()).close()
    with pytest.raises(ResultsError, match="open for reading only"):
        RunStore.open_read_only(tmp_path / "r1").write_part([row(0)])
    with pytest.raises(ResultsError, match=r"not a results folder: it has no manifest\.json"):
        RunStore.open_read_only(tmp_path)
    (tmp_path / "r1" / "manifest.json").write_text('{"schema_version": 99}')
    with pytest.raises(ResultsError, match="schema_version 99; this simloop reads 1"):
        RunStore.open_read_only(tmp_path / "r1")


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_run_store import RunStore, manifest, row
store = RunStore.create_or_open(Path(sys.argv[1]), manifest())
seed = 0
while True:
    if row(seed)["episode_id"] not in store.done_ids():
        store.write_part([row(seed)])
        print(seed, flush=True)
    seed += 1
"""


def test_what_was_reported_as_written_survives_kill_9(tmp_path: Path) -> None:
    code = _WRITER.format(tests=str(Path(__file__).parent))
    seen: list[int] = []
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "r1")], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        seen += [int(writer.stdout.readline()) for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        seeds = store.read_rows().column("seed").to_pylist()
    assert set(seen) <= set(seeds)
    assert len(seeds) == len(set(seeds))


def test_logs_are_kept_of_failures_of_the_first_success_of_a_cell_and_of_a_sample(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        assert store.wants_log(row(0))
        store.write_part([row(0)])
        kept = [seed for seed in range(1, 2001) if store.wants_log(row(seed))]
        assert 20 <= len(kept) <= 60
        assert store.wants_log(row(1, EpisodeStatus.INFRA_ERROR)) and store.wants_log(
            row(1, EpisodeStatus.FAIL)
        )


def test_a_log_counts_for_its_cell_before_its_row_is_in_a_part(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        store.note_log(row(0, EpisodeStatus.FAIL))
        assert store.wants_log(row(1))
        store.note_log(row(1))
        kept = [seed for seed in range(2, 202) if store.wants_log(row(seed))]
    assert kept == [seed for seed in range(2, 202) if is_sampled(row(seed)["episode_id"])]


def test_rows_without_identity_or_with_mixed_columns_are_refused() -> None:
    with pytest.raises(ResultsError, match="A row has no case_id"):
        rows_to_table([{"episode_id": "a", "status": "fail"}])
    mixed = [row(0), {**row(1), "param_gap_m": "wide"}]
    with pytest.raises(ResultsError, match="'param_gap_m' holds float, str; allowed"):
        rows_to_table(mixed)


def test_an_episode_id_is_not_a_path(tmp_path: Path) -> None:
    with RunStore.create_or_open(tmp_path / "r1", manifest()) as store:
        with pytest.raises(ResultsError, match="is not an episode id"):
            store.read_episode_log("../../etc")
        with pytest.raises(ResultsError, match="holds no episode log"):
            store.read_episode_log("00ff")
        assert list_parts(tmp_path / "r1" / "parts") == []
