"""Meshes that the driving camera sees: carriageway with markings, delineator posts, vehicles.

Marking sizes are those of the German rules (RMS: wide edge line 0.30 m; broken lines 3 m with 6 m gaps, the shortest
of the three patterns, so that a small picture always shows several dashes); posts stand every 50 m. Vehicle meshes
fill the unit box x in -0.5..0.5 (forward), y in -0.5..0.5 (left), z in 0..1 and are scaled to a vehicle's length,
width and height.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from simloop.rendering import Mesh
from simloop_driving.roads.road_map import DRIVING, RoadMap

FloatArray = npt.NDArray[np.float64]
Rgb = tuple[float, float, float]

ASPHALT: Rgb = (0.33, 0.33, 0.35)
SHOULDER_ASPHALT: Rgb = (0.40, 0.39, 0.38)
MARKING: Rgb = (1.0, 1.0, 0.98)
_POST: Rgb = (0.95, 0.95, 0.95)
_POST_BAND: Rgb = (0.05, 0.05, 0.05)
_GLASS: Rgb = (0.07, 0.09, 0.12)
_RUBBER: Rgb = (0.05, 0.05, 0.05)
_SHADOW: Rgb = (0.10, 0.10, 0.11)
_PLATE: Rgb = (0.85, 0.85, 0.80)
_TROUSERS: Rgb = (0.16, 0.17, 0.22)
_SKIN: Rgb = (0.80, 0.60, 0.48)
_HEADLAMP: Rgb = (0.95, 0.95, 0.85)
_WARNING_RED: Rgb = (0.80, 0.06, 0.06)
_ORANGE: Rgb = (0.95, 0.38, 0.05)

_MARKING_WIDTH_M = 0.20
_EDGE_WIDTH_M = 0.30
_DASH_M, _DASH_PERIOD_M = 3.0, 9.0
_POST_PERIOD_M, _POST_OFFSET_M = 50.0, 0.5
_MAX_SEGMENT_M, _MAX_TURN_RAD = 6.0, 0.02
_MARKING_HEIGHT_M = 0.015
_OVERLAP_M = 0.05  # neighbouring lanes are cut at different places; without it the ground shows through
_CELL_M = 40.0

_BOX_CORNERS = np.array([(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)])
# Two faces each: bottom, top, rear, front, right, left; counter-clockwise from outside.
_BOX_QUADS = np.array([(0, 2, 3, 1), (4, 5, 7, 6), (0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3)])
_BOX_FACES = _BOX_QUADS[:, [[0, 1, 2], [0, 2, 3]]].reshape(12, 3)


class TriangleSoup:
    """Collects coloured triangles; makes one mesh, or one for each square cell of the ground."""

    def __init__(self) -> None:
        self._triangles: list[FloatArray] = []
        self._colours: list[FloatArray] = []

    def add(self, triangles_m: FloatArray, colour_rgb: Rgb | FloatArray) -> None:
        """Adds (T, 3, 3) triangles of one colour or (T, 3) colours."""
        self._triangles.append(triangles_m)
        self._colours.append(np.broadcast_to(np.asarray(colour_rgb, dtype=np.float64), (len(triangles_m), 3)))

    def add_strip(self, left_m: FloatArray, right_m: FloatArray, colour_rgb: Rgb) -> None:
        """Adds the strip between two (N, 3) lines that run the same way, seen from above."""
        first = np.stack([right_m[:-1], right_m[1:], left_m[1:]], axis=1)
        second = np.stack([right_m[:-1], left_m[1:], left_m[:-1]], axis=1)
        self.add(np.concatenate([first, second]), colour_rgb)

    def add_box(
        self,
        low: Sequence[float],
        high: Sequence[float],
        colour_rgb: Rgb,
        *,
        top_low: Sequence[float] | None = None,
        top_high: Sequence[float] | None = None,
        top_rgb: Rgb | None = None,
    ) -> None:
        """Adds a box from ``low`` to ``high`` (3,), or a frustum whose top has its own x and y bounds (2,)."""
        low_array, high_array = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        corners = low_array + _BOX_CORNERS * (high_array - low_array)
        if top_low is not None and top_high is not None:
            span = np.asarray(top_high) - np.asarray(top_low)
            corners[4:, :2] = np.asarray(top_low) + _BOX_CORNERS[4:, :2] * span
        colours = np.tile(np.asarray(colour_rgb, dtype=np.float64), (12, 1))
        if top_rgb is not None:
            colours[2:4] = top_rgb
        self.add(corners[_BOX_FACES], colours)

    def mesh(self, *, is_emissive: bool = False) -> Mesh:
        """Makes one mesh of all triangles."""
        return _mesh(np.concatenate(self._triangles), np.concatenate(self._colours), is_emissive=is_emissive)

    def cell_meshes(self, cell_m: float) -> list[Mesh]:
        """Makes one mesh for each square cell that holds the centre of a triangle, in the order of the cells."""
        triangles, colours = np.concatenate(self._triangles), np.concatenate(self._colours)
        cells = np.floor(triangles.mean(axis=1)[:, :2] / cell_m).astype(np.int64)
        _, cell = np.unique(cells, axis=0, return_inverse=True)
        cell = cell.ravel()
        order = np.argsort(cell, kind="stable")
        borders = np.flatnonzero(np.diff(cell[order])) + 1
        return [_mesh(triangles[rows], colours[rows]) for rows in np.split(order, borders)]


def _mesh(triangles_m: FloatArray, colours_rgb: FloatArray, *, is_emissive: bool = False) -> Mesh:
    vertices, faces = np.unique(triangles_m.reshape(-1, 3), axis=0, return_inverse=True)
    return Mesh(vertices, faces.reshape(-1, 3), colours_rgb, is_emissive=is_emissive)


def road_meshes(road_map: RoadMap) -> list[Mesh]:
    """Makes the carriageway of a map, cut into square cells so that far parts are culled.

    Driving lanes are divided by broken lines and bounded by solid ones; posts stand beside the outermost lanes.
    """
    soup = TriangleSoup()
    for lane in range(road_map.num_lanes):
        is_driving = road_map.lane_kind[lane] == DRIVING
        s_m = _sections(road_map, lane)
        half_m = 0.5 * float(road_map.width_m[road_map.lane_start[lane]])
        soup.add_strip(
            _lane_line(road_map, lane, s_m, half_m + _OVERLAP_M, 0.0),
            _lane_line(road_map, lane, s_m, -half_m - _OVERLAP_M, 0.0),
            ASPHALT if is_driving else SHOULDER_ASPHALT,
        )
        for side, neighbour in ((1.0, road_map.lane_left[lane]), (-1.0, road_map.lane_right[lane])):
            if neighbour < 0:
                _add_posts(soup, road_map, lane, side * (half_m + _POST_OFFSET_M))
            if not is_driving:
                continue
            if neighbour >= 0 and road_map.lane_kind[neighbour] == DRIVING:
                if side < 0.0:  # the neighbour to the right shares this line; it is drawn once
                    _add_dashes(soup, road_map, lane, -half_m)
            else:
                centre_m = side * (half_m - 0.5 * _EDGE_WIDTH_M)
                _add_line(soup, road_map, lane, s_m, centre_m, _EDGE_WIDTH_M)
    return soup.cell_meshes(_CELL_M)


def _sections(road_map: RoadMap, lane: int) -> FloatArray:
    """Arc lengths at which a lane is cut: short enough for its bends, longer where it is straight."""
    samples = road_map.samples(lane)
    s_m, yaw_rad = road_map.s_m[samples], road_map.yaw_rad[samples]
    kept = [0]
    for index in range(1, len(s_m)):
        is_long = s_m[index] - s_m[kept[-1]] >= _MAX_SEGMENT_M
        if is_long or abs(yaw_rad[index] - yaw_rad[kept[-1]]) >= _MAX_TURN_RAD or index == len(s_m) - 1:
            kept.append(index)
    return s_m[kept]


def _lane_line(road_map: RoadMap, lane: int, s_m: FloatArray, offset_m: float, height_m: float) -> FloatArray:
    """(N, 3) points beside a lane's centre line, ``offset_m`` to its left."""
    samples = road_map.samples(lane)
    lane_s_m = road_map.s_m[samples]
    x = np.interp(s_m, lane_s_m, road_map.x_m[samples])
    y = np.interp(s_m, lane_s_m, road_map.y_m[samples])
    yaw = np.interp(s_m, lane_s_m, road_map.yaw_rad[samples])
    return np.stack(
        [x - offset_m * np.sin(yaw), y + offset_m * np.cos(yaw), np.full_like(x, height_m)], axis=1
    )


