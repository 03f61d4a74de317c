"""Draws the pictures of docs/maps.md: ``python docs/images/map_figures.py`` (a few seconds).

Each picture shows the sampled arrays of a shipped map, as the world uses them: ``map_NAME.svg``, and close-ups of a
junction of the town, of the on-ramp of ``merge`` and of the ring of ``roundabout``. With the path of an OpenDRIVE
file, ``python docs/images/map_figures.py my_town.xodr``, it draws that map into ``my_town.svg`` instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from simloop_driving.roads.map_files import load_map
from simloop_driving.roads.road_map import DRIVING, LANE_KINDS, SIGNAL_KINDS, RoadMap

FloatArray = npt.NDArray[np.float64]
Points = Callable[[npt.ArrayLike], str]
Window = tuple[float, float, float, float]

FOLDER = Path(__file__).parent
LANE_COLOURS = {
    "driving": "#9aa0a6",
    "shoulder": "#d5d7da",
    "parking": "#a9b8d6",
    "sidewalk": "#e4d8c0",
    "biking": "#d6b3b3",
}
SIGNAL_COLOURS = {"traffic_light": "#2a7f3f", "stop": "#c62828", "yield": "#e08a00"}
STYLE = "<style>text{font-family:sans-serif;fill:#222}.h{paint-order:stroke;stroke:#fff}</style>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: a map, what part of it, and how large.

    Attributes:
        name: Name of the file.
        map_name: Name of a shipped map, or path of a file.
        window: x and y limits in metres: left, right, bottom, top; None for all.
        width_px: Width of the picture.
        label_px: Height of the road numbers, 0 for none.
        label_side: 1 for numbers to the left of their road, -1 to its right.
        other_side: Roads with the number on the other side.
        tolerance_m: How far an outline may be simplified.
    """

    name: str
    map_name: str
    window: Window | None = None
    width_px: int = 900
    label_px: float = 11.0
    label_side: int = -1
    other_side: tuple[int, ...] = ()
    tolerance_m: float = 0.1


PICTURES = (
    Picture(name="map_highway", map_name="highway", label_side=1, tolerance_m=0.5),
    Picture(name="map_merge", map_name="merge", label_side=1, other_side=(11, 12), tolerance_m=0.3),
    Picture(name="map_merge_on_ramp", map_name="merge", window=(540.0, 760.0, -45.0, 20.0), tolerance_m=0.03),
    Picture(name="map_town", map_name="town"),
    Picture(
        name="map_town_junction",
        map_name="town",
        window=(110.0, 190.0, 115.0, 185.0),
        label_px=13.0,
        tolerance_m=0.02,
    ),
    Picture(name="map_rural", map_name="rural", label_side=1, other_side=(4,), tolerance_m=0.3),
    Picture(
        name="map_roundabout",
        map_name="roundabout",
        window=(-60.0, 60.0, -50.0, 50.0),
        label_px=13.0,
        tolerance_m=0.03,
    ),
)


