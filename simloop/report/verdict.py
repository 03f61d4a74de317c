"""Judges a run by its suite's criteria."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simloop.criteria import parse_criteria
from simloop.repeats import Repeats, find_repeats
from simloop.report.cells import Rows, is_judged
from simloop.report.criterion_verdict import CriterionResult, CriterionState, judge_criterion
from simloop.store.manifest import MANIFEST_NAME, Manifest


class RunState(enum.Enum):
    """How a run turned out."""

    PASS = "pass"
    FAIL = "fail"
    INCOMPLETE = "incomplete"
    """Episodes are missing or were lost to infrastructure, or a criterion could not be judged."""


BIT_EXACT = "plays of one case are equal to the bit where the world promises it"
"""Name of the check that every run with repeats is put through, beside its suite's criteria."""

_EXIT_CODES = {RunState.PASS: 0, RunState.FAIL: 1, RunState.INCOMPLETE: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run comes to.

    Attributes:
        state: Pass, fail or incomplete.
        headline: One sentence.
        criteria: The criteria in the order of the suite, and last, where there are repeats of worlds that promise it,
            whether plays of one case are equal to the bit.
        num_planned: Episodes that the run should have.
        counts: Number of recorded episodes by status.
        repeats: How far cases repeat themselves, where they were played several times.
    """

    state: RunState
    headline: str
    criteria: tuple[CriterionResult, ...]
    num_planned: int
    counts: Mapping[str, int]
    repeats: Repeats | None = None

    @property
    def exit_code(self) -> int:
        """Exit code of ``simloop run``: 0 pass, 1 a criterion failed, 4 incomplete."""
        return _EXIT_CODES[self.state]

    @property
    def num_recorded(self) -> int:
        """Number of recorded episodes."""
        return sum(self.counts.values())


def judge(rows: Rows, manifest: Manifest) -> Verdict:
    """Judges the rows of a run.

    Raises:
        ResultsError: A criterion asks for a column that the rows do not have.
    """
    criteria = parse_criteria(manifest.criteria, MANIFEST_NAME)
    repeats = find_repeats(rows, manifest.config)
    results = (*(judge_criterion(c, rows, manifest) for c in criteria), *_judge_repeats(repeats))
    counts = dict(Counter(str(row["status"]) for row in rows))
    num_missing = max(manifest.num_planned - len(rows), 0)
    num_lost = sum(not is_judged(row) for row in rows)
    failed = [r for r in results if r.state is CriterionState.FAIL]
    not_judged = [r for r in results if r.state is CriterionState.NOT_JUDGED]
    if num_missing or num_lost or not_judged:
        state = RunState.INCOMPLETE
    else:
        state = RunState.FAIL if failed else RunState.PASS
    return Verdict(
        state=state,
        headline=_headline(results, num_missing=num_missing, num_lost=num_lost, repeats=repeats),
        criteria=results,
        num_planned=max(manifest.num_planned, len(rows)),
        counts=counts,
        repeats=repeats,
    )


def _judge_repeats(repeats: Repeats | None) -> tuple[CriterionResult, ...]:
    if repeats is None or not repeats.num_promised:
        return ()
    broken = repeats.broken_promises
    detail = f"{repeats.num_promised - len(broken)} of {repeats.num_promised} repeated cases"
    if broken:
        worlds = " and ".join(sorted({case.world for case in broken}))
        detail += f"; different: {'; '.join(case.name for case in broken[:3])}"
        detail += f"; and {len(broken) - 3} more" if len(broken) > 3 else ""
        detail += (
            f". {worlds}, an agent or the loop is not deterministic: no result of this run can be relied on"
        )
    state = CriterionState.FAIL if broken else CriterionState.PASS
    return (CriterionResult(name=BIT_EXACT, state=state, detail=detail),)


def _headline(
    results: Sequence[CriterionResult], *, num_missing: int, num_lost: int, repeats: Repeats | None
) -> str:
    parts = []
    if repeats is not None and repeats.broken_promises:
        num_broken = len(repeats.broken_promises)
        parts.append(
            f"NOT DETERMINISTIC: {num_broken} of {repeats.num_promised} cases differ between their plays"
        )
    if num_missing:
        parts.append(f"{num_missing} planned episode{'s' * (num_missing != 1)} not recorded")
    if num_lost:
        parts.append(f"{num_lost} episode{'s' * (num_lost != 1)} lost to infrastructure")
    applicable = [r for r in results if r.state is not CriterionState.NOT_APPLICABLE]
    num_passed = sum(r.state is CriterionState.PASS for r in applicable)
    if repeats is not None and repeats.flaky:
        parts.append(f"{len(repeats.flaky)} of {len(repeats.compared)} repeated cases flaky")
    if not results:
        parts.append("the suite sets no criteria")
    elif not applicable:
        parts.append("none of the suite's criteria applies to this run")
    elif num_passed == len(applicable):
        parts.append(f"all {num_passed} criteria passed" if num_passed > 1 else "the criterion passed")
    else:
        parts.append(f"{len(applicable) - num_passed} of {len(applicable)} criteria not passed")
    if applicable and len(applicable) < len(results):
        parts.append(f"{len(results) - len(applicable)} more not applicable to this run")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."
