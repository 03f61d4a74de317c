"""Samples maps of the user's in a process of their own, which may crash, swell or hang without harm.

The process lives on from map to map (a start costs 0.3 s); it is started anew after it died and after
``MAPS_PER_PROCESS`` maps. Both sides speak in frames: one line of JSON with the size of the bytes that follow.
``python -m simloop_driving.roads.sampling_process`` is the process itself.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import threading
from typing import IO, Any

from simloop import wall_clock
from simloop.errors import ConfigurationError, MissingDependencyError
from simloop_driving.roads.opendrive import sample_opendrive
from simloop_driving.roads.road_map import to_npz_bytes

MAPS_PER_PROCESS = 200
START_LIMIT_S = 60.0
CPU_LIMIT_S = 5.0
CPU_LIMIT_S_PER_MB = 20.0
CPU_LIMIT_S_PER_KM = 0.05
"""Sampling takes about 0.01 s for a kilometre of lane."""
WALL_LIMIT_RATIO = 20.0
"""A process that waits for a busy machine gets this many times its CPU limit before it counts as hung."""
MEMORY_LIMIT_BYTES = 4 << 30
MAX_REPLY_BYTES = 1 << 30

_READY = b"ready\n"


class _Died(Exception):
    """The process ended, or did not answer in time; the text says which."""


class SamplingProcess:
    """One process that samples maps, one after the other."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._served = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "simloop_driving.roads.sampling_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._unread = b""
        self._read_until_ready()

    @property
    def is_usable(self) -> bool:
        """Whether this Python process started it, it lives, and it has not served its number of maps."""
        return self._owner == os.getpid() and self._process.poll() is None and self._served < MAPS_PER_PROCESS

    def sample(self, name: str, content: bytes, lane_length_m: float) -> tuple[dict[str, Any], bytes]:
        """Returns the answer's header and bytes for one map.

        Raises:
            _Died: The process is gone; the text says why.
        """
        self._served += 1
        limit_s = (
            CPU_LIMIT_S + CPU_LIMIT_S_PER_MB * len(content) / 1e6 + CPU_LIMIT_S_PER_KM * lane_length_m / 1e3
        )
        until_s = wall_clock.monotonic_s() + WALL_LIMIT_RATIO * limit_s
        header = {"name": name, "num_bytes": len(content), "cpu_limit_s": limit_s}
        self._write(json.dumps(header).encode() + b"\n" + content, until_s)
        line = self._read_line(until_s)
        answer: dict[str, Any] = json.loads(line)
        return answer, self._read(int(answer["num_bytes"]), until_s)

    def close(self) -> None:
        """Ends the process, if this Python process started it."""
        if self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()

    def _read_until_ready(self) -> None:
        until_s = wall_clock.monotonic_s() + START_LIMIT_S
        if self._read_line(until_s) != _READY:
            raise _Died("the process for maps did not start")

    def _write(self, content: bytes, until_s: float) -> None:
        view = memoryview(content)
        while view:
            self._wait([], [self._to], until_s)
            try:
                view = view[os.write(self._to, view[: 1 << 16]) :]
            except BrokenPipeError as error:
                raise _Died(self._end()) from error

    def _read_line(self, until_s: float) -> bytes:
        while b"\n" not in self._unread:
            self._fill(until_s)
        line, _, self._unread = self._unread.partition(b"\n")
        return line + b"\n"

    def _read(self, num_bytes: int, until_s: float) -> bytes:
        if not 0 <= num_bytes <= MAX_REPLY_BYTES:
            raise _Died(f"the process for maps answered with {num_bytes} bytes")
        parts, size = [self._unread], len(self._unread)
        self._unread = b""
        while size < num_bytes:
            self._fill(until_s)
            parts.append(self._unread)
            size += len(self._unread)
            self._unread = b""
        whole = b"".join(parts)
        self._unread = whole[num_bytes:]
        return whole[:num_bytes]

    def _fill(self, until_s: float) -> None:
        self._wait([self._from], [], until_s)
        content = os.read(self._from, 1 << 20)
        if not content:
            raise _Died(self._end())
        self._unread += content

    def _wait(self, readable: list[int], writable: list[int], until_s: float) -> None:
        left_s = until_s - wall_clock.monotonic_s()
        if left_s <= 0.0 or not any(select.select(readable, writable, [], left_s)):
            raise _Died("it took too long to parse")

    def _end(self) -> str:
        code = self._process.wait()
        if code == -24:  # SIGXCPU
            return "it took too long to parse"
        return f"the OpenDRIVE parser crashed on it (exit code {code})"


class _Pool:
    """The process of this Python process, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: SamplingProcess | None = None

    def sample(self, name: str, content: bytes, lane_length_m: float) -> bytes:
        with self._lock:
            if self._process is None or not self._process.is_usable:
                self.close()
                self._process = SamplingProcess()
            try:
                answer, arrays = self._process.sample(name, content, lane_length_m)
            except _Died as error:
                self.close()
                raise ConfigurationError(
                    f"{name}: cannot be sampled: {error}; allowed: OpenDRIVE 1.4 to 1.8 that CARLA 0.9.16 reads. "
                    "Check the file with a viewer or the ASAM quality checker."
                ) from error
        if answer["status"] == "missing_dependency":
            raise MissingDependencyError(str(answer["message"]))
        if answer["status"] != "sampled":
            message = str(answer["message"])
            raise ConfigurationError(message if name in message else f"{name}: {message}")
        return arrays

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
        self._process = None


_POOL = _Pool()
atexit.register(_POOL.close)


def sample_apart(name: str, content: bytes, lane_length_m: float) -> bytes:
    """Returns the sampled arrays of an OpenDRIVE document as ``.npz`` bytes.

    Args:
        name: What messages call the map.
        content: The document.
        lane_length_m: All its lanes together: what there is to sample.

    Raises:
        ConfigurationError: The parser refused it, crashed on it, or took too long.
        MissingDependencyError: The ``carla`` package is not installed.
    """
    return _POOL.sample(name, content, lane_length_m)


def _sampled(name: str, content: bytes) -> tuple[str, str, bytes]:
    try:
        return "sampled", "", to_npz_bytes(sample_opendrive(name, content.decode("utf-8")))
    except MissingDependencyError as error:
        return "missing_dependency", str(error), b""
    except ConfigurationError as error:
        return "refused", str(error), b""
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = f"cannot be sampled ({type(error).__name__}: {error}); allowed: OpenDRIVE that CARLA 0.9.16 reads."
        return "refused", reason, b""


def _limit_cpu(limit_s: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + limit_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    answers.write(_READY)
    answers.flush()
    while line := requests.readline():
        header = json.loads(line)
        _limit_cpu(header["cpu_limit_s"])
        status, message, arrays = _sampled(header["name"], requests.read(header["num_bytes"]))
        answer = {"status": status, "message": message[:2000], "num_bytes": len(arrays)}
        answers.write(json.dumps(answer).encode() + b"\n" + arrays)
        answers.flush()


def main() -> None:
    """Serves maps on standard input and output until the input ends."""
    with contextlib.suppress(ValueError):  # a lower limit is in force already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the parser prints must not run into the answers
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
