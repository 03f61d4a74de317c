"""The driving expert by the rules of the road: lights, signs, right of way, merging, bends and passing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from simloop_agents.experts import (
    driving_actors,
    driving_geometry,
    driving_lines,
    driving_priority,
    driving_sides,
)
from simloop_agents.experts.driving import EGO_SIZE_M, plan_chunk
from simloop_agents.experts.driving_following import predict_along
from simloop_agents.experts.driving_plan import STEP_S
from simloop_driving.roads.road_map import SIGNAL_KINDS
from simloop_driving.sensors import conflicts as world_conflicts
from simloop_driving.sensors import controls as world_controls
from simloop_driving.sensors import standard

FloatArray = npt.NDArray[np.float64]

LIMIT_MPS = 13.9
HALF_M = 0.5 * EGO_SIZE_M[0]


def turned(x: float, y: float, by_rad: float) -> tuple[float, float]:
    cos, sin = math.cos(by_rad), math.sin(by_rad)
    return x * cos - y * sin, y * cos + x * sin


@dataclass(kw_only=True)
class Actor:
    """Goes straight on at constant speed."""

    x_m: float
    y_m: float = 0.0
    heading_rad: float = 0.0
    speed_mps: float = 0.0
    length_m: float = 4.5
    width_m: float = 1.82

    def row(self, t_s: float, ego_x_m: float, ego_y_m: float, ego_yaw_rad: float) -> list[float]:
        dx = self.x_m + self.speed_mps * math.cos(self.heading_rad) * t_s - ego_x_m
        dy = self.y_m + self.speed_mps * math.sin(self.heading_rad) * t_s - ego_y_m
        x, y = turned(dx, dy, -ego_yaw_rad)
        heading = self.heading_rad - ego_yaw_rad
        return [1.0, x, y, heading, self.speed_mps, 0.0, self.length_m, self.width_m]


@dataclass(kw_only=True)
class Street:
    """A straight street along x, driven by following each plan exactly for 8 steps before the next one.

    Attributes:
        kind, state: Of the control; None for none.
        line_m: Where its stop line is.
        zone_m: From where to where the other path crosses or joins, along the ego's and along the other one.
        other_m: Where on its path the other one starts.
        left_m: Left edge of the road.
    """

    speed_mps: float = 12.0
    set_speed_mps: float = 13.0
    kind: str | None = None
    state: int = -1
    line_m: float = 60.0
    zone_m: tuple[float, float] | None = None
    other_m: float = 0.0
    other_mps: float = 0.0
    other_mps2: float = 0.0
    priority: float = 0.0
    is_merge: bool = False
    left_m: float = 1.75
    actors: list[Actor] = field(default_factory=list)
    curvature_per_m: float = 0.0
    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0
    acceleration_mps2: float = 0.0
    t_s: float = 0.0

    def plan(self, committed: FloatArray | None = None) -> FloatArray:
        route = np.zeros((32, 8))
        for index in range(32):
            route[index, :2] = turned(index * 4.0, -self.y_m, -self.yaw_rad)
        route[:, 2] = -self.yaw_rad
        route[:, 3] = np.where(self.x_m + np.arange(32) * 4.0 > 80.0, self.curvature_per_m, 0.0)
        route[:, 7] = self.set_speed_mps
        road = np.tile([self.left_m, -1.75, 1.75, -1.75, LIMIT_MPS, 0.0], (32, 1))
        controls = np.zeros((4, 6))
        if self.kind is not None:
            way = self.line_m - self.x_m
            controls[0] = [1.0, way, SIGNAL_KINDS.index(self.kind), self.state, 5.0, way + 20.0]
        conflicts = np.zeros((24, 9))
        if self.zone_m is not None:
            moved, speed = predict_along(self.other_mps, self.other_mps2, self.t_s)
            moved += self.other_m
            conflicts[0] = [
                1.0,
                self.zone_m[0] - self.x_m,
                self.zone_m[1] - self.x_m,
                -moved,
                self.zone_m[1] - self.zone_m[0] - moved,
                speed,
                self.priority,
                float(self.is_merge),
                self.other_mps2 if speed > 0.0 else 0.0,
            ]
            if conflicts[0, 4] < -3.0 or conflicts[0, 2] < -3.0:
                conflicts[0] = 0.0
        objects = np.zeros((16, 8))
        for index, actor in enumerate(self.actors):
            objects[index] = actor.row(self.t_s, self.x_m, self.y_m, self.yaw_rad)
        chunk = np.empty((32, 4))
        plan_chunk(
            objects,
            route,
            np.array([self.speed_mps, self.acceleration_mps2, 0.0, 0.0]),
            road,
            controls,
            conflicts,
            np.zeros(4),
            np.zeros((0, 4)) if committed is None else committed,
            0 if committed is None else len(committed),
            np.array(EGO_SIZE_M),
            chunk,
        )
        return chunk

    def drive(self, seconds: float) -> FloatArray:
        """Returns (n, 4) t_s, x_m, y_m, speed_mps."""
        rows = []
        while self.t_s < seconds:
            plan = self.plan()
            for row in range(8):
                x, y = turned(plan[row, 0], plan[row, 1], self.yaw_rad)
                rows.append([self.t_s + (row + 1) * STEP_S, self.x_m + x, self.y_m + y, plan[row, 3]])
            self.x_m, self.y_m = rows[-1][1], rows[-1][2]
            self.yaw_rad += plan[7, 2]
            self.acceleration_mps2 = (plan[7, 3] - plan[6, 3]) / STEP_S
            self.speed_mps = plan[7, 3]
            self.t_s += 8 * STEP_S
        return np.array(rows)


def passing_time(rows: FloatArray, x_m: float) -> float:
    """When the ego's centre passes a place; inf if it does not."""
    beyond = rows[rows[:, 1] > x_m]
    return float(beyond[0, 0]) if len(beyond) else math.inf


