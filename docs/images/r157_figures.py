"""Makes the figures of docs/r157.md: ``python docs/images/r157_figures.py`` (about a minute).

``r157_latency``: crashes of the reference drivers in the point mass over added latency. ``r157_agreement``: where the
full world and the point mass disagree, for one pair of speeds of the high-speed grid.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from simloop.scenario_files import load_family
from simloop.world import OutcomeState
from simloop_agents.experts.reference_agent import ReferenceDriverAgent
from simloop_agents.experts.reference_drivers import REFERENCE_MODELS, point_mass_cut_in_impacts
from simloop_driving.scenario.r157_grids import CutInGrid, cut_in_grid
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

BoolArray = npt.NDArray[np.bool_]

FOLDER = Path(__file__).parent
LATENCIES_S = (0.0, 0.1, 0.2, 0.4)
EGO_KMH, CUT_IN_KMH = 110, 40
COLOURS = ("#0b5fa5", "#b5420f", "#2a7f3f", "#7a3f9d")
STYLE = (
    "<style>text{font:11px sans-serif;fill:#333}.t{font-weight:bold}"
    ".a{stroke:#999;stroke-width:1;fill:none}</style>"
)
CELL_COLOURS = ("#e6efe6", "#c9c9c9", "#d62728", "#1f77b4")
"""Both avoid; both crash; only the full world crashes; only the point mass does."""


def point_mass(grid: CutInGrid, model: str, latency_s: float = 0.0) -> BoolArray:
    """Returns the crashes of a model over a grid."""
    speeds = (grid.ego_speed_mps, grid.cut_in_speed_mps)
    return np.isfinite(
        point_mass_cut_in_impacts(
            model, *speeds, grid.gap_m, grid.lateral_speed_mps, added_latency_s=latency_s
        )
    )


def full_world(grid: CutInGrid, model: str, cells: npt.NDArray[np.int64]) -> BoolArray:
    """Returns the crashes of a model that drives the full world."""
    family, agent = load_family("r157_cut_in"), ReferenceDriverAgent(model=model)
    world = DrivingWorld(action="acceleration", vehicle="r157_study_car", extra_sensors=["history"])
    out = np.zeros(len(cells), dtype=bool)
    for i, cell in enumerate(cells):
        world.reset(family.scenario(0, grid.parameters(int(cell))), 0)
        tick = 0
        while world.outcome().state is OutcomeState.RUNNING:
            history = np.asarray(world.capture("history", tick).array, dtype=np.float64)
            route = np.asarray(world.capture("route", tick).array, dtype=np.float64)
            world.actuate(agent.chunk(history, route, float(world.anchor().pose[3]))[0])
            tick += 1
            world.advance(tick * CONTROL_PERIOD_NS)
        out[i] = world.outcome().reason == "collision"
    return out


def latency_figure() -> None:
    """Writes ``r157_latency.csv`` and ``.svg``."""
    rows, drawing = ["grid,model," + ",".join(f"{1000 * s:.0f}_ms" for s in LATENCIES_S)], [STYLE]
    for panel, name in enumerate(("high", "low")):
        grid, left = cut_in_grid(name), 60 + 330 * panel
        drawing.append(f'<text class="t" x="{left}" y="18">{name}-speed grid, {len(grid)} cut-ins</text>')
        drawing.append(f'<path class="a" d="M{left} 30V230H{left + 230}"/>')
        for count in range(0, 5000, 1000):
            drawing.append(
                f'<text x="{left - 6}" y="{234 - count / 22:.0f}" text-anchor="end">{count}</text>'
            )
        for latency_s in LATENCIES_S:
            x = left + 550 * latency_s
            drawing.append(f'<text x="{x:.0f}" y="246" text-anchor="middle">{1000 * latency_s:.0f}</text>')
        drawing.append(f'<text x="{left + 110}" y="262" text-anchor="middle">added latency in ms</text>')
        for model, colour in zip(REFERENCE_MODELS, COLOURS, strict=True):
            counts = [int(point_mass(grid, model, s).sum()) for s in LATENCIES_S]
            rows.append(f"{name},{model}," + ",".join(map(str, counts)))
            points = " ".join(
                f"{left + 550 * s:.1f},{230 - c / 22:.1f}" for s, c in zip(LATENCIES_S, counts, strict=True)
            )
            drawing.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            drawing.append(
                f'<text x="{left + 224}" y="{233 - counts[-1] / 22:.1f}" style="fill:{colour}">{model}</text>'
            )
    (FOLDER / "r157_latency.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    write_svg("r157_latency", 740, 270, drawing)


def agreement_figure() -> None:
    """Writes ``r157_agreement.svg``."""
    grid = cut_in_grid("high")
    is_shown = np.isclose(grid.ego_speed_mps * 3.6, EGO_KMH) & np.isclose(
        grid.cut_in_speed_mps * 3.6, CUT_IN_KMH
    )
    cells = np.flatnonzero(is_shown)
    drawing = [STYLE]
    for panel, model in enumerate(REFERENCE_MODELS):
        left, top = 50 + 360 * (panel % 2), 30 + 190 * (panel // 2)
        expected, found = point_mass(grid, model)[cells], full_world(grid, model, cells)
        agree = float(np.mean(expected == found))
        drawing.append(
            f'<text class="t" x="{left}" y="{top - 8}">{model}: {agree:.1%} of {len(cells)} agree</text>'
        )
        drawing += _cell_rectangles(grid, cells, expected, found, left, top)
        drawing.append(f'<text x="{left + 150}" y="{top + 140}" text-anchor="middle">gap 1 .. 119 m</text>')
        drawing.append(f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">1.7</text>')
        drawing.append(f'<text x="{left - 6}" y="{top + 126}" text-anchor="end">0 m/s</text>')
    write_svg("r157_agreement", 740, 400, drawing)


def _cell_rectangles(
    grid: CutInGrid,
    cells: npt.NDArray[np.int64],
    expected: BoolArray,
    found: BoolArray,
    left: int,
    top: int,
) -> list[str]:
    """Draws a cell 5 by 7 px; neighbours in a row that look the same are one rectangle."""
    colours = np.where(expected == found, np.where(expected, 1, 0), np.where(expected, 3, 2))
    out = []
    for lateral in range(18):
        row = np.flatnonzero(np.isclose(grid.lateral_speed_mps[cells], lateral / 10.0))
        values = colours[row[np.argsort(grid.gap_m[cells[row]])]]
        starts = np.flatnonzero(np.diff(values, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
            fill = CELL_COLOURS[values[start]]
            x, y, width = left + 5 * start, top + 7 * (17 - lateral), 5 * (end - start)
            out.append(f'<rect x="{x}" y="{y}" width="{width}" height="7" fill="{fill}"/>')
    return out


def write_svg(name: str, width: int, height: int, drawing: list[str]) -> None:
    """Writes one drawing on white."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    body = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    (FOLDER / f"{name}.svg").write_text("\n".join([head, body, *drawing, "</svg>"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    latency_figure()
    agreement_figure()
