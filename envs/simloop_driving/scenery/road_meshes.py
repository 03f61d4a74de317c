"""Meshes of the carriageway: lanes, junctions, markings, kerbs, delineator posts.

Marking sizes are those of the German rules (RMS: wide edge line 0.30 m on motorways; broken lines 3 m with 6 m gaps,
the shortest of the three patterns, so that a small picture always shows several dashes; stop line 0.50 m); posts stand
every 50 m outside towns. All markings are white.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.spatial

from simloop.rendering import Mesh
from simloop_driving.roads.road_map import (
    DRIVING,
    LANE_KINDS,
    SHOULDER,
    STOP_SIGN,
    TRAFFIC_LIGHT,
    RoadMap,
)
from simloop_driving.scenery import semantics
from simloop_driving.scenery.triangle_soup import Rgb, TriangleSoup

FloatArray = npt.NDArray[np.float64]

_PARKING, _SIDEWALK, _BIKING = (LANE_KINDS.index(kind) for kind in ("parking", "sidewalk", "biking"))

ASPHALT: Rgb = (0.33, 0.33, 0.35)
MARKING: Rgb = (1.0, 1.0, 0.98)
_SURFACES: dict[int, tuple[Rgb, int]] = {
    DRIVING: (ASPHALT, semantics.ROAD),
    SHOULDER: ((0.40, 0.39, 0.38), semantics.SHOULDER),
    _PARKING: ((0.37, 0.36, 0.36), semantics.PARKING),
    _SIDEWALK: ((0.58, 0.56, 0.53), semantics.SIDEWALK),
    _BIKING: ((0.52, 0.27, 0.24), semantics.BIKING),
}
_KERB: Rgb = (0.70, 0.69, 0.66)
_POST: Rgb = (0.95, 0.95, 0.95)
_POST_BAND: Rgb = (0.05, 0.05, 0.05)

KERB_HEIGHT_M = 0.12
_MARKING_WIDTH_M, _NARROW_MARKING_WIDTH_M = 0.20, 0.15
_EDGE_WIDTH_M, _NARROW_EDGE_WIDTH_M = 0.30, 0.15
STOP_LINE_M = 0.5
_YIELD_BLOCK_M, _YIELD_GAP_M = 0.5, 0.25
_DASH_M, _DASH_PERIOD_M = 3.0, 9.0
_POST_PERIOD_M, _POST_OFFSET_M = 50.0, 0.5
_MAX_SEGMENT_M, _MAX_TURN_RAD = 6.0, 0.02
_MARKING_HEIGHT_M = 0.015
_JUNCTION_HEIGHT_M = -0.02  # below the lanes that cross it
_OVERLAP_M = 0.05  # neighbouring lanes are cut at different places; without it the ground shows through
_LARGEST_GAP_M = 2.0
_CELL_M = 40.0
_SMALLEST_MARKED_M = 0.5  # narrower pieces of a lane have no markings
_SOLID_CURVATURE_PER_M = 1.0 / 150.0
_SOLID_BEFORE_JUNCTION_M = 20.0
_FAST_JUNCTION_MPS = 70.0 / 3.6
"""Junctions with a higher speed limit are ramps: their lanes keep their markings."""


def road_meshes(road_map: RoadMap) -> list[Mesh]:
    """Makes the roads of a map, cut into square cells so that far parts are culled.

    Driving lanes are divided by broken lines and bounded by solid ones or kerbs; posts stand beside the outermost lanes
    outside towns.
    """
    soup = TriangleSoup()
    for junction in np.unique(road_map.lane_junction_id[road_map.lane_junction_id >= 0]):
        _add_junction(soup, road_map, int(junction))
    for lane in range(road_map.num_lanes):
        line = LaneLine(road_map, lane)
        kind = int(road_map.lane_kind[lane])
        colour, semantic = _SURFACES[kind]
        height_m = KERB_HEIGHT_M if kind == _SIDEWALK else 0.0
        s_m = line.sections
        half_m = 0.5 * line.width_at(s_m)
        if kind == _SIDEWALK:
            _add_sidewalk(soup, line, s_m, half_m)
        else:
            soup.add_strip(
                line.points(s_m, half_m + _OVERLAP_M, height_m),
                line.points(s_m, -half_m - _OVERLAP_M, height_m),
                colour,
                semantic,
            )
        for side in (1.0, -1.0):
            _add_border(soup, road_map, line, s_m, half_m, side)
    _add_stop_lines(soup, road_map)
    return soup.cell_meshes(_CELL_M)


class LaneLine:
    """A lane's centre line, run on to the beginning of the lane behind it."""

    def __init__(self, road_map: RoadMap, lane: int) -> None:
        samples = road_map.samples(lane)
        self.lane = lane
        self.s_m = road_map.s_m[samples]
        self._x_m, self._y_m = road_map.x_m[samples], road_map.y_m[samples]
        self._yaw_rad, self._width_m = road_map.yaw_rad[samples], road_map.width_m[samples]
        self.curvature_per_m = road_map.curvature_per_m[samples]
        successors = road_map.successors(lane)
        if len(successors) == 0:
            return
        first = int(road_map.lane_start[successors[0]])
        gap_m = math.hypot(road_map.x_m[first] - self._x_m[-1], road_map.y_m[first] - self._y_m[-1])
        if not 1e-3 < gap_m < _LARGEST_GAP_M:
            return
        turn = road_map.yaw_rad[first] - self._yaw_rad[-1]
        turn -= 2.0 * math.pi * round(turn / (2.0 * math.pi))
        self.s_m = np.append(self.s_m, self.s_m[-1] + gap_m)
        self._x_m = np.append(self._x_m, road_map.x_m[first])
        self._y_m = np.append(self._y_m, road_map.y_m[first])
        self._yaw_rad = np.append(self._yaw_rad, self._yaw_rad[-1] + turn)
        self._width_m = np.append(self._width_m, road_map.width_m[first])
        self.curvature_per_m = np.append(self.curvature_per_m, road_map.curvature_per_m[first])

    @property
    def length_m(self) -> float:
        """Arc length."""
        return float(self.s_m[-1])

    @property
    def sections(self) -> FloatArray:
        """Arc lengths at which the lane is cut: short enough for its bends and tapers, longer where it is straight."""
        kept = [0]
        for index in range(1, len(self.s_m)):
            is_long = self.s_m[index] - self.s_m[kept[-1]] >= _MAX_SEGMENT_M
            is_turned = abs(self._yaw_rad[index] - self._yaw_rad[kept[-1]]) >= _MAX_TURN_RAD
            is_wider = abs(self._width_m[index] - self._width_m[kept[-1]]) >= 0.1
            if is_long or is_turned or is_wider or index == len(self.s_m) - 1:
                kept.append(index)
        return self.s_m[kept]

    def width_at(self, s_m: FloatArray) -> FloatArray:
        """Width at arc lengths."""
        return np.interp(s_m, self.s_m, self._width_m)

    def points(self, s_m: FloatArray, offset_m: FloatArray | float, height_m: float) -> FloatArray:
        """(N, 3) points beside the centre line, ``offset_m`` to its left."""
        x = np.interp(s_m, self.s_m, self._x_m)
        y = np.interp(s_m, self.s_m, self._y_m)
        yaw = np.interp(s_m, self.s_m, self._yaw_rad)
        return np.stack(
            [x - offset_m * np.sin(yaw), y + offset_m * np.cos(yaw), np.full_like(x, height_m)], axis=1
        )


