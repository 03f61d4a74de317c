"""Traces on disk: JSONL (a header line, then one event a line) and Parquet (the header in the metadata).

Both hold the same columns and checksums; ``.parquet`` is Parquet, everything else is JSONL. Reading checks every
event and stops at the first one that was altered, naming it, what was stored and what its content gives.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from simloop.errors import TraceError
from simloop.timing.trace import (
    EVENT_KEYS,
    Event,
    Trace,
    TraceHeader,
    check_event,
    checksums,
    event_checksum,
    header_from_values,
    header_values,
)

PARQUET_SUFFIX = ".parquet"
JSONL_SUFFIX = ".jsonl"
_HEADER_KEY = b"simloop.trace"
_COLUMNS = (*EVENT_KEYS, "checksum")


def trace_bytes(trace: Trace, suffix: str = JSONL_SUFFIX) -> bytes:
    """Returns the bytes of a trace file.

    Args:
        trace: The trace.
        suffix: ``".jsonl"`` or ``".parquet"``.

    Raises:
        TraceError: The suffix is neither, or an event's values are out of range.
    """
    check_suffix(suffix)
    for event in trace.events:
        check_event(event, "trace")
    header = header_values(trace.header, len(trace.events))
    sums = list(checksums(trace.events, header["checksum"]))
    if suffix == PARQUET_SUFFIX:
        return _parquet_bytes(header, trace.events, sums)
    lines = [json.dumps(header)]
    lines += [
        json.dumps(dict(zip(_COLUMNS, [*event, checksum], strict=True)), default=dict)
        for event, checksum in zip(trace.events, sums, strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()


def check_suffix(suffix: str) -> None:
    """Raises TraceError unless a trace can be written to a file of that suffix."""
    if suffix not in (JSONL_SUFFIX, PARQUET_SUFFIX):
        raise TraceError(
            f"A trace cannot be written as {suffix!r}; allowed: {JSONL_SUFFIX}, {PARQUET_SUFFIX}."
        )


def _parquet_bytes(header: Mapping[str, Any], events: Iterable[Event], sums: list[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {key: [] for key in EVENT_KEYS}
    for event in events:
        for key, value in zip(EVENT_KEYS, event, strict=True):
            columns[key].append(
                json.dumps(value, sort_keys=True, default=dict) if key == "attributes" else value
            )
    text = ("episode", "stage", "attributes")
    arrays = {k: pa.array(v, type=pa.string() if k in text else pa.int64()) for k, v in columns.items()}
    table = pa.table({**arrays, "checksum": pa.array(sums, type=pa.string())})
    stream = io.BytesIO()
    table = table.replace_schema_metadata({_HEADER_KEY: json.dumps(header).encode()})
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def read_trace(path: Path | str) -> Trace:
    """Reads a trace and checks every event.

    Raises:
        TraceError: There is no such file, it is empty, malformed or of another version, or its header or an event
            was altered; the message names the line or the event.
    """
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        raise TraceError(f"Trace {path} cannot be read: {error.strerror}.") from error
    if path.is_dir():
        raise TraceError(f"Trace {path} is a folder; name one file of it.")
    return _read(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=8)
def _read(path: Path, mtime_ns: int, size: int) -> Trace:
    """Reads a file once for all episodes that replay it; a changed file is another one."""
    if size == 0:
        raise TraceError(f"Trace {path} is empty; a trace starts with its header.")
    values, rows = _parquet_rows(path) if path.suffix == PARQUET_SUFFIX else _jsonl_rows(path)
    header, num_events, checksum = header_from_values(values, str(path))
    events: list[Event] = []
    for place, row in rows:
        event, stored = _event(row, place)
        checksum = event_checksum(event, checksum)
        if stored != checksum:
            raise TraceError(
                f"{place}: the event ({event.name}) was altered, or one before it was removed, added or moved: stored "
                f"checksum {stored!r}, expected {checksum!r} for what stands there (start_ns {event.start_ns}, end_ns "
                f"{event.end_ns}, bytes {event.bytes}, batch {event.batch}, attributes {dict(event.attributes)})."
            )
        events.append(event)
    if len(events) != num_events:
        last = f"the last one is {events[-1].name}" if events else "there is none"
        raise TraceError(f"{path}: the header announces {num_events} events, {len(events)} follow; {last}.")
    return Trace(header=header, events=tuple(events))


def read_header(path: Path) -> TraceHeader:
    """Reads the header alone; the events are not looked at.

    Raises:
        TraceError: There is none, it is of another version, or it was altered.
    """
    if path.suffix == PARQUET_SUFFIX:
        return header_from_values(_parquet_rows(path)[0], str(path))[0]
    try:
        with path.open(encoding="utf-8") as stream:
            first = stream.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"Trace {path} cannot be read: {error}.") from error
    return header_from_values(_decoded(first, f"{path}, line 1"), str(path))[0]


_Rows = list[tuple[str, Any]]


def _jsonl_rows(path: Path) -> tuple[Any, _Rows]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"Trace {path} cannot be read as text: {error}.") from error
    places = [f"{path}, line {number}" for number in range(1, len(lines) + 1)]
    decoded = [
        (place, _decoded(line, place)) for place, line in zip(places, lines, strict=True) if line.strip()
    ]
    if not decoded:
        raise TraceError(f"Trace {path} is empty; a trace starts with its header.")
    return decoded[0][1], decoded[1:]


def _decoded(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise TraceError(f"{place} is not JSON ({error}): {line.strip()[:80]!r}.") from error


def _parquet_rows(path: Path) -> tuple[Any, _Rows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TraceError(f"Trace {path} cannot be read as Parquet: {error}.") from error
    raw = (table.schema.metadata or {}).get(_HEADER_KEY)
    if raw is None:
        raise TraceError(
            f"{path} has no trace header in its metadata; columns: {', '.join(table.column_names)}. If it holds "
            "another tool's timings: simloop trace import KIND FILE."
        )
    missing = [c for c in _COLUMNS if c not in table.column_names]
    if missing:
        raise TraceError(f"{path} lacks the columns {missing}; a trace has: {', '.join(_COLUMNS)}.")
    rows: _Rows = []
    for number, row in enumerate(table.select(list(_COLUMNS)).to_pylist()):
        place = f"{path}, row {number}"
        row["attributes"] = _decoded(str(row["attributes"]), place)
        rows.append((place, row))
    return _decoded(raw.decode(), f"{path}, header"), rows


def _event(row: Any, place: str) -> tuple[Event, str]:
    if not isinstance(row, Mapping):
        raise TraceError(f"{place} is {type(row).__name__}; allowed: one event a line, a mapping.")
    missing = [c for c in _COLUMNS if c not in row]
    unknown = sorted(set(row) - set(_COLUMNS))
    if missing or unknown:
        raise TraceError(
            f"{place} lacks the keys {missing} and has the unknown keys {unknown}; an event has: {', '.join(_COLUMNS)}."
        )
    event = Event(*(row[key] for key in EVENT_KEYS))
    check_event(event, place)
    return event, str(row["checksum"])
