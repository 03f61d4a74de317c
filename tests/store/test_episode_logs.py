"""Episode logs come back exactly: same hash, same widths, same bits."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from simloop.errors import LogError
from simloop.log import MOTION, Column, EpisodeLog, TableSchema
from simloop.loop_tables import loop_schemas
from simloop.store.episode_logs import read_log, write_log

EVERYTHING = TableSchema(
    description="One column of every kind.",
    columns=(
        Column(name="value_m", description="with NaN and both zeros"),
        Column(name="wide", dtype="int64", width=4),
        Column(name="matrix", width=2),
        Column(name="flag", dtype="bool"),
        Column(name="words", dtype="text"),
    ),
)


def everything() -> EpisodeLog:
    tricky = np.array([np.nan, -0.0, 0.0, np.inf, 5e-324, 0.1])
    return EpisodeLog.from_columns(
        {"everything": EVERYTHING, "world.motion": MOTION, **loop_schemas(1)},
        {
            "everything": {
                "value_m": tricky,
                "wide": np.arange(24).reshape(6, 4) - 2**62,
                "matrix": np.stack([tricky, tricky[::-1]], axis=1),
                "flag": [True, False, True, True, False, False],
                "words": ["", "ä", "a\nb", "</script>", "\U0001f916", "x"],
            }
        },
        {
            "motion_points": ["ego"],
            "road": np.array([[0.0, 1.5]]),
            "scenario": {"parameters": {"gap_m": 0.1}},
        },
    )


def test_a_log_comes_back_bit_for_bit(tmp_path: Path) -> None:
    log = everything()
    write_log(tmp_path / "e", log)
    back = read_log(tmp_path / "e")
    assert back.episode_hash == log.episode_hash
    assert back.schemas == log.schemas
    for table, columns in log.tables.items():
        for name, values in columns.items():
            got = back.tables[table][name]
            assert (got.dtype, got.shape) == (values.dtype, values.shape), (table, name)
            if values.dtype != object:
                assert got.tobytes() == values.tobytes(), (table, name)
    assert back.attributes == {**log.attributes, "road": [[0.0, 1.5]]}


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    write_log(tmp_path / "e", everything())
    write_log(tmp_path / "e", EpisodeLog.from_columns({"everything": EVERYTHING}, {}))
    assert list(read_log(tmp_path / "e").tables) == ["everything"]
    assert [p.name for p in tmp_path.iterdir()] == ["e"]


def test_duckdb_reads_one_table_over_many_episodes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_log(tmp_path / name, everything())
    rows = duckdb.execute(f"SELECT sum(wide[1] - wide[2]) FROM '{tmp_path}/*/everything.parquet'").fetchall()
    assert rows == [(-12,)]


def test_an_attribute_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    log = EpisodeLog.from_columns({}, {}, {"handle": object()})
    with pytest.raises(LogError, match="A log attribute holds object"):
        write_log(tmp_path / "e", log)
