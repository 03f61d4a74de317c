"""``road_ahead``, ``controls`` and ``conflicts`` on the town's streets, whose measures are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.spec import Scenario
from simloop_driving.roads.conflicts import ALONG, CROSSING
from simloop_driving.roads.town import HALF_JUNCTION_M, LANE_WIDTH_M, SPACING_M, STOP_LINE_BACK_M
from simloop_driving.scenario.actor_state import (
    EGO,
    IS_ABSENT,
    LENGTH_M,
    NUM_ROWS,
    PATH,
    PATH_S_M,
    S_M,
    SPEED_MPS,
)
from simloop_driving.sensors.conflicts import conflict_rows
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

EXTRA = ["road_ahead", "controls", "conflicts"]
SIGNALS = {"green_s": 6.0, "amber_s": 3.0, "all_red_s": 2.0, "offset_s": 0.0}
GREEN, AMBER, RED, SIGN = 0.0, 1.0, 2.0, -1.0
STREET_M = SPACING_M - 2.0 * HALF_JUNCTION_M


def started(start: tuple[int, int], goal: tuple[int, int], actors: Any = None, **ego: Any) -> DrivingWorld:
    """The ego 60 m from the beginning of an inner street of the town."""
    scene = {
        "map": "town",
        "ego": {
            "road": start[0], "lane": start[1], "station_m": 60.0, "initial_speed_mps": 10.0,
            "to": {"road": goal[0], "lane": goal[1]}, **ego,
        },
        "actors": actors or {},
        "signals": SIGNALS,
        "criteria": {"goal_distance_m": 100.0},
    }  # fmt: skip
    world = DrivingWorld(action="acceleration", extra_sensors=EXTRA)
    world.reset(Scenario(family="own", world="driving", parameters={}, scene=scene), 0)
    return world


def array(world: DrivingWorld, sensor: str) -> npt.NDArray[np.float64]:
    return np.asarray(world.capture(sensor, 0).array, dtype=np.float64)


def present(world: DrivingWorld, sensor: str) -> npt.NDArray[np.float64]:
    rows = array(world, sensor)
    assert np.all(rows[rows[:, 0] == 0.0] == 0.0)
    return np.asarray(rows[rows[:, 0] == 1.0])


def actor(start: tuple[int, int], goal: tuple[int, int], station_m: float, **more: Any) -> dict[str, Any]:
    path = {
        "road": start[0],
        "lane": start[1],
        "station_m": station_m,
        "to": {"road": goal[0], "lane": goal[1]},
    }
    return {"path": path, "speed_mps": 10.0, "behaviour": "idm", **more}


def test_road_ahead_has_the_edges_limits_and_junctions_of_the_street() -> None:
    rows = array(started((111, -1), (112, -1)), "road_ahead")
    way_m = np.arange(32) * 4.0
    is_inside = (way_m > STREET_M - 60.0 + 1.0) & (way_m < STREET_M - 60.0 + 2.0 * HALF_JUNCTION_M - 1.0)
    assert np.array_equal(rows[is_inside, 5], np.ones(is_inside.sum()))
    is_street = (way_m < STREET_M - 60.0 - 1.0) | (way_m > STREET_M - 60.0 + 2.0 * HALF_JUNCTION_M + 1.0)
    assert np.all(rows[is_street, 5] == 0.0)
    half_m = 0.5 * LANE_WIDTH_M
    assert rows[is_street, 0] == pytest.approx(np.full(is_street.sum(), 3.0 * half_m))
    assert rows[:, 2:4] == pytest.approx(np.tile([half_m, -half_m], (32, 1)))
    assert rows[:, 4] == pytest.approx(np.full(32, 50.0 / 3.6))
    assert np.all(rows[:, 1] <= -half_m)


def test_road_ahead_goes_on_beyond_the_end_of_the_map() -> None:
    scene = {
        "map": "straight_track",
        "ego": {"lane": -3, "station_m": 2950.0, "initial_speed_mps": 20.0},
        "criteria": {"goal_time_s": 10.0, "min_progress_ratio": 0.0},
    }
    world = DrivingWorld(extra_sensors=EXTRA)
    world.reset(Scenario(family="own", world="driving", parameters={}, scene=scene), 0)
    rows = array(world, "road_ahead")
    assert np.all(rows == rows[0])
    assert rows[0] == pytest.approx([5.25, -5.25, 5.25, -5.25, 130.0 / 3.6, 0.0])
    assert present(world, "controls").size == 0 and present(world, "conflicts").size == 0


def test_a_traffic_light_tells_distance_state_and_time_to_change() -> None:
    world = started((111, -1), (112, -1))
    distance_m = STREET_M - STOP_LINE_BACK_M - 60.0
    rows = present(world, "controls")
    assert rows[0] == pytest.approx(
        [1, distance_m, 0, GREEN, 6.0, STREET_M - 60.0 + 2 * HALF_JUNCTION_M], abs=1.1
    )
    assert rows[0, 4] == pytest.approx(6.0)
    for tick, state, change_s in ((80, GREEN, 2.0), (120, AMBER, 3.0), (130, AMBER, 2.5), (180, RED, 13.0)):
        world.advance(tick * CONTROL_PERIOD_NS)
        seen = present(world, "controls")[0]
        station_m = float(world.anchor().pose[0]) - HALF_JUNCTION_M
        assert seen[3:5] == pytest.approx([state, change_s])
        assert seen[1] == pytest.approx(rows[0, 1] + 60.0 - station_m, abs=0.1)


def test_a_control_stays_until_its_junction_is_left_and_the_next_one_moves_up() -> None:
    world = started((111, -1), (112, -1))
    first, second = present(world, "controls")[:, 5]
    seen = []
    for tick in range(1, 400):
        world.advance(tick * CONTROL_PERIOD_NS)
        rows = present(world, "controls")
        way_m = float(world.anchor().pose[0]) - HALF_JUNCTION_M - 60.0
        if way_m > second:
            break
        if abs(way_m - first) > 0.01:
            assert rows[0, 5] == pytest.approx((first if way_m < first else second) - way_m, abs=0.1)
        seen.append(rows[0, 1])
    assert min(seen) < -2.0 * HALF_JUNCTION_M + 2.0  # behind the line, still inside
    assert len(seen) > 200


@pytest.mark.parametrize(
    ("start", "goal", "kind"),
    [((212, -1), (213, -1), 1.0), ((220, -1), (221, -1), 2.0)],
    ids=["stop", "yield"],
)
def test_signs_have_a_kind_and_no_state(start: tuple[int, int], goal: tuple[int, int], kind: float) -> None:
    row = present(started(start, goal), "controls")[0]
    assert row[2:5] == pytest.approx([kind, SIGN, 0.0])
    assert 50.0 < row[1] < 65.0


@pytest.mark.parametrize(
    ("ego", "other", "priority", "is_merge"),
    [
        # Junction 5: a left turn gives way to oncoming traffic, which crosses its way.
        (((111, -1), (212, -1)), ((112, 1), (111, 1)), -1.0, 0.0),
        # The other way round: going straight on has the right of way over the oncoming left turn.
        (((111, -1), (112, -1)), ((112, 1), (211, 1)), 1.0, 0.0),
        # Junction 8: the stop sign gives way; going right it joins the main road's traffic.
        (((212, -1), (122, -1)), ((121, -1), (122, -1)), -1.0, 1.0),
        # The main road's driver sees the one who waits at the stop sign.
        (((121, -1), (122, -1)), ((212, -1), (122, -1)), 1.0, 1.0),
    ],
)
def test_conflicts_say_who_goes_first(
    ego: tuple[Any, Any], other: tuple[Any, Any], priority: float, is_merge: float
) -> None:
    world = started(*ego, {"other": actor(*other, 70.0)})
    rows = present(world, "conflicts")
    assert len(rows) == 1
    row = rows[0]
    assert row[6:8] == pytest.approx([priority, is_merge])
    assert row[5] == pytest.approx(10.0) and row[8] == 0.0
    assert 50.0 < row[1] < row[2] and 40.0 < row[3] < row[4]


def test_a_crossing_at_right_angles_is_where_the_streets_cross() -> None:
    world = started((111, -1), (112, -1), {"other": actor((212, 1), (211, 1), 80.0)})
    row = present(world, "conflicts")[0]
    half_lane_m = 0.5 * LANE_WIDTH_M
    ego_to_crossing_m = STREET_M - 60.0 + HALF_JUNCTION_M - half_lane_m
    other_to_crossing_m = STREET_M - 80.0 + HALF_JUNCTION_M + half_lane_m
    assert 0.5 * (row[1] + row[2]) == pytest.approx(ego_to_crossing_m, abs=0.5)
    assert 0.5 * (row[3] + row[4]) == pytest.approx(other_to_crossing_m, abs=0.5)
    assert row[2] - row[1] == pytest.approx(2.0 * 2.5, abs=0.3)  # strips of 2.5 m: 2.5 m before and behind


def test_conflicts_move_with_both_and_end_when_one_has_passed() -> None:
    world = started((111, -1), (112, -1), {"other": actor((112, 1), (211, 1), 60.0)})
    first = present(world, "conflicts")[0]
    world.advance(20 * CONTROL_PERIOD_NS)
    second = present(world, "conflicts")[0]
    moved_m = float(world.anchor().pose[0]) - HALF_JUNCTION_M - 60.0
    assert second[1:3] == pytest.approx(first[1:3] - moved_m, abs=0.05)
    assert np.all(second[3:5] < first[3:5])
    for tick in range(21, 400):
        world.advance(tick * CONTROL_PERIOD_NS)
        rows = present(world, "conflicts")
        if len(rows) == 0:
            break
        assert rows[0, 2] > -2.6 and rows[0, 4] > -2.3
    assert len(rows) == 0


def test_who_is_not_there_or_on_another_path_is_in_no_conflict() -> None:
    zones = np.array(
        [[0, 40, 46, 1, 30, 35, CROSSING], [0, 60, 90, 2, 20, 50, ALONG], [1, 5, 9, 2, 5, 9, CROSSING]],
        dtype=float,
    )
    zones.flags.writeable = False  # as they come: numba compiles for each
    actors = np.zeros((NUM_ROWS, 4))
    actors[[S_M, LENGTH_M], EGO] = (10.0, 4.0)
    actors[PATH, 1:] = (1, 1, 2)
    actors[PATH_S_M, 1:] = (12.0, 20.0, 0.0)
    actors[SPEED_MPS, 1:] = (5.0, 6.0, 7.0)
    priorities = np.array([1, -1, 0], dtype=np.int64)
    rows = conflict_rows(zones, priorities, actors)
    assert rows[:, 1:6] == pytest.approx(np.array([[30, 36, 18, 23, 5], [30, 36, 10, 15, 6]]))
    assert np.all(rows[:, 6] == 1.0)
    actors[IS_ABSENT, 1] = 1.0
    assert list(conflict_rows(zones, priorities, actors)[:, 5]) == [6.0]
    actors[PATH_S_M, 2] = 35.1  # its rear is still inside: no length, so it is out
    assert len(conflict_rows(zones, priorities, actors)) == 0
    actors[LENGTH_M, 2] = 4.0
    assert len(conflict_rows(zones, priorities, actors)) == 1
    actors[S_M, EGO] = 48.1
    assert len(conflict_rows(zones, priorities, actors)) == 0
    swapped = zones[:, [3, 4, 5, 0, 1, 2, 6]].copy()  # the ego's path as path b
    swapped.flags.writeable = False
    actors[S_M, EGO] = 10.0
    assert conflict_rows(swapped, priorities, actors)[0, 6] == -1.0
