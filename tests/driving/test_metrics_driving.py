"""Driving metrics against closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from simloop.log import CONTACTS, Column, EpisodeLog, TableSchema
from simloop_driving.metrics.first_overlap import first_overlap_s
from simloop_driving.metrics.max_deceleration import MaxDeceleration
from simloop_driving.metrics.min_thw import MinThw
from simloop_driving.metrics.min_ttc import MinTtc
from simloop_driving.metrics.num_at_fault_collisions import NumAtFaultCollisions
from simloop_driving.metrics.progress import Progress
from simloop_driving.metrics.rules import (
    NumRedLightInfractions,
    NumStopSignInfractions,
    TimeInOppositeLane,
)
from simloop_driving.metrics.traces import driving_traces
from simloop_driving.metrics.traffic_grid import TTC_HORIZON_S

ACTORS = TableSchema(
    columns=(
        Column(name="t_ns", dtype="int64"),
        Column(name="actor", dtype="int64"),
        Column(name="x_m"),
        Column(name="y_m"),
        Column(name="yaw_rad"),
        Column(name="speed_mps"),
        Column(name="acceleration_mps2"),
        Column(name="length_m"),
        Column(name="width_m"),
        Column(name="station_m"),
        Column(name="lateral_offset_m"),
        Column(name="route_speed_mps"),
        Column(name="is_present", dtype="bool"),
        Column(name="is_in_opposite_lane", dtype="bool"),
        Column(name="actor_class", dtype="int64"),
    )
)

Track = dict[str, npt.NDArray[np.float64]]


def track(
    t_s: npt.NDArray[np.float64],
    *,
    x_m: object,
    speed_mps: object,
    y_m: object = 0.0,
    yaw_rad: object = 0.0,
    acceleration_mps2: object = 0.0,
    size_m: tuple[float, float] = (4.0, 2.0),
    is_present: object = True,
    is_in_opposite_lane: object = False,
) -> Track:
    """One actor's columns at the instants ``t_s``; scalars are repeated. The route is along x."""

    def column(value: object) -> npt.NDArray[np.float64]:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), t_s.shape)

    return {
        "t_s": t_s,
        "x_m": column(x_m),
        "y_m": column(y_m),
        "yaw_rad": column(yaw_rad),
        "speed_mps": column(speed_mps),
        "acceleration_mps2": column(acceleration_mps2),
        "length_m": column(size_m[0]),
        "width_m": column(size_m[1]),
        "station_m": column(x_m),
        "lateral_offset_m": column(y_m),
        "route_speed_mps": column(speed_mps) * np.cos(column(yaw_rad)),
        "is_present": column(is_present),
        "is_in_opposite_lane": column(is_in_opposite_lane),
        "actor_class": column(0),
    }


def actors_log(*tracks: Track) -> EpisodeLog:
    """A log with a ``world.actors`` table; the first track is the ego."""
    rows: dict[str, list[float]] = {column.name: [] for column in ACTORS.columns}
    for tick, t_s in enumerate(tracks[0]["t_s"]):
        for actor, columns in enumerate(tracks):
            rows["t_ns"].append(round(float(t_s) * 1e9))
            rows["actor"].append(actor)
            for name in columns:
                if name != "t_s":
                    rows[name].append(float(columns[name][tick]))
    return EpisodeLog.from_columns({"world.actors": ACTORS}, {"world.actors": rows})


def contacts_log(rows: Sequence[tuple[float, str, bool, float, bool]]) -> EpisodeLog:
    """A log with a ``world.contacts`` table from (t_s, class_pair, is_collision, impact_speed_mps, is_at_fault)."""
    columns = {
        "t_ns": [round(row[0] * 1e9) for row in rows],
        "class_pair": [row[1] for row in rows],
        "is_collision": [row[2] for row in rows],
        "impact_speed_mps": [row[3] for row in rows],
        "is_at_fault": [row[4] for row in rows],
        "duration_s": [0.1 for _ in rows],
    }
    return EpisodeLog.from_columns({"world.contacts": CONTACTS}, {"world.contacts": columns})


CAR_M = np.array([4.0, 2.0])


def overlap_s(ego: tuple[float, ...], other: tuple[float, ...]) -> float:
    """First overlap of two cars given as (x_m, y_m, yaw_rad, speed_mps)."""
    return float(first_overlap_s(np.array(ego[:3]), ego[3], CAR_M, np.array(other[:3]), other[3], CAR_M))


