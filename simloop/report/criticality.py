"""Cumulative distributions of metrics, scenario by scenario, with the thresholds of those that have some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.report.cells import Rows
from simloop.report.criterion_verdict import metric_values
from simloop.report.ticks import round_ticks

FloatArray = npt.NDArray[np.float64]

MIN_EPISODES = 5
MAX_PANELS = 60
_WIDTH, _HEIGHT = 340, 206
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 12, 4, 34
_LINE = 15
_CHARACTER = 6.1
"""About the width of a character."""
_MAX_TICKS = 5
_MAX_STEPS = 160
_TAIL = 99.0
_BEYOND = 2.5
"""The axis ends at the 99 % quantile, or at so many times the largest threshold if that is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalityPanel:
    """Cumulative distribution of a metric in one scenario, one line an agent.

    Attributes:
        title: Metric and scenario.
        svg: The chart.
        shares: In words: the share of each agent's episodes beyond each threshold; without thresholds, quantiles.
    """

    title: str
    svg: str
    shares: tuple[str, ...]


def criticality_panels(
    rows: Rows, thresholds: Mapping[str, Mapping[str, Any]], agents: Sequence[str]
) -> list[CriticalityPanel]:
    """Returns a panel for each scenario and metric whose values differ.

    Args:
        rows: Rows of a run.
        thresholds: By metric what ``Manifest.metric_thresholds`` holds; ``limits`` may be empty.
        agents: Names of all agents of the run; their order picks the colours.
    """
    scenarios: dict[str, dict[str, list[Mapping[str, object]]]] = {}
    for row in rows:
        scenarios.setdefault(str(row["scenario"]), {}).setdefault(str(row["agent"]), []).append(row)
    panels = []
    for scenario, by_agent in scenarios.items():
        for metric, facts in thresholds.items():
            values = {a: np.sort(metric_values(by_agent[a], metric)) for a in agents if a in by_agent}
            values = {a: v for a, v in values.items() if len(v) >= MIN_EPISODES}
            if values and len(np.unique(np.concatenate(list(values.values())))) > 1:
                panels.append(_panel((metric, scenario), values, facts, agents))
    return panels[:MAX_PANELS]


def _panel(
    names: tuple[str, str], values: Mapping[str, FloatArray], facts: Mapping[str, Any], agents: Sequence[str]
) -> CriticalityPanel:
    limits: Mapping[str, float] = facts["limits"]
    every = np.concatenate(list(values.values()))
    low, high = _span(every, limits)
    top = _TOP + _LINE * len(limits)
    span_x, span_y = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    height = top + span_y + _BOTTOM

    def x_of(value: float) -> float:
        return _LEFT + span_x * (min(max(value, low), high) - low) / (high - low)

    label = escape(f"Cumulative distribution of {' in '.join(names)}", quote=True)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
    ]
    for share in (0.0, 0.5, 1.0):
        y = top + span_y * (1.0 - share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * share:g}</text>'
        )
    for value in round_ticks(low, high, _MAX_TICKS):
        parts.append(
            f'<text class="tick" x="{x_of(value):.1f}" y="{height - 18}" text-anchor="middle">{value:g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="tick name" x="{middle:.0f}" y="{height - 4}" text-anchor="middle">'
        f"{escape(names[0])}, episodes below in %</text>"
    )
    for number, (name, limit) in enumerate(sorted(limits.items(), key=lambda item: -item[1])):
        x, y = x_of(limit), _TOP + _LINE * (number + 1) - 6
        text = f"{name}: {limit:g}"
        left = max(min(x, _WIDTH - _CHARACTER * len(text)), 2.0)
        parts.append(
            f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 3}" y2="{top + span_y}"/>'
            f'<text class="tick" x="{left:.1f}" y="{y}">{escape(text)}</text>'
        )
    for agent, sample in values.items():
        path = _steps(sample, x_of, (top, span_y), high)
        text = escape(f"{agent}: median {float(np.median(sample)):.3g}, n = {len(sample)}")
        colour = f"s{list(agents).index(agent) % 10}"
        parts.append(f'<g class="series {colour}"><title>{text}</title><path class="ecdf" d="{path}"/></g>')
    is_low_critical, word = facts["higher_is_better"], "below" if facts["higher_is_better"] else "above"
    shares = tuple(
        f"{agent}: " + _quantiles(sample)
        if not limits
        else f"{agent}: "
        + ", ".join(
            f"{np.mean(sample < limit if is_low_critical else sample > limit):.1%} {word} {limit:g}"
            for limit in limits.values()
        )
        for agent, sample in values.items()
    )
    return CriticalityPanel(title=", ".join(names), svg="".join([*parts, "</svg>"]), shares=shares)


def _span(every: FloatArray, limits: Mapping[str, float]) -> tuple[float, float]:
    """Returns the ends of the axis; without thresholds those of nearly all values."""
    if not limits:
        low, high = (float(v) for v in np.percentile(every, (100.0 - _TAIL, _TAIL)))
        return (low, high) if high > low else (float(every.min()), float(every.max()))
    largest = max(limits.values())
    high = max(min(float(np.percentile(every, _TAIL)), _BEYOND * largest), 1.2 * largest)
    return min(0.0, float(every.min())), high


def _quantiles(sample: FloatArray) -> str:
    low, middle, high = (float(v) for v in np.percentile(sample, (5.0, 50.0, 95.0)))
    return f"median {middle:.3g}, 5 to 95 % {low:.3g} to {high:.3g}, n = {len(sample)}"


def _steps(
    sample: FloatArray, x_of: Callable[[float], float], place: tuple[float, float], high: float
) -> str:
    """Returns the path of the empirical distribution function, with at most ``_MAX_STEPS`` steps."""
    top, span_y = place
    levels = np.arange(1, len(sample) + 1) / len(sample)
    if len(sample) > _MAX_STEPS:
        picked = np.unique(np.linspace(0, len(sample) - 1, _MAX_STEPS).round().astype(np.int64))
        sample, levels = sample[picked], levels[picked]
    pieces = [f"M{_LEFT} {top + span_y:.1f}"]
    for value, level in zip(sample.tolist(), levels.tolist(), strict=True):
        if value > high:
            break
        pieces.append(f"H{x_of(value):.1f}V{top + span_y * (1.0 - level):.1f}")
    return "".join([*pieces, f"H{_WIDTH - _RIGHT}"])
