"""CARET (tier4, ROS 2): tables of time stamps or latencies, written with ``DataFrame.to_csv``.

Three layouts are known, by their headings:

- ``Plot.create_callback_latency_plot(app).to_dataframe()``: two heading rows, name above ``latency [ms]``.
- records of callbacks: ``<name>/callback_start_timestamp`` and ``<name>/callback_end_timestamp``, in ns.
- records of a path: time stamps in ns in the order of the path; each neighbouring pair becomes a stage, and the first
  to the last is ``path``.

CARET leaves a cell empty where a message was dropped; such rows are counted in the notes and left out.
Source: tier4/caret_doc (records service, latency definitions) and CARET_analyze's plot modules.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simloop.clock import NS_PER_MS
from simloop.errors import TraceError
from simloop.timing.importers.samples import ImportedSamples, IntArray, read_text, whole_ns

_START = "/callback_start_timestamp"
_END = "/callback_end_timestamp"
_LATENCY = "latency [ms]"
_EMPTY = ("", "nan", "NaN", "<NA>", "None")


def read_caret(path: Path) -> ImportedSamples:
    """Reads one of CARET's tables.

    Raises:
        TraceError: The headings are of no known layout, a row has another length, an end lies before its start, or
            there is no complete row.
    """
    rows = [row for row in csv.reader(io.StringIO(read_text(path, "CARET table"))) if row]
    heading = rows[0]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heading):
            raise TraceError(f"{path}, row {number} has {len(row)} cells; the heading has {len(heading)}.")
    notes: list[str] = []
    if len(rows) > 1 and _LATENCY in rows[1]:
        pairs = {heading[i]: (-1, i) for i, cell in enumerate(rows[1]) if cell == _LATENCY}
        rows = rows[1:]
    else:
        pairs = _callback_pairs(heading) or _path_pairs(heading, path)
    found = {name: _durations(name, pair, rows[1:], path, notes) for name, pair in pairs.items()}
    if not any(len(values) for values in found.values()):
        raise TraceError(f"CARET table {path}: no complete row; columns: {', '.join(heading)}.")
    main = "path" if "path" in found else next(name for name, values in found.items() if len(values))
    kept = {name: values for name, values in found.items() if len(values)}
    return ImportedSamples(durations_ns=kept, main=main, notes=tuple(notes))


_Pair = tuple[int, int]


def _callback_pairs(heading: Sequence[str]) -> dict[str, _Pair]:
    where = {_plain(cell): column for column, cell in enumerate(heading)}
    return {
        name.removesuffix(_START): (column, where[name.removesuffix(_START) + _END])
        for name, column in where.items()
        if name.endswith(_START) and name.removesuffix(_START) + _END in where and len(where) == len(heading)
    }


def _plain(cell: str) -> str:
    """A heading without the number that CARET hangs on repeated columns (``.../callback_start_timestamp/0``)."""
    head, _, tail = cell.rpartition("/")
    return head if tail.isdigit() else cell


def _path_pairs(heading: Sequence[str], path: Path) -> dict[str, _Pair]:
    stamps = [column for column, cell in enumerate(heading) if _plain(cell).endswith("_timestamp")]
    if len(stamps) < 2:
        raise TraceError(
            f"CARET table {path}: columns {', '.join(heading)}; needed: {_LATENCY!r} below the names, or at least two "
            "columns of time stamps (.../..._timestamp)."
        )
    pairs = {f"{heading[a]} to {heading[b]}": (a, b) for a, b in itertools.pairwise(stamps)}
    return {**pairs, "path": (stamps[0], stamps[-1])}


def _durations(
    name: str, pair: _Pair, rows: Sequence[Sequence[str]], path: Path, notes: list[str]
) -> IntArray:
    start, end = pair
    where = f"{path}, {name}"
    whole = [row for row in rows if row[end] not in _EMPTY and (start < 0 or row[start] not in _EMPTY)]
    if len(whole) < len(rows):
        notes.append(f"{name}: {len(rows) - len(whole)} of {len(rows)} rows were dropped messages")
    if start < 0:
        return whole_ns((row[end] for row in whole), NS_PER_MS, where)
    ends = _stamps([row[end] for row in whole], where)
    starts = _stamps([row[start] for row in whole], where)
    durations = ends - starts
    if (durations < 0).any():
        number = int((durations < 0).argmax())
        raise TraceError(
            f"{where}: row {number} ends at {ends[number]} before it starts at {starts[number]} (ns)."
        )
    return durations


def _stamps(cells: Sequence[str], where: str) -> IntArray:
    """Time stamps have 19 digits, more than a float keeps: whole numbers are taken as they are."""
    if all(cell.isdecimal() for cell in cells):
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    return whole_ns(cells, 1.0, where)
