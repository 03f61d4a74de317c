"""A braking wall that does not repeat itself, as a server with threads does not: for trying out repeats."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import ClassVar

from simloop.errors import WorldError
from simloop.spec import Scenario
from simloop.testing.braking_wall import BrakingWall
from simloop.world import Determinism

_NEAR_M = 10.0
"""A gap within which nobody who comes at 20 m/s stops."""
_NUDGE_M = 1e-9


class WobblingWall(BrakingWall):
    """As ``BrakingWall``, but a count of the plays of each seed in this process, which no seed decides, changes them.

    The scenario parameters are whole numbers, 0 for never: every ``fail_every_count``-th play of a seed has the wall so
    near that it is hit, every ``nudge_every_count``-th has it a nanometre nearer, which changes the log and not the
    verdict, and every ``break_every_count``-th raises. A play begins with its first movement; a reset does not count.

    Args:
        determinism: What the world declares: ``statistical``, which is true, or ``bit_exact``, which is not.
    """

    num_plays: ClassVar[Counter[int]] = Counter()
    """Plays so far in this process, by seed."""

    def __init__(self, *, determinism: str = Determinism.STATISTICAL.value) -> None:
        super().__init__(physics_period_ns=10_000_000)
        self._spec = dataclasses.replace(self._spec, determinism=Determinism(determinism))
        self._parameters: dict[str, int] = {}
        self._seed = 0
        self._is_playing = False

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts the world at t = 0."""
        super().reset(scenario, seed)
        self._parameters = {name: int(value) for name, value in scenario.parameters.items()}
        self._seed = seed
        self._is_playing = False

    def advance(self, until_ns: int) -> None:
        """Moves the state; the first movement of a play counts it and moves the wall."""
        if not self._is_playing and until_ns > self._now_ns:
            self._is_playing = True
            self.num_plays[self._seed] += 1
            if self._is_due("break_every_count"):
                raise WorldError("the wall broke, as its scenario asked for")
            if self._is_due("nudge_every_count"):
                self._state[0] -= _NUDGE_M
            if self._is_due("fail_every_count"):
                self._state[0] = _NEAR_M
        super().advance(until_ns)

    def _is_due(self, name: str) -> bool:
        every = self._parameters.get(name, 0)
        return every > 0 and self.num_plays[self._seed] % every == 0
