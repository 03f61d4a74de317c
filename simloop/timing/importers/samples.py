"""What every importer gives, and checks that all of them share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simloop.errors import TraceError

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSamples:
    """Durations out of another tool's file.

    Attributes:
        durations_ns: (n,) durations in ns by the name that the file gives them, in the file's order.
        main: The name among them that stands for the stage one usually wants; empty if there is no such one.
        notes: What was left out and why, for the trace's header.
        model: Name of the model, if the file says it.
    """

    durations_ns: Mapping[str, IntArray]
    main: str = ""
    notes: tuple[str, ...] = field(default=())
    model: str = ""


def whole_ns(values: Iterable[object], unit_ns: float, where: str) -> IntArray:
    """Returns (n,) durations in whole ns from numbers in another unit, given as numbers or text.

    Args:
        values: The numbers.
        unit_ns: Nanoseconds in one of their units.
        where: File and column, for messages.

    Raises:
        TraceError: One is no finite number >= 0; the message says which.
    """
    out: list[int] = []
    for number, value in enumerate(values):
        try:
            seen = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            seen = math.nan
        if isinstance(value, bool) or not math.isfinite(seen) or seen < 0:
            raise TraceError(f"{where}, sample {number} is {value!r}; allowed: a finite number >= 0.")
        out.append(round(seen * unit_ns))
    return np.array(out, dtype=np.int64)


def read_text(path: Path, what: str) -> str:
    """Returns a text file's content.

    Raises:
        TraceError: It cannot be read, is not UTF-8, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{what} {path} cannot be read as text: {error}.") from error
    if not text.strip():
        raise TraceError(f"{what} {path} is empty.")
    return text
