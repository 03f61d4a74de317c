"""Series over an episode that a domain computes from its log, for the replay in a report.

A package brings them by an entry point of the group ``simloop.traces``: a function from an ``EpisodeLog`` to its
traces, which is empty for a log of another world.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import LogError, PluginError
from simloop.log import EpisodeLog

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """One quantity over an episode.

    Attributes:
        name: What it is, in a word or two, for example ``TTC``.
        unit: Its unit.
        t_ns: (T,) int64 virtual instants.
        values: (T,) float64; infinity or NaN where there is nothing to show.
        thresholds: Values that a reader compares with, by a short name.
        ceiling: Largest value that is worth showing, or None for all.
    """

    name: str
    unit: str
    t_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    ceiling: float | None = None


TraceFunction = Callable[[EpisodeLog], Sequence[Any]]
"""What a plug-in brings; its results are checked to be ``Trace`` objects."""


def read_traces(log: EpisodeLog, functions: Mapping[str, TraceFunction]) -> tuple[Trace, ...]:
    """Returns the traces of a log from every plug-in, in the order of the plug-ins' names.

    A log of an older layout may lack columns that a plug-in reads; its traces are then left out, with a warning.

    Raises:
        PluginError: A plug-in returns something else than traces whose instants and values go together.
    """
    found: list[Trace] = []
    for name, function in functions.items():
        try:
            traces = function(log)
        except LogError as error:
            _LOG.warning("no traces of %s: %s", name, error)
            continue
        for trace in traces:
            if not isinstance(trace, Trace) or trace.t_ns.shape != trace.values.shape or trace.t_ns.ndim != 1:
                raise PluginError(
                    f"simloop.traces entry {name!r} returned {trace!r}; it must return Trace objects whose t_ns and "
                    "values are of one length."
                )
            found.append(trace)
    return tuple(found)
