"""Draws heat maps: as the page's panels, coloured by its style sheet, and as one picture that stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.report.heat_map import LABELLED, WORST_FIRST, Axis, HeatMap, IntArray, Panel
from simloop.report.parameter_names import axis_title
from simloop.report.ticks import round_ticks

WIDTH, HEIGHT = 340, 226
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 40
CLASSES = {"pass": "h0", "preventable fail": "h1", "unpreventable": "h2", "no label": "h3"} | {
    "success": "h0", "no success": "h1",
}  # fmt: skip
# Told apart by lightness too, so that no kind of colour blindness hides one (Okabe and Ito 2008 for the hues).
_COLOURS = {"h0": "#8ec7e8", "h1": "#d55e00", "h2": "#4a4f57", "h3": "#e6b8d3"}
_COLUMNS = 3
_MAX_TICKS = 6
_GAP_FROM_PX = 7.0
_MAX_CELLS_WITH_PASSED = 3000


def panel_svg(heat_map: HeatMap, panel: Panel, number: int) -> str:
    """Returns one panel; ``data-panel`` is its number, ``data-plot`` the corners of its plot, for the page's script."""
    label = f"{heat_map.title}, {panel.title}: {counts_text(heat_map.categories, panel.totals)}"
    plot = f"{LEFT} {TOP} {WIDTH - RIGHT} {HEIGHT - BOTTOM}"
    return (
        f'<svg class="heat" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" data-panel="{number}" '
        f'data-plot="{plot}" aria-label="{escape(label, quote=True)}" xmlns="http://www.w3.org/2000/svg">'
        f'{_panel(heat_map, panel)}<rect class="cursor" width="0" height="0"/></svg>'
    )


def counts_text(categories: Sequence[str], counts: Sequence[int]) -> str:
    """Returns the counts in words; what did not occur beyond the first three is left out."""
    named = zip(categories, counts, strict=True)
    return ", ".join(f"{count} {name}" for i, (name, count) in enumerate(named) if count or i < 3)


