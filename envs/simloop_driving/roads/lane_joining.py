"""Joins the centre lines of lanes into one line, sampled at equal steps of its arc length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop_driving.roads import route as rows
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.roads.route import NUM_ROWS, Route, lane_strip, project_near

FloatArray = npt.NDArray[np.float64]

MIN_CHANGE_M = 10.0
"""Shortest way on which a lane change is planned."""

MIN_CHANGE_WIDTH_M = 2.5
"""Where one of the lanes is narrower (it opens or closes) nobody changes lanes."""

MAX_JOIN_GAP_M = 5.0
"""A lane that begins farther than this from the end of the one before does not continue it."""

_SAME_PLACE_M = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Part of a route: samples at any steps of the arc length, with the rows of ``Route.samples``."""

    along_m: FloatArray
    samples: FloatArray
    lane: npt.NDArray[np.int64]
    lanes: npt.NDArray[np.int64]
    centres_m: FloatArray
    widths_m: FloatArray


def lane_piece(road_map: RoadMap, lane: int) -> Piece:
    """Returns a whole lane."""
    strip = lane_strip(road_map, lane)
    return Piece(
        road_map.s_m[road_map.samples(lane)],
        strip.rows,
        np.full(strip.rows.shape[1], lane),
        strip.lanes,
        strip.lane_centres_m,
        strip.lane_widths_m,
    )