def lane_edges(road_map: RoadMap, lane: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns the left edge, the centre and the right edge of a lane, led on to where its successor begins."""
    part = road_map.samples(lane)
    index = np.arange(part.start, part.stop)
    ahead = [to for to in road_map.successors(lane) if road_map.lane_kind[to] == road_map.lane_kind[lane]]
    if ahead:
        index = np.append(index, road_map.lane_start[ahead[0]])
    yaw = road_map.yaw_rad[index]
    centre = np.stack([road_map.x_m[index], road_map.y_m[index]], axis=1)
    half = 0.5 * road_map.width_m[index, None] * np.stack([-np.sin(yaw), np.cos(yaw)], axis=1)
    return centre + half, centre, centre - half


def draw(picture: Picture) -> str:
    """Returns a picture as SVG."""
    road_map = load_map(picture.map_name)
    left, right, bottom, top = picture.window or _extent(road_map)
    scale = picture.width_px / (right - left)
    window = shapely.box(left, bottom, right, top)

    def points(line: npt.ArrayLike) -> str:
        return " ".join(
            f"{(x - left) * scale:.1f},{(top - y) * scale:.1f}" for x, y in np.asarray(line, dtype=np.float64)
        )

    parts: list[str] = []
    order = sorted(range(road_map.num_lanes), key=lambda lane: (road_map.lane_kind[lane] == DRIVING, lane))
    for lane in order:
        left_edge, _, right_edge = lane_edges(road_map, lane)
        area = shapely.Polygon(np.concatenate([left_edge, right_edge[::-1]])).buffer(0).intersection(window)
        colour = LANE_COLOURS[LANE_KINDS[road_map.lane_kind[lane]]]
        for piece in shapely.get_parts(area.simplify(picture.tolerance_m)):
            if piece.geom_type == "Polygon" and not piece.is_empty:
                parts.append(f'<polygon points="{points(piece.exterior.coords)}" fill="{colour}"/>')
    for lane in order:
        left_edge, centre, right_edge = lane_edges(road_map, lane)
        if road_map.lane_kind[lane] == DRIVING:
            is_crossing = road_map.lane_junction_id[lane] >= 0
            if not is_crossing:
                parts += _lines(left_edge, window, picture, points, "#fff", 0.7)
                parts += _lines(right_edge, window, picture, points, "#fff", 0.7)
            parts += _lines(centre, window, picture, points, "#b5420f" if is_crossing else "#1f5fa5", 0.9)
    parts += _stop_lines(road_map, window, points)
    parts += _signals(road_map, window, points)
    if picture.label_px:
        parts += _labels(road_map, picture, (left, right, bottom, top), points)
    parts += _scale_bar(picture, scale, (top - bottom) * scale)
    size = f"{picture.width_px} {(top - bottom) * scale:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" '
        f'aria-label="Map {picture.map_name} from above">{STYLE}'
        f'<rect width="100%" height="100%" fill="#f4f6f2"/>{"".join(parts)}</svg>\n'
    )


def _extent(road_map: RoadMap) -> Window:
    margin = 0.04 * max(np.ptp(road_map.x_m), np.ptp(road_map.y_m)) + 15.0
    return (
        float(road_map.x_m.min() - margin),
        float(road_map.x_m.max() + margin),
        float(road_map.y_m.min() - margin),
        float(road_map.y_m.max() + margin),
    )


def _lines(
    line: FloatArray, window: shapely.Polygon, picture: Picture, points: Points, colour: str, width_px: float
) -> list[str]:
    cut = shapely.LineString(line).simplify(picture.tolerance_m).intersection(window)
    return [
        f'<polyline points="{points(piece.coords)}" fill="none" stroke="{colour}" stroke-width="{width_px}"/>'
        for piece in shapely.get_parts(cut)
        if piece.geom_type == "LineString" and not piece.is_empty
    ]


def _stop_lines(road_map: RoadMap, window: shapely.Polygon, points: Points) -> list[str]:
    parts = []
    for lane, s_m in zip(road_map.stop_lane, road_map.stop_s_m, strict=True):
        part = road_map.samples(int(lane))
        s = np.minimum(s_m, road_map.s_m[part][-1])
        x, y, yaw, width = (
            float(np.interp(s, road_map.s_m[part], values[part]))
            for values in (road_map.x_m, road_map.y_m, road_map.yaw_rad, road_map.width_m)
        )
        beyond, half = s_m - s, 0.45 * width
        x, y = x + beyond * np.cos(yaw), y + beyond * np.sin(yaw)
        if window.contains(shapely.Point(x, y)):
            ends = [(x - side * half * np.sin(yaw), y + side * half * np.cos(yaw)) for side in (-1.0, 1.0)]
            parts.append(f'<polyline points="{points(ends)}" stroke="#111" stroke-width="2.5"/>')
    return parts


def _signals(road_map: RoadMap, window: shapely.Polygon, points: Points) -> list[str]:
    parts = []
    for k, kind in enumerate(road_map.signal_kind):
        x, y, yaw = (float(v[k]) for v in (road_map.signal_x_m, road_map.signal_y_m, road_map.signal_yaw_rad))
        if window.contains(shapely.Point(x, y)):
            colour = SIGNAL_COLOURS[SIGNAL_KINDS[kind]]
            looks = [(x, y), (x + 3.0 * np.cos(yaw), y + 3.0 * np.sin(yaw))]
            cx, cy = points([(x, y)]).split(",")
            parts.append(f'<polyline points="{points(looks)}" stroke="{colour}" stroke-width="1.5"/>')
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>')
    return parts


def _labels(road_map: RoadMap, picture: Picture, window: Window, points: Points) -> list[str]:
    """Road numbers beside the middle of the visible part of each road outside junctions."""
    left, right, bottom, top = window
    parts = []
    for road in sorted({int(r) for r in road_map.lane_road_id[road_map.lane_junction_id < 0]}):
        lane = int(np.flatnonzero((road_map.lane_road_id == road) & (road_map.lane_kind == DRIVING))[-1])
        part = road_map.samples(lane)
        x, y, yaw = road_map.x_m[part], road_map.y_m[part], road_map.yaw_rad[part]
        seen = np.flatnonzero((x > left) & (x < right) & (y > bottom) & (y < top))
        if len(seen) == 0:
            continue
        i = int(seen[len(seen) // 2])
        away = (14.0 + picture.label_px) * (right - left) / picture.width_px
        away *= -picture.label_side if road in picture.other_side else picture.label_side
        place = (x[i] - away * np.sin(yaw[i]), y[i] + away * np.cos(yaw[i]))
        px, py = points([place]).split(",")
        parts.append(
            f'<text class="h" x="{px}" y="{py}" font-size="{picture.label_px}" stroke-width="3" '
            f'text-anchor="middle" dominant-baseline="middle">{road}</text>'
        )
    return parts


def _scale_bar(picture: Picture, scale: float, height_px: float) -> list[str]:
    length_m = next(m for m in (500, 200, 100, 50, 20, 10) if m * scale < 0.2 * picture.width_px)
    y = height_px - 12
    return [
        f'<line x1="12" x2="{12 + length_m * scale:.1f}" y1="{y:.0f}" y2="{y:.0f}" stroke="#222" stroke-width="2"/>',
        f'<text x="{18 + length_m * scale:.1f}" y="{y + 4:.0f}" font-size="11">{length_m} m</text>',
    ]


def main(path: str | None) -> None:
    """Writes all pictures beside this file, or that of a map file into the working directory."""
    if path is not None:
        name = Path(path).stem
        Path(f"{name}.svg").write_text(draw(Picture(name=name, map_name=path)), encoding="utf-8")
        return
    for picture in PICTURES:
        (FOLDER / f"{picture.name}.svg").write_text(draw(picture), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