def _add_border(
    soup: TriangleSoup, road_map: RoadMap, line: LaneLine, s_m: FloatArray, half_m: FloatArray, side: float
) -> None:
    """Adds what lies along one side of a lane: posts, and the marking that this lane is to draw."""
    lane, kind = line.lane, int(road_map.lane_kind[line.lane])
    neighbour = int((road_map.lane_left if side > 0.0 else road_map.lane_right)[lane])
    opposite = int(road_map.lane_opposite[lane]) if side > 0.0 else -1
    is_in_junction = road_map.lane_junction_id[lane] >= 0
    if is_in_junction and road_map.lane_speed_limit_mps[lane] <= _FAST_JUNCTION_MPS:
        return
    if neighbour < 0 and opposite < 0 and kind in (DRIVING, SHOULDER) and not is_in_junction:
        _add_posts(soup, line, side * (float(half_m[0]) + _POST_OFFSET_M))
    is_wide = 2.0 * half_m >= _SMALLEST_MARKED_M
    if kind != DRIVING or np.count_nonzero(is_wide) < 2:
        return
    s_m, half_m = s_m[is_wide], half_m[is_wide]  # a lane that opens or closes does so at its ends
    if neighbour < 0 and opposite >= 0:
        if lane < opposite:  # both directions share this line; it is drawn once
            _add_centre_line(soup, road_map, line, s_m, half_m)
    elif neighbour < 0 or road_map.lane_kind[neighbour] == SHOULDER:
        _add_edge_line(soup, road_map, line, s_m, half_m, side)
    elif road_map.lane_kind[neighbour] == DRIVING:
        if side > 0.0:
            return  # the neighbour shares this line; it is drawn once
        beside = LaneLine(road_map, neighbour)
        is_open = beside.width_at(s_m * (beside.length_m / line.length_m)) >= _SMALLEST_MARKED_M
        _add_dashes(soup, line, -half_m, s_m, is_open)
        for run in np.split(np.arange(len(s_m)), np.flatnonzero(np.diff(is_open)) + 1):
            if not is_open[run[0]] and len(run) > 1:  # the lane beside is closed here: the road ends
                _add_edge_line(soup, road_map, line, s_m[run], half_m[run], side)
    elif road_map.lane_kind[neighbour] in (_PARKING, _BIKING):
        _add_line(soup, line, s_m, side * half_m, _NARROW_MARKING_WIDTH_M)