def _add_line(
    soup: TriangleSoup, road_map: RoadMap, lane: int, s_m: FloatArray, centre_m: float, width_m: float
) -> None:
    left = _lane_line(road_map, lane, s_m, centre_m + 0.5 * width_m, _MARKING_HEIGHT_M)
    right = _lane_line(road_map, lane, s_m, centre_m - 0.5 * width_m, _MARKING_HEIGHT_M)
    soup.add_strip(left, right, MARKING)


def _add_dashes(soup: TriangleSoup, road_map: RoadMap, lane: int, centre_m: float) -> None:
    for start_m in np.arange(0.0, road_map.length_m(lane) - _DASH_M, _DASH_PERIOD_M):
        s_m = np.array([start_m, start_m + _DASH_M])
        _add_line(soup, road_map, lane, s_m, centre_m, _MARKING_WIDTH_M)


def _add_posts(soup: TriangleSoup, road_map: RoadMap, lane: int, offset_m: float) -> None:
    s_m = np.arange(0.0, road_map.length_m(lane), _POST_PERIOD_M)
    for x, y, _ in _lane_line(road_map, lane, s_m, offset_m, 0.0):
        for bottom, top, colour in ((0.0, 0.7, _POST), (0.7, 0.85, _POST_BAND), (0.85, 1.0, _POST)):
            soup.add_box((x - 0.06, y - 0.06, bottom), (x + 0.06, y + 0.06, top), colour)


