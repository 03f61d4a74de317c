"""The campaign of a sweep: the grid first, then bisections, interventions and twins side by side."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simloop.campaign import Campaign
from simloop.spec import Case, EpisodeSpec
from simloop.store.row import EpisodeStatus
from simloop.sweep.arms import Arm


@dataclass(slots=True, kw_only=True)
class GridOutcomes:
    """What became of the grid.

    Attributes:
        arms: The arms, in the order in which they were proposed.
        cases: Cases by scenario, in seed order.
        rows: Row of each case, by number of the arm, in the order of ``cases``.
    """

    arms: Sequence[Arm]
    cases: Mapping[str, Sequence[Case]]
    rows: dict[int, list[Mapping[str, Any]]] = field(default_factory=dict)

    def curves(self) -> dict[tuple[str, str, str], list[int]]:
        """Returns the numbers of the arms of each curve, by rising level."""
        out: dict[tuple[str, str, str], list[int]] = {}
        for number, arm in enumerate(self.arms):
            out.setdefault(arm.curve, []).append(number)
        return {key: sorted(numbers, key=lambda n: self.arms[n].level) for key, numbers in out.items()}

    def succeeded(self, arm: int, case: int) -> bool | None:
        """Whether a case succeeded in an arm; None if it was not judged."""
        return outcome(self.rows[arm][case])


def outcome(row: Mapping[str, Any]) -> bool | None:
    """Whether an episode succeeded; None if infrastructure kept it from being judged."""
    status = EpisodeStatus(row["status"])
    return status is EpisodeStatus.SUCCESS if status.is_judged else None


class SweepPart(Campaign):
    """A campaign that starts from the outcomes of the grid."""

    @abstractmethod
    def start(self, grid: GridOutcomes) -> None:
        """Takes the outcomes of the grid, before the first ``propose``."""


class LatencyCampaign(Campaign):
    """Proposes the grid of a sweep, arm after arm, then what its parts ask for.

    Args:
        arms: The arms.
        cases: Cases by scenario, in seed order; every arm of a scenario plays them all.
        parts: What follows the grid; each makes its rounds, the rounds of all are run together.
        logged_cases: Cases of each scenario whose logs are kept in every arm, from the first on.
    """

    def __init__(
        self,
        arms: Sequence[Arm],
        cases: Mapping[str, Sequence[Case]],
        parts: Sequence[SweepPart],
        logged_cases: int,
    ) -> None:
        names = {name for part in parts for name in part.columns}
        self.columns = ("status", *sorted(names - {"status"})) if parts else ()
        self._grid = GridOutcomes(arms=arms, cases=cases)
        self._parts = tuple(parts)
        logged = [case for of_scenario in cases.values() for case in of_scenario[:logged_cases]]
        self._logged = {case.case_id for case in logged}
        self._timings = {arm.timing_component.name for arm in arms}
        self._is_grid_proposed = False
        self._proposed: list[tuple[SweepPart, int]] = []

    def propose(self) -> Sequence[EpisodeSpec]:
        """Returns the grid, then in each round what the parts propose."""
        if not self._is_grid_proposed:
            self._is_grid_proposed = True
            return [arm.spec(case) for arm in self._grid.arms for case in self._grid.cases[arm.scenario]]
        specs: list[EpisodeSpec] = []
        self._proposed = []
        for part in self._parts:
            of_part = part.propose()
            self._proposed.append((part, len(of_part)))
            specs += of_part
        return specs

    def observe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Hands the rows of the grid, or of a round, to the parts."""
        if not self._grid.rows:
            start = 0
            for number, arm in enumerate(self._grid.arms):
                end = start + len(self._grid.cases[arm.scenario])
                self._grid.rows[number] = list(rows[start:end])
                start = end
            for part in self._parts:
                part.start(self._grid)
            return
        start = 0
        for part, count in self._proposed:
            if count:
                part.observe(rows[start : start + count])
            start += count

    def wants_log(self, spec: EpisodeSpec) -> bool | None:
        """Whether a case is among those whose logs are kept, in the grid or as a twin; all other logs are not."""
        return spec.case.draw_id in self._logged and spec.timing.name in self._timings

    def findings(self) -> Mapping[str, Any]:
        """Returns what the parts found, by name."""
        found: dict[str, Any] = {}
        for part in self._parts:
            found |= part.findings()
        return found
