"""Labels of cases by what reference drivers did in them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from simloop.errors import ResultsError
from simloop_driving.preventability import Preventability, label_cases


def _row(case_id: str, agent: str, impact_mps: float | None, status: str = "") -> dict[str, Any]:
    return {
        "case_id": case_id,
        "agent": agent,
        "status": status or ("success" if impact_mps is None else "fail"),
        "collision": impact_mps is not None,
        "impact_speed_mps": impact_mps,
    }


ROWS = [
    _row("a", "mine", None),
    _row("a", "rss", 3.0),
    _row("b", "mine", 5.0),
    _row("b", "rss", 3.0),
    _row("b", "fsm", None),
    _row("c", "mine", 4.0),
    _row("c", "rss", 6.5),
    _row("c", "fsm", 5.0),
    _row("d", "mine", 4.0),
    _row("e", "mine", 4.0),
    _row("e", "rss", None, "infra_error"),
]


def test_labels_by_case() -> None:
    labels = {label.case_id: label for label in label_cases(ROWS, "mine")}
    assert list(labels) == ["a", "b", "c"]
    assert labels["a"].label is Preventability.PASS
    assert labels["b"].label is Preventability.PREVENTABLE_FAIL
    assert labels["b"].avoided_by == ("fsm",)
    assert math.isnan(labels["b"].impact_reduction_mps)
    assert labels["c"].label is Preventability.UNPREVENTABLE
    assert labels["c"].impact_reduction_mps == pytest.approx(1.0)


def test_a_reference_driver_is_judged_by_the_others() -> None:
    labels = {label.case_id: label.label for label in label_cases(ROWS, "rss")}
    assert labels == {"b": Preventability.PREVENTABLE_FAIL, "c": Preventability.UNPREVENTABLE}


def test_rows_that_cannot_be_joined_are_refused() -> None:
    with pytest.raises(ResultsError, match="two episodes of case a"):
        label_cases([*ROWS, _row("a", "rss", None)], "mine")
    with pytest.raises(ResultsError, match="No case was played by 'other'"):
        label_cases(ROWS, "other")
