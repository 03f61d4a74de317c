"""Success-versus-latency curves as inline SVG: Wilson bars, one line a strategy, L95 marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simloop.sweep.curves import Curve, CurvePoint

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 14, 44
_SERIES = 10


def curve_svg(title: str, curves: Sequence[Curve]) -> str:
    """Returns the curves of one scenario and agent; every point can be reached by keyboard and says its figures."""
    latencies = sorted({p.latency_ms for c in curves for p in c.points})
    low, high = latencies[0], latencies[-1]
    span = (high - low) or 1.0

    def x(latency_ms: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (latency_ms - low) / span

    def y(rate: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1.0 - rate)

    label = escape(f"Success versus latency: {title}", quote=True)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">'
    ]
    for rate in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(rate):.1f}" y2="{y(rate):.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y(rate) + 3.5:.1f}" text-anchor="end">{100 * rate:g}</text>'
        )
    for latency_ms in latencies:
        parts.append(
            f'<text class="tick" x="{x(latency_ms):.1f}" y="{_HEIGHT - 26}" text-anchor="middle">{latency_ms:g}</text>'
        )
    parts.append(
        f'<text class="tick" x="{(_LEFT + _WIDTH - _RIGHT) / 2:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
        "added latency (ms)</text>"
    )
    spread = 4.0 if len(latencies) > 1 else 0.0
    for number, curve in enumerate(curves):
        offset = (number - (len(curves) - 1) / 2.0) * spread
        line, marks = [], []
        for point in curve.points:
            if point.rate is None:
                continue
            at = x(point.latency_ms) + offset
            line.append(f"{at:.1f},{y(point.rate.rate):.1f}")
            text = escape(_says(curve, point), quote=True)
            marks.append(
                f'<g tabindex="0" role="img" aria-label="{text}"><title>{text}</title>'
                f'<line class="bar" x1="{at:.1f}" x2="{at:.1f}" y1="{y(point.rate.low):.1f}" '
                f'y2="{y(point.rate.high):.1f}"/>'
                f'<circle cx="{at:.1f}" cy="{y(point.rate.rate):.1f}" r="3.5"/></g>'
            )
        parts.append(
            f'<g class="series s{number % _SERIES}"><polyline points="{" ".join(line)}"/>{"".join(marks)}</g>'
        )
    return "".join([*parts, "</svg>"])


def _says(curve: Curve, point: CurvePoint) -> str:
    delay = "no chunk"
    if point.delay_ticks is not None:
        delay = "d p50 {:g}, p95 {:g}, max {:g} ticks".format(*point.delay_ticks)
    return f"{curve.strategy}, {point.latency_ms:g} ms, s = {point.execution_horizon}, {delay}: {point.rate}"