def test_columns_and_codes_are_those_of_the_world() -> None:
    names = world_controls.CONTROL_COLUMNS
    assert names[driving_lines._C_DISTANCE_M] == "distance_m"
    assert (names[driving_lines._C_KIND], names[driving_lines._C_STATE]) == ("kind", "state")
    assert names[driving_lines._C_EXIT_M] == "exit_distance_m"
    assert SIGNAL_KINDS[driving_lines.TRAFFIC_LIGHT] == "traffic_light"
    assert SIGNAL_KINDS[driving_lines.STOP_SIGN] == "stop"
    zone = world_conflicts.CONFLICT_COLUMNS
    assert (zone[driving_priority._Z_EGO_IN_M], zone[driving_priority._Z_EGO_OUT_M]) == (
        "ego_entry_m",
        "ego_exit_m",
    )
    assert (zone[driving_priority._Z_ACTOR_IN_M], zone[driving_priority._Z_ACTOR_OUT_M]) == (
        "actor_entry_m",
        "actor_exit_m",
    )
    assert (zone[driving_priority._Z_SPEED], zone[driving_priority._Z_PRIORITY]) == (
        "actor_speed_mps",
        "has_priority",
    )
    assert (zone[driving_priority._Z_MERGE], zone[driving_priority._Z_ACC]) == (
        "is_merge",
        "actor_acceleration_mps2",
    )
    assert standard.ROUTE_SPACING_M == 4.0


