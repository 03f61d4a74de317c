"""The tables of a sweep's report, as text: for the terminal, the page, ``summary.md`` and ``summary.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simloop.stats.median import Median
from simloop.sweep.axis import SweepAxis, sweep_axis
from simloop.sweep.causes import CAUSES
from simloop.sweep.curves import Curve, CurvePoint
from simloop.sweep.results import SweepResult, sweep_table


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A table of texts.

    Attributes:
        title: What it shows.
        header: Headings.
        body: Rows.
        note: How to read it.
    """

    title: str
    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepGroup:
    """The curves of one scenario and agent.

    Attributes:
        scenario, agent: Whose curves.
        title: Both in one line.
        axis: What the levels are.
        conditions: What every curve of the group is printed with.
        curves: The curves.
        overview: One row a curve.
        points: One row a point.
        further: Critical latencies, first causes and reactions, where there are any.
    """

    scenario: str
    agent: str
    title: str
    axis: SweepAxis
    conditions: str
    curves: tuple[Curve, ...]
    overview: TextTable
    points: TextTable
    further: tuple[TextTable, ...]


def sweep_groups(result: SweepResult) -> list[SweepGroup]:
    """Returns the groups of a sweep, in the order of its scenarios and agents."""
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in result.curves:
        groups.setdefault((curve.scenario, curve.agent), []).append(curve)
    facts = {(f["scenario"], f["agent"]): f for f in result.facts}
    axis = sweep_axis(result.definition)
    out = []
    for (scenario, agent), curves in groups.items():
        tables = (
            _critical(result, scenario, agent),
            _causes(result, scenario, agent),
            _reactions(result, scenario, agent),
        )
        out.append(
            SweepGroup(
                scenario=scenario,
                agent=agent,
                title=f"{scenario} / {agent}",
                axis=axis,
                conditions=_conditions(result.definition, facts[scenario, agent]),
                curves=tuple(curves),
                overview=_overview(curves, axis),
                points=_points(curves, axis),
                further=tuple(t for t in tables if t is not None),
            )
        )
    return out


def _conditions(definition: Mapping[str, Any], fact: Mapping[str, Any]) -> str:
    horizon = definition["execution_horizon"] or "as configured"
    axis = sweep_axis(definition)
    what = f"Latency added to timing {definition['timing']}"
    if not axis.is_latency:
        what = (
            f"{axis.name}: timing.{definition['variation']['key']} varied over timing {definition['timing']}"
        )
    overrides = "".join(f", {k} = {v}" for k, v in definition["overrides"])
    return (
        f"{what}{overrides}; H = {fact['horizon']}, s = {horizon}, control "
        f"period {fact['control_period_ms']:g} ms, hold {fact['hold']}, first chunk {fact['first_chunk']}, seeds "
        f"{definition['first_seed']} to {definition['first_seed'] + definition['num_seeds'] - 1}."
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100.0 * value:.1f}"


def _ms(value: object) -> str:
    return "-" if value is None else str(value)


def _monotone(curve: Curve, axis: SweepAxis) -> str:
    rises = (f"rises {r.start:g} to {axis.text(r.end)} (p = {r.p_value:.2g})" for r in curve.rises)
    return "; ".join(rises) or "yes"


def _levels(curves: Sequence[Curve], axis: SweepAxis) -> TextTable:
    return TextTable(
        title="Success (%) at each level",
        header=("strategy", *(axis.text(p.level) for p in curves[0].points), "monotone"),
        body=tuple(
            (c.strategy, *(_percent(p.rate.rate if p.rate else None) for p in c.points), _monotone(c, axis))
            for c in curves
        ),
        note=f"Levels: {axis.name}.",
    )


def _overview(curves: Sequence[Curve], axis: SweepAxis) -> TextTable:
    if not axis.is_latency:
        return _levels(curves, axis)
    body = []
    for curve in curves:
        slope = curve.slope
        body.append(
            (
                curve.strategy,
                *(_percent(p.rate.rate if p.rate else None) for p in curve.points),
                _percent(curve.mean_success),
                "-" if curve.area is None else f"{curve.area:.3f}",
                _ms(curve.l95),
                _ms(curve.l95_conservative),
                "-" if slope is None else f"{slope.mean_points_per_100_ms:+.1f}",
                _monotone(curve, axis),
            )
        )
    return TextTable(
        title="Success (%) at each latency, and what the curve comes to",
        header=(
            "strategy",
            *(axis.text(p.level) for p in curves[0].points),
            "mean",
            "area/S_ref",
            "L95",
            "L95 vouched for",
            "points per 100 ms",
            "monotone",
        ),
        body=tuple(body),
        note=(
            "Mean: over the range of latencies (trapezoid). S_ref: success of the paused world, or of the first "
            "strategy without latency. L95: largest latency that keeps 95 % of the strategy's own success without "
            "latency; vouched for: by the lower bound of the paired difference; ≥ where it was never crossed. Slope: "
            "isotonic fit."
        ),
    )


def _delay(point: CurvePoint) -> str:
    return "-" if point.delay_ticks is None else " / ".join(f"{d:g}" for d in point.delay_ticks)


def _reaction(point: CurvePoint) -> str:
    values = [point.metrics.get(f"reaction_{name}_ms") for name in ("mean", "p95")]
    return "-" if None in values else " / ".join(f"{v:.0f}" for v in values if v is not None)


