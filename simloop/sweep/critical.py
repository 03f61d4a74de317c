"""Critical latency of each case by bisection: the latency between the last success and the first failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simloop.spec import EpisodeSpec, ScenarioFamily
from simloop.sweep.arms import ArmFactory
from simloop.sweep.campaign import GridOutcomes, SweepPart, outcome

BISECTION = "bisection"


@dataclass(slots=True, kw_only=True)
class _Search:
    """The bisection of one case under one strategy.

    Attributes:
        curve: Scenario, agent and strategy.
        choice: Agent and strategy as the sweep names them.
        case: Number of the case.
        low_ms: Largest latency known to succeed, below every known failure.
        high_ms: Smallest latency known to fail, above ``low_ms``.
        state: ``open``, ``found``, ``always_fails`` (at the first latency already), ``censored`` (succeeds at every
            latency of the grid) or ``lost`` (an episode was not judged).
    """

    curve: tuple[str, str, str]
    choice: tuple[str, str]
    case: int
    low_ms: float = 0.0
    high_ms: float = 0.0
    state: str = "open"

    @property
    def middle_ms(self) -> float:
        """The latency to try next, in whole microseconds."""
        return round(0.5 * (self.low_ms + self.high_ms), 3)


class CriticalLatency(SweepPart):
    """Bisects, for the first cases of each scenario and every strategy that latency can reach.

    The bracket is the first failing latency of the grid and the one before it. A case whose success comes and goes
    with latency has several boundaries; this is the first that the grid shows.

    Args:
        factory: Makes arms at any latency.
        families: Families by name.
        num_cases: Cases of each scenario, from the first on.
        tolerance_ms: Width at which a bisection ends.
    """

    columns = ("status",)

    def __init__(
        self, factory: ArmFactory, families: Mapping[str, ScenarioFamily], num_cases: int, tolerance_ms: float
    ) -> None:
        self._factory = factory
        self._families = families
        self._num_cases = num_cases
        self._tolerance_ms = tolerance_ms
        self._searches: list[_Search] = []
        self._proposed: list[_Search] = []
        self._grid: GridOutcomes | None = None

    def start(self, grid: GridOutcomes) -> None:
        """Brackets every case by the grid."""
        self._grid = grid
        for curve, arms in grid.curves().items():
            if grid.arms[arms[0]].freezes_world:
                continue
            for case in range(min(self._num_cases, len(grid.cases[curve[0]]))):
                self._searches.append(_bracketed(grid, curve, arms, case))

    def propose(self) -> Sequence[EpisodeSpec]:
        """Returns one episode for every bracket that is still too wide."""
        assert self._grid is not None
        self._proposed = []
        specs = []
        for search in self._searches:
            if search.state != "open":
                continue
            if search.high_ms - search.low_ms <= self._tolerance_ms:
                search.state = "found"
                continue
            scenario = search.curve[0]
            arm = self._factory.arm(self._families[scenario], *search.choice, search.middle_ms, BISECTION)
            specs.append(arm.spec(self._grid.cases[scenario][search.case]))
            self._proposed.append(search)
        return specs

    def observe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Halves the brackets."""
        for search, row in zip(self._proposed, rows, strict=True):
            succeeded = outcome(row)
            if succeeded is None:
                search.state = "lost"
            elif succeeded:
                search.low_ms = search.middle_ms
            else:
                search.high_ms = search.middle_ms

    def findings(self) -> Mapping[str, Any]:
        """Returns the bracket and state of every case."""
        assert self._grid is not None
        return {
            "critical": [
                {
                    "scenario": s.curve[0],
                    "agent": s.curve[1],
                    "strategy": s.curve[2],
                    "seed": self._grid.cases[s.curve[0]][s.case].seed,
                    "case_id": self._grid.cases[s.curve[0]][s.case].case_id,
                    "state": s.state,
                    "low_ms": s.low_ms,
                    "high_ms": s.high_ms,
                }
                for s in self._searches
            ]
        }


def _bracketed(grid: GridOutcomes, curve: tuple[str, str, str], arms: Sequence[int], case: int) -> _Search:
    search = _Search(curve=curve, choice=grid.arms[arms[0]].choice, case=case, state="censored")
    for number in arms:
        succeeded = grid.succeeded(number, case)
        latency_ms = grid.arms[number].level
        if succeeded is None:
            search.state = "lost"
            return search
        if not succeeded:
            search.high_ms = latency_ms
            search.state = "always_fails" if number == arms[0] else "open"
            return search
        search.low_ms = latency_ms
    search.high_ms = search.low_ms
    return search