@pytest.mark.parametrize(
    ("kind", "state", "stops"),
    [
        ("traffic_light", 2, True),
        ("traffic_light", 1, True),
        ("traffic_light", 0, False),
        ("stop", -1, False),
        ("yield", -1, False),
    ],
    ids=["red", "amber", "green", "stop", "yield"],
)
def test_controls(kind: str, state: int, stops: bool) -> None:
    """It waits at red, and at amber that it can stop for; it stands at a stop sign and goes on."""
    rows = Street(kind=kind, state=state).drive(25.0)
    front_m = rows[:, 1] + HALF_M
    assert bool(front_m.max() < 60.0) == stops
    if stops:
        assert front_m[-1] > 58.0
        assert rows[-1, 3] < 0.02
        assert np.diff(rows[:, 3]).min() / STEP_S > -3.5
    elif kind == "stop":
        near = rows[(front_m > 56.0) & (front_m < 60.0)]
        assert near[:, 3].min() < 0.1
        assert passing_time(rows, 80.0) < 20.0
    else:
        assert rows[:, 3].min() > 11.0


def test_too_late_for_amber() -> None:
    """To stop from 12 m/s within 10 m takes 7 m/s2: it drives on."""
    rows = Street(kind="traffic_light", state=1, line_m=12.0 + HALF_M).drive(3.0)
    assert rows[:, 3].min() > 11.5


@pytest.mark.parametrize(
    ("priority", "other_m", "other_mps2", "waits"),
    [
        (-1.0, -60.0, 0.0, True),
        (1.0, -60.0, -1.5, False),
        (-1.0, -300.0, 0.0, False),
        (0.0, -60.0, -1.5, False),
    ],
    ids=["gives_way", "has_priority", "other_far", "by_signal"],
)
def test_crossing(priority: float, other_m: float, other_mps2: float, waits: bool) -> None:
    """Both would be at the crossing after about five seconds; the one without priority passes behind."""
    street = Street(
        zone_m=(60.0, 64.0), other_m=other_m, other_mps=12.0, other_mps2=other_mps2, priority=priority
    )
    rows = street.drive(12.0)
    leaves = (4.0 + 2.5 - other_m) / 12.0
    enters = passing_time(rows, 60.0 - HALF_M)
    if waits:
        assert leaves < enters < leaves + 4.0
        assert np.diff(rows[:, 3]).min() / STEP_S > -3.5
    else:
        assert enters < 5.0


def test_somebody_who_runs_a_red_light_is_let_through() -> None:
    """It has the right of way, but the other one can no longer stop: then it brakes."""
    street = Street(
        kind="traffic_light",
        state=0,
        line_m=50.0,
        zone_m=(60.0, 64.0),
        other_m=-75.0,
        other_mps=16.0,
    )
    rows = street.drive(12.0)
    leaves = (4.0 + 2.5 + 75.0) / 16.0
    assert leaves - 0.2 < passing_time(rows, 60.0 - HALF_M) < leaves + 5.0


def test_it_waits_before_the_line_not_in_the_junction() -> None:
    """At a yield sign it lets others pass before the sign's line."""
    street = Street(
        kind="yield", line_m=50.0, zone_m=(60.0, 64.0), other_m=-62.0, other_mps=12.0, priority=-1.0
    )
    rows = street.drive(5.2)
    assert rows[:, 1].max() + HALF_M < 50.0


@pytest.mark.parametrize(("other_m", "other_mps"), [(-35.0, 8.0), (-62.0, 12.5)])
def test_merging_behind(other_m: float, other_mps: float) -> None:
    """Somebody with priority who comes in ahead or beside is followed at a distance."""
    street = Street(zone_m=(60.0, 200.0), other_m=other_m, other_mps=other_mps, priority=-1.0, is_merge=True)
    rows = street.drive(12.0)
    gaps_m = 60.0 + other_m + other_mps * rows[:, 0] - rows[:, 1]
    together = rows[:, 1] > 60.0
    assert together.any()
    assert (gaps_m[together] - EGO_SIZE_M[0]).min() > 2.0
    assert rows[:, 3].min() > 2.0


def test_bends_are_driven_slowly_enough() -> None:
    rows = Street(curvature_per_m=1.0 / 15.0).drive(14.0)
    bend = rows[rows[:, 1] > 84.0]
    assert len(bend) > 20
    assert (bend[:, 3] ** 2 / 15.0).max() < 2.8
    assert np.diff(rows[:, 3]).min() / STEP_S > -2.6