def _points(curves: Sequence[Curve], axis: SweepAxis) -> TextTable:
    body = []
    for curve in curves:
        for point in curve.points:
            first, start = point.to_first, point.to_start
            lost = point.num_lost + point.num_missing
            p_value = "-" if first is None else f"{first.p_value:.2g} ({point.p_holm:.2g})"
            body.append(
                (
                    curve.strategy,
                    f"{point.level:g}",
                    str(point.execution_horizon),
                    _delay(point),
                    _reaction(point),
                    (str(point.rate) if point.rate else "-") + (f", {lost} not judged" if lost else ""),
                    "-" if start is None else _difference(start.difference, start.low, start.high),
                    "-" if first is None else _difference(first.difference, first.low, first.high),
                    "-" if first is None else f"+{first.counts.only_first}/-{first.counts.only_second}",
                    p_value,
                )
            )
    return TextTable(
        title="Every point",
        header=(
            "strategy",
            axis.name,
            "s",
            "d (ticks): p50 / p95 / max",
            "loop's reaction (ms): mean / p95",
            "success",
            f"minus own first {'latency' if axis.is_latency else 'level'}",
            f"minus {curves[0].strategy}",
            "discordant",
            "McNemar p (Holm)",
        ),
        body=tuple(body),
        note=(
            "Differences in points with 95 % intervals on the same cases. d: median over episodes of each one's median "
            "and 95 % quantile, and the largest of all. Reaction: from an event at uniform phase to the first "
            "action computed from an observation of it, mean over episodes. Holm: over all "
            "comparisons of this scenario and agent."
        ),
    )


def _difference(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _bounded(value: Median) -> str:
    def text(x: float) -> str:
        return "never failed" if x == math.inf else "-" if x == -math.inf else f"{x:.4g}"

    return f"{text(value.value)} [{text(value.low)}, {text(value.high)}]"


def _critical(result: SweepResult, scenario: str, agent: str) -> TextTable | None:
    found = [c for c in result.critical if c.curve[:2] == (scenario, agent)]
    if not found:
        return None
    states = ("found", "always_fails", "censored", "lost")
    return TextTable(
        title="Critical latency (bisection of each case)",
        header=(
            "strategy",
            "median (ms)",
            "n",
            "bisected",
            "fails at the first latency",
            "never fails",
            "not judged",
        ),
        body=tuple(
            (
                c.curve[2],
                "-" if c.median is None else _bounded(c.median),
                str(sum(c.counts.values())),
                *(str(c.counts.get(s, 0)) for s in states),
            )
            for c in found
        ),
        note=(
            f"Each case is bisected to {result.definition['critical_tolerance_ms']:g} ms between the last latency of "
            "the grid that it survives and the next. Median over cases with a distribution-free 95 % interval; a case "
            "that fails at the first latency counts as 0."
        ),
    )


def _causes(result: SweepResult, scenario: str, agent: str) -> TextTable | None:
    found = [c for c in result.causes if c.curve[:2] == (scenario, agent)]
    if not found:
        return None
    names = (*CAUSES, "lost")
    return TextTable(
        title="First cause of failure",
        header=(
            "strategy",
            sweep_axis(result.definition).name,
            "explained",
            *(n.replace("_", " ") for n in names),
        ),
        body=tuple(
            (
                c.curve[2],
                f"{c.level:g}",
                str(sum(c.counts.values())),
                *(str(c.counts.get(n, 0)) for n in names),
            )
            for c in found
        ),
        note=(
            f"At most {result.definition['num_causes']} failures of each strategy, run again with one cause taken out "
            "at a time, in this order; the first that cures the case counts. Wrong plan: fails without latency too. "
            "Combined: cured by zero latency only."
        ),
    )


def _reactions(result: SweepResult, scenario: str, agent: str) -> TextTable | None:
    found = [r for r in result.reactions if r.curve[:2] == (scenario, agent)]
    if not found:
        return None
    states = ("reacted", "no_event", "no_reaction", "ended_first", "lost")
    return TextTable(
        title="Behavioural reaction time (against the counterfactual twin)",
        header=(
            "strategy",
            sweep_axis(result.definition).name,
            "mean / p50 / p95 / p99 (ms)",
            *(s.replace("_", " ") for s in states),
        ),
        body=tuple(
            (
                r.curve[2],
                f"{r.level:g}",
                "-" if r.reactions_ms is None else " / ".join(f"{v:.0f}" for v in r.reactions_ms),
                *(str(r.counts.get(s, 0)) for s in states),
            )
            for r in found
        ),
        note=(
            "From the first instant at which the world differs from its twin without the event to the first action in "
            f"effect that differs by more than {100 * result.definition['twin_tolerance_ratio']:g} % of its range."
        ),
    )


def sweep_summary(result: SweepResult) -> dict[str, Any]:
    """Returns what ``summary.json`` says about a sweep."""
    groups = sweep_groups(result)
    return {
        "definition": dict(result.definition),
        "points": sweep_table(result),
        "groups": [
            {
                "title": g.title,
                "conditions": g.conditions,
                "table": {"header": list(g.overview.header), "body": [list(b) for b in g.overview.body]},
                "further": [
                    {"title": t.title, "header": list(t.header), "body": [list(b) for b in t.body]}
                    for t in g.further
                ],
            }
            for g in groups
        ],
    }
