"""Strategy ``paused``: the world waits for the agent."""

from __future__ import annotations

from simloop.strategies.strategy import Strategy


class Paused(Strategy):
    """The classic benchmark: inference takes no virtual time, so latency is hidden."""

    name = "paused"
    description = "The world is frozen during inference (the classic benchmark)."
    source = "simulators that step the world only after inference, as LIBERO and the CARLA leaderboard do"
    freezes_world = True
    is_asynchronous = False
