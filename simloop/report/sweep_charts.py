"""Curves of a sweep as SVG, inline or as a file of their own: Wilson bars, one line a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simloop.sweep.axis import SweepAxis
from simloop.sweep.curves import Curve, CurvePoint

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 14, 44
_SERIES = 10
_FIGURE_WIDTH, _FIGURE_HEIGHT, _LEGEND_WIDTH, _LINE_HEIGHT = 680, 480, 150, 20
_COLOURS = (
    "#1f5eff", "#d9480f", "#0c8599", "#9c36b5", "#5c940d", "#c2255c", "#5f3dc4", "#846358", "#2b8a3e", "#495057",
)  # fmt: skip
_STYLE = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1b1f24}"
    ".tick{fill:#5d6570}.grid{stroke:#dcdad2}"
    ".series polyline{fill:none;stroke:currentColor;stroke-width:1.5;opacity:.5}"
    ".series circle{fill:currentColor}.series .bar{stroke:currentColor;stroke-width:2;opacity:.55}"
    + "".join(f".s{number}{{color:{colour}}}" for number, colour in enumerate(_COLOURS))
)


def figure_svg(title: str, curves: Sequence[Curve], axis: SweepAxis) -> str:
    """Returns the curves of one scenario and agent as an SVG file of its own, with title, legend and colours."""
    width, top = _FIGURE_WIDTH + _LEGEND_WIDTH, 26
    height = max(_FIGURE_HEIGHT, _TOP + _LINE_HEIGHT * len(curves)) + top
    legend = ""
    for number, curve in enumerate(curves):
        y, x = top + _TOP + _LINE_HEIGHT * number, _FIGURE_WIDTH + 12
        legend += (
            f'<g class="series s{number % _SERIES}"><circle cx="{x}" cy="{y}" r="4"/>'
            f'<text x="{x + 12}" y="{y + 4}">{escape(curve.strategy)}</text></g>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg">'
        f'<style>{_STYLE}</style><rect width="{width}" height="{height}" fill="#ffffff"/>'
        f'<text x="12" y="20">{escape(title)}: success (%), Wilson 95 %, n = {_counts(curves)}</text>{legend}'
        f'<svg y="{top}" width="{_FIGURE_WIDTH}" height="{_FIGURE_HEIGHT}">'
        f"{''.join(_parts(curves, axis, _FIGURE_WIDTH, _FIGURE_HEIGHT))}</svg></svg>\n"
    )


def _counts(curves: Sequence[Curve]) -> str:
    counts = sorted({p.rate.n for c in curves for p in c.points if p.rate is not None})
    return " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1]))) if counts else "0"


def curve_svg(title: str, curves: Sequence[Curve], axis: SweepAxis) -> str:
    """Returns the curves of one scenario and agent; every point can be reached by keyboard and says its figures."""
    label = escape(f"Success versus {axis.name}: {title}", quote=True)
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
    return "".join([head, *_parts(curves, axis, _WIDTH, _HEIGHT), "</svg>"])


def _parts(curves: Sequence[Curve], axis: SweepAxis, width: int, height: int) -> list[str]:
    levels = sorted({p.level for c in curves for p in c.points})
    low, high = levels[0], levels[-1]
    span = (high - low) or 1.0
    spread = 4.0 if len(levels) > 1 else 0.0
    margin = 0.5 * spread * (len(curves) - 1)

    def x(level: float) -> float:
        return _LEFT + margin + (width - _LEFT - _RIGHT - 2.0 * margin) * (level - low) / span

    def y(rate: float) -> float:
        return _TOP + (height - _TOP - _BOTTOM) * (1.0 - rate)

    parts = []
    for rate in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y(rate):.1f}" y2="{y(rate):.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y(rate) + 3.5:.1f}" text-anchor="end">{100 * rate:g}</text>'
        )
    for level in levels:
        parts.append(
            f'<text class="tick" x="{x(level):.1f}" y="{height - 26}" text-anchor="middle">{level:g}</text>'
        )
    parts.append(
        f'<text class="tick" x="{(_LEFT + width - _RIGHT) / 2:.1f}" y="{height - 8}" text-anchor="middle">'
        f"{escape(axis.name)}</text>"
    )
    for number, curve in enumerate(curves):
        offset = (number - (len(curves) - 1) / 2.0) * spread
        line, marks = [], []
        for point in curve.points:
            if point.rate is None:
                continue
            at = x(point.level) + offset
            line.append(f"{at:.1f},{y(point.rate.rate):.1f}")
            text = escape(_says(curve, point, axis), quote=True)
            marks.append(
                f'<g tabindex="0" role="img" aria-label="{text}"><title>{text}</title>'
                f'<line class="bar" x1="{at:.1f}" x2="{at:.1f}" y1="{y(point.rate.low):.1f}" '
                f'y2="{y(point.rate.high):.1f}"/>'
                f'<circle cx="{at:.1f}" cy="{y(point.rate.rate):.1f}" r="3.5"/></g>'
            )
        parts.append(
            f'<g class="series s{number % _SERIES}"><polyline points="{" ".join(line)}"/>{"".join(marks)}</g>'
        )
    return parts


def _says(curve: Curve, point: CurvePoint, axis: SweepAxis) -> str:
    delay = "no chunk"
    if point.delay_ticks is not None:
        delay = "d p50 {:g}, p95 {:g}, max {:g} ticks".format(*point.delay_ticks)
    return f"{curve.strategy}, {axis.text(point.level)}, s = {point.execution_horizon}, {delay}: {point.rate}"