def _add_edge_line(
    soup: TriangleSoup, road_map: RoadMap, line: LaneLine, s_m: FloatArray, half_m: FloatArray, side: float
) -> None:
    width_m = _EDGE_WIDTH_M if road_map.lane_opposite[line.lane] < 0 else _NARROW_EDGE_WIDTH_M
    _add_line(soup, line, s_m, side * (half_m - 0.5 * width_m), width_m)


def _add_line(
    soup: TriangleSoup, line: LaneLine, s_m: FloatArray, centre_m: FloatArray | float, width_m: float
) -> None:
    left = line.points(s_m, centre_m + 0.5 * width_m, _MARKING_HEIGHT_M)
    right = line.points(s_m, centre_m - 0.5 * width_m, _MARKING_HEIGHT_M)
    soup.add_strip(left, right, MARKING, semantics.LANE_MARKING)


def _add_dashes(
    soup: TriangleSoup,
    line: LaneLine,
    centre_m: FloatArray,
    centre_s_m: FloatArray,
    is_open: npt.NDArray[np.bool_],
) -> None:
    for start_m in np.arange(0.0, line.length_m - _DASH_M, _DASH_PERIOD_M):
        s_m = np.array([start_m, start_m + _DASH_M])
        if not is_open[np.minimum(np.searchsorted(centre_s_m, s_m), len(is_open) - 1)].all():
            continue
        _add_line(soup, line, s_m, np.interp(s_m, centre_s_m, centre_m), _MARKING_WIDTH_M)


def _add_centre_line(
    soup: TriangleSoup, road_map: RoadMap, line: LaneLine, sections: FloatArray, half_m: FloatArray
) -> None:
    """Adds the line between the directions: broken, but solid in tight bends and before junctions."""
    ahead = road_map.successors(line.lane)
    behind = road_map.successors(int(road_map.lane_opposite[line.lane]))
    ends_at_junction = len(ahead) > 0 and road_map.lane_junction_id[ahead[0]] >= 0
    starts_at_junction = len(behind) > 0 and road_map.lane_junction_id[behind[0]] >= 0
    for start_m in np.arange(0.0, line.length_m, _DASH_PERIOD_M):
        end_m = min(start_m + _DASH_PERIOD_M, line.length_m)
        is_inside = (line.s_m >= start_m) & (line.s_m <= end_m)
        is_solid = (
            bool((np.abs(line.curvature_per_m[is_inside]) > _SOLID_CURVATURE_PER_M).any())
            or (ends_at_junction and end_m > line.length_m - _SOLID_BEFORE_JUNCTION_M)
            or (starts_at_junction and start_m < _SOLID_BEFORE_JUNCTION_M)
        )
        if not is_solid:
            end_m = min(start_m + _DASH_M, line.length_m)
        between = sections[(sections > start_m) & (sections < end_m)]
        s_m = np.concatenate([[start_m], between, [end_m]])
        _add_line(soup, line, s_m, np.interp(s_m, sections, half_m), _NARROW_MARKING_WIDTH_M)


