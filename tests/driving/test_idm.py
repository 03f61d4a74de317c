"""IDM against its closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simloop_driving.scenario import actor_state as rows
from simloop_driving.scenario.idm import (
    MAX_ACCELERATION_MPS2,
    MINIMUM_GAP_M,
    TIME_GAP_S,
    follow_acceleration,
    idm_acceleration,
    leader_of,
)


def _actors(*columns: dict[int, float]) -> np.ndarray:
    table = np.zeros((rows.NUM_ROWS, len(columns)))
    table[rows.LENGTH_M], table[rows.WIDTH_M] = 4.5, 1.8
    for i, column in enumerate(columns):
        table[rows.COMMAND_D_M, i] = column.get(rows.D_M, 0.0)
        for row, value in column.items():
            table[row, i] = value
    return table


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
    far = {rows.S_M: 60.0}
    assert leader_of(_actors(me, beside, far), 0) == (2, 55.5)
    moving_in = {rows.S_M: 20.0, rows.D_M: 3.5, rows.COMMAND_D_M: 0.0, rows.COMMAND_D_RATE_MPS: 1.0}
    assert leader_of(_actors(me, moving_in, far), 0) == (1, 15.5)
    behind = {rows.S_M: -20.0}
    assert leader_of(_actors(me, behind), 0) == (-1, math.inf)
    assert follow_acceleration(_actors(me, behind), 0, 20.0) == 0.0
