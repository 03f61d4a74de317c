"""Who is to blame for a collision: every case of nuPlan's ``no_ego_at_fault_collisions``, alone and in the world.

nuPlan's order: ego stopped (not at fault), track stopped (at fault), track behind (not), front bumper touched (at
fault), else lateral: at fault if the ego is in several lanes or off the drivable area.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from simloop.log import EpisodeLog
from simloop.metrics.evaluate import evaluate
from simloop.spec import Scenario
from simloop.world import OutcomeState
from simloop_driving.collisions.fault import Body, CollisionKind, classify_collision, is_ego_at_fault
from simloop_driving.metrics.num_at_fault_collisions import NumAtFaultCollisions
from simloop_driving.recording import TABLES
from simloop_driving.world import CONTROL_PERIOD_NS, DrivingWorld

STOPPED_EGO, STOPPED_TRACK = CollisionKind.STOPPED_EGO, CollisionKind.STOPPED_TRACK
FRONT, REAR, LATERAL = CollisionKind.ACTIVE_FRONT, CollisionKind.ACTIVE_REAR, CollisionKind.ACTIVE_LATERAL


def _body(x_m: float, y_m: float, speed_mps: float, yaw_deg: float = 0.0) -> Body:
    yaw_rad = math.radians(yaw_deg)
    return Body(x_m=x_m, y_m=y_m, yaw_rad=yaw_rad, speed_mps=speed_mps, length_m=4.5, width_m=1.9)


# ego speed, the other, kind, at fault within one lane, at fault across lanes
CASES = {
    "stands and is hit from behind": (0.0, _body(-4.4, 0.0, 9.0), STOPPED_EGO, False, False),
    "stands and is hit head-on": (0.0, _body(4.4, 0.0, 9.0, 180.0), STOPPED_EGO, False, False),
    "stands and is hit in the side": (0.0, _body(0.0, 3.1, 9.0, -90.0), STOPPED_EGO, False, False),
    "rolls below the threshold": (0.05, _body(4.4, 0.0, 0.0), STOPPED_EGO, False, False),
    "drives above it into a standing car": (0.06, _body(4.4, 0.0, 0.0), STOPPED_TRACK, True, True),
    "hits a standing car": (9.0, _body(4.4, 0.0, 0.0), STOPPED_TRACK, True, True),
    "hits one that rolls below the threshold": (9.0, _body(4.4, 0.0, 0.05), STOPPED_TRACK, True, True),
    "scrapes along a standing car": (9.0, _body(0.0, 1.85, 0.0), STOPPED_TRACK, True, True),
    "reverses into a standing car": (-3.0, _body(-4.4, 0.0, 0.0), STOPPED_TRACK, True, True),
    "runs into a slower car": (15.0, _body(4.4, 0.0, 9.0), FRONT, True, True),
    "runs into a slower car, overlapping by a corner": (15.0, _body(4.4, 1.8, 9.0), FRONT, True, True),
    "meets somebody head-on": (9.0, _body(4.4, 0.3, 9.0, 180.0), FRONT, True, True),
    "drives into the side of one who crosses": (9.0, _body(3.1, 0.5, 6.0, 90.0), FRONT, True, True),
    "is hit from behind": (9.0, _body(-4.4, 0.0, 15.0), REAR, False, False),
    "is hit from behind at 151 degrees": (9.0, _body(-3.35, 1.85, 15.0), REAR, False, False),
    "is hit in the side at 149 degrees": (9.0, _body(-3.05, 1.85, 15.0), LATERAL, False, True),
    "is hit in the side by one who crosses": (9.0, _body(-1.0, 3.1, 9.0, -90.0), LATERAL, False, True),
    "is touched by one who drifts over": (9.0, _body(0.0, 1.85, 9.0, -3.0), LATERAL, False, True),
    "is touched by an oncoming one who drifts over": (9.0, _body(-0.3, 1.85, 9.0, 177.0), LATERAL, False, True),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("turn_deg", [0.0, 37.0, -120.0])
def test_every_case(case: str, turn_deg: float) -> None:
    """The same wherever the ego points to."""
    ego_speed_mps, other, kind, in_lane, across_lanes = CASES[case]
    turn = math.radians(turn_deg)
    turned = Body(
        x_m=100.0 + other.x_m * math.cos(turn) - other.y_m * math.sin(turn),
        y_m=-50.0 + other.x_m * math.sin(turn) + other.y_m * math.cos(turn),
        yaw_rad=other.yaw_rad + turn, speed_mps=other.speed_mps, length_m=4.5, width_m=1.9,
    )  # fmt: skip
    ego = Body(x_m=100.0, y_m=-50.0, yaw_rad=turn, speed_mps=ego_speed_mps, length_m=4.5, width_m=1.9)
    found = classify_collision(ego, turned)
    assert found is kind
    assert is_ego_at_fault(found, is_straddling_lanes=False) is in_lane
    assert is_ego_at_fault(found, is_straddling_lanes=True) is across_lanes


def test_the_table_has_every_kind() -> None:
    assert {row[2] for row in CASES.values()} == set(CollisionKind)


def _end(scene: dict[str, Any], action: tuple[float, float]) -> EpisodeLog:
    world = DrivingWorld(action="acceleration")
    scenario = Scenario(family="own", world="driving", parameters={}, scene=scene, time_limit_ns=40 * 10**9)
    world.reset(scenario, 0)
    world.actuate(np.array(action))
    tick = 0
    while world.outcome().state is OutcomeState.RUNNING:
        tick += 1
        world.advance(tick * CONTROL_PERIOD_NS)
    assert world.outcome().reason == "collision"
    log = EpisodeLog.from_columns(TABLES, world.drain())
    renamed = {f"world.{name}": columns for name, columns in log.tables.items()}
    return EpisodeLog.from_columns({f"world.{n}": s for n, s in TABLES.items()}, renamed)


def _scene(
    speed_mps: float, other: dict[str, Any], manoeuvre: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "map": "straight_track",
        "ego": {"lane": -3, "station_m": 200.0, "initial_speed_mps": speed_mps},
        "actors": {"other": other},
        "manoeuvres": [{"actor": "other", **manoeuvre}] if manoeuvre else [],
        "criteria": {"goal_time_s": 39.0, "min_progress_ratio": 0.0},
    }


CUT_IN = {"trigger": {"time_s": 1.5}, "change_lane": {"to": "ego", "lateral_speed_mps": 1.5}}


@pytest.mark.parametrize(
    ("scene", "action", "kind", "is_at_fault"),
    [
        (_scene(15.0, {"lane": "ego", "gap_m": 40.0, "speed_mps": 0.0}), (0.0, 0.0), STOPPED_TRACK, True),
        (_scene(15.0, {"lane": "ego", "gap_m": 30.0, "speed_mps": 8.0}), (0.0, 0.0), FRONT, True),
        # Somebody beside comes over into the ego, which keeps its lane.
        (
            _scene(15.0, {"lane": "left", "gap_m": 1.0, "speed_mps": 13.0}, CUT_IN),
            (0.0, 0.0),
            LATERAL,
            False,
        ),
        # The ego drifts over into somebody beside.
        (_scene(15.0, {"lane": "left", "gap_m": 0.5, "speed_mps": 12.7}), (0.0, 0.002), LATERAL, True),
        (_scene(15.0, {"class": "barrier", "lane": "ego", "gap_m": 30.0}), (0.0, 0.0), STOPPED_TRACK, True),
    ],
    ids=["standing", "slower", "is_cut_in", "drifts_over", "barrier"],
)
def test_blame_in_the_world(
    scene: dict[str, Any], action: tuple[float, float], kind: CollisionKind, is_at_fault: bool
) -> None:
    log = _end(scene, action)
    assert list(log.column("world.collisions", "kind")) == [kind.value]
    assert list(log.column("world.collisions", "is_at_fault")) == [is_at_fault]
    assert evaluate([NumAtFaultCollisions()], log).values == {"num_at_fault_collisions": float(is_at_fault)}


def test_somebody_who_runs_into_a_waiting_ego_is_to_blame() -> None:
    """An ego that stands in the town's street, and a flow that comes from behind and does not see it."""
    scene = {
        "map": "town",
        "ego": {"road": 111, "lane": -1, "station_m": 60.0, "initial_speed_mps": 0.0, "to": {"road": 112, "lane": -1}},
        "actors": {
            "other": {
                "path": {"road": 111, "lane": -1, "station_m": 10.0, "to": {"road": 112, "lane": -1}},
                "speed_mps": 10.0,
            }
        },
        "criteria": {"goal_time_s": 39.0, "min_progress_ratio": 0.0},
    }  # fmt: skip
    log = _end(scene, (-1.0, 0.0))
    assert list(log.column("world.collisions", "kind")) == ["stopped_ego"]
    assert list(log.column("world.collisions", "is_at_fault")) == [False]
    assert log.column("world.collisions", "impact_speed_mps")[0] == pytest.approx(10.0, rel=0.01)
