"""The driving expert's planner: car following against closed forms, geometry, and closed loops on a point mass."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from simloop_agents.experts import driving_following, driving_passing, driving_plan
from simloop_agents.experts.driving_actors import make_tracks
from simloop_agents.experts.driving_following import (
    following_acceleration_mps2,
    predict_along,
    stopping_acceleration_mps2,
)
from simloop_agents.experts.driving_geometry import (
    CAP_MPS,
    NUM_ROAD_COLUMNS,
    locate_on_route,
    point_on_route,
    refine_route,
    slow_down_in_time,
)
from simloop_agents.experts.driving_plan import STEP_S, Surroundings, roll_out

FloatArray = npt.NDArray[np.float64]

EGO_SIZE_M = np.array([4.6, 1.85])
CAR_SIZE_M = (4.5, 1.82)


def straight_route(length_m: float = 200.0) -> FloatArray:
    s_m = np.arange(-50.0, length_m, 5.0)
    return np.stack([s_m, np.zeros_like(s_m), np.zeros_like(s_m), s_m], axis=1)


def arc_route(radius_m: float) -> FloatArray:
    s_m = np.arange(0.0, 150.0, 4.0)
    angle = s_m / radius_m
    return np.stack([radius_m * np.sin(angle), radius_m * (1 - np.cos(angle)), angle, s_m], axis=1)


def actor(
    x_m: float, y_m: float, speed_mps: float, *, drift_mps: float = 0.0, acceleration: float = 0.0
) -> FloatArray:
    return np.array([x_m, y_m, speed_mps, drift_mps, acceleration, *CAR_SIZE_M, 0.0])


def nothing_known(route: FloatArray) -> FloatArray:
    """A road without limits and without room beside the lane."""
    road = np.zeros((len(route), NUM_ROAD_COLUMNS))
    road[:, 0], road[:, 1], road[:, 2], road[:, 3], road[:, 4] = (
        math.inf,
        -math.inf,
        math.inf,
        -math.inf,
        math.inf,
    )
    return road


def plan_from(
    start: tuple[float, float, float, float],
    actors: list[FloatArray],
    *,
    acceleration: float = 0.0,
    desired_mps: float = 30.0,
    route: FloatArray | None = None,
) -> FloatArray:
    plan = np.zeros((32, 4))
    route = straight_route() if route is None else route
    around = Surroundings(
        route=route,
        road=nothing_known(route),
        tracks=make_tracks(route, np.array(actors).reshape(-1, 8)),
        controls=np.zeros((0, 6)),
        conflicts=np.zeros((0, 9)),
        anchor_s_m=0.0,
        lag_s=0.0,
        ego_size_m=EGO_SIZE_M,
        desired_speed_mps=desired_mps,
    )
    roll_out(plan, 0, np.array(start), acceleration, around)
    return plan


@pytest.mark.parametrize("speed_mps", [5.0, 12.0, 25.0])
def test_equilibrium_gap(speed_mps: float) -> None:
    """Behind a leader of equal speed the model rests at s0 + v T (Treiber et al. 2000, improved form)."""
    gap_m = driving_following.STANDSTILL_GAP_M + driving_following.TIME_GAP_S * speed_mps
    assert following_acceleration_mps2(speed_mps, 35.0, gap_m, speed_mps, 0.0) == pytest.approx(
        0.0, abs=1e-12
    )
    assert following_acceleration_mps2(speed_mps, 35.0, 0.9 * gap_m, speed_mps, 0.0) < -0.001
    assert following_acceleration_mps2(speed_mps, 35.0, 1.1 * gap_m, speed_mps, 0.0) > 0.05


def test_free_road_settles_at_the_desired_speed() -> None:
    assert (
        following_acceleration_mps2(0.0, 30.0, math.inf, 0.0, 0.0) == driving_following.MAX_ACCELERATION_MPS2
    )
    assert following_acceleration_mps2(30.0, 30.0, math.inf, 0.0, 0.0) == 0.0
    too_fast = following_acceleration_mps2(40.0, 30.0, math.inf, 0.0, 0.0)
    assert -driving_following.COMFORTABLE_DECELERATION_MPS2 < too_fast < -0.5


def test_a_faster_car_that_cuts_in_close_causes_no_panic() -> None:
    """Below the wanted gap but opening: Kesting et al. (2010) brake far less than the plain model."""
    mild = following_acceleration_mps2(30.0, 33.0, 15.0, 33.0, 0.0)
    assert -2.6 < mild < 0.0
    assert following_acceleration_mps2(30.0, 33.0, 15.0, 22.0, 0.0) < -3.5


def test_required_deceleration_is_met() -> None:
    """A standing obstacle: at least v^2 / (2 gap)."""
    for speed_mps, gap_m in ((20.0, 50.0), (30.0, 80.0), (10.0, 12.0)):
        assert following_acceleration_mps2(speed_mps, 33.0, gap_m, 0.0, 0.0) < -(speed_mps**2) / (2.0 * gap_m)


@pytest.mark.parametrize(
    ("speed_mps", "acceleration", "t_s", "expected"),
    [
        (20.0, 0.0, 1.5, (30.0, 20.0)),
        (20.0, -4.0, 2.0, (32.0, 12.0)),
        (10.0, -5.0, 4.0, (10.0, 0.0)),
        (0.0, -5.0, 4.0, (0.0, 0.0)),
    ],
)
def test_prediction(speed_mps: float, acceleration: float, t_s: float, expected: tuple[float, float]) -> None:
    assert predict_along(speed_mps, acceleration, t_s) == pytest.approx(expected)


@pytest.mark.parametrize("radius_m", [80.0, 600.0])
def test_route_coordinates_match_the_arc(radius_m: float) -> None:
    """Chords of 4 m leave the arc by at most s^2 / (8 r)."""
    route = arc_route(radius_m)
    sagitta_m = 4.0**2 / (8.0 * radius_m)
    for s_m, offset_m in ((1.0, 0.0), (30.0, 3.5), (77.0, -5.0), (120.0, 1.0)):
        angle = s_m / radius_m
        x_m = (radius_m - offset_m) * math.sin(angle)
        y_m = radius_m - (radius_m - offset_m) * math.cos(angle)
        s_found, offset_found, yaw = locate_on_route(route, x_m, y_m)
        assert s_found == pytest.approx(s_m, abs=abs(offset_m) * 4.0 / radius_m + 0.01)
        assert offset_found == pytest.approx(offset_m, abs=1.1 * sagitta_m + 1e-6)
        assert yaw == pytest.approx(angle, abs=0.01)
        back = point_on_route(route, s_m, offset_m)
        assert back == pytest.approx((x_m, y_m, angle), abs=2.0 * sagitta_m + 1e-6)


def test_route_goes_on_straight_beyond_its_ends() -> None:
    route = straight_route(100.0)
    assert locate_on_route(route, 180.0, 2.0) == pytest.approx((180.0, 2.0, 0.0))
    assert locate_on_route(route, -90.0, -2.0) == pytest.approx((-90.0, -2.0, 0.0))
    assert point_on_route(route, 180.0, 2.0) == pytest.approx((180.0, 2.0, 0.0))


@pytest.mark.parametrize("radius_m", [12.0, 30.0, 150.0])
def test_refined_routes_do_not_cut_corners(radius_m: float) -> None:
    """Points between those of the sensor lie on the arc within the allowed sagitta."""
    s_m = np.arange(0.0, 2.5 * radius_m, 4.0)
    angle = s_m / radius_m
    coarse = np.stack([radius_m * np.sin(angle), radius_m * (1 - np.cos(angle)), angle, s_m], axis=1)
    fine, road = refine_route(coarse, nothing_known(coarse))
    assert len(road) == len(fine) >= len(coarse)
    middle = 0.5 * (fine[1:, :2] + fine[:-1, :2])
    assert np.abs(np.hypot(middle[:, 0], middle[:, 1] - radius_m) - radius_m).max() < 0.03
    assert fine[-1, 3] == pytest.approx(s_m[-1], rel=0.01)


def test_straight_routes_are_not_refined() -> None:
    route = straight_route()
    fine, _ = refine_route(route, nothing_known(route))
    assert np.array_equal(fine, route)


def test_caps_can_be_kept() -> None:
    """Before a lower cap the speed falls along v^2 = v0^2 + 2 a s."""
    route = straight_route(200.0)
    road = nothing_known(route)
    road[30:, CAP_MPS] = 6.0
    slow_down_in_time(route, road)
    way_m = route[30, 3] - route[:30, 3]
    np.testing.assert_allclose(road[:30, CAP_MPS] ** 2, 36.0 + 2.0 * 1.8 * way_m)


@pytest.mark.parametrize("speed_mps", [4.0, 12.0, 20.0])
def test_stopping_ends_at_the_line(speed_mps: float) -> None:
    way_m, speed = speed_mps**2 / (2.0 * 1.8), speed_mps
    hardest = 0.0
    for _ in range(2000):
        acceleration = stopping_acceleration_mps2(speed, way_m)
        hardest = min(hardest, acceleration) if way_m > 0.2 else hardest
        later = max(0.0, speed + min(acceleration, 1.8) * 0.01)
        way_m -= 0.5 * (speed + later) * 0.01
        speed = later
    assert speed == pytest.approx(0.0, abs=0.02)
    assert -0.05 < way_m < 0.25
    assert hardest > -2.5


def test_plan_is_smooth_and_consistent() -> None:
    """Positions are the integral of the speeds, headings follow the path, changes are bounded."""
    plan = plan_from((0.0, 0.6, 0.02, 25.0), [actor(60.0, 3.0, 14.0)], route=arc_route(600.0))
    path = np.concatenate([[[0.0, 0.6, 0.02, 25.0]], plan])
    steps_m = np.hypot(*np.diff(path[:, :2], axis=0).T)
    means_mps = 0.5 * (path[1:, 3] + path[:-1, 3])
    np.testing.assert_allclose(steps_m, means_mps * STEP_S, rtol=5e-3)
    course = np.arctan2(np.diff(path[:, 1]), np.diff(path[:, 0]))
    np.testing.assert_allclose(course, 0.5 * (path[1:, 2] + path[:-1, 2]), atol=4e-3)
    jerk = np.diff(path[:, 3], n=2) / STEP_S**2
    assert jerk.min() >= -driving_plan.BRAKE_JERK_MPS3 - 1e-6
    assert jerk.max() <= driving_plan.RELEASE_JERK_MPS3 + 1e-6
    assert plan[-1, 3] < 24.0


def test_offset_decays_to_the_centre_line() -> None:
    plan = plan_from((0.0, 0.6, 0.0, 20.0), [], desired_mps=20.0)
    assert np.all(np.diff(plan[:, 1]) < 0.0)
    scale_m = driving_passing.RETURN_TIME_S * 20.0
    x = plan[-1, 0] / scale_m
    assert plan[-1, 1] == pytest.approx(0.6 * (1.0 + x) * math.exp(-x), rel=0.02)


@pytest.mark.parametrize(
    ("other", "is_braking"),
    [
        (actor(25.0, 0.0, 15.0), True),
        (actor(25.0, 3.5, 15.0), False),
        (actor(25.0, 3.5, 15.0, drift_mps=-1.2), True),
        (actor(25.0, 3.5, 15.0, drift_mps=1.2), False),
        (actor(25.0, 3.5, 15.0, drift_mps=-0.05), False),
        (actor(-25.0, 0.0, 35.0), False),
        (actor(45.0, 0.0, 25.0, acceleration=-6.0), True),
        (actor(90.0, 0.0, 25.0), False),
    ],
    ids=["slow", "beside", "cut_in", "leaving", "wandering", "behind", "braking", "far"],
)
def test_who_counts(other: FloatArray, is_braking: bool) -> None:
    plan = plan_from((0.0, 0.0, 0.0, 25.0), [other], desired_mps=25.0)
    assert (plan[-1, 3] < 24.0) == is_braking


def test_stands_still_and_starts_again() -> None:
    standing = plan_from((0.0, 0.0, 0.0, 0.0), [actor(7.0, 0.0, 0.0)])
    np.testing.assert_allclose(standing, 0.0, atol=1e-12)
    free = plan_from((0.0, 0.0, 0.0, 0.0), [])
    assert free[-1, 3] > 2.0


@pytest.mark.parametrize("lead_deceleration", [3.0, 6.0, 8.0])
@pytest.mark.parametrize("gap_time_s", [1.3, 2.0])
def test_closed_loop_behind_a_lead_that_brakes_to_a_stop(lead_deceleration: float, gap_time_s: float) -> None:
    """Point mass that follows each plan exactly for 8 steps, then gets a new one: it stops short of the lead."""
    speed_mps, x_m, acceleration = 30.0, 0.0, 0.0
    lead_mps, lead_m = 30.0, 4.55 + gap_time_s * 30.0
    least_m = math.inf
    for _ in range(50):
        lead_acceleration = -lead_deceleration if lead_mps > 0.0 else 0.0
        plan = plan_from(
            (0.0, 0.0, 0.0, speed_mps),
            [actor(lead_m - x_m, 0.0, lead_mps, acceleration=lead_acceleration)],
            acceleration=acceleration,
        )
        for row in range(8):
            lead_m += lead_mps * STEP_S
            lead_mps = max(0.0, lead_mps - lead_deceleration * STEP_S)
            gap_m = lead_m - (x_m + plan[row, 0]) - 4.55
            least_m = min(least_m, gap_m)
        acceleration = (plan[7, 3] - plan[6, 3]) / STEP_S
        x_m += plan[7, 0]
        speed_mps = plan[7, 3]
    assert least_m > 0.5
    assert speed_mps == pytest.approx(0.0, abs=0.05)