def _add_wheels(soup: TriangleSoup, axles: Sequence[float], length_share: float, height: float) -> None:
    for axle in axles:
        for side in (-0.5, 0.36):
            soup.add_box(
                (axle - 0.5 * length_share, side, 0.0),
                (axle + 0.5 * length_share, side + 0.14, height),
                _RUBBER,
            )


def _add_shadow(soup: TriangleSoup) -> None:
    corners = np.array([[-0.52, -0.55, 0.02], [0.52, -0.55, 0.02], [0.52, 0.55, 0.02], [-0.52, 0.55, 0.02]])
    soup.add(corners[np.array([[0, 1, 2], [0, 2, 3]])], _SHADOW)


@functools.cache
def car_mesh(paint_rgb: Rgb) -> Mesh:
    """A saloon in the unit box: body, dark windows under a painted roof, wheels, lamps' housings, plate, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    _add_wheels(soup, (-0.30, 0.31), 0.14, 0.44)
    soup.add_box(
        (-0.5, -0.5, 0.16), (0.5, 0.5, 0.62), paint_rgb, top_low=(-0.48, -0.46), top_high=(0.46, 0.46)
    )
    soup.add_box(
        (-0.44, -0.45, 0.62),
        (0.22, 0.45, 0.98),
        _GLASS,
        top_low=(-0.31, -0.37),
        top_high=(0.05, 0.37),
    )
    soup.add_box((-0.31, -0.38, 0.96), (0.05, 0.38, 1.0), paint_rgb)
    soup.add_box((-0.505, -0.42, 0.16), (-0.49, 0.42, 0.30), _RUBBER)
    soup.add_box((-0.507, -0.14, 0.32), (-0.49, 0.14, 0.40), _PLATE)
    for side in (-0.45, 0.25):
        soup.add_box((0.47, side, 0.42), (0.505, side + 0.2, 0.54), _HEADLAMP)
    return soup.mesh()


@functools.cache
def truck_mesh(paint_rgb: Rgb) -> Mesh:
    """A box truck in the unit box: painted cab, light box body, wheels, plate, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    _add_wheels(soup, (-0.38, -0.27, 0.36), 0.09, 0.27)
    soup.add_box((-0.5, -0.40, 0.14), (0.5, 0.40, 0.28), _RUBBER)
    soup.add_box((-0.5, -0.5, 0.28), (0.30, 0.5, 1.0), (0.86, 0.86, 0.84))
    soup.add_box((0.32, -0.48, 0.14), (0.5, 0.48, 0.80), paint_rgb)
    soup.add_box((0.46, -0.44, 0.48), (0.503, 0.44, 0.72), _GLASS)
    soup.add_box((-0.503, -0.12, 0.17), (-0.49, 0.12, 0.22), _PLATE)
    return soup.mesh()


