"""What a sweep comes to, read from its folder: curves, critical latencies, first causes and reactions, and as files."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simloop.stats.median import Median, median
from simloop.stats.tolerated_latency import ToleratedLatency
from simloop.store.atomic_file import write_atomically
from simloop.store.run_store import RunStore
from simloop.sweep.axis import sweep_axis
from simloop.sweep.causes import CAUSES
from simloop.sweep.curves import Curve, build_curves, curve_columns
from simloop.sweep.twins import reaction

Table = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalSummary:
    """Critical latencies of one curve's cases.

    Attributes:
        curve: Scenario, agent and strategy.
        median: Median in ms with its interval; ``inf`` where the median case never failed.
        counts: Cases by state: found, always_fails (counted as 0 ms), censored (never failed), lost (left out).
    """

    curve: tuple[str, str, str]
    median: Median | None
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseSummary:
    """First causes of failures of one curve at one level."""

    curve: tuple[str, str, str]
    level: float
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionSummary:
    """Behavioural reaction times of one arm.

    Attributes:
        curve: Scenario, agent and strategy.
        level: Latency in ms that was added, or level of the key that was varied.
        reactions_ms: Mean, median, 95 % quantile and 99 % quantile over the cases that reacted; None if none did.
        counts: Cases by state, see ``simloop.sweep.twins.reaction``.
    """

    curve: tuple[str, str, str]
    level: float
    reactions_ms: tuple[float, float, float, float] | None
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """Everything that a sweep found.

    Attributes:
        definition: The sweep as plain values.
        facts: What curves of each scenario and agent are printed with.
        curves: The curves.
        critical: Critical latencies, one entry a curve.
        causes: First causes, one entry a curve and level with explained failures.
        reactions: Reaction times, one entry an arm.
        critical_cases, cause_cases, reaction_cases: One row a case.
    """

    definition: Mapping[str, Any]
    facts: Sequence[Mapping[str, Any]]
    curves: Sequence[Curve]
    critical: Sequence[CriticalSummary]
    causes: Sequence[CauseSummary]
    reactions: Sequence[ReactionSummary]
    critical_cases: Table
    cause_cases: Table
    reaction_cases: Table


def is_sweep(store: RunStore) -> bool:
    """Whether a run is a sweep."""
    return "sweep" in store.manifest.config


def read_sweep(store: RunStore) -> SweepResult:
    """Reads what a sweep found; complete only after its run is."""
    sweep = store.manifest.config["sweep"]
    definition = sweep["definition"]
    column = sweep_axis(definition).column
    findings = store.read_findings()
    reaction_cases = _reaction_cases(
        store, findings.get("twins", ()), float(definition["twin_tolerance_ratio"])
    )
    critical_cases = [
        {**c, "critical_ms": 0.5 * (c["low_ms"] + c["high_ms"]) if c["state"] == "found" else None}
        for c in findings.get("critical", ())
    ]
    cause_cases = [
        {**c, "cured_by": ";".join(c["cured_by"]), "tried": ";".join(c["tried"])}
        for c in findings.get("causes", ())
    ]
    return SweepResult(
        definition=definition,
        facts=sweep["facts"],
        curves=build_curves(store.read_rows(curve_columns(definition["metrics"])), sweep),
        critical=_critical(critical_cases),
        causes=_causes(cause_cases, column),
        reactions=_reactions(reaction_cases, column),
        critical_cases=critical_cases,
        cause_cases=cause_cases,
        reaction_cases=reaction_cases,
    )


def _curve_of(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(entry["scenario"]), str(entry["agent"]), str(entry["strategy"])


def _critical(cases: Table) -> list[CriticalSummary]:
    groups: dict[tuple[str, str, str], Table] = {}
    for case in cases:
        groups.setdefault(_curve_of(case), []).append(case)
    out = []
    for curve, members in groups.items():
        values = {"always_fails": 0.0, "censored": math.inf}
        found = [
            float(m["critical_ms"]) if m["state"] == "found" else values[m["state"]]
            for m in members
            if m["state"] != "lost"
        ]
        counts = dict(Counter(str(m["state"]) for m in members))
        out.append(CriticalSummary(curve=curve, median=median(found) if found else None, counts=counts))
    return out


def _causes(cases: Table, column: str) -> list[CauseSummary]:
    groups: dict[tuple[tuple[str, str, str], float], Counter[str]] = {}
    for case in cases:
        key = (_curve_of(case), float(case[column]))
        groups.setdefault(key, Counter())[str(case["first_cause"])] += 1
    order = (*CAUSES, "lost")
    return [
        CauseSummary(curve=curve, level=level, counts={name: counts[name] for name in order if counts[name]})
        for (curve, level), counts in sorted(groups.items(), key=lambda item: item[0])
    ]


def _reaction_cases(store: RunStore, pairs: Sequence[Mapping[str, Any]], tolerance_ratio: float) -> Table:
    out: Table = []
    done = store.done_ids()
    for pair in pairs:
        ids = (str(pair["episode_id"]), str(pair["twin_episode_id"]))
        found: dict[str, Any] = {"event_ms": None, "reaction_ms": None, "state": "lost"}
        if all(i in done and store.log_folder(i).is_dir() for i in ids):
            log, twin = (store.read_episode_log(i) for i in ids)
            found = reaction(log, twin, tolerance_ratio)
        out.append({**pair, **found})
    return out


def _reactions(cases: Table, column: str) -> list[ReactionSummary]:
    groups: dict[tuple[tuple[str, str, str], float], Table] = {}
    for case in cases:
        groups.setdefault((_curve_of(case), float(case[column])), []).append(case)
    out = []
    for (curve, level), members in groups.items():
        values = np.array(
            [m["reaction_ms"] for m in members if m["reaction_ms"] is not None], dtype=np.float64
        )
        reactions = None
        if len(values):
            p50, p95, p99 = (float(q) for q in np.percentile(values, [50, 95, 99]))
            reactions = (float(values.mean()), p50, p95, p99)
        counts = dict(Counter(str(m["state"]) for m in members))
        out.append(ReactionSummary(curve=curve, level=level, reactions_ms=reactions, counts=counts))
    return out


def sweep_table(result: SweepResult) -> Table:
    """Returns one row a point of every curve, with the figures of its curve beside it."""
    facts = {(f["scenario"], f["agent"]): f for f in result.facts}
    axis = sweep_axis(result.definition)
    rows: Table = []
    for curve in result.curves:
        fact = facts[curve.scenario, curve.agent]
        whole = {
            "reference_rate": curve.reference_rate,
            "mean_success": curve.mean_success,
            "normalised_area": curve.area,
            **_tolerated("l95", curve.l95),
            **_tolerated("l95_conservative", curve.l95_conservative),
            "slope_points_per_100_ms": curve.slope.mean_points_per_100_ms if curve.slope else None,
            "steepest_points_per_100_ms": curve.slope.steepest_points_per_100_ms if curve.slope else None,
            "is_monotone": not curve.rises,
        }
        for point in curve.points:
            rate, first, start = point.rate, point.to_first, point.to_start
            delay = point.delay_ticks or (None, None, None)
            rows.append(
                {
                    "scenario": curve.scenario,
                    "agent": curve.agent,
                    "strategy": curve.strategy,
                    axis.column: point.level,
                    "latency_ticks": point.latency_ticks,
                    "execution_horizon": point.execution_horizon,
                    "horizon": fact["horizon"],
                    "control_period_ms": fact["control_period_ms"],
                    "hold": fact["hold"],
                    "first_chunk": fact["first_chunk"],
                    "n": rate.n if rate else 0,
                    "successes": rate.successes if rate else 0,
                    "success_rate": rate.rate if rate else None,
                    "wilson_low": rate.low if rate else None,
                    "wilson_high": rate.high if rate else None,
                    "num_lost": point.num_lost,
                    "num_missing": point.num_missing,
                    "delay_p50_ticks": delay[0],
                    "delay_p95_ticks": delay[1],
                    "delay_max_ticks": delay[2],
                    "difference_to_first": first.difference if first else None,
                    "difference_to_first_low": first.low if first else None,
                    "difference_to_first_high": first.high if first else None,
                    "only_this": first.counts.only_first if first else None,
                    "only_first": first.counts.only_second if first else None,
                    "mcnemar_p": first.p_value if first else None,
                    "mcnemar_p_holm": point.p_holm,
                    "difference_to_start": start.difference if start else None,
                    "difference_to_start_low": start.low if start else None,
                    "difference_to_start_high": start.high if start else None,
                    **whole,
                    **{name: point.metrics.get(name) for name in result.definition["metrics"]},
                }
            )
    return rows


def _tolerated(name: str, value: ToleratedLatency | None) -> dict[str, Any]:
    return {
        f"{name}_ms": value.latency_ms if value else None,
        f"{name}_is_censored": value.is_censored if value else None,
    }


def write_sweep_files(store: RunStore, result: SweepResult) -> list[str]:
    """Writes ``sweep.csv``, ``sweep.parquet`` and a CSV of each further finding; returns their names."""
    tables = {
        "sweep": sweep_table(result),
        "critical": result.critical_cases,
        "causes": result.cause_cases,
        "reactions": result.reaction_cases,
    }
    written = []
    for name, rows in tables.items():
        if rows:
            write_atomically(store.path / f"{name}.csv", _csv(rows))
            written.append(f"{name}.csv")
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(tables["sweep"]), sink, compression="zstd")
    write_atomically(store.path / "sweep.parquet", sink.getvalue())
    return [*written, "sweep.parquet"]


def _csv(rows: Table) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
