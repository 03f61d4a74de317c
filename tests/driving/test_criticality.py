"""Measures of criticality and comfort against values worked by hand and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import savgol_filter

from simloop.log import EpisodeLog
from simloop.metrics.metric import Metric, MetricValue
from simloop_driving.collisions.impulse import CLASS_MASS_KG
from simloop_driving.metrics import criticality as c
from simloop_driving.metrics.comfort import (
    ComfortPermissive,
    ComfortStandard,
    ComfortStrict,
    MaxLateralAcceleration,
    MaxLongitudinalJerk,
    is_permissive,
    is_standard,
    is_strict,
    ride_signals,
)
from simloop_driving.metrics.criticality_metrics import (
    DeltaV,
    IntrusionTtc,
    MaxBtn,
    MaxDrac,
    MaxEncroachment,
    MaxMdrac,
    MinCrossingPet,
    MinDistance,
    MinPet,
    TimeExposedTtc,
    TimeIntegratedTtc,
    TimeUnsafeRss,
)
from simloop_driving.metrics.encroachment import encroachments
from simloop_driving.metrics.traffic_grid import read_traffic
from simloop_driving.recording import ACTORS, COLLISIONS
from simloop_driving.scenario.actor_state import ACTOR_CLASSES

FloatArray = npt.NDArray[np.float64]
TICK_S = 0.05


def _track(t_s: FloatArray, **columns: Any) -> dict[str, FloatArray]:
    """One actor; along and across the route are x and y unless they are given."""
    values = {"x_m": 0.0, "y_m": 0.0, "yaw_rad": 0.0, "speed_mps": 0.0, "acceleration_mps2": 0.0}
    values |= {"length_m": 4.0, "width_m": 2.0, "actor_class": 0.0, "lane": 0.0}
    values |= {"is_present": True, "is_in_opposite_lane": False} | columns
    out = {name: np.broadcast_to(np.asarray(v, dtype=np.float64), t_s.shape) for name, v in values.items()}
    along = {"station_m": out["x_m"], "lateral_offset_m": out["y_m"]}
    along |= {"route_speed_mps": out["speed_mps"] * np.cos(out["yaw_rad"])}
    return {"t_ns": np.round(t_s * 1e9)} | along | out


ATTRIBUTES = {"ego_mass_kg": 1573.0, "route_lane_widths_m": [[0.0, 3.5], [100.0, 3.5]]}


def _log(
    *tracks: dict[str, FloatArray],
    collisions: dict[str, Any] | None = None,
    attributes: dict[str, Any] = ATTRIBUTES,
) -> EpisodeLog:
    """The first track is the ego."""
    num_ticks = len(tracks[0]["t_ns"])
    rows: dict[str, Any] = {}
    for column in ACTORS.columns:
        if column.name == "actor":
            rows["actor"] = np.tile(np.arange(len(tracks)), num_ticks)
        else:
            values = np.stack([track[column.name] for track in tracks], axis=1).reshape(-1)
            rows[column.name] = values.astype(column.dtype)
    nothing: dict[str, Any] = {column.name: [] for column in COLLISIONS.columns}
    return EpisodeLog.from_columns(
        {"world.actors": ACTORS, "world.collisions": COLLISIONS},
        {"world.actors": rows, "world.collisions": nothing | (collisions or {})},
        attributes,
    )


def _ticks(duration_s: float) -> FloatArray:
    return np.arange(round(duration_s / TICK_S) + 1) * TICK_S


def _closing() -> EpisodeLog:
    """Ego 20 m/s, 30 m behind a leader of 10 m/s, for 2 s; a second car, nearer, beside the path does not count."""
    t_s = _ticks(2.0)
    return _log(
        _track(t_s, x_m=20.0 * t_s, speed_mps=20.0),
        _track(t_s, x_m=34.0 + 10.0 * t_s, speed_mps=10.0),
        _track(t_s, x_m=20.0 + 10.0 * t_s, y_m=3.5, speed_mps=10.0),
    )


@pytest.mark.parametrize(
    ("measured", "by_hand"),
    [
        (c.time_headway_s(30.0, 20.0), 1.5),
        (c.time_headway_s(30.0, 0.0), math.inf),
        (c.time_to_collision_s(30.0, 10.0), 3.0),
        (c.time_to_collision_s(30.0, -1.0), math.inf),
        (c.deceleration_to_avoid_mps2(30.0, 10.0), 100.0 / 60.0),
        (c.deceleration_to_avoid_mps2(30.0, 0.0), 0.0),
        (c.modified_deceleration_to_avoid_mps2(30.0, 10.0, 1.0), 2.5),
        (c.modified_deceleration_to_avoid_mps2(9.0, 10.0, 1.0), math.inf),
        (c.required_acceleration_mps2(30.0, 10.0, -2.0), -2.0 - 100.0 / 60.0),
        (c.required_acceleration_mps2(30.0, 1.0, 2.0), 0.0),
        (c.rss_safe_distance_m(20.0, 10.0, 1.0, 3.5, 4.0, 8.0), 21.75 + 23.5**2 / 8.0 - 100.0 / 16.0),
        (c.rss_safe_distance_m(5.0, 30.0, 1.0, 3.5, 4.0, 8.0), 0.0),
        (c.time_exposed_s(np.array([3.0, 1.4, 1.0, 1.6]), 1.5, 0.1), 0.2),
        (c.time_integrated_s2(np.array([3.0, 1.4, 1.0, 1.6]), 1.5, 0.1), 0.06),
    ],
)
def test_formulas(measured: float, by_hand: float) -> None:
    assert measured == pytest.approx(by_hand)


def test_series_against_the_leader() -> None:
    series = read_traffic(_closing()).leader
    first = {c.GAP_M: 30.0, c.THW_S: 1.5, c.TTC_S: 3.0, c.DRAC_MPS2: 5.0 / 3.0, c.MDRAC_MPS2: 2.5}
    last = {c.GAP_M: 10.0, c.THW_S: 0.5, c.TTC_S: 1.0, c.DRAC_MPS2: 5.0, c.BTN: 5.0 / (0.774 * 9.81)}
    assert {k: series[0, k] for k in first} == pytest.approx(first)
    assert {k: series[-1, k] for k in last} == pytest.approx(last)
    # From 1.5 s on the time to collision is below 1.5 s: it falls by one second a second.
    assert series[30, c.TTC_S] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (MaxDrac(), 5.0),
        (MaxBtn(), 5.0 / (0.774 * 9.81)),
        # Half a second before the end the time to collision is 1.5 s and falls to the second of reaction: the cap.
        (MaxMdrac(), 20.0),
        # 20 + 0.5 * 3.5 m of response, 23.5^2 / 8 m of braking, less 10^2 / 16 m: 84.5 m, more than the gap ever is.
        (TimeUnsafeRss(), 41 * TICK_S),
        # Ten ticks below 1.5 s, at 1.45, 1.40 .. 1.00 s.
        (TimeExposedTtc(), 0.5),
        (TimeIntegratedTtc(), sum(0.05 * k for k in range(1, 11)) * TICK_S),
        # The car beside is 3.5 m to the side, 2 m between the sides less; the ego passes it.
        (MinDistance(), 1.5),
        # In the end the ego's front is at 42 m, which the leader's rear left after 1 s.
        (MinPet(), 1.0),
        (DeltaV(), 0.0),
    ],
)
def test_metrics_of_a_closing_gap(metric: Metric, value: float) -> None:
    assert metric.evaluate(_closing()).value == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("yaw_rad", [math.pi, 0.5 * math.pi, -0.5 * math.pi, math.radians(61.0)])
def test_oncoming_and_crossing_actors_are_no_leaders(yaw_rad: float) -> None:
    """They come at 8 m/s to 40 m ahead in the ego's path; one that stands there, or goes the ego's way, is one."""
    t_s = _ticks(1.0)
    ego = _track(t_s, x_m=10.0 * t_s, speed_mps=10.0)
    way_m = 8.0 * (t_s - 1.0)
    place = {"x_m": 44.0 + way_m * math.cos(yaw_rad), "y_m": way_m * math.sin(yaw_rad), "yaw_rad": yaw_rad}
    meeting = _log(ego, _track(t_s, speed_mps=8.0, **place))
    assert MaxDrac().evaluate(meeting).value == TimeUnsafeRss().evaluate(meeting).value == 0.0
    assert np.isinf(read_traffic(meeting).leader[:, c.GAP_M]).all()
    standing = _log(ego, _track(t_s, x_m=44.0, yaw_rad=yaw_rad))
    assert MaxDrac().evaluate(standing).value == pytest.approx(100.0 / (2.0 * 30.0))
    route_mps = 8.0 * math.cos(math.radians(10.0))
    along = _log(ego, _track(t_s, x_m=44.0 + route_mps * t_s, speed_mps=8.0, yaw_rad=math.radians(10.0)))
    closing_mps = 10.0 - route_mps
    assert MaxDrac().evaluate(along).value == pytest.approx(closing_mps**2 / (2.0 * (40.0 - closing_mps)))


def test_crossing_and_following_are_told_apart() -> None:
    # A follower 1 s behind the ego, and a crossing car that leaves the ego's strip 0.9 s before it comes: its rear is
    # past at 3 m beyond the middle, after 1.3 s from 10 m; the ego's front comes to 1 m before the middle after 2.2 s.
    t_s = _ticks(4.0)
    ego = _track(t_s, x_m=-25.0 + 10.0 * t_s, speed_mps=10.0)
    crossing = _track(t_s, y_m=-10.0 + 10.0 * t_s, yaw_rad=0.5 * math.pi, speed_mps=10.0)
    follower = _track(t_s, x_m=-39.0 + 10.0 * t_s, speed_mps=10.0)
    assert MinPet().evaluate(_log(ego, follower)).value == pytest.approx(1.0, abs=1.01 * TICK_S)
    assert MinCrossingPet().evaluate(_log(ego, follower)).value == 5.0
    assert MaxEncroachment().evaluate(_log(ego, follower)).value == 0.0
    both = _log(ego, follower, crossing)
    assert MinCrossingPet().evaluate(both).value == pytest.approx(0.9, abs=1.01 * TICK_S)
    # The ego is on the strip of the other from 2.2 s to 2.8 s.
    assert MaxEncroachment().evaluate(both).value == pytest.approx(0.6, abs=1.01 * TICK_S)


def test_nobody_ahead_is_no_danger() -> None:
    t_s = _ticks(1.0)
    alone = _log(_track(t_s, x_m=20.0 * t_s, speed_mps=20.0))
    assert MaxDrac().evaluate(alone).value == MaxBtn().evaluate(alone).value == 0.0
    assert TimeExposedTtc().evaluate(alone).value == 0.0
    assert MinPet().evaluate(alone).value == 5.0
    assert "but the ego" in MinDistance().evaluate(alone).reason
    assert "nobody cut in" in IntrusionTtc().evaluate(alone).reason


def test_post_encroachment_of_crossing_paths() -> None:
    # The ego's rear leaves the crossing strip (y within 1 m of 0) at 3 m past its centre, after 0.3 s at 10 m/s;
    # the other's front reaches the ego's strip when its centre is 3 m off: from 25 m at 10 m/s after 2.2 s.
    t_s = _ticks(4.0)
    pose = np.zeros((len(t_s), 2, 3))
    pose[:, 0, 0] = 10.0 * t_s
    pose[:, 1, 1] = 25.0 - 10.0 * t_s
    pose[:, 1, 2] = -math.pi / 2.0
    size_m = np.broadcast_to([4.0, 2.0], (len(t_s), 2, 2))
    is_present = np.ones((len(t_s), 2), dtype=bool)
    seconds = encroachments(pose, size_m, is_present, TICK_S, 5.0)
    # The ego is on the strip from 3 m before its middle to 3 m behind it.
    assert seconds == pytest.approx([2.2 - 0.3, 2.2 - 0.3, 0.3], abs=1.01 * TICK_S)
    assert encroachments(pose, size_m, is_present, TICK_S, 1.5) == pytest.approx([math.inf, math.inf, 0.0])
    is_present[40:, 1] = False  # it never comes to the strip
    assert encroachments(pose, size_m, is_present, TICK_S, 5.0) == pytest.approx([math.inf, math.inf, 0.0])


@pytest.mark.parametrize(
    ("pose", "distance_m"),
    [
        ((10.0, 0.0, 0.0), 6.0),
        ((7.0, 6.0, 0.0), 5.0),
        ((0.0, 0.0, math.pi / 2.0), 0.0),
        # A corner points at the ego: half the diagonal of a 2 m square nearer than its centre.
        ((10.0, 0.0, math.pi / 4.0), 8.0 - math.sqrt(2.0)),
    ],
)
def test_distance_of_rectangles(pose: tuple[float, float, float], distance_m: float) -> None:
    size = np.array([2.0, 2.0]) if pose[2] == math.pi / 4.0 else np.array([4.0, 2.0])
    ego_size = np.array([4.0, 2.0])
    assert c.rectangle_distance_m(np.zeros(3), ego_size, np.array(pose), size) == pytest.approx(distance_m)


def _cut_in(attributes: dict[str, Any]) -> MetricValue:
    """Evaluates a car, 2 m wide, that comes in from 3.5 m aside at 1 m/s, 30 m ahead of the ego; 10 m/s closing."""
    t_s = _ticks(3.0)
    log = _log(
        _track(t_s, x_m=20.0 * t_s, speed_mps=20.0),
        _track(t_s, x_m=34.0 + 10.0 * t_s, y_m=np.maximum(3.5 - t_s, 0.0), speed_mps=10.0),
        attributes=attributes,
    )
    return IntrusionTtc().evaluate(log)


@pytest.mark.parametrize(
    ("widths_m", "inside_after_s"),
    [
        # Its near side is 0.3 m inside a lane of width w where its centre is w / 2 - 0.3 m + 1 m off.
        ([[0.0, 3.5], [100.0, 3.5]], 1.05),
        ([[0.0, 3.0], [100.0, 3.0]], 1.3),
        # 3.5 m - t = (3 m + 0.005 (34 m + 10 t)) / 2 + 0.7 m
        ([[0.0, 3.0], [200.0, 4.0]], 1.215 / 1.025),
    ],
)
def test_intrusion_is_timed_at_0_3_m_inside_the_lane(
    widths_m: list[list[float]], inside_after_s: float
) -> None:
    value = _cut_in({"route_lane_widths_m": widths_m}).value
    assert value == pytest.approx(3.0 - inside_after_s, abs=1.01 * TICK_S)


def test_intrusion_needs_to_know_the_lane() -> None:
    assert _cut_in({}).reason == "the log has no attribute route_lane_widths_m"


def _crash(actor_class: int, attributes: dict[str, Any]) -> MetricValue:
    t_s = _ticks(0.1)
    log = _log(
        _track(t_s),
        _track(t_s, actor_class=actor_class),
        collisions={
            "t_ns": [0],
            "actor": [1],
            "kind": ["active_front"],
            "is_at_fault": [True],
            "impact_speed_mps": [10.0],
            "ego_speed_mps": [10.0],
            "actor_speed_mps": [0.0],
            "impulse_newton_s": [math.nan],  # of a blow with restitution; this one is plastic
        },
        attributes=attributes,
    )
    return DeltaV().evaluate(log)


@pytest.mark.parametrize("ego_mass_kg", [1573.0, 900.0])
@pytest.mark.parametrize("actor_class", range(len(ACTOR_CLASSES)))
def test_delta_v_shares_the_momentum(actor_class: int, ego_mass_kg: float) -> None:
    mass_kg = CLASS_MASS_KG[ACTOR_CLASSES[actor_class]]
    common_mps = ego_mass_kg * 10.0 / (ego_mass_kg + mass_kg)  # the ego's momentum moves both
    assert _crash(actor_class, {"ego_mass_kg": ego_mass_kg}).value == pytest.approx(10.0 - common_mps)


def test_delta_v_needs_to_know_the_ego() -> None:
    assert _crash(0, {}).reason == "the log has no attribute ego_mass_kg"


def test_ride_signals_of_a_ramp_are_exact() -> None:
    t_s = _ticks(6.0)
    ride = ride_signals(5.0 + 2.0 * t_s + 0.25 * t_s**2, np.zeros(len(t_s)), TICK_S)
    assert ride.longitudinal_mps2 == pytest.approx(2.0 + 0.5 * t_s)
    assert ride.longitudinal_jerk_mps3 == pytest.approx(np.full(len(t_s), 0.5))
    assert ride.jerk_mps3 == pytest.approx(np.full(len(t_s), 0.5))


def test_ride_signals_are_those_of_a_savitzky_golay_filter() -> None:
    draws = np.random.default_rng(5)
    speed, yaw = draws.normal(20.0, 1.0, 90), np.cumsum(draws.normal(0.0, 0.01, 90))
    ride = ride_signals(speed, yaw, TICK_S)
    for measured, values, order, window in (
        (ride.longitudinal_mps2, speed, 1, 17),
        (ride.longitudinal_jerk_mps3, speed, 2, 31),
        (ride.yaw_rate_radps, yaw, 1, 17),
        (ride.yaw_acceleration_radps2, yaw, 2, 31),
    ):
        expected = savgol_filter(values, window, 2, deriv=order, delta=TICK_S)
        np.testing.assert_allclose(measured, expected, rtol=1e-9, atol=1e-9)


def test_ride_signals_of_a_sine() -> None:
    t_s = _ticks(20.0)
    omega = 0.6
    ride = ride_signals(20.0 + 3.0 * np.sin(omega * t_s), np.zeros(len(t_s)), TICK_S)
    inside = slice(20, -20)
    assert ride.longitudinal_mps2[inside] == pytest.approx(
        3.0 * omega * np.cos(omega * t_s)[inside], abs=0.03
    )
    assert ride.longitudinal_jerk_mps3[inside] == pytest.approx(
        -3.0 * omega**2 * np.sin(omega * t_s)[inside], abs=0.05
    )


def test_ride_signals_of_a_clothoid_are_exact() -> None:
    # Curvature 0.001/m + 0.0005/m each second at 15 m/s; headings wrap.
    t_s, speed = _ticks(8.0), 15.0
    yaw = speed * (0.001 * t_s + 0.00025 * t_s**2) + 3.1
    ride = ride_signals(np.full(len(t_s), speed), (yaw + math.pi) % (2.0 * math.pi) - math.pi, TICK_S)
    assert ride.yaw_rate_radps == pytest.approx(speed * (0.001 + 0.0005 * t_s))
    assert ride.yaw_acceleration_radps2 == pytest.approx(np.full(len(t_s), speed * 0.0005))
    assert ride.lateral_mps2 == pytest.approx(speed**2 * (0.001 + 0.0005 * t_s))
    assert ride.jerk_mps3 == pytest.approx(np.full(len(t_s), speed**2 * 0.0005))


@pytest.mark.parametrize(
    ("speed_mps", "acceleration_mps2", "tiers"),
    [
        (15.0, 1.9, (True, True, True)),
        (15.0, 2.2, (False, True, True)),
        (25.0, 2.2, (False, False, True)),
        (10.0, -3.9, (False, True, True)),
        (25.0, -3.9, (False, False, True)),
        (25.0, -4.2, (False, False, False)),
    ],
)
def test_tiers_bound_steady_accelerations(
    speed_mps: float, acceleration_mps2: float, tiers: tuple[bool, bool, bool]
) -> None:
    t_s = _ticks(2.0) - 1.0
    ride = ride_signals(speed_mps + acceleration_mps2 * t_s, np.zeros(len(t_s)), TICK_S)
    middle = len(t_s) // 2
    assert (is_strict(ride)[middle], is_standard(ride)[middle], is_permissive(ride)[middle]) == tiers


def test_extremes_of_a_ride() -> None:
    # 10 m/s on a circle of 20 m; then braking whose rate grows by 2 m/s3.
    t_s = _ticks(6.0)
    circle = _log(_track(t_s, speed_mps=10.0, yaw_rad=-0.5 * t_s))
    assert MaxLateralAcceleration().evaluate(circle).value == pytest.approx(5.0)
    braking = _log(_track(t_s, speed_mps=40.0 - t_s**2))
    assert MaxLongitudinalJerk().evaluate(braking).value == pytest.approx(2.0)
    assert MaxLateralAcceleration().evaluate(braking).value == pytest.approx(0.0, abs=1e-9)


def test_comfort_is_a_share_of_the_time() -> None:
    t_s = _ticks(10.0)
    speed = 20.0 - 3.0 * np.clip(t_s - 5.0, 0.0, None)
    log = _log(_track(t_s, speed_mps=speed), _track(t_s, x_m=500.0))
    assert ComfortStrict().evaluate(log).value == pytest.approx(0.5, abs=0.1)
    assert ComfortStandard().evaluate(log).value >= 0.9
    assert ComfortPermissive().evaluate(log).value == 1.0
    short = _log(_track(_ticks(0.5)))
    assert "shorter than 1.5 s" in ComfortStrict().evaluate(short).reason
