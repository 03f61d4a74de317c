"""Atomic Parquet parts: each holds the rows of a finished batch and is whole or absent.

The name of a part carries the hash of its bytes, ``part-000003-<32 hex digits>.parquet``, so that a torn part (a full
disk, a power cut, a bad copy) is detected and set aside; its episodes are then run again.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from simloop.errors import ResultsError
from simloop.store.atomic_file import TEMPORARY_PREFIX, write_atomically

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"part-(\d{6})-([0-9a-f]{32})\.parquet")


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def part_number(path: Path) -> int:
    """Returns the number of a part; -1 if the file is not named like one."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def list_parts(folder: Path) -> list[Path]:
    """Returns the files that are named like parts, in the order in which they were written."""
    return sorted((p for p in folder.glob("part-*.parquet") if _NAME.fullmatch(p.name)), key=part_number)


def write_part(folder: Path, number: int, table: pa.Table) -> Path:
    """Writes a table as part ``number`` and returns its path; after that it survives a kill and a power cut."""
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    data = stream.getvalue()
    path = folder / f"part-{number:06d}-{_digest(data)}.parquet"
    write_atomically(path, data)
    return path


def is_whole(path: Path) -> bool:
    """Whether the bytes of a part hash to what its name says."""
    match = _NAME.fullmatch(path.name)
    return match is not None and _digest(path.read_bytes()) == match[2]


def set_aside_torn(folder: Path) -> list[Path]:
    """Renames torn parts to ``*.torn``, deletes unfinished files, and returns where the torn parts are."""
    for unfinished in folder.glob(f"{TEMPORARY_PREFIX}*"):
        unfinished.unlink()
    moved = []
    for path in list_parts(folder):
        if not is_whole(path):
            target = path.with_name(f"{path.name}.torn")
            path.replace(target)
            moved.append(target)
            _LOG.warning(
                "%s is torn (its checksum differs); it was moved to %s, its episodes run again", path, target
            )
    return moved


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads a part, or those of ``columns`` that it has.

    Raises:
        ResultsError: It cannot be read, or its bytes are not those that were written.
    """
    data = path.read_bytes()
    match = _NAME.fullmatch(path.name)
    if match is None or _digest(data) != match[2]:
        raise ResultsError(
            f"{path} is torn: its checksum is {_digest(data)}. Run the same command again to redo it."
        )
    file = pq.ParquetFile(pa.BufferReader(data))
    if columns is not None:
        columns = [c for c in columns if c in file.schema_arrow.names]
    return file.read(columns=columns)
