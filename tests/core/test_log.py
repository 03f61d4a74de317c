"""The log's schemas and its hash."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from simloop.errors import LogError
from simloop.log import Column, EpisodeLog, TableSchema, column_bytes

SCHEMA = TableSchema(
    columns=(
        Column(name="t_ns", dtype="int64"),
        Column(name="value"),
        Column(name="vector", width=2),
        Column(name="single", width=1),
        Column(name="is_on", dtype="bool"),
        Column(name="word", dtype="text"),
        Column(name="cost_wall"),
    )
)
ROWS: dict[str, Any] = {
    "t_ns": [1, 2],
    "value": [0.5, -0.0],
    "vector": [[1.0, 2.0], [3.0, 4.0]],
    "single": [[1.0], [2.0]],
    "is_on": [True, False],
    "word": ["a", "é"],
    "cost_wall": [9.0, 9.0],
}


def _log(**changed: Any) -> EpisodeLog:
    return EpisodeLog.from_columns({"t": SCHEMA}, {"t": {**ROWS, **changed}})


def test_columns_are_cast_to_the_schema() -> None:
    log = _log()
    assert log.column("t", "t_ns").dtype == np.int64
    assert log.column("t", "value").shape == (2,)
    assert log.column("t", "vector").shape == (2, 2)
    assert log.column("t", "single").shape == (2, 1)
    assert log.column("t", "word").tolist() == ["a", "é"]
    assert log.num_rows("t") == 2


def test_tables_without_rows_have_every_column_in_its_shape() -> None:
    log = EpisodeLog.from_columns({"t": SCHEMA, "u": SCHEMA}, {"t": ROWS})
    assert log.has("u")
    assert log.num_rows("u") == 0
    assert log.column("u", "vector").shape == (0, 2)
    assert log.column("u", "value").shape == (0,)
    assert log.column("u", "word").shape == (0,)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"more": [1, 2]}, r"Table 't': missing columns \[\], unknown columns \['more'\]"),
        ({"value": [1.0]}, r"Table 't', column 'value': 1 rows, expected 2"),
        ({"value": [[1.0], [2.0]]}, r"column 'value': got shape \(2, 1\), expected \(rows,\)"),
        ({"vector": [[1.0, 2.0]]}, r"column 'vector': 1 rows, expected 2"),
        (
            {"vector": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]},
            r"column 'vector': got shape \(2, 3\), expected \(rows, 2\)",
        ),
        ({"vector": [1.0, 2.0, 3.0, 4.0]}, r"column 'vector': got shape \(4,\), expected \(rows, 2\)"),
        ({"value": ["a", "b"]}, r"column 'value': .*'a'.* expected float64"),
        ({"value": ["1.5", "2"]}, r"column 'value': .*'1\.5'.* expected float64"),
        ({"value": [None, 1.0]}, r"column 'value': .*None.* expected float64"),
        ({"t_ns": [1.5, 2.0]}, r"column 't_ns': .*int64"),
        ({"vector": [[1.0, 2.0], [3.0]]}, r"column 'vector': .*inhomogeneous"),
        ({"is_on": [0, 2]}, r"column 'is_on': .*2.* expected bool"),
        ({"t_ns": [float("inf"), 2.0]}, r"column 't_ns': .*inf.*int64"),
        ({"t_ns": [float("nan"), 2.0]}, r"column 't_ns': .*int64"),
    ],
)
def test_columns_that_do_not_follow_the_schema_are_refused(changed: Mapping[str, Any], message: str) -> None:
    with pytest.raises(LogError, match=message):
        _log(**changed)


def test_missing_columns_and_unknown_tables_are_named() -> None:
    rows = {name: values for name, values in ROWS.items() if name != "word"}
    with pytest.raises(LogError, match=r"missing columns \['word'\], unknown columns \[\]; schema: \['t_ns'"):
        EpisodeLog.from_columns({"t": SCHEMA}, {"t": rows})
    with pytest.raises(LogError, match=r"Tables \['x'\] have no schema; known tables: \['t'\]"):
        EpisodeLog.from_columns({"t": SCHEMA}, {"x": ROWS})
    with pytest.raises(LogError, match="no table 'x'; it has: t"):
        _log().column("x", "value")
    with pytest.raises(LogError, match="no column 'x'; it has: t_ns, value"):
        _log().column("t", "x")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"dtype": "float32"}, "dtype 'float32'; allowed: float64, int64, bool, text"),
        ({"width": -1}, "width -1"),
        ({"dtype": "text", "width": 2}, "width 2 with dtype text"),
    ],
)
def test_columns_that_cannot_be(column: Mapping[str, Any], message: str) -> None:
    with pytest.raises(LogError, match=message):
        Column(name="a", **column)


def test_the_hash_is_blake2b_over_the_documented_bytes() -> None:
    schema = TableSchema(
        columns=(Column(name="a", dtype="int64"), Column(name="b"), Column(name="c", dtype="text"))
    )
    log = EpisodeLog.from_columns(
        {"z": schema, "b": TableSchema(columns=(Column(name="f", dtype="bool"),))},
        {"z": {"a": [1, -2], "b": [0.5, 1e300], "c": ["é", ""]}},
    )
    expected = hashlib.blake2b(digest_size=16)
    expected.update(b"b|f:boolx0|0\n")
    expected.update(b"z|a:int64x0;b:float64x0;c:textx0|2\n")
    expected.update(struct.pack("<2q", 1, -2) + struct.pack("<2d", 0.5, 1e300))
    expected.update(struct.pack("<I", 2) + "é".encode() + struct.pack("<I", 0))
    assert log.episode_hash == expected.hexdigest()


@pytest.mark.parametrize(
    "changed",
    [
        {"t_ns": [1, 3]},
        {"value": [0.5, 0.0]},
        {"value": [np.nextafter(0.5, 1), -0.0]},
        {"vector": [[1.0, 2.0], [4.0, 3.0]]},
        {"is_on": [True, True]},
        {"word": ["a", "e"]},
        {"word": ["aé", ""]},
    ],
)
def test_every_value_enters_the_hash(changed: Mapping[str, Any]) -> None:
    assert _log(**changed).episode_hash != _log().episode_hash


def test_wall_columns_and_attributes_do_not_enter_the_hash() -> None:
    assert _log(cost_wall=[1.0, 2.0]).episode_hash == _log().episode_hash
    log = _log()
    log.attributes["note"] = "x"
    assert log.episode_hash == _log().episode_hash


def test_there_is_one_nan_and_minus_zero_is_kept() -> None:
    odd = np.frombuffer(struct.pack("<2Q", 0x7FF8_0000_0000_0001, 0xFFF8_0000_0000_0000), dtype="<f8")
    assert np.isnan(odd).all()
    assert column_bytes(odd, "float64") == column_bytes(np.array([np.nan, np.nan]), "float64")
    assert _log(value=odd).episode_hash == _log(value=[np.nan, np.nan]).episode_hash
    assert column_bytes(np.array([-0.0]), "float64") != column_bytes(np.array([0.0]), "float64")
    assert column_bytes(np.array([1, 2], dtype=">i8"), "int64") == struct.pack("<2q", 1, 2)


def test_the_order_of_tables_and_columns_does_not_enter_but_a_shift_between_columns_does() -> None:
    one = EpisodeLog.from_columns({"a": SCHEMA, "b": SCHEMA}, {"a": ROWS})
    other = EpisodeLog.from_columns({"b": SCHEMA, "a": SCHEMA}, {"a": dict(reversed(ROWS.items()))})
    assert one.episode_hash == other.episode_hash
    assert EpisodeLog.from_columns({"a": SCHEMA, "b": SCHEMA}, {"b": ROWS}).episode_hash != one.episode_hash