@pytest.mark.parametrize(
    ("ego", "other", "expected_s"),
    [
        # Same lane: bumper-to-bumper gap over closing speed.
        ((0, 0, 0, 20.0), (30, 0, 0, 15.0), (30 - 4) / 5),
        # Opening, equal speeds, next lane.
        ((0, 0, 0, 15.0), (30, 0, 0, 20.0), math.inf),
        ((0, 0, 0, 15.0), (30, 0, 0, 15.0), math.inf),
        ((0, 0, 0, 20.0), (30, 3.5, 0, 10.0), math.inf),
        # Sides graze exactly: the projection touches.
        ((0, 0, 0, 20.0), (30, 2.0, 0, 10.0), (30 - 4) / 10),
        # Overlap now.
        ((0, 0, 0, 20.0), (3, 1, 0, 20.0), 0.0),
        # Crossing at a right angle: both enter the square at the same time.
        ((-20, 0, 0, 10.0), (0, -20, math.pi / 2, 10.0), (20 - 3) / 10),
        # Crossing, the other is long gone: ego reaches the lane at 1.7 s, the other has left it at 0.23 s.
        ((-20, 0, 0, 10.0), (0, -1, math.pi / 2, 30.0), math.inf),
        # Head on.
        ((0, 0, 0, 10.0), (50, 0, math.pi, 15.0), (50 - 4) / 25),
        # A frame turned by 0.7 rad changes nothing.
        (
            (1.0, -2.0, 0.7, 20.0),
            (1.0 + 30 * math.cos(0.7), -2.0 + 30 * math.sin(0.7), 0.7, 15.0),
            (30 - 4) / 5,
        ),
    ],
)
def test_first_overlap_matches_closed_form(
    ego: tuple[float, ...], other: tuple[float, ...], expected_s: float
) -> None:
    assert overlap_s(ego, other) == pytest.approx(expected_s, abs=1e-9)


def test_first_overlap_matches_sampled_polygons() -> None:
    """The swept separating axes agree with footprints that are stepped and tested with shapely."""
    shapely = pytest.importorskip("shapely")
    affinity = pytest.importorskip("shapely.affinity")
    generator = np.random.default_rng(7)
    box = shapely.box(-2.0, -1.0, 2.0, 1.0)
    step_s = 0.01
    num_hits = 0
    for _ in range(60):
        poses = generator.uniform([[-20, -6, -0.5], [5, -6, 2.6]], [[-5, 6, 0.5], [20, 6, 3.7]])
        speeds_mps = generator.uniform(0.0, 20.0, 2)
        sampled_s = math.inf
        for tick in range(300):
            footprints = [
                affinity.translate(
                    affinity.rotate(box, yaw_rad, origin=(0, 0), use_radians=True),
                    x_m + speed * math.cos(yaw_rad) * tick * step_s,
                    y_m + speed * math.sin(yaw_rad) * tick * step_s,
                )
                for (x_m, y_m, yaw_rad), speed in zip(poses, speeds_mps, strict=True)
            ]
            if footprints[0].intersects(footprints[1]):
                sampled_s = tick * step_s
                break
        exact_s = overlap_s((*poses[0], speeds_mps[0]), (*poses[1], speeds_mps[1]))
        if math.isinf(sampled_s):
            # A graze shorter than one sample is the only thing that sampling may miss.
            assert exact_s > 299 * step_s - step_s or _graze_is_short(poses, speeds_mps, exact_s, step_s)
        else:
            num_hits += 1
            assert sampled_s - step_s - 1e-9 <= exact_s <= sampled_s + 1e-9
    assert num_hits > 10


def _graze_is_short(poses: np.ndarray, speeds_mps: np.ndarray, enter_s: float, step_s: float) -> bool:
    later = [
        (
            x + speed * math.cos(yaw) * (enter_s + step_s),
            y + speed * math.sin(yaw) * (enter_s + step_s),
            yaw,
            0.0,
        )
        for (x, y, yaw), speed in zip(poses, speeds_mps, strict=True)
    ]
    return math.isinf(overlap_s(later[0], later[1]))


def test_min_ttc_of_a_braking_lead() -> None:
    """Gap 40 m, both 20 m/s, lead brakes at 4 m/s^2: TTC(t) = (40 - 2 t^2) / (4 t)."""
    t_s = np.arange(0.0, 3.0001, 0.05)
    log = actors_log(
        track(t_s, x_m=20.0 * t_s, speed_mps=20.0),
        track(t_s, x_m=44.0 + 20.0 * t_s - 2.0 * t_s**2, speed_mps=20.0 - 4.0 * t_s, acceleration_mps2=-4.0),
    )
    value = MinTtc().evaluate(log)
    assert value.is_valid
    assert value.value == pytest.approx((40.0 - 2.0 * 9.0) / 12.0, abs=1e-9)


