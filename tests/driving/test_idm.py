"""IDM against its closed forms, and who leads whom on a path."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simloop_driving.scenario import actor_state as rows
from simloop_driving.scenario.actor_state import ACTOR_CLASSES
from simloop_driving.scenario.idm import (
    MAX_ACCELERATION_MPS2,
    MEETING_S,
    MINIMUM_GAP_M,
    ROOM_TO_RETURN_M,
    TIME_GAP_S,
    follower_in_strip,
    idm_acceleration,
    leader_in_strip,
)
from simloop_driving.scenario.on_paths import NUM_ON_PATH, ON_OFFSET_M, ON_STATION_M, ON_WAY


def _actors(*columns: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the actor table and where everybody is on the path of the first; stations are S_M, offsets D_M."""
    table = np.zeros((rows.NUM_ROWS, len(columns)))
    table[rows.LENGTH_M], table[rows.WIDTH_M] = 4.5, 1.8
    on_path = np.zeros((NUM_ON_PATH, len(columns)))
    on_path[ON_WAY] = 1.0
    for i, column in enumerate(columns):
        table[rows.COMMAND_D_M, i] = column.get(rows.D_M, 0.0)
        for row, value in column.items():
            table[row, i] = value
        on_path[ON_STATION_M, i], on_path[ON_OFFSET_M, i] = table[rows.S_M, i], table[rows.D_M, i]
    return table, on_path


@pytest.mark.parametrize(("speed_mps", "desired_mps"), [(5.0, 30.0), (20.0, 33.0), (30.0, 33.0)])
def test_follower_settles_at_the_equilibrium_gap(speed_mps: float, desired_mps: float) -> None:
    gap_m, follower_mps, step_s = 80.0, speed_mps * 0.8, 0.05
    for _ in range(round(400.0 / step_s)):
        acceleration = idm_acceleration(follower_mps, desired_mps, gap_m, follower_mps - speed_mps)
        new_mps = max(0.0, follower_mps + step_s * acceleration)
        gap_m += step_s * (speed_mps - 0.5 * (follower_mps + new_mps))
        follower_mps = new_mps
    expected_m = (MINIMUM_GAP_M + speed_mps * TIME_GAP_S) / math.sqrt(1.0 - (speed_mps / desired_mps) ** 4)
    assert gap_m == pytest.approx(expected_m, rel=1e-3)
    assert follower_mps == pytest.approx(speed_mps, rel=1e-3)


def test_free_road_acceleration_is_the_largest_from_rest_and_zero_at_the_desired_speed() -> None:
    assert idm_acceleration(0.0, 30.0, math.inf, 0.0) == MAX_ACCELERATION_MPS2
    assert idm_acceleration(30.0, 30.0, math.inf, 0.0) == 0.0


def test_leader_is_the_next_in_the_strip_or_moving_into_it() -> None:
    me = {rows.S_M: 0.0, rows.SPEED_MPS: 20.0}
    beside = {rows.S_M: 20.0, rows.D_M: 3.5}
    far = {rows.S_M: 60.0, rows.SPEED_MPS: 15.0}
    assert leader_in_strip(*_actors(me, beside, far), 0, 0.0) == (2, 55.5, 15.0)
    assert leader_in_strip(*_actors(me, beside, far), 0, 3.5) == (1, 15.5, 0.0)
    moving_in = {rows.S_M: 20.0, rows.D_M: 3.5, rows.COMMAND_D_M: 0.0, rows.COMMAND_D_RATE_MPS: 1.0}
    assert leader_in_strip(*_actors(me, moving_in, far), 0, 0.0) == (1, 15.5, 0.0)
    behind = {rows.S_M: -20.0}
    assert leader_in_strip(*_actors(me, behind), 0, 0.0) == (-1, math.inf, 0.0)
    assert follower_in_strip(*_actors(me, behind, beside), 0, 0.0) == (1, 15.5)
    assert follower_in_strip(*_actors(me, beside), 0, 0.0) == (-1, math.inf)


def _with_other(way: float, speed_mps: float, station_m: float, **changes: float) -> tuple[int, float, float]:
    """Returns the leader of an actor at 10 m/s, with another actor of another path ahead that heads ``way``."""
    me = {rows.SPEED_MPS: 10.0}
    other = {rows.S_M: station_m, rows.SPEED_MPS: speed_mps, rows.PATH: 1.0}
    table, on_path = _actors(me, other)
    on_path[ON_WAY, 1] = way
    for name, value in changes.items():
        table[getattr(rows, name.upper()), 1] = value
    leader: tuple[int, float, float] = leader_in_strip(table, on_path, 0, 0.0)
    return leader


def test_who_goes_the_same_way_on_another_path_leads_with_its_speed_along_the_path() -> None:
    leader, gap_m, speed_mps = _with_other(math.cos(0.5), 8.0, 30.0)
    half_m = 0.5 * (math.cos(0.5) * 4.5 + math.sin(0.5) * 1.8)
    assert leader == 1
    assert gap_m == pytest.approx(30.0 - half_m - 2.25)
    assert speed_mps == pytest.approx(8.0 * math.cos(0.5))


@pytest.mark.parametrize(("way", "closing_mps"), [(0.0, 10.0), (-1.0, 18.0)])
def test_who_crosses_or_comes_towards_is_an_obstacle_only_shortly_before_they_meet(
    way: float, closing_mps: float
) -> None:
    half_m = 0.5 * (4.5 if way else 1.8)
    room_m = ROOM_TO_RETURN_M if way < 0.0 else 0.0  # head-on it leaves room to go back
    meets_m = MEETING_S * closing_mps + half_m + 2.25 + room_m
    assert _with_other(way, 8.0, meets_m + 1.0)[0] == -1
    assert _with_other(way, 8.0, meets_m - 1.0)[0] == 1
    assert _with_other(way, 0.0, meets_m + 1.0)[0] == 1  # who stands is one at once
    code = float(ACTOR_CLASSES.index("pedestrian"))
    assert _with_other(way, 1.5, meets_m + 1.0, **{"class": code})[0] == 1  # and so is who is on foot


def test_an_actor_that_is_not_near_the_path_does_not_lead() -> None:
    table, on_path = _actors({rows.SPEED_MPS: 10.0}, {rows.S_M: 20.0, rows.PATH: 1.0})
    assert leader_in_strip(table, on_path, 0, 0.0)[0] == 1
    on_path[ON_OFFSET_M, 1] = math.inf
    assert leader_in_strip(table, on_path, 0, 0.0)[0] == -1
