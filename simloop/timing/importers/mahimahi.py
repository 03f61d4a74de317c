"""Mahimahi's link traces: one line an opportunity to deliver 1500 bytes, its instant in ms; the trace repeats.

The last line is also the period. Source: Mahimahi (Netravali et al., USENIX ATC 2015), ``mm-link``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from simloop.clock import NS_PER_MS
from simloop.errors import ParameterError, TraceError
from simloop.timing.importers.samples import ImportedSamples, read_text

PACKET_BYTES = 1500


def read_mahimahi(path: Path) -> npt.NDArray[np.int64]:
    """Reads a trace.

    Returns:
        (n,) instants in ms, ascending, n >= 1; the last one is the period and > 0.

    Raises:
        TraceError: A line is no whole number >= 0 or lies before the one above it, or the period is 0.
    """
    instants: list[int] = []
    for number, line in enumerate(read_text(path, "Mahimahi trace").splitlines(), start=1):
        word = line.strip()
        if not word:
            continue
        if not word.isdecimal():
            raise TraceError(f"Mahimahi trace {path}, line {number}: {word!r}; allowed: whole ms >= 0.")
        if instants and int(word) < instants[-1]:
            raise TraceError(
                f"Mahimahi trace {path}, line {number}: {word} ms comes after {instants[-1]} ms; instants ascend."
            )
        instants.append(int(word))
    if instants[-1] == 0:
        raise TraceError(f"Mahimahi trace {path} lasts 0 ms; the last line is its period and must be > 0.")
    return np.array(instants, dtype=np.int64)


def mahimahi_samples(path: Path, *, payload_bytes: int) -> ImportedSamples:
    """Returns how long a message takes that is sent at each ms of the trace over the empty link.

    A message of n bytes needs ceil(n / 1500) opportunities, the first one at or after the instant it is sent.

    Raises:
        ParameterError: The payload is not >= 1.
        TraceError: The trace cannot be read.
    """
    if payload_bytes < 1:
        raise ParameterError(f"payload is {payload_bytes} bytes; allowed: a whole number >= 1.")
    instants = read_mahimahi(path)
    period_ms = int(instants[-1])
    needed = -(-payload_bytes // PACKET_BYTES)
    sent_ms = np.arange(period_ms)
    last = np.searchsorted(instants, sent_ms, side="left") + needed - 1
    cycles, within = np.divmod(last, len(instants))
    durations_ms = cycles * period_ms + instants[within] - sent_ms
    return ImportedSamples(durations_ns={"transfer": durations_ms * NS_PER_MS}, main="transfer")
