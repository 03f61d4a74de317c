"""Judges a single criterion of a suite by the rows of a run."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
from simloop.repeats import by_play
from simloop.report.cells import Rows, is_judged, is_success
from simloop.report.metric_gaps import gaps_of
from simloop.stats.paired import compare_paired, pair_plays
from simloop.stats.rate import rate_of
from simloop.store.manifest import Manifest
from simloop.store.play_logs import played
from simloop.store.row import REPEAT, EpisodeStatus

MAX_REASONS = 3
"""Reasons why a metric has no value that a criterion names."""


class CriterionState(enum.Enum):
    """How a criterion turned out."""

    PASS = "pass"
    FAIL = "fail"
    NOT_JUDGED = "not judged"
    """No judged episode to decide it by."""
    NOT_APPLICABLE = "not applicable"
    """It is about a scenario, agent, timing or strategy that this run was told to leave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """One criterion, how it turned out, and the numbers behind it."""

    name: str
    state: CriterionState
    detail: str


def judge_criterion(criterion: Criterion, rows: Rows, manifest: Manifest) -> CriterionResult:
    """Judges one criterion by the rows of a run.

    Raises:
        ResultsError: It asks for a column that the rows do not have, or compares what is not paired.
    """
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
    errors = [
        row
        for row in rows
        if row["status"] == EpisodeStatus.AGENT_ERROR.value and any(_has(row, key) for key in keys)
    ]
    num_labelled = sum(len(arm.labels) for arm in arms)
    if not num_labelled:
        detail = f"no case that it and one of {names} have a result for"
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_JUDGED, detail=detail)
    num_preventable = sum(arm.count(Preventability.PREVENTABLE_FAIL) for arm in arms)
    num_avoidable = sum(arm.num_avoidable for arm in arms)
    num_unlabelled = sum(arm.num_unlabelled for arm in arms) - len(errors)
    detail = (
        f"{num_preventable} preventable of {num_avoidable} avoidable cases ({num_labelled} labelled), "
        f"judged by {names}"
    )
    if errors:
        detail += f", and {len(errors)} agent errors, which count as both"
    if num_unlabelled:
        detail += f", {num_unlabelled} without a label"
    num_fails, num_cases = num_preventable + len(errors), num_avoidable + len(errors)
    failed = set(map(played, errors)).union(*(arm.cases(Preventability.PREVENTABLE_FAIL) for arm in arms))
    if len(failed) < num_fails:
        detail += f"; counted by play: they are {len(failed)} different cases"
    if criterion.at_most_ratio is not None and not num_cases:
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_JUDGED, detail=detail)
    is_met = (criterion.at_most is None or len(failed) <= criterion.at_most) and (
        criterion.at_most_ratio is None or num_fails <= criterion.at_most_ratio * num_cases
    )
    state = CriterionState.PASS if is_met else CriterionState.FAIL
    return CriterionResult(name=criterion.name, state=state, detail=detail)


def _has(row: Mapping[str, Any], key: Mapping[str, str]) -> bool:
    return all(row[column] == value for column, value in key.items())


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
    valued = [row for row in rows if metric_values([row], criterion.metric)]
    values = metric_values(valued, criterion.metric)
    if not values:
        return CriterionState.NOT_JUDGED, _no_value(criterion.metric, rows)
    value = _statistic(values, criterion.statistic)
    is_met = (criterion.at_least is None or value >= criterion.at_least) and (
        criterion.at_most is None or value <= criterion.at_most
    )
    is_rate = criterion.statistic == "mean" and set(values) <= {0.0, 1.0}
    if is_rate:
        detail = str(rate_of(values, map(played, valued)))
    else:
        num_cases = len(set(map(played, valued)))
        plays = f" plays of {num_cases} cases" if num_cases < len(values) else ""
        detail = f"{criterion.statistic} {value:.4g} (n = {len(values)}{plays})"
    if len(values) < len(rows):
        detail += f", {len(rows) - len(values)} without a value"
    return CriterionState.PASS if is_met else CriterionState.FAIL, detail


def _no_value(metric: str, rows: Rows) -> str:
    """Says that no row has a value of the metric, and why."""
    text = f"no value of {metric} in {len(rows)} episodes"
    gaps = gaps_of(metric, rows)
    whys = [f"{gap.reason} ({gap.num_episodes})" if len(gaps) > 1 else gap.reason for gap in gaps]
    if len(whys) > MAX_REASONS:
        whys[MAX_REASONS:] = [f"and {len(whys) - MAX_REASONS} other reasons"]
    return f"{text}: {'; '.join(whys)}" if whys else text


def _judge_comparison(criterion: CompareCriterion, rows: Rows) -> CriterionResult:
    arms: dict[str, dict[str, list[bool]]] = {criterion.first: {}, criterion.second: {}}
    others = [axis for axis in ("agent", "timing", "strategy") if axis != criterion.axis]
    seen: set[tuple[object, ...]] = set()
    for row in by_play(rows):
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
        play = (row[criterion.axis], key, row.get(REPEAT))
        if play in seen:
            raise ResultsError(
                f"Criterion {criterion.name!r}: {row[criterion.axis]} has two episodes of case {row['case_id']}."
            )
        seen.add(play)
        arm.setdefault(key, []).append(bool(value[0]))
    first, second = arms[criterion.first], arms[criterion.second]
    if not first.keys() & second.keys():
        detail = f"no case that both {criterion.first} and {criterion.second} have a result for"
        return CriterionResult(name=criterion.name, state=CriterionState.NOT_JUDGED, detail=detail)
    result = compare_paired(pair_plays(first, second), alternative=criterion.alternative)
    state = CriterionState.PASS if result.p_value < criterion.alpha else CriterionState.FAIL
    return CriterionResult(
        name=criterion.name, state=state, detail=f"{result}, needed p < {criterion.alpha:g}"
    )
