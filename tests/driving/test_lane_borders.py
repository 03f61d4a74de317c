"""Lane borders for pictures."""

from __future__ import annotations

import numpy as np

from simloop_driving.roads.road_map import load_map


def test_borders_lie_half_a_lane_beside_the_centres_and_are_shared() -> None:
    road_map = load_map("highway")
    borders = road_map.lane_borders(20.0)
    num_outer = int((road_map.lane_right < 0).sum())
    assert len(borders) == road_map.num_lanes + num_outer
    lane = road_map.samples(0)
    centre = np.array([road_map.x_m[lane.start], road_map.y_m[lane.start]])
    assert abs(np.hypot(*(borders[0][0] - centre)) - 0.5 * road_map.width_m[lane.start]) < 0.01
    for line in borders:
        steps = np.hypot(*np.diff(line, axis=0).T)
        assert steps.max() < 22.0


def test_no_border_runs_through_a_junction_and_corners_are_round() -> None:
    town = load_map("town")
    borders = town.lane_borders(20.0)
    points = np.concatenate(borders)
    from_centre = np.abs(points - np.array([150.0, 150.0])).max(axis=1)
    # The junction's box is 14 m to each side; its kerbs come no nearer than 5.5 m.
    assert from_centre.min() > 5.5
    corner = [line for line in borders if np.abs(line - np.array([150.0, 150.0])).max() < 14.6]
    assert len(corner) >= 8
    for line in corner:
        headings = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
        assert len(headings) < 2 or np.abs(np.diff(headings)).max() < 0.4


def test_the_line_between_two_directions_is_drawn_once() -> None:
    rural = load_map("rural")
    straight = [line for line in rural.lane_borders(20.0) if line[:, 0].min() < 2.0]
    middle = [line for line in straight if np.abs(line[:, 1]).max() < 0.1]
    assert len(middle) == 1
