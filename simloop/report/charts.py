"""The report's charts as inline SVG: success by strategy and latency, and distributions of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from simloop.report.cells import Cell, Rows, cells
from simloop.report.criterion_verdict import metric_values
from simloop.store.row import CELL_COLUMNS

_PANEL_WIDTH, _PANEL_HEIGHT = 340, 216
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 12, 12, 44
_LOG_SPAN = 30.0
DELAY_METRIC = "realised_delay_mean_ticks"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPanel:
    """Success by timing and strategy of one scenario and agent.

    Attributes:
        title: Scenario and agent.
        svg: The chart.
    """

    title: str
    svg: str


def timings_by_delay(rows: Rows) -> dict[str, float | None]:
    """Returns the timings in the order of the delay that they caused, with its mean in control ticks."""
    names = list(dict.fromkeys(str(r["timing"]) for r in rows))
    delays: dict[str, float | None] = {}
    for name in names:
        values = metric_values([r for r in rows if str(r["timing"]) == name], DELAY_METRIC)
        delays[name] = float(np.mean(values)) if values else None
    return dict(sorted(delays.items(), key=lambda item: (item[1] is None, item[1] or 0.0)))


def latency_panels(rows: Rows) -> list[LatencyPanel]:
    """Returns one panel for each scenario and agent: rate with Wilson bars over timing, one line a strategy."""
    timings = timings_by_delay(rows)
    strategies = list(dict.fromkeys(str(r["strategy"]) for r in rows))
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells(rows, CELL_COLUMNS):
        groups.setdefault((cell.key["scenario"], cell.key["agent"]), []).append(cell)
    return [
        LatencyPanel(title=" / ".join(key), svg=_latency_svg(" / ".join(key), members, timings, strategies))
        for key, members in groups.items()
    ]


def _x_position(index: int, count: int) -> float:
    width = _PANEL_WIDTH - _LEFT - _RIGHT
    return _LEFT + width * (index + 0.5) / max(count, 1)


def _y_position(rate: float) -> float:
    return _TOP + (_PANEL_HEIGHT - _TOP - _BOTTOM) * (1.0 - rate)


def _latency_svg(
    title: str, members: Sequence[Cell], timings: Mapping[str, float | None], strategies: Sequence[str]
) -> str:
    parts = [_open_svg(_PANEL_WIDTH, _PANEL_HEIGHT, f"Success by timing and strategy: {title}")]
    for rate in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y_position(rate)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_PANEL_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{100 * rate:g}</text>'
        )
    for i, (name, delay) in enumerate(timings.items()):
        x = _x_position(i, len(timings))
        label = "" if delay is None else f"d = {delay:.1f} ticks"
        parts.append(
            f'<text class="tick name" x="{x:.1f}" y="{_PANEL_HEIGHT - 26}" text-anchor="middle">{escape(name)}</text>'
        )
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{_PANEL_HEIGHT - 11}" text-anchor="middle">{label}</text>'
        )
    by_key = {(c.key["timing"], c.key["strategy"]): c for c in members}
    spread = min(
        16.0, 0.6 * (_x_position(1, len(timings)) - _x_position(0, len(timings))) / max(len(strategies), 1)
    )
    for s, strategy in enumerate(strategies):
        offset = (s - (len(strategies) - 1) / 2.0) * spread
        parts.append(_strategy_marks(by_key, list(timings), strategy, number=s, offset=offset))
    return "".join([*parts, "</svg>"])


def _strategy_marks(
    by_key: Mapping[tuple[str, str], Cell],
    timings: Sequence[str],
    strategy: str,
    *,
    number: int,
    offset: float,
) -> str:
    line, marks = [], []
    for i, timing in enumerate(timings):
        cell = by_key.get((timing, strategy))
        if cell is None or cell.rate is None:
            continue
        x, y = _x_position(i, len(timings)) + offset, _y_position(cell.rate.rate)
        low, high = _y_position(cell.rate.low), _y_position(cell.rate.high)
        line.append(f"{x:.1f},{y:.1f}")
        text = escape(f"{strategy}, {timing}: {cell.rate_text()}")
        marks.append(
            f'<g><title>{text}</title><line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/></g>'
        )
    return f'<g class="series s{number % 8}"><polyline points="{" ".join(line)}"/>{"".join(marks)}</g>'


def _open_svg(width: int, height: int, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How a metric is spread over the episodes of a scenario and agent: 5, 25, 50, 75 and 95 % quantiles."""

    label: str
    quantiles: tuple[float, float, float, float, float]
    n: int


def distributions(rows: Rows, metric: str) -> list[Distribution]:
    """Returns the spread of a metric for each scenario and agent that has values of it."""
    out = []
    groups: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        groups.setdefault(f"{row['scenario']} / {row['agent']}", []).append(row)
    for label, members in groups.items():
        values = metric_values(members, metric)
        if values:
            q = np.percentile(values, [5, 25, 50, 75, 95])
            quantiles = (float(q[0]), float(q[1]), float(q[2]), float(q[3]), float(q[4]))
            out.append(Distribution(label=label, quantiles=quantiles, n=len(values)))
    return out


def distribution_svg(metric: str, spreads: Sequence[Distribution]) -> str:
    """Returns a box for each spread on a common axis: whiskers 5-95 %, box 25-75 %, bar at the median.

    The axis is logarithmic where all values are positive and span more than ``_LOG_SPAN``.
    """
    width, row, left, right = 560, 22, 216, 66
    height = row * len(spreads) + 26
    low = min(d.quantiles[0] for d in spreads)
    high = max(d.quantiles[4] for d in spreads)
    is_log = low > 0.0 and high / low > _LOG_SPAN
    start, span = (math.log(low), math.log(high / low)) if is_log else (low, (high - low) or 1.0)

    def x(value: float) -> float:
        share = ((math.log(value) if is_log else value) - start) / span
        return left + (width - left - right) * share

    parts = [_open_svg(width, height, f"Distribution of {metric}")]
    for share in (0.0, 0.5, 1.0):
        tick = math.exp(start + share * span) if is_log else start + share * span
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="2" y2="{height - 20}"/>')
        parts.append(
            f'<text class="tick" x="{x(tick):.1f}" y="{height - 6}" text-anchor="middle">{tick:.3g}</text>'
        )
    for i, spread in enumerate(spreads):
        y, (q05, q25, q50, q75, q95) = row * i + 12, spread.quantiles
        label = escape(spread.label if len(spread.label) <= 34 else spread.label[:33] + "…")
        full = f"{spread.label}: median {q50:.4g}, 5-95 % {q05:.4g} to {q95:.4g}, n = {spread.n}"
        box = f'x="{x(q25):.1f}" y="{y - 6}" width="{max(x(q75) - x(q25), 1.5):.1f}" height="12" rx="2"'
        parts.append(
            f"<g><title>{escape(full)}</title>"
            f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{label}</text>'
            f'<line class="whisker" x1="{x(q05):.1f}" x2="{x(q95):.1f}" y1="{y}" y2="{y}"/>'
            f'<rect class="box" {box}/>'
            f'<line class="median" x1="{x(q50):.1f}" x2="{x(q50):.1f}" y1="{y - 7}" y2="{y + 7}"/>'
            f'<text class="value" x="{width - right + 10}" y="{y + 4}">{q50:.3g}</text></g>'
        )
    return "".join([*parts, "</svg>"])