def _add_rider(soup: TriangleSoup, paint_rgb: Rgb, seat: float) -> None:
    """Adds somebody who sits at a height of ``seat``: legs, a painted jacket, arms, a head."""
    soup.add_box((-0.12, -0.32, 0.35 * seat), (0.08, 0.32, seat), _TROUSERS)
    soup.add_box((-0.16, -0.34, seat), (0.06, 0.34, 0.86), paint_rgb)
    soup.add_box((0.04, -0.46, 0.66), (0.26, 0.46, 0.74), paint_rgb)
    soup.add_box((-0.08, -0.16, 0.86), (0.06, 0.16, 1.0), _SKIN)


@functools.cache
def motorcycle_mesh(paint_rgb: Rgb) -> Mesh:
    """A motorcycle with rider in the unit box: two wheels, painted tank and jacket, plate, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for axle in (-0.34, 0.34):
        soup.add_box((axle - 0.16, -0.12, 0.0), (axle + 0.16, 0.12, 0.40), _RUBBER)
    soup.add_box(
        (-0.42, -0.26, 0.22), (0.36, 0.26, 0.52), _RUBBER, top_low=(-0.34, -0.2), top_high=(0.24, 0.2)
    )
    soup.add_box((0.02, -0.22, 0.48), (0.30, 0.22, 0.64), paint_rgb)
    soup.add_box((-0.505, -0.14, 0.34), (-0.46, 0.14, 0.44), _PLATE)
    soup.add_box((0.40, -0.16, 0.48), (0.50, 0.16, 0.62), _HEADLAMP)
    _add_rider(soup, paint_rgb, 0.50)
    return soup.mesh()


@functools.cache
def bicycle_mesh(paint_rgb: Rgb) -> Mesh:
    """A bicycle with rider in the unit box: two thin wheels, frame, painted jacket, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for axle in (-0.30, 0.30):
        soup.add_box((axle - 0.20, -0.05, 0.0), (axle + 0.20, 0.05, 0.38), _RUBBER)
    soup.add_box((-0.30, -0.06, 0.30), (0.30, 0.06, 0.46), _POST)
    soup.add_box((0.22, -0.5, 0.56), (0.30, 0.5, 0.60), _RUBBER)
    _add_rider(soup, paint_rgb, 0.52)
    return soup.mesh()


