"""Judges a run by its suite's criteria."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simloop.criteria import parse_criteria
from simloop.criterion import (
    SUCCESS,
    CompareCriterion,
    Criterion,
    EndedCriterion,
    PreventableCriterion,
    ThresholdCriterion,
    missing_names,
)
from simloop.errors import ResultsError
from simloop.preventability import Preventability, label_rows
from simloop.report.cells import Rows, is_judged, is_success
from simloop.stats.paired import compare_paired, pair_outcomes
from simloop.stats.rate import rate_of
from simloop.store.manifest import MANIFEST_NAME, Manifest
from simloop.store.row import EpisodeStatus


class CriterionState(enum.Enum):
    """How a criterion turned out."""

    PASS = "pass"
    FAIL = "fail"
    NOT_JUDGED = "not judged"
    """No judged episode to decide it by."""
    NOT_APPLICABLE = "not applicable"
    """It is about a scenario, agent, timing or strategy that this run was told to leave out."""


class RunState(enum.Enum):
    """How a run turned out."""

    PASS = "pass"
    FAIL = "fail"
    INCOMPLETE = "incomplete"
    """Episodes are missing or were lost to infrastructure, or a criterion could not be judged."""


_EXIT_CODES = {RunState.PASS: 0, RunState.FAIL: 1, RunState.INCOMPLETE: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """One criterion, how it turned out, and the numbers behind it."""

    name: str
    state: CriterionState
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run comes to.

    Attributes:
        state: Pass, fail or incomplete.
        headline: One sentence.
        criteria: The criteria in the order of the suite.
        num_planned: Episodes that the run should have.
        counts: Number of recorded episodes by status.
    """

    state: RunState
    headline: str
    criteria: tuple[CriterionResult, ...]
    num_planned: int
    counts: Mapping[str, int]

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
    results = tuple(_judge_one(c, rows, manifest) for c in criteria)
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
        headline=_headline(results, num_missing=num_missing, num_lost=num_lost),
        criteria=results,
        num_planned=max(manifest.num_planned, len(rows)),
        counts=counts,
    )


def _headline(results: Sequence[CriterionResult], *, num_missing: int, num_lost: int) -> str:
    parts = []
    if num_missing:
        parts.append(f"{num_missing} planned episode{'s' * (num_missing != 1)} not recorded")
    if num_lost:
        parts.append(f"{num_lost} episode{'s' * (num_lost != 1)} lost to infrastructure")
    applicable = [r for r in results if r.state is not CriterionState.NOT_APPLICABLE]
    num_passed = sum(r.state is CriterionState.PASS for r in applicable)
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


def _judge_one(criterion: Criterion, rows: Rows, manifest: Manifest) -> CriterionResult:
    if isinstance(criterion, EndedCriterion):
        return _judge_ended(criterion, rows, manifest)
    absent = missing_names(criterion, manifest.axes)
    if absent:
        detail = "this run has no " + ", no ".join(f"{axis} {name}" for axis, name in absent)
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_APPLICABLE, detail=detail)
    if isinstance(criterion, PreventableCriterion):
        return _judge_preventable(criterion, rows, manifest)
    selected = [row for row in rows if criterion.selection.matches(row)]
    if rows and criterion.metric != SUCCESS and all(criterion.metric not in row for row in rows):
        raise ResultsError(f"Criterion {criterion.name!r}: the results have no metric {criterion.metric!r}.")
    if isinstance(criterion, CompareCriterion):
        return _judge_comparison(criterion, selected)
    return _judge_threshold(criterion, selected)


def _judge_preventable(criterion: PreventableCriterion, rows: Rows, manifest: Manifest) -> CriterionResult:
    if not manifest.reference:
        detail = "this run has no reference agents"
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_APPLICABLE, detail=detail)
    names = ", ".join(manifest.reference["agents"])
    arms = [a for a in label_rows(rows, manifest.reference) if criterion.selection.matches(a.key)]
    keys = [arm.key for arm in arms]
    num_errors = (
        sum(
            row["status"] == EpisodeStatus.AGENT_ERROR.value and {c: row[c] for c in keys[0]} in keys
            for row in rows
        )
        if keys
        else 0
    )
    num_labelled = sum(len(arm.labels) for arm in arms)
    if not num_labelled:
        detail = f"no case that it and one of {names} have a result for"
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_JUDGED, detail=detail)
    num_preventable = sum(arm.count(Preventability.PREVENTABLE_FAIL) for arm in arms)
    num_avoidable = sum(arm.num_avoidable for arm in arms)
    num_unlabelled = sum(arm.num_unlabelled for arm in arms) - num_errors
    detail = (
        f"{num_preventable} preventable of {num_avoidable} avoidable cases ({num_labelled} labelled), "
        f"judged by {names}"
    )
    if num_errors:
        detail += f", and {num_errors} agent errors, which count as both"
    if num_unlabelled:
        detail += f", {num_unlabelled} without a label"
    num_fails, num_cases = num_preventable + num_errors, num_avoidable + num_errors
    if criterion.at_most_ratio is not None and not num_cases:
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_JUDGED, detail=detail)
    is_met = (criterion.at_most is None or num_fails <= criterion.at_most) and (
        criterion.at_most_ratio is None or num_fails <= criterion.at_most_ratio * num_cases
    )
    state = CriterionState.PASS if is_met else CriterionState.FAIL
    return CriterionResult(name=criterion.name, state=state, detail=detail)


