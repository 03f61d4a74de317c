"""Compares two runs on the cases that both have: exact McNemar for each scenario and agent, Holm over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simloop.errors import ResultsError
from simloop.report.cells import Rows, is_judged, is_success
from simloop.stats.paired import Alternative, PairedComparison, compare_paired, exact_mcnemar, pair_outcomes

_CELL = ("scenario", "agent")
_PAIR = ("case_id", "timing", "strategy")
SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CellComparison:
    """One scenario and agent in both runs; the first arm is the new run, the second the baseline.

    Attributes:
        scenario, agent: The cell.
        comparison: Difference of the success rates, new minus baseline.
        p_worse: Holm-adjusted p-value of the one-sided test that the new run is worse.
    """

    scenario: str
    agent: str
    comparison: PairedComparison
    p_worse: float

    @property
    def is_regression(self) -> bool:
        """Whether the new run is worse at the 5 % level over all cells together."""
        return self.p_worse < SIGNIFICANCE


def _outcomes(rows: Rows) -> dict[tuple[str, str], dict[str, bool]]:
    cells: dict[tuple[str, str], dict[str, bool]] = {}
    for row in rows:
        if is_judged(row):
            scenario, agent = (str(row[c]) for c in _CELL)
            cells.setdefault((scenario, agent), {})["/".join(str(row[c]) for c in _PAIR)] = is_success(row)
    return cells


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns Holm's adjusted p-values (Scandinavian Journal of Statistics 6:65-70, 1979), in the given order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def compare_runs(
    baseline: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[CellComparison]:
    """Compares every scenario and agent that both runs judged on common cases.

    Raises:
        ResultsError: The runs have no judged case in common.
    """
    before, after = _outcomes(baseline), _outcomes(new)
    common = [c for c in after if c in before and after[c].keys() & before[c].keys()]
    if not common:
        raise ResultsError(
            "The two runs have no case in common: pairs need the same scenario, agent name, timing, strategy and seed."
        )
    counts = [pair_outcomes(after[c], before[c]) for c in common]
    adjusted = holm([exact_mcnemar(c, Alternative.LESS) for c in counts])
    return [
        CellComparison(scenario=scenario, agent=agent, comparison=compare_paired(count), p_worse=p)
        for (scenario, agent), count, p in zip(common, counts, adjusted, strict=True)
    ]
