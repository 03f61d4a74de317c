"""netem's delay distribution tables (``/usr/lib/tc/*.dist``): whole numbers, 8192 for one unit of jitter.

netem draws ``delay + jitter * table[i] / 8192`` with a uniform i. Source: iproute2 ``tc/q_netem.c`` and Linux
``net/sched/sch_netem.c`` (``NETEM_DIST_SCALE``, at most 16384 entries).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError, TraceError
from simloop.timing.importers.samples import ImportedSamples, read_text

_SCALE = 8192.0
_MAX_ENTRIES = 16384


def read_netem_table(path: Path) -> npt.NDArray[np.float64]:
    """Reads a ``.dist`` table.

    Returns:
        (n,) the table divided by 8192: quantiles in units of the jitter, n >= 1.

    Raises:
        TraceError: A word is no whole number, or there are none or too many.
    """
    lines = read_text(path, "netem table").splitlines()
    words = [
        (number, word)
        for number, line in enumerate(lines, start=1)
        for word in line.partition("#")[0].split()
    ]
    values: list[int] = []
    for number, word in words:
        try:
            values.append(int(word))
        except ValueError:
            raise TraceError(
                f"netem table {path}, line {number}: {word!r}; allowed: whole numbers."
            ) from None
    if not 1 <= len(values) <= _MAX_ENTRIES:
        raise TraceError(f"netem table {path} has {len(values)} entries; allowed: 1 to {_MAX_ENTRIES}.")
    return np.array(values, dtype=np.float64) / _SCALE


def netem_samples(path: Path, *, delay_ms: float, jitter_ms: float) -> ImportedSamples:
    """Returns the delays that a table stands for, one an entry; netem sends what would leave before it came at once.

    Raises:
        ParameterError: Delay or jitter is negative.
        TraceError: The table cannot be read.
    """
    for name, value in (("delay", delay_ms), ("jitter", jitter_ms)):
        if not 0 <= value < float("inf"):
            raise ParameterError(f"{name} is {value:g} ms; allowed: a number >= 0.")
    table = read_netem_table(path)
    values = np.maximum(0.0, delay_ms + jitter_ms * table) * NS_PER_MS
    return ImportedSamples(durations_ns={"delay": np.rint(values).astype(np.int64)}, main="delay")
