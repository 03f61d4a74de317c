"""Behavioural reaction: when the actions begin to differ from those of a twin that never saw the event.

The twin is the same case with the same draws and without the event, so every difference is caused by the event. Only
a deterministic simulation has such a twin; the pair is compared by the sweep, since one log alone does not hold it.
"""

from __future__ import annotations

import numpy as np

from simloop.errors import LogError
from simloop.log import EpisodeLog


def behavioural_reaction_ms(
    log: EpisodeLog, twin: EpisodeLog, event_ns: int, *, tolerance: float = 0.0
) -> float | None:
    """Returns the time from an event to the first effect of an action that differs from the twin's.

    Args:
        log: Episode with the event.
        twin: The same episode without it.
        event_ns: Instant of the event.
        tolerance: Largest difference of an action entry, divided by its range, that counts as equal.

    Returns:
        Milliseconds, or None if no action differs while both episodes last.

    Raises:
        LogError: The two logs have actions of different width, or do not give finite bounds of them.
    """
    actions, other = log.column("ticks", "action"), twin.column("ticks", "action")
    low, high = (
        np.array(log.attributes.get(f"action_{end}", ()), dtype=np.float64) for end in ("low", "high")
    )
    if actions.shape[1:] != other.shape[1:] or low.shape != actions.shape[1:]:
        raise LogError(
            f"The actions of an episode and its twin have shapes {actions.shape} and {other.shape}, with bounds for "
            f"{len(low)} entries; all three must have the same number of entries."
        )
    span = high - low
    if not (np.isfinite(span) & (span > 0.0)).all():
        raise LogError(f"The action entries have ranges {span.tolist()}; each must be finite and positive.")
    count = min(len(actions), len(other))
    effect_ns = log.column("ticks", "effect_ns")[:count]
    differs = (np.abs(actions[:count] - other[:count]) > tolerance * span).any(axis=1)
    reacting = effect_ns[differs & (effect_ns >= event_ns)]
    return float(reacting.min() - event_ns) * 1e-6 if len(reacting) else None