def test_speed_limit() -> None:
    rows = Street(set_speed_mps=20.0).drive(15.0)
    assert rows[-1, 3] == pytest.approx(LIMIT_MPS, abs=0.2)


PARKED = Actor(x_m=90.0, y_m=-1.6)


@pytest.mark.parametrize(
    ("left_m", "others", "passes"),
    [
        (5.25, [], True),
        (1.75, [], False),
        (5.25, [Actor(x_m=190.0, y_m=3.5, heading_rad=math.pi, speed_mps=12.0)], False),
        (5.25, [Actor(x_m=500.0, y_m=3.5, heading_rad=math.pi, speed_mps=12.0)], True),
    ],
    ids=["free", "no_room", "oncoming", "oncoming_far"],
)
@pytest.mark.parametrize("blocker", [Actor(x_m=90.0, y_m=-0.4), Actor(x_m=90.0)], ids=["aside", "centre"])
def test_obstacles(left_m: float, others: list[Actor], passes: bool, blocker: Actor) -> None:
    """A standing car in the lane is passed through the oncoming lane, when there is room and nobody comes."""
    rows = Street(left_m=left_m, actors=[blocker, *others]).drive(11.0)
    if passes:
        assert passing_time(rows, 100.0) < 11.0
        beside = np.abs(rows[:, 1] - 90.0) < HALF_M + 2.25
        assert (rows[beside, 2] - blocker.y_m).min() > 0.5 * (1.82 + EGO_SIZE_M[1]) + 0.4
        assert rows[:, 2].max() + 0.5 * EGO_SIZE_M[1] < left_m
    else:
        clear = (rows[:, 1] + HALF_M) < 90.0 - 2.25
        oncoming_gone = bool(others) and rows[-1, 0] > 8.0
        assert clear.all() or oncoming_gone


def test_oncoming_traffic_is_waited_for_and_then_it_goes() -> None:
    oncoming = Actor(x_m=190.0, y_m=3.5, heading_rad=math.pi, speed_mps=12.0)
    rows = Street(left_m=5.25, actors=[Actor(x_m=90.0), oncoming]).drive(30.0)
    gap_m = np.hypot(190.0 - 12.0 * rows[:, 0] - rows[:, 1], 3.5 - rows[:, 2])
    assert gap_m.min() > 1.82 + 0.5
    assert passing_time(rows, 100.0) < 30.0
    assert rows[-1, 2] == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize(("oncoming_m", "passes"), [(900.0, True), (240.0, False)])
def test_a_slow_lead_is_overtaken_when_the_oncoming_gap_suffices(oncoming_m: float, passes: bool) -> None:
    lead = Actor(x_m=45.0, speed_mps=6.0)
    oncoming = Actor(x_m=oncoming_m, y_m=3.5, heading_rad=math.pi, speed_mps=14.0)
    rows = Street(left_m=5.25, actors=[lead, oncoming], speed_mps=10.0, set_speed_mps=13.0).drive(14.0)
    ahead_m = rows[:, 1] - (45.0 + 6.0 * rows[:, 0])
    assert bool(ahead_m[-1] > EGO_SIZE_M[0]) == passes
    gap_m = np.hypot(oncoming_m - 14.0 * rows[:, 0] - rows[:, 1], 3.5 - rows[:, 2])
    assert gap_m.min() > 1.82 + 0.5
    beside = np.abs(ahead_m) < 4.6
    assert not beside.any() or rows[beside, 2].min() > 1.82 + 0.3