@functools.cache
def pedestrian_mesh(paint_rgb: Rgb) -> Mesh:
    """Somebody on foot in the unit box: two legs, a painted jacket with arms, a head, shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for side, stride in ((-0.30, 0.12), (0.06, -0.12)):
        soup.add_box((stride - 0.22, side, 0.0), (stride + 0.22, side + 0.24, 0.48), _TROUSERS)
    soup.add_box((-0.24, -0.36, 0.48), (0.24, 0.36, 0.84), paint_rgb)
    for side in (-0.5, 0.36):
        soup.add_box((-0.16, side, 0.46), (0.16, side + 0.14, 0.82), paint_rgb)
    soup.add_box((-0.2, -0.17, 0.84), (0.2, 0.17, 1.0), _SKIN)
    return soup.mesh()


@functools.cache
def door_mesh(paint_rgb: Rgb) -> Mesh:
    """An opened car door in the unit box: painted panel, window in a frame."""
    soup = TriangleSoup()
    soup.add_box((-0.5, -0.5, 0.0), (0.5, 0.5, 0.55), paint_rgb)
    soup.add_box((-0.42, -0.5, 0.55), (0.42, 0.5, 0.94), _GLASS)
    soup.add_box((-0.5, -0.5, 0.94), (0.5, 0.5, 1.0), paint_rgb)
    return soup.mesh()


@functools.cache
def barrier_mesh(paint_rgb: Rgb) -> Mesh:
    """A road-works barrier in the unit box: two feet, a board in red and white, whatever the paint; shadow."""
    soup = TriangleSoup()
    _add_shadow(soup)
    for side in (-0.42, 0.34):
        soup.add_box((-0.5, side, 0.0), (0.5, side + 0.08, 0.12), _RUBBER)
        soup.add_box((-0.06, side, 0.12), (0.06, side + 0.08, 1.0), _POST)
    for bottom in (0.30, 0.72):
        for strip in range(10):
            left = -0.5 + 0.1 * strip
            colour = _WARNING_RED if strip % 2 else _POST
            soup.add_box((-0.10, left, bottom), (0.10, left + 0.1, bottom + 0.25), colour)
    return soup.mesh()


@functools.cache
def cone_mesh(paint_rgb: Rgb) -> Mesh:
    """A traffic cone in the unit box: foot, orange cone with a white band, whatever the paint."""
    soup = TriangleSoup()
    soup.add_box((-0.5, -0.5, 0.0), (0.5, 0.5, 0.06), _RUBBER)
    for bottom, top, colour in ((0.06, 0.45, _ORANGE), (0.45, 0.72, _POST), (0.72, 1.0, _ORANGE)):
        half, top_half = 0.36 * (1.0 - 0.8 * bottom), 0.36 * (1.0 - 0.8 * top)
        soup.add_box(
            (-half, -half, bottom),
            (half, half, top),
            colour,
            top_low=(-top_half, -top_half),
            top_high=(top_half, top_half),
        )
    return soup.mesh()


_BODIES: dict[str, Callable[[Rgb], Mesh]] = {
    "car": car_mesh,
    "truck": truck_mesh,
    "motorcycle": motorcycle_mesh,
    "bicycle": bicycle_mesh,
    "pedestrian": pedestrian_mesh,
    "door": door_mesh,
    "barrier": barrier_mesh,
    "cone": cone_mesh,
}
# Rear lamps by class: boxes as (x low, y low, z low, x high, y high, z high).
_LAMPS: dict[str, tuple[tuple[float, ...], ...]] = {
    "car": (
        (-0.515, -0.49, 0.42, -0.47, -0.23, 0.60),
        (-0.515, 0.23, 0.42, -0.47, 0.49, 0.60),
        (-0.40, -0.16, 0.86, -0.35, 0.16, 0.93),
    ),
    "truck": ((-0.512, -0.5, 0.16, -0.49, -0.26, 0.25), (-0.512, 0.26, 0.16, -0.49, 0.5, 0.25)),
    "motorcycle": ((-0.515, -0.30, 0.42, -0.46, 0.30, 0.60),),
}
CLASSES_WITH_LAMPS = tuple(_LAMPS)
"""Classes that show brake lamps."""


def body_mesh(actor_class: str, paint_rgb: Rgb) -> Mesh:
    """Returns the body of a class of ``scenario.actor_state.ACTOR_CLASSES``, in the unit box."""
    return _BODIES[actor_class](paint_rgb)


@functools.cache
def tail_lamp_mesh(actor_class: str) -> Mesh:
    """Returns the rear lamps of one of ``CLASSES_WITH_LAMPS``, in the unit box, shown without light.

    Whoever places them sets the colour.
    """
    soup = TriangleSoup()
    for lamp in _LAMPS[actor_class]:
        soup.add_box(lamp[:3], lamp[3:], (1.0, 0.0, 0.0))
    return soup.mesh(is_emissive=True)
