"""Episode logs on disk: ``episodes/<episode_id>/<table>.parquet`` and ``attributes.json``, exact to the last bit.

One folder an episode, one Parquet file a table, so that DuckDB reads a table over all episodes with
``read_parquet('episodes/*/ticks.parquet', filename=true)``. Columns of width w are fixed-size lists.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simloop.errors import LogError, ResultsError
from simloop.log import Column, ColumnArray, EpisodeLog, TableSchema
from simloop.store.atomic_file import TEMPORARY_PREFIX, sync_folder

ATTRIBUTES_NAME = "attributes.json"
_SCHEMA_KEY = b"simloop.schema"
_ARROW_TYPES: dict[str, pa.DataType] = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "text": pa.string(),
}
SAMPLE_DIVISOR = 50
"""One successful episode in this many keeps its log (2 %)."""


def is_sampled(episode_id: str) -> bool:
    """Whether a successful episode belongs to the 2 % whose logs are kept; depends on the id alone."""
    return int(episode_id[:8], 16) % SAMPLE_DIVISOR == 0


def table_to_arrow(schema: TableSchema, columns: Mapping[str, ColumnArray]) -> pa.Table:
    """Returns one log table as an Arrow table that carries its schema in the metadata."""
    arrays = []
    for column in schema.columns:
        values = columns[column.name]
        kind = _ARROW_TYPES[column.dtype]
        if column.width > 0:
            flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, column.width))
        elif column.dtype == "text":
            arrays.append(pa.array([str(v) for v in values], type=kind))
        else:
            arrays.append(pa.array(np.ascontiguousarray(values), type=kind))
    table = pa.Table.from_arrays(arrays, names=[c.name for c in schema.columns])
    return table.replace_schema_metadata({_SCHEMA_KEY: json.dumps(dataclasses.asdict(schema)).encode()})


def table_from_arrow(table: pa.Table, where: str) -> tuple[TableSchema, dict[str, ColumnArray]]:
    """Inverse of ``table_to_arrow``.

    Raises:
        LogError: The table carries no schema of a log, or does not follow it.
    """
    raw = (table.schema.metadata or {}).get(_SCHEMA_KEY)
    if raw is None:
        raise LogError(f"{where} carries no simloop schema; it was not written by simloop.")
    values = json.loads(raw)
    schema = TableSchema(
        columns=tuple(Column(**c) for c in values["columns"]), description=values["description"]
    )
    columns: dict[str, Any] = {}
    for column in schema.columns:
        chunk = table.column(column.name).combine_chunks()
        if column.width > 0:
            columns[column.name] = chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.width)
        elif column.dtype == "text":
            columns[column.name] = chunk.to_pylist()
        else:
            columns[column.name] = chunk.to_numpy(zero_copy_only=False)
    return schema, schema.normalise(where, columns)


def write_log(folder: Path, log: EpisodeLog) -> None:
    """Writes a log as ``folder``, replacing what was there; the folder is whole or absent."""
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, schema in log.schemas.items():
        table = table_to_arrow(schema, log.tables[name])
        pq.write_table(table, temporary / f"{name}.parquet", compression="zstd", use_dictionary=False)
    (temporary / ATTRIBUTES_NAME).write_text(json.dumps(log.attributes, default=_plain, sort_keys=True))
    if folder.exists():
        shutil.rmtree(folder)
    temporary.replace(folder)
    sync_folder(folder.parent)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise LogError(
        f"A log attribute holds {type(value).__name__} {value!r}; allowed: plain values and arrays."
    )


def read_log_table(folder: Path, table: str) -> dict[str, ColumnArray] | None:
    """Reads one table of a log; None if the log has no such table.

    Raises:
        LogError: The file does not follow its schema.
    """
    path = folder / f"{table}.parquet"
    return table_from_arrow(pq.read_table(path), str(path))[1] if path.is_file() else None


def read_log(folder: Path) -> EpisodeLog:
    """Reads a log that ``write_log`` wrote; attributes come back as JSON has them (tuples as lists).

    Raises:
        ResultsError: There is no such log.
        LogError: A file does not follow its schema.
    """
    if not (folder / ATTRIBUTES_NAME).is_file():
        raise ResultsError(
            f"{folder} holds no episode log. Logs are kept of failures and of a sample of successes."
        )
    schemas: dict[str, TableSchema] = {}
    tables: dict[str, dict[str, ColumnArray]] = {}
    for path in sorted(folder.glob("*.parquet")):
        schemas[path.stem], tables[path.stem] = table_from_arrow(pq.read_table(path), str(path))
    attributes = json.loads((folder / ATTRIBUTES_NAME).read_text())
    return EpisodeLog(schemas=schemas, tables=tables, attributes=attributes)