@pytest.mark.parametrize(("oncoming_m", "oncoming_mps"), [(28.0, 4.0), (32.0, 5.0), (38.0, 6.5)])
def test_who_stands_in_the_oncoming_lane_goes_back_before_somebody_comes(
    oncoming_m: float, oncoming_mps: float
) -> None:
    """Beside its lane, behind a lead that drives on, the ego falls in instead of standing in the way."""
    lead = Actor(x_m=9.0, speed_mps=4.5)
    oncoming = Actor(x_m=oncoming_m, y_m=3.5, heading_rad=math.pi, speed_mps=oncoming_mps)
    start = Street(left_m=5.25, y_m=2.8, speed_mps=0.0, set_speed_mps=6.0, actors=[lead, oncoming])
    rows = start.drive(12.0)
    beside = np.abs(oncoming_m - oncoming_mps * rows[:, 0] - rows[:, 1]) < HALF_M + 2.25
    assert beside.any()
    assert (3.5 - rows[beside, 2]).min() > 0.5 * (1.82 + EGO_SIZE_M[1]) + 0.45
    assert (9.0 + 4.5 * rows[:, 0] - rows[:, 1]).min() > HALF_M + 2.25


@pytest.mark.parametrize(("acceleration_mps2", "proposes"), [(0.0, True), (1.5, False)])
def test_who_is_just_moving_off_is_not_overtaken(acceleration_mps2: float, proposes: bool) -> None:
    route, road = np.zeros((2, 4)), np.zeros((2, driving_geometry.NUM_ROAD_COLUMNS))
    route[1, [0, 3]] = 200.0
    road[:, driving_geometry.LEFT_M], road[:, driving_geometry.RIGHT_M] = 5.25, -1.75
    road[:, driving_geometry.OWN_LEFT_M], road[:, driving_geometry.OWN_RIGHT_M] = 1.75, -1.75
    actors = np.array([[30.0, 0.0, 4.0, 0.0, acceleration_mps2, 4.5, 1.82, 0.0]])
    tracks = driving_actors.make_tracks(route, actors)
    size_m = np.array(EGO_SIZE_M)
    found = driving_sides.propose_sides(tracks, route, road, np.zeros((0, 4)), 0.0, 8.0, 11.0, size_m)
    assert found == proposes
    assert math.isnan(tracks[0, driving_actors.SIDE_M]) != proposes


def test_nobody_overtakes_a_queue_at_a_light() -> None:
    street = Street(left_m=5.25, kind="traffic_light", state=2, line_m=100.0, actors=[Actor(x_m=90.0)])
    rows = street.drive(14.0)
    assert rows[:, 1].max() + HALF_M < 90.0 - 2.25
    assert np.abs(rows[:, 2]).max() < 0.3


def test_crossing_traffic_that_is_long_gone_is_no_leader() -> None:
    """A car that crosses far ahead of the ego costs it no speed; one that would hit it is braked for."""
    gone = Actor(x_m=60.0, y_m=-10.0, heading_rad=0.5 * math.pi, speed_mps=10.0)
    assert Street(actors=[gone]).drive(6.0)[:, 3].min() > 11.5
    meets = Actor(x_m=60.0, y_m=-48.0, heading_rad=0.5 * math.pi, speed_mps=10.0)
    rows = Street(actors=[meets]).drive(7.0)
    gap_m = np.hypot(rows[:, 1] - 60.0, rows[:, 2] + 48.0 - 10.0 * rows[:, 0])
    assert gap_m.min() > 3.3


@pytest.mark.parametrize("num_committed", [4, 16])
def test_a_plan_continued_from_its_own_start_is_the_same_plan(num_committed: int) -> None:
    """Before a bend, a red light and an obstacle alike; committed rows come back bit for bit."""
    streets = (
        Street(curvature_per_m=1.0 / 30.0, x_m=55.0),
        Street(kind="traffic_light", state=2, x_m=20.0, speed_mps=10.0),
        Street(left_m=5.25, actors=[Actor(x_m=90.0, y_m=-0.4)], x_m=55.0),
    )
    for street in streets:
        whole = street.plan()
        continued = street.plan(whole[:num_committed])
        assert np.array_equal(continued[:num_committed], whole[:num_committed])
        np.testing.assert_allclose(continued, whole, atol=0.02)
        assert np.abs(whole[-1] - whole[0]).max() > 1.0
