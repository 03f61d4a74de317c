"""Strategy ``naive_async``: keep the old chunk, switch on arrival."""

from __future__ import annotations

from simloop.strategies.strategy import Strategy


class NaiveAsync(Strategy):
    """Asks every s ticks, plays the old chunk on, and switches to the new one on arrival, skipping its first d rows."""

    name = "naive_async"
    description = "Keep the old chunk, switch when the new one arrives, skip its first d actions."
    source = "the plain asynchronous executor, baseline of arXiv 2506.07339"
