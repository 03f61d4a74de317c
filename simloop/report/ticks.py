"""Round values along an axis."""

from __future__ import annotations

import math

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def round_ticks(low: float, high: float, num_ticks: int) -> list[float]:
    """Returns at most ``num_ticks`` + 1 multiples of 1, 2, 2.5 or 5 times a power of ten from ``low`` to ``high``."""
    if not high > low:
        return [low]
    rough = (high - low) / num_ticks
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(s * scale for s in _STEPS if s * scale >= rough * (1.0 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