def _quintic(position: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns the smooth step 10 u^3 - 15 u^4 + 6 u^5 from 0 to 1, and its derivative."""
    u = np.clip(position, 0.0, 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u * u), 30.0 * (u * (1.0 - u)) ** 2


def change_piece(
    road_map: RoadMap, group: Sequence[int], begin_m: float, change_length_m: float, at_ratio: float
) -> Piece:
    """Blends the centre lines of lanes that lie side by side; the first lane's samples set the pace."""
    first = lane_strip(road_map, group[0])
    along = road_map.s_m[road_map.samples(group[0])]
    centre = np.stack([first.rows[rows.X_M], first.rows[rows.Y_M]])
    targets = [_beside(road_map, lane, centre) for lane in group[1:]]
    is_wide = (
        np.min([first.rows[rows.WIDTH_M], *(target[2] for target in targets)], axis=0) >= MIN_CHANGE_WIDTH_M
    )
    is_wide &= along >= begin_m
    wide = along[is_wide]
    num_changes = len(targets)
    low_m, high_m = (float(wide[0]), float(wide[-1])) if len(wide) else (begin_m, begin_m)
    share_m = (high_m - low_m) / num_changes
    if share_m < MIN_CHANGE_M:
        raise ConfigurationError(
            f"Map {road_map.name!r}: {num_changes} lane change(s) from lane {road_map.lane_name(group[0])} to lane "
            f"{road_map.lane_name(group[-1])} have {share_m:.1f} m each from station {begin_m:g} m on, where all are "
            f"{MIN_CHANGE_WIDTH_M:g} m wide; allowed: from {MIN_CHANGE_M:g} m. Start earlier, or change lanes on "
            "another road."
        )
    length_m = min(change_length_m, share_m)
    tangent = np.stack([np.cos(first.rows[rows.YAW_RAD]), np.sin(first.rows[rows.YAW_RAD])])
    width = first.rows[rows.WIDTH_M].copy()
    lane = np.full(len(along), group[0])
    before_xy, before_tangent, before_width = centre.copy(), tangent.copy(), width.copy()
    xy, heading = centre.copy(), tangent.copy()
    for number, (target, beside) in enumerate(zip(group[1:], targets, strict=True)):
        target_xy, target_tangent, target_width = beside
        low, high = low_m + number * share_m, low_m + (number + 1) * share_m
        middle = low + at_ratio * (high - low)
        middle = min(max(middle, low + 0.5 * length_m), high - 0.5 * length_m)
        weight, slope = _quintic((along - (middle - 0.5 * length_m)) / length_m)
        move = target_xy - before_xy
        xy = xy + weight * move
        heading = heading + weight * (target_tangent - before_tangent) + slope / length_m * move
        width = width + weight * (target_width - before_width)
        lane = np.where(weight > 0.5, target, lane)
        before_xy, before_tangent, before_width = target_xy, target_tangent, target_width
    yaw = np.unwrap(np.arctan2(heading[1], heading[0]))
    yaw += 2.0 * math.pi * round((first.rows[rows.YAW_RAD, 0] - yaw[0]) / (2.0 * math.pi))
    offset = tangent[0] * (xy[1] - centre[1]) - tangent[1] * (xy[0] - centre[0])
    samples = first.rows.copy()
    samples[rows.X_M], samples[rows.Y_M] = xy[0], xy[1]
    samples[rows.YAW_RAD], samples[rows.WIDTH_M] = yaw, width
    for row in (rows.LEFT_EDGE_M, rows.RIGHT_EDGE_M, rows.ROAD_LEFT_M, rows.ROAD_RIGHT_M):
        samples[row] -= offset
    return Piece(
        np.concatenate([[0.0], np.cumsum(_arc_m(xy[0], xy[1], yaw))]),
        samples,
        lane,
        first.lanes,
        first.lane_centres_m - offset,
        first.lane_widths_m,
    )


def _beside(road_map: RoadMap, lane: int, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns the points of a lane's centre line beside (2, N) points, its directions and its widths there."""
    strip = lane_strip(road_map, lane)
    step_m = road_map.step_m
    found = np.empty(points.shape[1])
    guess = 0.0
    for i in range(points.shape[1]):
        guess, _ = project_near(strip.rows, step_m, points[0, i], points[1, i], guess, 10.0 * step_m)
        found[i] = guess
    x, y, yaw, _ = _hermite(strip.rows, np.arange(strip.rows.shape[1]) * step_m, found)
    width = np.interp(found, np.arange(strip.rows.shape[1]) * step_m, strip.rows[rows.WIDTH_M])
    return np.stack([x, y]), np.stack([np.cos(yaw), np.sin(yaw)]), width


def _arc_m(x: FloatArray, y: FloatArray, yaw: FloatArray) -> FloatArray:
    """Arc lengths between points: a chord is shorter than its arc by sin(h) / h, h = half the turn along it."""
    arc_m: FloatArray = np.hypot(np.diff(x), np.diff(y)) / np.sinc(np.abs(np.diff(yaw)) / (2.0 * math.pi))
    return arc_m


def _hermite(
    samples: FloatArray, along: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Returns x, y, yaw and the sample before, at arc lengths ``at``; beyond the ends it goes on straight."""
    index = np.clip(np.searchsorted(along, at, side="right") - 1, 0, len(along) - 2)
    h = along[index + 1] - along[index]
    t = (at - along[index]) / h
    u = np.clip(t, 0.0, 1.0)
    beyond = (t - u) * h
    yaw0, yaw1 = samples[rows.YAW_RAD, index], samples[rows.YAW_RAD, index + 1]
    yaw = yaw0 + u * (yaw1 - yaw0)
    rest, square = 1.0 - u, u * u
    from_0, from_1 = rest * rest * (1.0 + 2.0 * u), square * (3.0 - 2.0 * u)
    slope_0, slope_1 = u * rest * rest * h, -square * rest * h
    x = from_0 * samples[rows.X_M, index] + from_1 * samples[rows.X_M, index + 1]
    y = from_0 * samples[rows.Y_M, index] + from_1 * samples[rows.Y_M, index + 1]
    x += slope_0 * np.cos(yaw0) + slope_1 * np.cos(yaw1) + beyond * np.cos(yaw)
    y += slope_0 * np.sin(yaw0) + slope_1 * np.sin(yaw1) + beyond * np.sin(yaw)
    return x, y, yaw, index


def join(road_map: RoadMap, lanes: tuple[int, ...], pieces: Sequence[Piece]) -> Route:
    """Puts pieces behind each other and samples them anew at equal steps."""
    beside = np.array(list(dict.fromkeys(int(lane) for piece in pieces for lane in piece.lanes)))
    samples, along = [pieces[0].samples], [pieces[0].along_m]
    for piece in pieces[1:]:
        _cut_beyond(samples, along, piece.samples[:, 0])
        last, first = samples[-1][:, -1], piece.samples[:, 0].copy()
        turns = round((last[rows.YAW_RAD] - first[rows.YAW_RAD]) / (2.0 * math.pi))
        moved = piece.samples.copy()
        moved[rows.YAW_RAD] += 2.0 * math.pi * turns
        first = moved[:, 0]
        gap_m = math.hypot(first[rows.X_M] - last[rows.X_M], first[rows.Y_M] - last[rows.Y_M])
        if gap_m > MAX_JOIN_GAP_M:
            raise ConfigurationError(
                f"Map {road_map.name!r}: lane {road_map.lane_name(int(piece.lane[0]))} begins {gap_m:.1f} m from the "
                f"end of the lane that leads into it; allowed: up to {MAX_JOIN_GAP_M:g} m. Mend the link or the "
                "geometry."
            )
        half_turn = 0.5 * abs(first[rows.YAW_RAD] - last[rows.YAW_RAD])
        along.append(piece.along_m + along[-1][-1] + gap_m / float(np.sinc(half_turn / math.pi)))
        samples.append(moved)
    knots = np.concatenate(along)
    is_new = np.concatenate([[True], np.diff(knots) > 1e-6])
    knots, joined = knots[is_new], np.concatenate(samples, axis=1)[:, is_new]
    kept = [part.shape[1] for part in samples]
    lane = np.concatenate([p.lane[:num] for p, num in zip(pieces, kept, strict=True)])[is_new]
    centres, widths = (
        np.concatenate([row[:, :num] for row, num in zip(parts, kept, strict=True)], axis=1)[:, is_new]
        for parts in (
            [_spread(p.centres_m, p.lanes, beside, math.inf) for p in pieces],
            [_spread(p.widths_m, p.lanes, beside, 0.0) for p in pieces],
        )
    )
    step_m = road_map.step_m
    s = np.arange(0.0, knots[-1], step_m)
    new = np.empty((NUM_ROWS, len(s)))
    new[rows.X_M], new[rows.Y_M], new[rows.YAW_RAD], index = _hermite(joined, knots, s)
    new[rows.CURVATURE_PER_M] = np.gradient(new[rows.YAW_RAD], s)
    for row in (
        rows.WIDTH_M,
        rows.LEFT_EDGE_M,
        rows.RIGHT_EDGE_M,
        rows.ROAD_LEFT_M,
        rows.ROAD_RIGHT_M,
    ):
        new[row] = np.interp(s, knots, joined[row])
    for row in (rows.SPEED_LIMIT_MPS, rows.JUNCTION):
        new[row] = joined[row, index]
    return Route(
        lane=lanes[0],
        path=lanes,
        step_m=step_m,
        samples=np.ascontiguousarray(new),
        length_m=(len(s) - 1) * step_m,
        path_lanes=lane[index].astype(np.int64),
        stops=_stops(road_map, lanes, new, lane[index], step_m),
        lanes=beside.astype(np.int64),
        lane_centres_m=centres[:, index],
        lane_widths_m=widths[:, index],
        speed_limit_mps=float(road_map.lane_speed_limit_mps[lanes[0]]),
    )


def _cut_beyond(samples: list[FloatArray], along: list[FloatArray], following: FloatArray) -> None:
    """Takes off the last samples of the last piece that lie beyond the beginning of the following one."""
    last = samples[-1]
    num = last.shape[1]
    while num > 1:
        yaw = last[rows.YAW_RAD, num - 1]
        ahead_m = (following[rows.X_M] - last[rows.X_M, num - 1]) * math.cos(yaw)
        ahead_m += (following[rows.Y_M] - last[rows.Y_M, num - 1]) * math.sin(yaw)
        if not -MAX_JOIN_GAP_M < ahead_m < -_SAME_PLACE_M:
            break
        num -= 1
    samples[-1], along[-1] = last[:, :num], along[-1][:num]


def _spread(
    values: FloatArray, lanes: npt.NDArray[np.int64], all_lanes: npt.NDArray[np.int64], absent: float
) -> FloatArray:
    """Puts rows of some lanes into an array with a row for each of ``all_lanes``."""
    spread = np.full((len(all_lanes), values.shape[1]), absent)
    for lane, row in zip(lanes, values, strict=True):
        spread[np.flatnonzero(all_lanes == lane)[0]] = row
    return spread


def _stops(
    road_map: RoadMap,
    lanes: Sequence[int],
    samples: FloatArray,
    path_lanes: npt.NDArray[np.int64],
    step_m: float,
) -> FloatArray:
    """Returns ``Route.stops``: a stop line counts where the route lies on its lane."""
    stops = []
    for at, lane_s_m, signal in zip(road_map.stop_lane, road_map.stop_s_m, road_map.stop_signal, strict=True):
        if int(at) not in lanes:
            continue
        part = road_map.samples(int(at))
        x = float(np.interp(lane_s_m, road_map.s_m[part], road_map.x_m[part]))
        y = float(np.interp(lane_s_m, road_map.s_m[part], road_map.y_m[part]))
        for on_lane in _runs(path_lanes == at):
            near = (samples[rows.X_M, on_lane] - x) ** 2 + (samples[rows.Y_M, on_lane] - y) ** 2
            guess_m = float(on_lane[int(np.argmin(near))]) * step_m
            s_m, d_m = project_near(samples, step_m, x, y, guess_m, 2.0 * step_m)
            if abs(d_m) < 0.5 * road_map.width_m[part].max():
                stops.append((s_m, float(signal), _junction_end_m(samples, s_m, step_m)))
    return np.array(sorted(stops), dtype=np.float64).reshape(-1, 3)


def _runs(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.intp]]:
    """Returns the indices of each unbroken run of true entries: a route may pass a lane twice."""
    index = np.flatnonzero(mask)
    return [run for run in np.split(index, np.flatnonzero(np.diff(index) > 1) + 1) if len(run)]


def _junction_end_m(samples: FloatArray, s_m: float, step_m: float, reach_m: float = 30.0) -> float:
    """Returns where the junction ends that begins within ``reach_m`` of a stop line; the line if there is none."""
    is_inside = samples[rows.JUNCTION] > 0.0
    first = max(int(s_m / step_m), 0)
    entry = np.flatnonzero(is_inside[first : first + int(reach_m / step_m) + 1])
    if len(entry) == 0:
        return s_m
    begin = first + int(entry[0])
    leave = np.flatnonzero(~is_inside[begin:])
    end = begin + int(leave[0]) if len(leave) else len(is_inside) - 1
    return end * step_m
