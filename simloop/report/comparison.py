"""Compares two runs on the cases that both have: exact McNemar in each cell, Holm over all cells.

A cell is a scenario, agent, timing and strategy, so that its pairs are different cases: outcomes of one case under
several timings or strategies are correlated, and the exact test needs independent pairs. Several plays of one case
are summed up to one pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simloop.errors import ResultsError
from simloop.repeats import by_play
from simloop.report.cells import Rows, is_judged, is_success
from simloop.stats.holm import holm
from simloop.stats.paired import Alternative, PairedComparison, compare_paired, exact_mcnemar, pair_plays
from simloop.store.row import CELL_COLUMNS

SIGNIFICANCE = 0.05

_Cell = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellComparison:
    """One scenario, agent, timing and strategy in both runs; the first arm is the new run, the second the baseline.

    Attributes:
        scenario, agent, timing, strategy: The cell.
        comparison: Difference of the success rates, new minus baseline.
        p_worse: Holm-adjusted p-value of the one-sided test that the new run is worse.
    """

    scenario: str
    agent: str
    timing: str
    strategy: str
    comparison: PairedComparison
    p_worse: float

    @property
    def name(self) -> str:
        """The cell in one line."""
        return " / ".join((self.scenario, self.agent, self.timing, self.strategy))

    @property
    def is_regression(self) -> bool:
        """Whether the new run is worse at the 5 % level over all cells together."""
        return self.p_worse < SIGNIFICANCE


def _outcomes(rows: Rows) -> dict[_Cell, dict[str, list[bool]]]:
    cells: dict[_Cell, dict[str, list[bool]]] = {}
    for row in by_play(rows):
        if is_judged(row):
            scenario, agent, timing, strategy = (str(row[c]) for c in CELL_COLUMNS)
            cases = cells.setdefault((scenario, agent, timing, strategy), {})
            cases.setdefault(str(row["case_id"]), []).append(is_success(row))
    return cells


def compare_runs(
    baseline: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[CellComparison]:
    """Compares every cell that both runs judged on common cases.

    Raises:
        ResultsError: The runs have no judged case in common.
    """
    before, after = _outcomes(baseline), _outcomes(new)
    common = [c for c in after if c in before and after[c].keys() & before[c].keys()]
    if not common:
        raise ResultsError(
            "The two runs have no case in common: pairs need the same scenario, agent name, timing, strategy and seed."
        )
    counts = [pair_plays(after[c], before[c]) for c in common]
    adjusted = holm([exact_mcnemar(c, Alternative.LESS) for c in counts])
    return [
        CellComparison(
            scenario=scenario,
            agent=agent,
            timing=timing,
            strategy=strategy,
            comparison=compare_paired(count),
            p_worse=p,
        )
        for (scenario, agent, timing, strategy), count, p in zip(common, counts, adjusted, strict=True)
    ]
