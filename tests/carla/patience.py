"""How long tests wait for what comes from elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""Time in which whatever happens at all has happened, also where others have the machine."""


def until(
    is_so: Callable[[], bool], patience_s: float = PATIENCE_S, *, why_not: str = "waited in vain"
) -> None:
    """Waits for what another thread or process brings; fails with ``why_not`` where it does not come."""
    deadline_s, pause_s = time.monotonic() + patience_s, 0.002
    while not is_so():
        assert time.monotonic() < deadline_s, why_not
        time.sleep(pause_s)
        pause_s = min(2.0 * pause_s, 0.05)
