"""Labels of cases by what reference agents did in them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from simloop.preventability import ArmLabels, Preventability, label_rows

REFERENCE = {"agents": ["rss", "fsm"], "timing": "zero", "strategy": "naive_async"}


def row(
    case_id: str, agent: str, impact_mps: float | None, status: str = "", **columns: Any
) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "scenario": "cut_in",
        "world": "driving",
        "agent": agent,
        "timing": "zero",
        "strategy": "naive_async",
        "status": status or ("success" if impact_mps is None else "fail"),
        "collision": None if status not in ("", "fail") else float(impact_mps is not None),
        "impact_speed_mps": impact_mps,
    } | columns


ROWS = [
    row("a", "mine", None),
    row("a", "rss", 3.0),
    row("a", "fsm", 3.0),
    row("b", "mine", 5.0),
    row("b", "rss", 3.0),
    row("b", "fsm", None),
    row("c", "mine", 4.0),
    row("c", "rss", 6.5),
    row("c", "fsm", 5.0),
    row("d", "mine", 4.0),
    row("e", "mine", 4.0),
    row("e", "rss", None, "infra_error"),
    row("f", "mine", None, "agent_error"),
    row("f", "rss", None),
    row("f", "fsm", None),
]


def labels_of(rows: list[dict[str, Any]], reference: dict[str, Any] = REFERENCE) -> ArmLabels:
    (arm,) = label_rows(rows, reference)
    return arm


def test_labels_by_case() -> None:
    arm = labels_of(ROWS)
    assert arm.key == {
        "scenario": "cut_in", "world": "driving", "agent": "mine", "timing": "zero", "strategy": "naive_async",
    }  # fmt: skip
    assert {case: label.label.value for case, label in arm.labels.items()} == {
        "a": "pass", "b": "preventable_fail", "c": "unpreventable",
    }  # fmt: skip
    assert arm.labels["b"].avoided_by == ("fsm",)
    assert math.isnan(arm.labels["b"].impact_reduction_mps)
    assert arm.labels["c"].impact_reduction_mps == pytest.approx(1.0)
    assert arm.impact_reductions_mps() == [pytest.approx(1.0)]
    assert [arm.count(label) for label in Preventability] == [1, 1, 1]
    assert arm.num_avoidable == 1  # b: nobody avoids a, which it passes, and c


AGENT_ENDS = {
    "success": row("x", "mine", None),
    "grazed": row("x", "mine", 0.1, "success", collision=1.0),
    "crash": row("x", "mine", 5.0),
    "off_road": row("x", "mine", None, "fail", reason="off_road"),
    "unknown": row("x", "mine", None, "fail", collision=None),
    "agent_error": row("x", "mine", None, "agent_error"),
    "infra_error": row("x", "mine", None, "infra_error"),
    "timeout": row("x", "mine", None, "timeout"),
}
JUDGE_ENDS = AGENT_ENDS | {"missing": None}
PASSED, PREVENTABLE, UNPREVENTABLE = "pass", "preventable_fail", "unpreventable"


@pytest.mark.parametrize(
    ("mine", "first", "second", "label"),
    [
        ("success", "crash", "crash", PASSED),
        ("success", "crash", "missing", PASSED),
        ("success", "missing", "agent_error", None),
        ("grazed", "crash", "crash", PASSED),
        ("crash", "success", "crash", PREVENTABLE),
        ("crash", "success", "missing", PREVENTABLE),
        ("crash", "off_road", "success", PREVENTABLE),
        ("crash", "grazed", "crash", PREVENTABLE),
        ("crash", "crash", "crash", UNPREVENTABLE),
        ("crash", "crash", "off_road", None),
        ("crash", "off_road", "off_road", None),
        ("crash", "crash", "unknown", None),
        ("crash", "crash", "missing", None),
        ("crash", "crash", "infra_error", None),
        ("crash", "crash", "agent_error", None),
        ("crash", "timeout", "crash", None),
        ("off_road", "success", "crash", PREVENTABLE),
        ("off_road", "success", "infra_error", PREVENTABLE),
        ("off_road", "crash", "crash", None),
        ("off_road", "off_road", "off_road", None),
        ("unknown", "success", "success", PREVENTABLE),
        ("unknown", "crash", "crash", None),
        ("agent_error", "success", "success", None),
        ("infra_error", "crash", "crash", None),
        ("timeout", "success", "success", None),
    ],
)
def test_every_combination_of_endings_has_one_label(
    mine: str, first: str, second: str, label: str | None
) -> None:
    ends = {"rss": JUDGE_ENDS[first], "fsm": JUDGE_ENDS[second]}
    judges = [end | {"agent": name} for name, end in ends.items() if end is not None]
    arm = labels_of([AGENT_ENDS[mine], *judges])
    assert {case: found.label.value for case, found in arm.labels.items()} == ({"x": label} if label else {})
    assert arm.num_unlabelled == (label is None)
    avoiders = tuple(name for name, end in ends.items() if end is not None and end["status"] == "success")
    assert label is None or arm.labels["x"].avoided_by == avoiders
    assert arm.num_avoidable == (label is not None and bool(avoiders))


def test_an_episode_without_a_result_or_a_judge_has_no_label() -> None:
    arm = labels_of(ROWS)
    assert arm.num_unlabelled == 3
    assert arm.labels.keys().isdisjoint({"d", "e", "f"})


def test_a_crash_that_was_slower_or_of_unknown_speed() -> None:
    faster = labels_of([row("a", "mine", 7.0), row("a", "rss", 6.5), row("a", "fsm", math.nan)])
    assert faster.labels["a"].impact_reduction_mps == pytest.approx(-0.5)
    unknown = labels_of(
        [row("a", "mine", None, "fail", collision=1.0), row("a", "rss", 6.5), row("a", "fsm", 6.5)]
    )
    assert unknown.labels["a"].label is Preventability.UNPREVENTABLE
    assert math.isnan(unknown.labels["a"].impact_reduction_mps) and unknown.impact_reductions_mps() == []


def test_only_the_reference_timing_and_strategy_judge() -> None:
    slow = [
        row("a", "mine", 5.0, timing="slow"),
        row("a", "rss", None, timing="slow"),
        row("a", "rss", 5.0),
        row("a", "fsm", 5.0),
    ]
    found = {(arm.agent, arm.timing): arm.labels["a"].label for arm in label_rows(slow, REFERENCE)}
    assert found == {
        ("mine", "slow"): Preventability.UNPREVENTABLE,
        ("rss", "slow"): Preventability.PASS,
    }
    with_latency = REFERENCE | {"timing": "slow"}
    found = {
        (arm.agent, arm.timing): arm.labels["a"].label for arm in label_rows(slow, with_latency) if arm.labels
    }
    assert found[("mine", "slow")] is Preventability.PREVENTABLE_FAIL


def test_a_reference_agent_does_not_judge_itself() -> None:
    rows = [row("a", "rss", 5.0, timing="slow"), row("a", "rss", None), row("a", "fsm", 5.0)]
    assert labels_of(rows).labels["a"].label is Preventability.UNPREVENTABLE


def test_without_reference_agents_nothing_is_labelled() -> None:
    assert label_rows(ROWS, {}) == ()


def test_each_play_has_its_label_and_a_case_its_first_judge() -> None:
    rows = [
        *(row("b", "mine", 5.0 if number > 1 else None, repeat=number) for number in (1, 2, 3)),
        row("b", "rss", None, repeat=1),
        row("b", "rss", 3.0, repeat=2),
        row("b", "fsm", 3.0),
    ]
    for order in (rows, rows[::-1]):
        arm = labels_of(order)
        assert [arm.count(label) for label in Preventability] == [1, 2, 0]
        assert arm.cases(Preventability.PREVENTABLE_FAIL) == {("b", "mine", "zero", "naive_async")}
        assert (arm.num_avoidable, arm.num_unlabelled) == (3, 0)
        found = [arm.label_of(play) for play in rows[:3]]
        assert [label.label.value for label in found if label] == [
            "pass",
            "preventable_fail",
            "preventable_fail",
        ]
