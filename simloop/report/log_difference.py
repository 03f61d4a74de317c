"""Finds the first place where two logs of one episode differ."""

from __future__ import annotations

import numpy as np

from simloop.log import EpisodeLog, column_bytes

_TIME_COLUMNS = ("t_ns", "trigger_ns")


def first_difference(
    stored: EpisodeLog, played: EpisodeLog, names: tuple[str, str] = ("stored", "played")
) -> str:
    """Returns one sentence that names the earliest row that differs, or an empty text if the logs are equal.

    Args:
        stored, played: The logs.
        names: What the sentence calls them.
    """
    found: list[tuple[float, str]] = []
    for table in sorted(stored.tables.keys() | played.tables.keys()):
        if table not in stored.tables or table not in played.tables:
            found.append((-1.0, f"only one of the logs has the table {table!r}"))
        else:
            found += _table_differences(table, stored, played, names)
    return min(found)[1] if found else ""


def _table_differences(
    table: str, stored: EpisodeLog, played: EpisodeLog, names: tuple[str, str]
) -> list[tuple[float, str]]:
    rows = min(stored.num_rows(table), played.num_rows(table))
    differences = []
    for column in stored.schemas[table].columns:
        if column.name.endswith("_wall"):
            continue
        old, new = stored.column(table, column.name)[:rows], played.column(table, column.name)[:rows]
        if column_bytes(old, column.dtype) == column_bytes(new, column.dtype):
            continue
        row = next(
            i
            for i in range(rows)
            if column_bytes(np.asarray(old[i : i + 1]), column.dtype)
            != column_bytes(np.asarray(new[i : i + 1]), column.dtype)
        )
        differences.append(
            (
                _instant(stored, table, row),
                f"table {table!r}, row {row}, column {column.name!r}: {old[row]!r} {names[0]}, {new[row]!r} {names[1]}",
            )
        )
    if not differences and stored.num_rows(table) != played.num_rows(table):
        sentence = f"table {table!r} has {stored.num_rows(table)} rows {names[0]}, {played.num_rows(table)} {names[1]}"
        differences.append((_instant(stored, table, rows - 1) if rows else 0.0, sentence))
    return differences


def _instant(log: EpisodeLog, table: str, row: int) -> float:
    for name in _TIME_COLUMNS:
        if name in log.tables[table]:
            return float(log.tables[table][name][row])
    return float("inf")
