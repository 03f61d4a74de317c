"""Files that a configuration or a scene names: their content is part of what an episode is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_FILE_KEYS = ("file", "trace", "mahimahi")
_NETEM_KEY = "netem"
_TABLE_SUFFIX = ".dist"
_MAP_SUFFIX = ".xodr"


def file_digests(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns 32 hex digits of blake2b by the path of each file or folder that a configuration names.

    Paths stand under the keys ``file``, ``trace`` and ``mahimahi`` at any depth, as ``.dist`` tables in a ``netem``
    line, and wherever a text ends in ``.xodr`` (a road map). What is not there, or may not be read, has the digest
    ``"absent"``; whoever reads it says so.
    """
    return {path: _digest(Path(path)) for path in sorted(set(_paths(config)))}


def _paths(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _paths(inner, str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _paths(inner)
    elif isinstance(value, str) and value:
        if key in _FILE_KEYS or value.endswith(_MAP_SUFFIX):
            yield value
        elif key == _NETEM_KEY:
            yield from (word for word in value.split() if word.endswith(_TABLE_SUFFIX))


def _digest(path: Path) -> str:
    result = hashlib.blake2b(digest_size=16)
    try:
        files = sorted(f for f in path.iterdir() if f.is_file()) if path.is_dir() else [path]
        for file in files:
            if not file.is_file():
                return "absent"
            data = file.read_bytes()
            result.update(f"{file.name if path.is_dir() else ''}|{len(data)}\n".encode() + data)
    except OSError:
        return "absent"
    return result.hexdigest()