def _add_stop_lines(soup: TriangleSoup, road_map: RoadMap) -> None:
    """Adds stop lines: solid bars at lights and stop signs, broken ones where drivers give way."""
    done: set[tuple[int, float]] = set()
    for lane, at_m, signal in zip(road_map.stop_lane, road_map.stop_s_m, road_map.stop_signal, strict=True):
        if (int(lane), float(at_m)) in done:
            continue
        done.add((int(lane), float(at_m)))
        line = LaneLine(road_map, int(lane))
        s_m = np.array([at_m, min(at_m + STOP_LINE_M, line.length_m)])
        half_m = 0.5 * float(line.width_at(s_m[:1])[0])
        if road_map.signal_kind[signal] in (TRAFFIC_LIGHT, STOP_SIGN):
            _add_line(soup, line, s_m, 0.0, 2.0 * half_m - _NARROW_MARKING_WIDTH_M)
            continue
        period_m = _YIELD_BLOCK_M + _YIELD_GAP_M
        for left_m in np.arange(half_m - 0.5 * _YIELD_GAP_M, -half_m + 0.5 * _YIELD_BLOCK_M, -period_m):
            _add_line(soup, line, s_m, left_m - 0.5 * _YIELD_BLOCK_M, _YIELD_BLOCK_M)


def _add_posts(soup: TriangleSoup, line: LaneLine, offset_m: float) -> None:
    s_m = np.arange(0.0, line.length_m, _POST_PERIOD_M)
    for x, y, _ in line.points(s_m, offset_m, 0.0):
        for bottom, top, colour in ((0.0, 0.7, _POST), (0.7, 0.85, _POST_BAND), (0.85, 1.0, _POST)):
            soup.add_box(
                (x - 0.06, y - 0.06, bottom), (x + 0.06, y + 0.06, top), colour, semantic=semantics.POLE
            )


def _add_sidewalk(soup: TriangleSoup, line: LaneLine, s_m: FloatArray, half_m: FloatArray) -> None:
    """Adds a raised strip with a kerb along both sides."""
    colour, semantic = _SURFACES[_SIDEWALK]
    left, right = (line.points(s_m, side * half_m, KERB_HEIGHT_M) for side in (1.0, -1.0))
    soup.add_strip(left, right, colour, semantic)
    down = np.array([0.0, 0.0, -KERB_HEIGHT_M - 0.02])
    soup.add_strip(left + down, left, _KERB, semantic)
    soup.add_strip(right, right + down, _KERB, semantic)


def _add_junction(soup: TriangleSoup, road_map: RoadMap, junction: int) -> None:
    """Adds the asphalt between the lanes of a crossing: their convex hull, a little below them."""
    lanes = np.flatnonzero((road_map.lane_junction_id == junction) & (road_map.lane_kind == DRIVING))
    if len(lanes) < 2 or float(road_map.lane_speed_limit_mps[lanes].max()) > _FAST_JUNCTION_MPS:
        return
    corners = []
    for lane in lanes:
        line = LaneLine(road_map, int(lane))
        half_m = 0.5 * line.width_at(line.s_m)
        corners += [line.points(line.s_m, side * half_m, _JUNCTION_HEIGHT_M) for side in (1.0, -1.0)]
    points = np.concatenate(corners)
    ring = points[scipy.spatial.ConvexHull(points[:, :2]).vertices]  # counter-clockwise
    middle = np.broadcast_to(ring.mean(axis=0), ring.shape)
    soup.add(np.stack([middle, ring, np.roll(ring, -1, axis=0)], axis=1), ASPHALT, semantics.ROAD)
