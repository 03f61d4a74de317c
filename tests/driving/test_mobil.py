"""Lane changes by MOBIL: hand-worked cases, and the decisions of highway-env's MOBIL with the same constants."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from highway_env.road.lane import StraightLane
from highway_env.road.road import Road, RoadNetwork
from highway_env.vehicle.behavior import IDMVehicle

from simloop_driving.roads import route
from simloop_driving.scenario import actor_state as rows
from simloop_driving.scenario import idm, mobil, on_paths
from simloop_driving.scenario.mobil import choose_lanes, wants_change

FloatArray = npt.NDArray[np.float64]

LANE_M = 4.0
STEP_M = 1.0


def _paths(num_lanes: int, own: int, ends_m: float = math.inf) -> FloatArray:
    """A straight path in lane ``own`` (0 is the rightmost); the left lanes end at ``ends_m``."""
    samples = np.zeros((1, route.NUM_ROWS, 1000))
    s_m = np.arange(1000) * STEP_M
    samples[0, route.X_M] = s_m
    samples[0, route.WIDTH_M] = LANE_M
    samples[0, route.LEFT_EDGE_M] = np.where(s_m < ends_m, num_lanes - own - 0.5, 0.5) * LANE_M
    samples[0, route.RIGHT_EDGE_M] = -(own + 0.5) * LANE_M
    return samples


def _actors(*cars: tuple[float, float, float, float], length_m: float = 4.0) -> FloatArray:
    """Columns of (station, lane centre, speed, desired speed); the first is an ego far away, the second has MOBIL."""
    actors = np.zeros((rows.NUM_ROWS, 1 + len(cars)))
    for column, (s_m, d_m, speed_mps, desired_mps) in enumerate(((-900.0, 0.0, 0.0, 0.0), *cars)):
        for row, value in (
            (rows.S_M, s_m),
            (rows.PATH_S_M, s_m),
            (rows.D_M, d_m),
            (rows.PATH_D_M, d_m),
            (rows.COMMAND_D_M, d_m),
            (rows.SPEED_MPS, speed_mps),
            (rows.DESIRED_SPEED_MPS, desired_mps),
        ):
            actors[row, column] = value
    actors[rows.LENGTH_M], actors[rows.WIDTH_M] = length_m, 1.8
    actors[rows.IS_IDM, 1:] = 1.0
    actors[rows.IS_MOBIL, 1] = 1.0
    return actors


def _decide(actors: FloatArray, samples: FloatArray, tick: int = 9) -> float:
    """Returns the offset that actor 1 heads for after a tick in which it may decide."""
    table = np.zeros((1, on_paths.NUM_ON_PATH, actors.shape[1]))
    table[0, on_paths.ON_STATION_M] = actors[rows.PATH_S_M]
    table[0, on_paths.ON_OFFSET_M] = actors[rows.PATH_D_M]
    table[0, on_paths.ON_WAY] = 1.0
    choose_lanes(actors, samples, np.array([samples.shape[2]]), STEP_M, table, tick)
    return float(actors[rows.COMMAND_D_M, 1])


@pytest.mark.parametrize(
    ("accelerations_mps2", "politeness", "expected"),
    [
        # Own gain 0.8, the new follower loses 1.0, the old one gains 0.2: over 0.1 for a politeness below 0.875.
        ((-0.5, 0.3, 0.4, -0.6, -0.2, 0.0), 0.0, True),
        ((-0.5, 0.3, 0.4, -0.6, -0.2, 0.0), 0.5, True),
        ((-0.5, 0.3, 0.4, -0.6, -0.2, 0.0), 1.0, False),
        # A gain of just the threshold is not enough.
        ((0.0, 0.1, 0.0, 0.0, 0.0, 0.0), 0.0, False),
        # Safety comes before any gain.
        ((-3.0, 1.0, 0.0, -4.01, 0.0, 0.0), 0.0, False),
        ((-3.0, 1.0, 0.0, -3.99, 0.0, 0.0), 0.0, True),
    ],
)
def test_incentive_and_safety_by_hand(
    accelerations_mps2: tuple[float, ...], politeness: float, expected: bool
) -> None:
    assert bool(wants_change(*accelerations_mps2, politeness, 0.1, 4.0)) is expected


def test_a_slow_leader_is_passed_on_the_free_side() -> None:
    actors = _actors((100.0, 0.0, 25.0, 30.0), (130.0, 0.0, 18.0, 18.0))
    assert _decide(actors, _paths(2, own=0)) == LANE_M
    assert actors[rows.COMMAND_D_RATE_MPS, 1] == mobil.LATERAL_SPEED_MPS


@pytest.mark.parametrize(
    ("others", "num_lanes", "ends_m"),
    [
        ((), 2, math.inf),  # nobody ahead, nothing to gain
        (((130.0, 0.0, 18.0, 18.0), (92.0, LANE_M, 33.0, 33.0)), 2, math.inf),  # somebody fast comes up
        (((130.0, 0.0, 18.0, 18.0), (101.0, LANE_M, 25.0, 25.0)), 2, math.inf),  # somebody is beside
        (((130.0, 0.0, 18.0, 18.0), (128.0, LANE_M, 17.0, 17.0)), 2, math.inf),  # no faster there
        (((130.0, 0.0, 18.0, 18.0),), 1, math.inf),  # there is no other lane
        (((130.0, 0.0, 18.0, 18.0),), 2, 180.0),  # the other lane ends soon
    ],
)
def test_when_it_stays(
    others: tuple[tuple[float, float, float, float], ...], num_lanes: int, ends_m: float
) -> None:
    actors = _actors((100.0, 0.0, 25.0, 30.0), *others)
    assert _decide(actors, _paths(num_lanes, 0, ends_m)) == 0.0
    assert actors[rows.COMMAND_D_RATE_MPS, 1] == 0.0


def test_it_decides_at_its_beat_and_not_while_it_changes() -> None:
    scene = ((100.0, 0.0, 25.0, 30.0), (130.0, 0.0, 18.0, 18.0))
    assert [_decide(_actors(*scene), _paths(2, 0), tick) for tick in range(8, 12)] == [0.0, LANE_M, 0.0, 0.0]
    changing = _actors(*scene)
    changing[rows.COMMAND_D_M, 1], changing[rows.COMMAND_D_RATE_MPS, 1] = -LANE_M, 1.2
    assert _decide(changing, _paths(3, 1)) == -LANE_M


def test_before_the_end_of_its_lane_it_leaves_or_brakes() -> None:
    samples = _paths(2, own=0, ends_m=180.0)
    actors = _actors((130.0, LANE_M, 20.0, 25.0))
    assert _decide(actors, samples) == 0.0
    blocked = _actors((130.0, LANE_M, 20.0, 25.0), (131.0, 0.0, 20.0, 20.0))
    assert _decide(blocked, samples) == LANE_M
    # To the lane's end: 50 m less half its length, in steps of 5 m.
    assert blocked[rows.COMMAND_ACCELERATION_MPS2, 1] == pytest.approx(
        idm.idm_acceleration(20.0, 25.0, 48.0, 20.0)
    )


@pytest.mark.parametrize(("moves_in", "expected_m"), [(False, 0.0), (True, LANE_M)])
def test_two_do_not_take_one_gap_from_both_sides(moves_in: bool, expected_m: float) -> None:
    actors = _actors((100.0, LANE_M, 25.0, 30.0), (130.0, LANE_M, 18.0, 18.0), (96.0, -LANE_M, 25.0, 25.0))
    if moves_in:
        actors[rows.COMMAND_D_M, 3], actors[rows.COMMAND_D_RATE_MPS, 3] = 0.0, 1.2
    assert _decide(actors, _paths(3, own=1)) == expected_m


def test_at_walking_pace_it_changes_at_a_small_angle() -> None:
    samples = _paths(2, own=0, ends_m=40.0)
    actors = _actors((25.0, LANE_M, 2.0, 20.0), length_m=12.0)
    assert _decide(actors, samples) == 0.0
    assert actors[rows.COMMAND_D_RATE_MPS, 1] == pytest.approx(mobil.LATERAL_RATIO * 2.0)


class _Driver(IDMVehicle):  # type: ignore[misc]
    """highway-env's driver with the constants of ours; vehicles are points, as it measures between centres."""

    COMFORT_ACC_MAX = idm.MAX_ACCELERATION_MPS2
    COMFORT_ACC_MIN = -idm.COMFORTABLE_DECELERATION_MPS2
    DISTANCE_WANTED = idm.MINIMUM_GAP_M
    TIME_WANTED = idm.TIME_GAP_S
    POLITENESS = mobil.POLITENESS
    LANE_CHANGE_MIN_ACC_GAIN = mobil.THRESHOLD_MPS2
    LANE_CHANGE_MAX_BRAKING_IMPOSED = mobil.SAFE_BRAKING_MPS2


