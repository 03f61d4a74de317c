"""``summary.json`` and ``summary.md``: the verdict and every cell, for machines and for a pull request.

Neither holds an episode's id or hash, so that a committed summary stays readable and small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simloop.preventability import ArmLabels, Preventability
from simloop.report.cells import Cell, Rows, cells
from simloop.report.criterion_verdict import metric_values
from simloop.report.labels import impact_text, label_summary
from simloop.report.repeat_tables import repeat_summary, repeat_text, verdicts_text
from simloop.report.sweep_tables import sweep_groups, sweep_summary
from simloop.report.verdict import Verdict
from simloop.store.manifest import Manifest
from simloop.store.row import CELL_COLUMNS, FIXED_COLUMNS, PARAMETER_PREFIX, REPEAT
from simloop.sweep.results import SweepResult

SUMMARY_SCHEMA_VERSION = 1


def metric_names(rows: Rows) -> list[str]:
    """Returns the names of the metric columns, in the order of the rows."""
    if not rows:
        return []
    return [
        name
        for name in rows[0]
        if name not in FIXED_COLUMNS
        and name != REPEAT
        and not name.startswith(PARAMETER_PREFIX)
        and all(row.get(name) is None or isinstance(row[name], (int, float)) for row in rows)
    ]


def measured_note(manifest: Manifest) -> str:
    """Returns what has to be said of a run whose inference times were measured; nothing of any other."""
    if manifest.is_deterministic:
        return ""
    machine = manifest.machine.get("cpu_model") or manifest.platform.get("cpu") or "this machine"
    return (
        f"Inference times were measured on {machine}: the run is not deterministic and depends on the hardware. "
        "Its traces replay it exactly."
    )


def rows_by_cell(rows: Rows) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """Returns the rows of each combination of ``CELL_COLUMNS``."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[c]) for c in CELL_COLUMNS), []).append(row)
    return groups


def build_summary(
    rows: Rows,
    manifest: Manifest,
    verdict: Verdict,
    swept: SweepResult | None = None,
    labels: Sequence[ArmLabels] = (),
) -> dict[str, Any]:
    """Returns the content of ``summary.json``; ``docs/log.md`` lists its keys."""
    names = metric_names(rows)
    members = rows_by_cell(rows)
    return {
        **({} if swept is None else {"sweep": sweep_summary(swept)}),
        **({"preventability": label_summary(labels, manifest.reference)} if manifest.reference else {}),
        **({} if verdict.repeats is None else {"repeats": repeat_summary(verdict.repeats)}),
        "schema_version": SUMMARY_SCHEMA_VERSION,
        "run_id": manifest.run_id,
        "suite": manifest.suite,
        "suite_digest": manifest.suite_digest,
        "agents": dict(manifest.agents),
        "platform": dict(manifest.platform),
        "versions": dict(manifest.versions),
        "metric_versions": manifest.metric_versions,
        "git": manifest.git,
        "created_at": manifest.created_at,
        "verdict": {
            "state": verdict.state.value,
            "exit_code": verdict.exit_code,
            "headline": verdict.headline,
            "num_planned": verdict.num_planned,
            "num_recorded": verdict.num_recorded,
            "counts": dict(sorted(verdict.counts.items())),
            "criteria": [
                {"name": c.name, "state": c.state.value, "detail": c.detail} for c in verdict.criteria
            ],
        },
        "scenarios": [_cell_summary(c) for c in cells(rows, ("scenario", "agent"))],
        "cells": [
            _cell_summary(c) | {"metrics": _metric_means(members[tuple(c.key.values())], names)}
            for c in cells(rows, CELL_COLUMNS)
        ],
    }


def _cell_summary(cell: Cell) -> dict[str, Any]:
    rate = cell.rate
    return {
        **cell.key,
        "num_episodes": cell.num_episodes,
        "num_judged": rate.n if rate else 0,
        "num_successes": rate.successes if rate else 0,
        **({"num_cases": rate.num_cases} if rate and rate.num_cases is not None else {}),
        "success_rate": rate.rate if rate else None,
        "wilson_low": rate.low if rate else None,
        "wilson_high": rate.high if rate else None,
        "counts": dict(sorted(cell.counts.items())),
        "reasons": dict(cell.reasons),
        "lost_reasons": dict(cell.lost_reasons),
    }


def _metric_means(members: Rows, names: list[str]) -> dict[str, dict[str, float | int]]:
    means: dict[str, dict[str, float | int]] = {}
    for name in names:
        values = metric_values(members, name)
        if values:
            means[name] = {
                "mean": float(np.mean(values)),
                "median": float(np.median(values)),
                "n": len(values),
            }
    return means


def _escape(text: object) -> str:
    escaped = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
    return " ".join(escaped.split())


def _table(header: tuple[str, ...], body: list[tuple[object, ...]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(_escape(cell) for cell in row) + " |" for row in body]


def build_markdown(
    rows: Rows,
    manifest: Manifest,
    verdict: Verdict,
    swept: SweepResult | None = None,
    labels: Sequence[ArmLabels] = (),
) -> str:
    """Returns the content of ``summary.md``."""
    lines = [
        f"# {_escape(manifest.suite)}: {verdict.state.value.upper()}",
        "",
        f"{verdict.headline} Run `{_escape(manifest.run_id)}`, {verdict.num_recorded} of {verdict.num_planned} "
        f"episodes recorded ({_counts_text(verdict.counts)}).",
        "",
    ]
    if not manifest.is_deterministic:
        lines += [_escape(measured_note(manifest)), ""]
    if verdict.criteria:
        lines += ["## Criteria", ""]
        lines += _table(
            ("criterion", "result", "numbers"), [(c.name, c.state.value, c.detail) for c in verdict.criteria]
        )
        lines.append("")
    for group in () if swept is None else sweep_groups(swept):
        lines += [f"## {_escape(group.title)}", "", _escape(group.conditions), ""]
        for table in (group.overview, *group.further, group.points):
            lines += [f"### {_escape(table.title)}", "", *_table(table.header, list(table.body))]
            lines += ["", _escape(table.note), ""]
    if verdict.repeats is not None:
        lines += ["## Repeats", "", _escape(repeat_text(verdict.repeats)), ""]
        lines += _table(
            ("flaky case", "verdicts"), [(case.name, verdicts_text(case)) for case in verdict.repeats.flaky]
        )
        lines.append("")
    if labels:
        lines += [f"## Preventability (judged by {_escape(', '.join(manifest.reference['agents']))})", ""]
        lines += _table(
            (*CELL_COLUMNS, "pass", "preventable fail", "unpreventable", "no label", "grade"),
            [
                (
                    *(arm.key[c] for c in CELL_COLUMNS),
                    *(arm.count(label) for label in Preventability),
                    arm.num_unlabelled,
                    impact_text(arm) or "-",
                )
                for arm in labels
            ],
        )
        lines.append("")
    lines += ["## Success (Wilson 95 % interval)", ""]
    lines += _table(
        ("scenario", "agent", "success", "why not"),
        [
            (c.key["scenario"], c.key["agent"], c.rate_text(), _counts_text(c.reasons))
            for c in cells(rows, ("scenario", "agent"))
        ],
    )
    lines += ["", "## By timing and strategy", ""]
    lines += _table(
        (*CELL_COLUMNS, "success"), [(*c.key.values(), c.rate_text()) for c in cells(rows, CELL_COLUMNS)]
    )
    return "\n".join(lines) + "\n"


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "none"
