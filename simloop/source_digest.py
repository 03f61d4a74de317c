"""Digests of source: results are kept by the code that they come from, so that changed code is noticed."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from simloop.errors import ConfigurationError

EPISODE_SOURCES = (
    "accelerator.py",
    "agent.py",
    "assembly.py",
    "channel.py",
    "clock.py",
    "control.py",
    "delivery.py",
    "episode_recorder.py",
    "flight.py",
    "foresight.py",
    "loop.py",
    "randomness.py",
    "rendering",
    "reply_check.py",
    "sealing.py",
    "sensor_feed.py",
    "stepper.py",
    "strategies",
    "timing",
    "world.py",
)
"""What of the core decides the course of an episode."""


@functools.cache
def source_digest(package: str, only: tuple[str, ...] = ()) -> str:
    """Returns 32 hex digits of blake2b over a package's ``.py`` files; read once a process.

    Args:
        package: Import name; the package itself is not imported.
        only: Modules (``loop.py``) and subpackages (``timing``) to which the digest is limited; all if empty.

    Raises:
        ConfigurationError: There is no such package, or it lacks what ``only`` names.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(f"{package!r} is not a package with source; install it with its .py files.")
    folder = Path(next(iter(found.submodule_search_locations)))
    files: set[Path] = set()
    for name in only or (".",):
        chosen = folder / name
        several = {chosen} if chosen.is_file() else set(chosen.rglob("*.py"))
        if not several:
            raise ConfigurationError(f"{chosen} holds no source; reinstall {package}.")
        files |= several
    return _digest((file.relative_to(folder).as_posix(), file) for file in files)


def module_digest(*modules: str) -> str:
    """Returns 32 hex digits of blake2b over the files of imported modules, as they are on disk now."""
    found = {(name, getattr(sys.modules[name], "__file__", None)) for name in modules}
    return _digest((name, Path(file)) for name, file in found if file is not None)


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    result = hashlib.blake2b(digest_size=16)
    for name, file in sorted(files):
        result.update(name.encode() + b"\0" + file.read_bytes())
    return result.hexdigest()