def test_decisions_are_those_of_highway_env() -> None:
    random = np.random.default_rng(5)
    num_changes = 0
    for _ in range(400):
        base_mps = random.uniform(8.0, 20.0)
        cars = [(500.0, 0.0, base_mps, base_mps + random.uniform(0.0, 8.0))]
        # A leader and a follower in either lane; gaps and speeds at which neither model cuts anything off.
        for d_m in (0.0, LANE_M):
            for side in (1.0, -1.0):
                speed_mps = base_mps + random.uniform(-1.2, 1.2)
                cars.append((500.0 + side * random.uniform(20.0, 80.0), d_m, speed_mps, speed_mps + 2.0))
        network = RoadNetwork()
        for d_m in (0.0, LANE_M):
            network.add_lane(
                "a", "b", StraightLane([0.0, d_m], [1000.0, d_m], width=LANE_M, speed_limit=60.0)
            )
        road = Road(network=network)
        drivers = [
            _Driver(road, [s_m, d_m], speed=speed, target_speed=wanted) for s_m, d_m, speed, wanted in cars
        ]
        road.vehicles = drivers
        ours = _decide(_actors(*cars, length_m=0.0), _paths(2, own=0))
        assert (ours == LANE_M) is bool(drivers[0].mobil(("a", "b", 1)))
        num_changes += ours == LANE_M
    assert 40 < num_changes < 360
