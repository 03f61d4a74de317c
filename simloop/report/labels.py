"""What the reference agents say about a run, as plain values and text: for summaries, JUnit, tables and a CSV file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simloop.preventability import ArmLabels, CaseLabel, Preventability
from simloop.report.cells import Rows
from simloop.store.row import CELL_COLUMNS, REPEAT

LABELS_NAME = "labels.csv"
MAX_FAILS_SHOWN = 15


def label_summary(arms: Sequence[ArmLabels], reference: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ``preventability`` block of ``summary.json``."""
    return {"reference": dict(reference), "arms": [_arm_summary(arm) for arm in arms]}


def label_lines(summary: Mapping[str, Any]) -> list[str]:
    """Returns the labels of a run for the console, one line an arm, from its ``summary.json``; none without labels."""
    return [
        " / ".join(str(arm[name]) for name in CELL_COLUMNS) + ": " + arm["text"]
        for arm in summary.get("preventability", {}).get("arms", ())
    ]


def _arm_summary(arm: ArmLabels) -> dict[str, Any]:
    reductions = arm.impact_reductions_mps()
    return {
        "text": label_text(arm),
        **{name: arm.key[name] for name in CELL_COLUMNS},
        "num_labelled": len(arm.labels),
        **{f"num_{label.value}": arm.count(label) for label in Preventability},
        "num_avoidable": arm.num_avoidable,
        "num_unlabelled": arm.num_unlabelled,
        "impact_reduction_median_mps": float(np.median(reductions)) if reductions else None,
        "num_graded": len(reductions),
    }


def label_text(arm: ArmLabels) -> str:
    """Returns the labels of an arm in one line."""
    parts = [f"{arm.count(label)} {label.value.replace('_', ' ')}" for label in Preventability]
    if arm.num_unlabelled:
        parts.append(f"{arm.num_unlabelled} without a label")
    grade = impact_text(arm)
    return ", ".join(parts) + (f"; {grade}" if grade else "")


def impact_text(arm: ArmLabels) -> str:
    """Returns how hard the unpreventable crashes were, beside those of the best reference agent; empty if unknown."""
    reductions = arm.impact_reductions_mps()
    if not reductions:
        return ""
    median = float(np.median(reductions))
    word = "below" if median >= 0.0 else "above"
    return (
        f"impact {abs(median):.2f} m/s {word} that of the best reference agent (median of {len(reductions)})"
    )


def labels_csv(rows: Rows, arms: Sequence[ArmLabels]) -> str:
    """Returns ``labels.csv``: one line a labelled case (with repeats: play) of each arm, with its parameters."""
    play = [REPEAT] if any(row.get(REPEAT) is not None for row in rows) else []
    by_arm = {tuple(arm.key[c] for c in CELL_COLUMNS): arm for arm in arms}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["case_id", *CELL_COLUMNS, "seed", *play, "label", "avoided_by", "impact_reduction_mps", "parameters"]
    )
    for row, label in _labelled(rows, by_arm):
        reduction = label.impact_reduction_mps
        writer.writerow(
            [
                label.case_id,
                *(row[c] for c in CELL_COLUMNS),
                row["seed"],
                *(row.get(name) for name in play),
                label.label.value,
                " ".join(label.avoided_by),
                "" if np.isnan(reduction) else f"{reduction:.4f}",
                row["parameters"],
            ]
        )
    return out.getvalue()


def _labelled(
    rows: Rows, by_arm: Mapping[tuple[str, ...], ArmLabels]
) -> list[tuple[Mapping[str, Any], CaseLabel]]:
    found = []
    for row in rows:
        arm = by_arm.get(tuple(str(row[c]) for c in CELL_COLUMNS))
        label = None if arm is None else arm.label_of(row)
        if label is not None:
            found.append((row, label))
    return found


def labels_by_episode(rows: Rows, arms: Sequence[ArmLabels]) -> dict[str, CaseLabel]:
    """Returns the label of each labelled episode by its id."""
    by_arm = {tuple(arm.key[c] for c in CELL_COLUMNS): arm for arm in arms}
    return {str(row["episode_id"]): label for row, label in _labelled(rows, by_arm)}


def preventable_fails(rows: Rows, by_episode: Mapping[str, CaseLabel]) -> list[dict[str, Any]]:
    """Returns the preventable fails for the page, the hardest impact first, at most ``MAX_FAILS_SHOWN``."""
    found = [
        (row, by_episode[row["episode_id"]])
        for row in rows
        if row["episode_id"] in by_episode
        and by_episode[row["episode_id"]].label is Preventability.PREVENTABLE_FAIL
    ]
    found.sort(key=lambda pair: -(pair[0].get("impact_speed_mps") or 0.0))
    return [
        {
            "id": row["episode_id"],
            "arm": " / ".join(str(row[c]) for c in CELL_COLUMNS),
            "reason": row["reason"],
            "impact": row.get("impact_speed_mps"),
            "avoided_by": ", ".join(label.avoided_by),
            "parameters": ", ".join(f"{k} {_short(v)}" for k, v in json.loads(row["parameters"]).items()),
        }
        for row, label in found[:MAX_FAILS_SHOWN]
    ]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
