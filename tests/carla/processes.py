"""What the system tells in /proc of processes: whose child one is, whether it runs, and what it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not (PROC / "self" / "stat").exists(), reason="the system has no /proc")


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    return _status(pid)[:1] not in ([], ["Z"])


def sleeps(pid: int) -> bool:
    """Whether a process has nothing to do, rather than no processor to do it on."""
    return _status(pid)[:1] == ["S"]


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started and that run."""
    return [one for one in _everyone() if runs(one) and _status(one)[1:2] == [str(pid)]]


def own_servers(pid: int) -> list[int]:
    """Returns the servers that the worlds of a process have started; those of the tests serve other maps."""
    return [one for one in children(pid) if {b"carla-server", b"straight_track"} <= set(_words(one))]


def servers_with(variable: str) -> list[int]:
    """Returns the servers whose environment has a variable, as ``NAME=value``."""
    with_it = [one for one in _everyone() if variable.encode() in _read(one, "environ").split(b"\0")]
    return [one for one in with_it if b"carla-server" in _words(one)]


def num_sockets(pid: int) -> int:
    """Returns how many sockets a process has open; 0 once it has ended."""
    try:
        return sum(str(link.readlink()).startswith("socket:") for link in (PROC / str(pid) / "fd").iterdir())
    except OSError:
        return 0


def resident_mb(pid: int) -> float:
    """Returns the resident memory of a process that runs."""
    return int(_read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def worked_s(pid: int) -> float:
    """Returns the time that a process that runs has had the processor, so that others do not count."""
    return sum(map(int, _status(pid)[11:13])) / os.sysconf("SC_CLK_TCK")


def _everyone() -> list[int]:
    return [int(folder.name) for folder in PROC.glob("[0-9]*")]


def _status(pid: int) -> list[str]:
    """Returns the fields of proc_pid_stat(5) after the name: state, parent, and so on."""
    return _read(pid, "stat").decode("utf-8", "replace").rpartition(")")[2].split()


def _words(pid: int) -> list[bytes]:
    return _read(pid, "cmdline").split(b"\0")


def _read(pid: int, name: str) -> bytes:
    """Returns a file of a process; nothing of one that has ended meanwhile or is another user's."""
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
