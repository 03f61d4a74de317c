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
