"""What happened in one episode, as tables of columns, and its hash.

A column holds float64, int64, bool or text, one value a row; a column of ``width`` w >= 1 holds (rows, w). Names
carry the unit. Columns whose name ends in ``_wall`` come from the wall clock and are left out of the hash.
``docs/log.md`` lists every table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import LogError

ColumnArray = npt.NDArray[Any]
Columns = Mapping[str, ColumnArray | Sequence[Any]]

_DTYPES: dict[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "int64": np.dtype("<i8"),
    "bool": np.dtype("|b1"),
    "text": np.dtype("O"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: name (with unit), dtype (float64, int64, bool, text), width and meaning.

    A column of width 0 holds one value a row, (rows,); a column of width w >= 1 holds a vector a row, (rows, w).
    """

    name: str
    dtype: str = "float64"
    width: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise LogError(
                f"Column {self.name!r} has dtype {self.dtype!r}; allowed: float64, int64, bool, text."
            )
        if self.width < 0 or (self.width > 0 and self.dtype == "text"):
            raise LogError(f"Column {self.name!r} has width {self.width} with dtype {self.dtype}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """The columns of one table, in order, and what a row is."""

    columns: tuple[Column, ...]
    description: str = ""
    signature: str = field(init=False, repr=False, compare=False)
    """The schema as one canonical string; enters the hash."""

    def __post_init__(self) -> None:
        signature = ";".join(f"{c.name}:{c.dtype}x{c.width}" for c in self.columns)
        object.__setattr__(self, "signature", signature)

    def normalise(self, table: str, columns: Columns) -> dict[str, ColumnArray]:
        """Casts ``columns`` to this schema.

        Raises:
            LogError: A column is missing, unknown, of a wrong shape or length.
        """
        if len(columns) != len(self.columns) or any(c.name not in columns for c in self.columns):
            names = [c.name for c in self.columns]
            extra = sorted(set(columns) - set(names))
            missing = [n for n in names if n not in columns]
            raise LogError(
                f"Table {table!r}: missing columns {missing}, unknown columns {extra}; schema: {names}."
            )
        out: dict[str, ColumnArray] = {}
        length: int | None = None
        for column in self.columns:
            array = _cast(table, column, columns[column.name])
            if length is not None and len(array) != length:
                raise LogError(
                    f"Table {table!r}, column {column.name!r}: {len(array)} rows, expected {length}."
                )
            length = len(array)
            out[column.name] = array
        return out


def _cast(table: str, column: Column, values: ColumnArray | Sequence[Any]) -> ColumnArray:
    """Casts values to a column's dtype and checks their shape; a cast that would change a value is refused."""
    if (
        isinstance(values, np.ndarray)
        and values.dtype == _DTYPES[column.dtype]
        and values.shape[1:] == ((column.width,) if column.width else ())
        and values.ndim
    ):
        return np.ascontiguousarray(values)
    if column.dtype == "text":
        return np.asarray(values, dtype=object).reshape(len(values))
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise LogError(f"Table {table!r}, column {column.name!r}: {error}") from error
    shape = (len(raw), column.width) if column.width else (len(raw),)
    if raw.size == 0:
        return np.zeros((0, *shape[1:]), dtype=_DTYPES[column.dtype])
    if raw.shape != shape:
        expected = f"(rows, {column.width})" if column.width else "(rows,)"
        raise LogError(
            f"Table {table!r}, column {column.name!r}: got shape {raw.shape}, expected {expected}."
        )
    if raw.dtype.kind not in "biuf" or not _keeps_values(raw, column.dtype):
        raise LogError(
            f"Table {table!r}, column {column.name!r}: got {raw.ravel()[:3]!r}, expected {column.dtype}."
        )
    return np.ascontiguousarray(raw, dtype=_DTYPES[column.dtype])


def _keeps_values(raw: ColumnArray, dtype: str) -> bool:
    """Whether a cast of numbers to ``dtype`` keeps every value (floats may round integers over 2**53)."""
    if dtype == "int64" and raw.dtype.kind == "f":
        return bool(np.all(np.isfinite(raw) & (raw == np.floor(raw))))
    if dtype == "bool" and raw.dtype.kind != "b":
        return bool(np.all((raw == 0) | (raw == 1)))
    return True


@dataclass(slots=True, kw_only=True, eq=False)
class EpisodeLog:
    """The record of one episode.

    Attributes:
        schemas: Schema by table name.
        tables: Columns by table name; every table of ``schemas`` is there, possibly with no rows.
        attributes: Facts that are not rows (control period, sensor names, motion points); not hashed.
    """

    schemas: Mapping[str, TableSchema]
    tables: dict[str, dict[str, ColumnArray]]
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_columns(
        cls,
        schemas: Mapping[str, TableSchema],
        tables: Mapping[str, Columns],
        attributes: Mapping[str, Any] | None = None,
    ) -> EpisodeLog:
        """Builds a log from loose columns; tables without rows may be left out.

        Raises:
            LogError: A table or column does not follow its schema.
        """
        unknown = sorted(set(tables) - set(schemas))
        if unknown:
            raise LogError(f"Tables {unknown} have no schema; known tables: {sorted(schemas)}.")
        out = {
            name: schema.normalise(name, tables.get(name) or {c.name: () for c in schema.columns})
            for name, schema in schemas.items()
        }
        return cls(schemas=dict(schemas), tables=out, attributes=dict(attributes or {}))

    def has(self, table: str) -> bool:
        """Whether the log has a table of that name (possibly with no rows)."""
        return table in self.tables

    def column(self, table: str, name: str) -> ColumnArray:
        """Returns one column.

        Raises:
            LogError: There is no such table or column; the message lists what there is.
        """
        if table not in self.tables:
            raise LogError(f"The log has no table {table!r}; it has: {', '.join(sorted(self.tables))}.")
        if name not in self.tables[table]:
            raise LogError(
                f"Table {table!r} has no column {name!r}; it has: {', '.join(self.tables[table])}."
            )
        return self.tables[table][name]

    def num_rows(self, table: str) -> int:
        """Number of rows of one table."""
        columns = self.tables[table]
        return len(next(iter(columns.values()))) if columns else 0

    @property
    def episode_hash(self) -> str:
        """Hash of what happened: 32 hex digits over all tables in name order (see the module's docstring)."""
        pieces: list[bytes] = []
        encoded = _EncodedText()
        for name in sorted(self.tables):
            schema, table = self.schemas[name], self.tables[name]
            pieces.append(f"{name}|{schema.signature}|{self.num_rows(name)}\n".encode())
            pieces += [
                column_bytes(table[column.name], column.dtype, encoded)
                for column in schema.columns
                if not column.name.endswith("_wall")
            ]
        return hashlib.blake2b(b"".join(pieces), digest_size=16).hexdigest()


class _EncodedText(dict[Any, bytes]):
    """Length-prefixed UTF-8 by text, encoded once: columns of text repeat few values."""

    def __missing__(self, value: Any) -> bytes:
        raw = str(value).encode()
        self[value] = encoded = len(raw).to_bytes(4, "little") + raw
        return encoded


def column_bytes(array: ColumnArray, dtype: str, encoded: _EncodedText | None = None) -> bytes:
    """Canonical bytes of one column: little-endian, one NaN, -0.0 kept, text as length-prefixed UTF-8."""
    if dtype == "text":
        encoded = _EncodedText() if encoded is None else encoded
        return b"".join([encoded[value] for value in array.tolist()])
    if dtype == "float64":
        is_nan = np.isnan(array)
        if is_nan.any():
            array = np.where(is_nan, np.nan, array)
    return array.astype(_DTYPES[dtype], copy=False).tobytes()


# Tables that worlds share, so that domain-free metrics can read them.
MOTION = TableSchema(
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant"),
        Column(name="point", dtype="int64", description="index into WorldSpec.motion_points"),
        Column(name="position_m", width=3, description="world frame"),
        Column(name="velocity_mps", width=3, description="world frame"),
    ),
    description="Physics-rate kinematics of the points that smoothness is judged on.",
)
CONTACTS = TableSchema(
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant of the onset"),
        Column(
            name="class_pair", dtype="text", description="the two classes in touch, e.g. left_arm-right_arm"
        ),
        Column(name="is_collision", dtype="bool", description="False for pairs that the task allows"),
        Column(name="impact_speed_mps", description="closing speed at the onset"),
        Column(name="is_at_fault", dtype="bool", description="whether the ego (or robot) is to blame"),
        Column(name="duration_s", description="time until the contact ended (or the episode did)"),
    ),
    description="One row an onset of contact between two classes.",
)