def test_min_ttc_is_capped_and_needs_an_ego() -> None:
    t_s = np.arange(0.0, 1.0, 0.05)
    alone = track(t_s, x_m=0.0, speed_mps=0.0)
    assert MinTtc().evaluate(actors_log(alone)).value == TTC_HORIZON_S
    slow_approach = track(t_s, x_m=104.0, speed_mps=-1.0)
    assert MinTtc().evaluate(actors_log(alone, slow_approach)).value == TTC_HORIZON_S
    empty = actors_log(track(t_s[:0], x_m=0.0, speed_mps=0.0))
    assert not MinTtc().evaluate(empty).is_valid
    assert "no row of the ego" in MinTtc().evaluate(empty).reason


def test_min_thw_takes_the_nearest_in_lane() -> None:
    """Lead 2 m/s slower in the ego's lane, a nearer one in the next lane, a follower behind."""
    t_s = np.arange(0.0, 2.0001, 0.05)
    log = actors_log(
        track(t_s, x_m=20.0 * t_s, speed_mps=20.0),
        track(t_s, x_m=50.0 + 18.0 * t_s, speed_mps=18.0, size_m=(12.0, 2.5)),
        track(t_s, x_m=10.0 + 20.0 * t_s, y_m=3.5, speed_mps=20.0),
        track(t_s, x_m=-10.0 + 20.0 * t_s, speed_mps=20.0),
    )
    gap_m = 50.0 - (4.0 + 12.0) / 2.0 - 2.0 * 2.0
    assert MinThw().evaluate(log).value == pytest.approx(gap_m / 20.0, abs=1e-9)


def test_min_thw_without_a_lead_is_not_valid() -> None:
    t_s = np.arange(0.0, 1.0, 0.05)
    for other in (track(t_s, x_m=20.0, y_m=3.5, speed_mps=10.0), track(t_s, x_m=-20.0, speed_mps=10.0)):
        value = MinThw().evaluate(actors_log(track(t_s, x_m=0.0, speed_mps=10.0), other))
        assert not value.is_valid
        assert "no actor ahead" in value.reason


def test_absent_actors_are_in_nobodys_way() -> None:
    t_s = np.arange(0.0, 1.0, 0.05)
    ego = track(t_s, x_m=20.0 * t_s, speed_mps=20.0)
    gone = actors_log(ego, track(t_s, x_m=30.0, speed_mps=0.0, is_present=t_s < 0.2))
    there = actors_log(ego, track(t_s, x_m=30.0, speed_mps=0.0))
    assert MinThw().evaluate(gone).value == pytest.approx((26.0 - 20.0 * 0.15) / 20.0)
    assert MinTtc().evaluate(gone).value == pytest.approx((26.0 - 20.0 * 0.15) / 20.0)
    assert MinTtc().evaluate(there).value < MinTtc().evaluate(gone).value
    never = actors_log(ego, track(t_s, x_m=30.0, speed_mps=0.0, is_present=False))
    assert MinTtc().evaluate(never).value == TTC_HORIZON_S


def test_rules_count_what_the_world_writes() -> None:
    infractions = TableSchema(
        columns=(
            Column(name="t_ns", dtype="int64"),
            Column(name="kind", dtype="text"),
            Column(name="station_m"),
        )
    )
    rows = {"t_ns": [1, 2, 3], "kind": ["red_light", "stop_sign", "red_light"], "station_m": [5.0, 6.0, 7.0]}
    log = EpisodeLog.from_columns({"world.infractions": infractions}, {"world.infractions": rows})
    assert NumRedLightInfractions().evaluate(log).value == 2.0
    assert NumStopSignInfractions().evaluate(log).value == 1.0
    none = EpisodeLog.from_columns({"world.infractions": infractions}, {})
    assert (
        NumRedLightInfractions().evaluate(none).value == NumStopSignInfractions().evaluate(none).value == 0.0
    )
    assert "world.infractions" in NumStopSignInfractions().evaluate(contacts_log([])).reason


def test_time_in_the_opposite_lane_is_the_egos() -> None:
    t_s = np.arange(0.0, 2.0, 0.05)
    ego = track(t_s, x_m=20.0 * t_s, speed_mps=20.0, is_in_opposite_lane=(t_s > 0.49) & (t_s < 0.91))
    log = actors_log(ego, track(t_s, x_m=90.0, speed_mps=-5.0, is_in_opposite_lane=True))
    assert TimeInOppositeLane().evaluate(log).value == pytest.approx(9 * 0.05)


