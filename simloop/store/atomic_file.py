"""Files that are whole or absent, whatever kills the process between."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY_PREFIX = ".unfinished-"
"""Names of files and folders that are being written; whoever finds one later may delete it."""


def write_atomically(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path``: to a temporary name, to the disk, then renamed over it."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` outlive a power cut; does nothing where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
