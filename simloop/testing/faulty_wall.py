"""A braking wall whose scenario says how it breaks, for trying out what a run does with faults."""

from __future__ import annotations

import os

from simloop import wall_clock
from simloop.errors import WorldError
from simloop.spec import Scenario
from simloop.testing.braking_wall import BrakingWall

FAULTS = ("none", "raise", "hang", "exit")


class FaultyWall(BrakingWall):
    """As ``BrakingWall``; the scenario parameter ``fault`` breaks it after half a second of virtual time.

    ``raise`` raises, ``hang`` sleeps for an hour, ``exit`` ends the process without a word.
    """

    _fault = "none"

    def reset(self, scenario: Scenario, seed: int) -> None:
        """Puts the world at t = 0 and notes the fault."""
        super().reset(scenario, seed)
        self._fault = str(scenario.parameters.get("fault", "none"))

    def advance(self, until_ns: int) -> None:
        """Moves the state, or breaks."""
        super().advance(until_ns)
        if until_ns < 500_000_000 or self._fault == "none":
            return
        if self._fault == "raise":
            raise WorldError("the wall broke, as its scenario asked for")
        if self._fault == "hang":
            wall_clock.sleep_s(3600.0)
        os._exit(17)