def figure_svg(heat_map: HeatMap) -> str:
    """Returns a picture of every panel with its own colours, title and legend."""
    columns = min(_COLUMNS, len(heat_map.panels))
    lines = -(-len(heat_map.panels) // columns)
    width, step_y = columns * (WIDTH + 12) + 12, HEIGHT + 26
    height = 62 + lines * step_y
    style = "".join(f".{name}{{fill:{colour}}}" for name, colour in _COLOURS.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>text{font:11.5px system-ui,'DejaVu Sans',sans-serif;fill:#1b1f24}.tick{fill:#5d6570}.t{font-weight:600;"
        f"font-size:13px}}.field{{fill:#f1efe9}}.frame{{fill:none;stroke:#b9b5a8}}.cursor{{fill:none}}{style}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text class="t" x="14" y="22">{escape(heat_map.title)}</text>',
    ]
    x = 14.0
    for name, count in zip(heat_map.categories, heat_map.totals, strict=True):
        if count or name != LABELLED[-1]:
            text = f"{name}: {count}"
            parts.append(f'<rect class="{CLASSES[name]}" x="{x:.0f}" y="34" width="12" height="12" rx="2"/>')
            parts.append(f'<text x="{x + 17:.0f}" y="44.5">{text}</text>')
            x += 38 + 6.4 * len(text)
    for i, panel in enumerate(heat_map.panels):
        left, top = 12 + (i % columns) * (WIDTH + 12), 62 + (i // columns) * step_y
        parts.append(
            f'<g transform="translate({left} {top})"><text x="{LEFT}" y="12">{escape(panel.title)}</text>'
            f'<g transform="translate(0 14)">{_panel(heat_map, panel)}</g></g>'
        )
    return "".join([*parts, "</svg>\n"])


def _panel(heat_map: HeatMap, panel: Panel) -> str:
    x, y = heat_map.x, heat_map.y
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    cell_w, cell_h = (right - LEFT) / len(x), (bottom - TOP) / len(y)
    frame = f'x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}"'
    parts = [f'<rect class="field" {frame}/>', *_cells(heat_map.categories, panel, cell_w, cell_h)]
    parts.append(f'<rect class="frame" {frame}/>')
    for number, text in _ticks(x):
        at = LEFT + (number + 0.5) * cell_w
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{text}</text>')
    for number, text in _ticks(y):
        at = bottom - (number + 0.5) * cell_h
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text class="tick name" x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(axis_title(x.name))}</text>"
        f'<text class="tick name" transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(axis_title(y.name))}</text>"
    )
    return "".join(parts)


def _cells(categories: Sequence[str], panel: Panel, cell_w: float, cell_h: float) -> list[str]:
    """One path a category; equal neighbours are one rectangle.

    A cell of several categories is split by their shares, or shows the worst where cells are too small to be split.
    """
    gap = 1.0 if min(cell_w, cell_h) >= _GAP_FROM_PX else 0.0
    bottom = HEIGHT - BOTTOM
    total = panel.counts.sum(axis=2)
    shares = panel.counts / np.maximum(total, 1)[:, :, None]
    if not gap:
        shares = _worst(panel.counts)
    ends = np.cumsum(shares, axis=2)
    paths = []
    for number, name in enumerate(categories):
        pieces = []
        for line in range(len(total)):
            column = 0
            while column < total.shape[1]:
                share = float(shares[line, column, number])
                run = 1
                if share == 1.0 and not gap:
                    while column + run < total.shape[1] and shares[line, column + run, number] == 1.0:
                        run += 1
                if share > 0.0:
                    low = float(ends[line, column, number]) - share
                    x, width = LEFT + column * cell_w, run * cell_w - gap
                    height = share * (cell_h - gap)
                    y = bottom - line * cell_h - gap / 2 - low * (cell_h - gap) - height
                    pieces.append(f"M{x + gap / 2:.2f} {y:.2f}h{width:.2f}v{height:.2f}h{-width:.2f}z")
                column += run
        if pieces:
            paths.append(f'<path class="{CLASSES[name]}" d="{"".join(pieces)}"/>')
    return paths


def _worst(counts: IntArray) -> npt.NDArray[np.float64]:
    """Returns 1 for the worst category of each cell that holds one, 0 else."""
    order = [i for i in WORST_FIRST if i < counts.shape[2]]
    worst = np.argmax(counts[:, :, order] > 0, axis=2)
    shares = np.zeros(counts.shape)
    lines, columns = np.nonzero(counts.any(axis=2))
    shares[lines, columns, np.array(order)[worst[lines, columns]]] = 1.0
    return shares


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    """Returns places, in bins from the middle of the first, and texts of round values."""
    low, high = float(axis.edges[0]), float(axis.edges[-1])
    if len(axis) <= _MAX_TICKS and all(" to " not in label for label in axis.labels):
        return [(float(i), label) for i, label in enumerate(axis.labels)]
    return [
        ((value - low) / (high - low) * len(axis) - 0.5, f"{value:.4g}")
        for value in round_ticks(low, high, _MAX_TICKS - 1)
    ]


def _names_episodes(heat_map: HeatMap, counts: IntArray, *, is_small: bool) -> bool:
    return not heat_map.is_reference and (is_small or bool(counts[1:].any()))


def script_data(heat_map: HeatMap) -> dict[str, Any]:
    """Returns what the page's script tells about a cell: the bins, and counts and episodes by cell of each panel.

    A map of many cells names episodes only where not all passed; a reference agent's map names none.
    """
    is_small = sum(len(panel.episodes) for panel in heat_map.panels) <= _MAX_CELLS_WITH_PASSED
    return {
        "x": [axis_title(heat_map.x.name), list(heat_map.x.labels)],
        "y": [axis_title(heat_map.y.name), list(heat_map.y.labels)],
        "categories": list(heat_map.categories),
        "panels": [
            {
                str(line * len(heat_map.x) + column): [
                    panel.counts[line, column].tolist(),
                    list(ids)
                    if _names_episodes(heat_map, panel.counts[line, column], is_small=is_small)
                    else [],
                ]
                for (line, column), ids in sorted(panel.episodes.items())
            }
            for panel in heat_map.panels
        ],
    }