def _judge_ended(criterion: EndedCriterion, rows: Rows, manifest: Manifest) -> CriterionResult:
    fine = (EpisodeStatus.SUCCESS.value, EpisodeStatus.FAIL.value)
    others = Counter(str(row["status"]) for row in rows if row["status"] not in fine)
    missing = max(manifest.num_planned - len(rows), 0)
    if missing:
        others["not recorded"] = missing
    if others:
        state, detail = CriterionState.FAIL, ", ".join(f"{n} {status}" for status, n in others.most_common())
    elif not rows:
        state, detail = CriterionState.NOT_JUDGED, "no episode is recorded"
    else:
        state, detail = CriterionState.PASS, f"{len(rows)} of {len(rows)}"
    return CriterionResult(name=criterion.name, state=state, detail=detail)


def metric_values(rows: Rows, metric: str) -> list[float]:
    """Returns the values of a metric over the judged rows that have one; ``success`` is the verdict as 0 or 1."""
    judged = [row for row in rows if is_judged(row)]
    if metric == SUCCESS:
        return [float(is_success(row)) for row in judged]
    return [float(row[metric]) for row in judged if row.get(metric) is not None]


def _statistic(values: Sequence[float], statistic: str) -> float:
    match statistic:
        case "median":
            return float(np.median(values))
        case "p95":
            return float(np.percentile(values, 95.0))
        case "min":
            return min(values)
        case "max":
            return max(values)
        case _:
            return float(np.mean(values))


def _judge_threshold(criterion: ThresholdCriterion, rows: Rows) -> CriterionResult:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(" / ".join(str(row[axis]) for axis in criterion.per), []).append(row)
    states, details = [], []
    for name, members in groups.items() if groups else [("", [])]:
        state, detail = _judge_group(criterion, members)
        states.append(state)
        details.append(f"{name}: {detail}" if name else detail)
    worst = next(
        (s for s in (CriterionState.FAIL, CriterionState.NOT_JUDGED) if s in states), CriterionState.PASS
    )
    return CriterionResult(name=criterion.name, state=worst, detail="; ".join(details))


def _judge_group(criterion: ThresholdCriterion, rows: Rows) -> tuple[CriterionState, str]:
    values = metric_values(rows, criterion.metric)
    if not values:
        return CriterionState.NOT_JUDGED, f"no value of {criterion.metric} in {len(rows)} episodes"
    value = _statistic(values, criterion.statistic)
    is_met = (criterion.at_least is None or value >= criterion.at_least) and (
        criterion.at_most is None or value <= criterion.at_most
    )
    is_rate = criterion.statistic == "mean" and set(values) <= {0.0, 1.0}
    if is_rate:
        detail = str(rate_of(values))
    else:
        detail = f"{criterion.statistic} {value:.4g} (n = {len(values)})"
    if len(values) < len(rows):
        detail += f", {len(rows) - len(values)} without a value"
    return CriterionState.PASS if is_met else CriterionState.FAIL, detail


def _judge_comparison(criterion: CompareCriterion, rows: Rows) -> CriterionResult:
    arms: dict[str, dict[str, bool]] = {criterion.first: {}, criterion.second: {}}
    others = [axis for axis in ("agent", "timing", "strategy") if axis != criterion.axis]
    for row in rows:
        arm = arms.get(str(row[criterion.axis]))
        value = metric_values([row], criterion.metric)
        if arm is None or not value:
            continue
        if value[0] not in (0.0, 1.0):
            raise ResultsError(
                f"Criterion {criterion.name!r} compares {criterion.metric!r}, which is {value[0]:g} in an episode; "
                "a paired exact test needs a metric of 0 and 1."
            )
        key = "|".join([str(row["case_id"]), *(str(row[axis]) for axis in others)])
        if key in arm:
            raise ResultsError(
                f"Criterion {criterion.name!r}: {row[criterion.axis]} has two episodes of case {row['case_id']}."
            )
        arm[key] = bool(value[0])
    first, second = arms[criterion.first], arms[criterion.second]
    if not first.keys() & second.keys():
        detail = f"no case that both {criterion.first} and {criterion.second} have a result for"
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_JUDGED, detail=detail)
    result = compare_paired(pair_outcomes(first, second), alternative=criterion.alternative)
    state = CriterionState.PASS if result.p_value < criterion.alpha else CriterionState.FAIL
    return CriterionResult(
        name=criterion.name, state=state, detail=f"{result}, needed p < {criterion.alpha:g}"
    )