def test_traces_are_what_the_metrics_reduce() -> None:
    t_s = np.arange(0.0, 2.0001, 0.05)
    log = actors_log(
        track(t_s, x_m=20.0 * t_s, speed_mps=20.0, acceleration_mps2=-1.0),
        track(t_s, x_m=34.0 + 10.0 * t_s, speed_mps=10.0),
    )
    traces = {trace.name: trace for trace in driving_traces(log)}
    assert list(traces) == ["TTC", "THW", "gap", "brake threat", "speed", "acceleration"]
    assert all(np.array_equal(t.t_ns, log.column("world.actors", "t_ns")[::2]) for t in traces.values())
    assert traces["TTC"].values == pytest.approx(3.0 - t_s)
    assert traces["THW"].values == pytest.approx((30.0 - 10.0 * t_s) / 20.0)
    assert traces["gap"].values == pytest.approx(30.0 - 10.0 * t_s)
    assert set(traces["speed"].values) == {20.0} and set(traces["acceleration"].values) == {-1.0}
    assert traces["brake threat"].thresholds == {"full braking": 1.0}
    assert driving_traces(contacts_log([])) == ()


ALLOWED = (1.0, "ego-kerb", False, 9.0, True)
HIT = (2.0, "ego-car", True, 6.5, True)
HIT_FROM_BEHIND = (3.0, "ego-truck", True, 4.0, False)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], 0.0),
        ([ALLOWED], 0.0),
        ([HIT], 1.0),
        ([ALLOWED, HIT_FROM_BEHIND], 0.0),
        ([ALLOWED, HIT, HIT_FROM_BEHIND, HIT], 2.0),
    ],
)
def test_num_at_fault_collisions(rows: list[tuple[float, str, bool, float, bool]], expected: float) -> None:
    assert NumAtFaultCollisions().evaluate(contacts_log(rows)).value == expected


def test_a_log_without_the_table_is_said_so() -> None:
    value = MinTtc().evaluate(contacts_log([]))
    assert not value.is_valid
    assert "world.actors" in value.reason


def test_progress_on_a_line_and_back() -> None:
    t_s = np.arange(0.0, 4.0001, 0.05)
    x_m = 10.0 * t_s - 2.5 * t_s**2
    log = actors_log(track(t_s, x_m=x_m, speed_mps=10.0 - 5.0 * t_s))
    assert Progress().evaluate(log).value == pytest.approx(0.0, abs=1e-9)
    ahead = t_s <= 2.0
    assert Progress().evaluate(
        actors_log(track(t_s[ahead], x_m=x_m[ahead], speed_mps=10.0 - 5.0 * t_s[ahead]))
    ).value == pytest.approx(10.0, abs=1e-9)


def test_progress_on_a_circle_across_the_angle_wrap() -> None:
    """Radius 50 m, 10 m/s, headings through +-pi: 300 chords of 2 r sin(a / 2)."""
    radius_m, step_rad = 50.0, 0.01
    angle = np.arange(301) * step_rad + 1.0
    yaw_rad = (angle + math.pi / 2.0 + math.pi) % (2.0 * math.pi) - math.pi
    log = actors_log(
        track(
            np.arange(301) * 0.05,
            x_m=radius_m * np.cos(angle),
            y_m=radius_m * np.sin(angle),
            yaw_rad=yaw_rad,
            speed_mps=10.0,
        )
    )
    assert np.abs(np.diff(yaw_rad)).max() > 3.0
    assert Progress().evaluate(log).value == pytest.approx(
        300 * 2 * radius_m * math.sin(step_rad / 2), rel=1e-12
    )


def test_max_deceleration_reads_only_the_ego() -> None:
    t_s = np.arange(0.0, 1.0, 0.05)
    sine = 3.0 * np.sin(2.0 * math.pi * t_s)
    log = actors_log(
        track(t_s, x_m=0.0, speed_mps=20.0, acceleration_mps2=sine),
        track(t_s, x_m=30.0, speed_mps=20.0, acceleration_mps2=-9.0),
    )
    assert MaxDeceleration().evaluate(log).value == pytest.approx(3.0, abs=1e-12)
    gaining = actors_log(track(t_s, x_m=0.0, speed_mps=20.0, acceleration_mps2=1.0))
    assert MaxDeceleration().evaluate(gaining).value == 0.0
