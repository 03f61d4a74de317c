"""Moves the world to the instants that the loop names."""

from __future__ import annotations

from simloop.world import World


class Stepper:
    """Advances a world, in whole physics periods and never twice to the same instant.

    Args:
        world: The world, just reset.

    Attributes:
        world: The world.
        now_ns: Instant at which it stands.
    """

    __slots__ = ("_physics_ns", "now_ns", "world")

    def __init__(self, world: World) -> None:
        self.world = world
        self._physics_ns = world.spec.physics_period_ns
        self.now_ns = 0

    def advance(self, t_ns: int) -> None:
        """Moves the world to the last physics instant at or before ``t_ns``, if it is not there yet."""
        if t_ns > self.now_ns:
            until_ns = t_ns - t_ns % self._physics_ns
            if until_ns > self.now_ns:
                self.world.advance(until_ns)
                self.now_ns = until_ns
