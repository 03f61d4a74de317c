"""Scripted manoeuvres, played in the world: who ends up where, when, and how fast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.log import EpisodeLog
from simloop.spec import Scenario
from simloop.world import OutcomeState
from simloop_driving.periods import CONTROL_PERIOD_NS
from simloop_driving.scenario import actor_state, manoeuvres
from simloop_driving.scenario.actor_state import LATERAL_ACCELERATION_MPS2
from simloop_driving.world import DrivingWorld

FloatArray = npt.NDArray[np.float64]

TICK_S = CONTROL_PERIOD_NS / 1e9
TRACK = {"map": "straight_track", "ego": {"lane": -3, "station_m": 100.0, "initial_speed_mps": 0.0}}
TOWN = {"map": "town", "ego": {"road": 111, "lane": -1, "station_m": 10.0, "initial_speed_mps": 0.0}}
LANE_M = 3.5


def _play(scene: Mapping[str, Any], *, seconds: float, **blocks: Any) -> tuple[EpisodeLog, DrivingWorld]:
    """Plays with an ego that does nothing."""
    full = {"criteria": {"goal_time_s": seconds, "min_progress_ratio": 0.0}} | dict(scene) | blocks
    scenario = Scenario(
        family="own", world="driving", parameters={}, scene=full, time_limit_ns=round((seconds + 1.0) * 1e9)
    )
    world = DrivingWorld(action="acceleration")
    world.reset(scenario, 0)
    world.actuate(np.zeros(2))
    for tick in range(1, round(seconds / TICK_S) + 1):
        world.advance(tick * CONTROL_PERIOD_NS)
    return EpisodeLog.from_columns(world.spec.tables, world.drain()), world


def _of(log: EpisodeLog, actor: int, column: str) -> FloatArray:
    rows = np.asarray(log.column("actors", "actor")) == actor
    values: FloatArray = np.asarray(log.column("actors", column), dtype=np.float64)[rows]
    return values


def _kinds(log: EpisodeLog) -> list[tuple[str, int, float]]:
    return [
        (kind, int(actor), t_ns / 1e9)
        for kind, actor, t_ns in zip(
            log.column("manoeuvres", "kind"),
            log.column("manoeuvres", "actor"),
            log.column("manoeuvres", "t_ns"),
            strict=True,
        )
    ]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_swerve_reaches_both_sides_in_time_and_comes_back(sign: float) -> None:
    amplitude_m, period_s, count = 0.6 * sign, 4.0, 2
    log, world = _play(
        TRACK,
        seconds=14.0,
        actors={"lead": {"lane": "ego", "gap_m": 30.0, "speed_mps": 15.0}},
        manoeuvres=[
            {
                "actor": "lead",
                "trigger": {"time_s": 1.0},
                "swerve": {"amplitude_m": amplitude_m, "period_s": period_s, "count": count},
            }
        ],
    )
    d_m = _of(log, 1, "lateral_offset_m")
    assert np.abs(d_m).max() == pytest.approx(0.6, abs=1e-3)
    ends = [round((1.0 + leg * period_s / 2) / TICK_S) for leg in range(1, 2 * count + 1)]
    assert d_m[ends] == pytest.approx([amplitude_m * (-1.0) ** leg for leg in range(2 * count)], abs=0.02)
    assert d_m[-1] == 0.0
    speed_mps = np.diff(d_m) / TICK_S
    # The last 0.1 m/s before a standstill are given up at once.
    assert np.abs(np.diff(speed_mps)).max() <= LATERAL_ACCELERATION_MPS2 * TICK_S + 0.1
    ended_s = float(world._state.manoeuvres[manoeuvres.ENDED_S, 0])  # type: ignore[union-attr]
    assert 1.0 + period_s * count < ended_s <= 1.0 + period_s * (count + 0.5) + TICK_S


@pytest.mark.parametrize("time_s", [0.8, 2.0])
def test_a_door_is_inside_its_car_and_open_in_time(time_s: float) -> None:
    log, _ = _play(
        TOWN,
        seconds=5.0,
        actors={"parked": {"lane": "parking", "gap_m": 30.0}},
        manoeuvres=[
            {
                "actor": "parked",
                "trigger": {"time_s": 1.0},
                "open_door": {"width_m": 0.9, "time_s": time_s},
            }
        ],
    )
    car_d_m, door_d_m = _of(log, 1, "lateral_offset_m"), _of(log, 2, "lateral_offset_m")
    left_m = car_d_m[0] + 0.5 * 1.82
    assert door_d_m[0] + 0.45 == pytest.approx(left_m)
    assert door_d_m[-1] - 0.45 == pytest.approx(left_m)
    opened = np.flatnonzero(door_d_m == door_d_m[-1])[0] * TICK_S
    assert opened == pytest.approx(1.0 + time_s, abs=0.15)
    assert np.ptp(car_d_m) == 0.0
    assert _of(log, 2, "station_m") == pytest.approx(_of(log, 1, "station_m"))
    assert _kinds(log) == [("open_door", 2, 1.0)]


def test_a_door_is_hit_by_who_drives_into_it() -> None:
    scene = TOWN | {"ego": TOWN["ego"] | {"initial_speed_mps": 10.0}}  # type: ignore[operator]
    outcomes = {}
    for lateral_m in (-0.9, 0.9):
        _, world = _play(
            scene | {"ego": scene["ego"] | {"lateral_offset_m": lateral_m}},
            seconds=6.0,
            actors={"parked": {"lane": "parking", "gap_m": 30.0, "lateral_offset_m": 0.2}},
            manoeuvres=[
                {
                    "actor": "parked",
                    "trigger": {"time_to_arrival_s": 1.5},
                    "open_door": {"width_m": 1.0, "time_s": 1.0},
                }
            ],
        )
        outcomes[lateral_m] = world.outcome().reason
    assert outcomes == {-0.9: "collision", 0.9: "goal"}


def test_pulling_out_steers_no_sharper_than_wheels_allow_and_then_drives_on() -> None:
    log, _ = _play(
        TOWN,
        seconds=12.0,
        actors={"parked": {"lane": "parking", "gap_m": 20.0}},
        manoeuvres=[
            {
                "actor": "parked",
                "trigger": {"time_s": 1.0},
                "pull_out": {"to": "ego", "end_speed_mps": 8.0, "rate_mps2": 2.0},
            }
        ],
    )
    d_m, s_m, speed_mps = (_of(log, 1, c) for c in ("lateral_offset_m", "station_m", "speed_mps"))
    assert d_m[0] < -2.0
    assert d_m[-1] == 0.0
    assert speed_mps[-1] == pytest.approx(8.0)
    drift_mps, along_mps = np.diff(d_m) / TICK_S, np.diff(s_m) / TICK_S
    is_moving = drift_mps > 0.0
    assert is_moving.any()
    # No faster across than allowed along, but for what a change of the limit takes to be followed.
    assert np.all(drift_mps[is_moving] <= manoeuvres.STEERED_RATIO * along_mps[is_moving] + 0.1)


def test_with_a_driver_model_it_waits_then_follows() -> None:
    log, _ = _play(
        TOWN,
        seconds=20.0,
        actors={
            "parked": {"lane": "parking", "gap_m": 20.0, "behaviour": "idm"},
            "slow": {"lane": "ego", "gap_m": 55.0, "speed_mps": 3.0},
        },
        manoeuvres=[
            {"actor": "parked", "trigger": {"time_s": 2.0}, "pull_out": {"to": "ego", "end_speed_mps": 10.0}}
        ],
    )
    speed_mps = _of(log, 1, "speed_mps")
    assert np.all(speed_mps[: round(2.0 / TICK_S)] == 0.0)
    assert speed_mps.max() > 3.5
    assert speed_mps[-1] == pytest.approx(3.0, abs=0.5)
    gap_m = _of(log, 2, "station_m") - _of(log, 1, "station_m") - 4.5
    assert gap_m.min() > 2.0


def test_crossing_goes_from_kerb_to_kerb() -> None:
    log, _ = _play(
        TOWN,
        seconds=12.0,
        actors={"walker": {"class": "pedestrian", "lane": "kerb", "gap_m": 30.0}},
        manoeuvres=[
            {"actor": "walker", "trigger": {"time_s": 1.0}, "cross": {"to": "left_kerb", "speed_mps": 1.4}}
        ],
    )
    d_m = _of(log, 1, "lateral_offset_m")
    speed_mps = np.diff(d_m) / TICK_S
    assert d_m[0] < -0.5 * LANE_M
    assert d_m[-1] > 1.5 * LANE_M
    assert speed_mps.max() == pytest.approx(1.4)
    # A trapezoid: up and down at 1.5 m/s2, the rest at 1.4 m/s.
    way_m = d_m[-1] - d_m[0]
    took_s = np.count_nonzero(speed_mps > 0.0) * TICK_S
    assert took_s == pytest.approx(way_m / 1.4 + 1.4 / LATERAL_ACCELERATION_MPS2, abs=0.15)


def test_manoeuvres_of_one_actor_follow_each_other() -> None:
    brake = {"rate_mps2": 4.0, "end_speed_mps": 8.0}
    log, _ = _play(
        TRACK,
        seconds=15.0,
        actors={"car": {"lane": "ego", "gap_m": 30.0, "speed_mps": 20.0}},
        manoeuvres=[
            {
                "actor": "car",
                "name": "out",
                "trigger": {"after": "brake", "delay_s": 1.0},
                "change_lane": {"to": "left", "lateral_speed_mps": 1.0},
            },
            {"actor": "car", "name": "brake", "trigger": {"time_s": 1.0}, "change_speed": brake},
            {
                "actor": "car",
                "trigger": {"after": "out"},
                "change_speed": {"rate_mps2": 2.0, "end_speed_mps": 16.0},
            },
        ],
    )
    kinds = _kinds(log)
    assert [kind for kind, _, _ in kinds] == ["change_speed", "change_lane", "change_speed"]
    # 12 m/s at 4 m/s2 take 3 s; the lane change of 3.5 m at 1 m/s and 1.5 m/s2 takes 3.5 + 2/3 s.
    starts_s = [start_s for _, _, start_s in kinds]
    assert starts_s == pytest.approx([1.0, 5.0, 5.0 + LANE_M + 1.0 / 1.5], abs=0.2)
    assert _of(log, 1, "lateral_offset_m")[-1] == pytest.approx(LANE_M)


def _crossing(seconds: float, **changes: Any) -> FloatArray:
    """Stations, along its own path, of a car that comes to junction 5 from the south while the ego stands."""
    _, world = _play(
        TOWN | {"ego": TOWN["ego"] | {"to": {"road": 112, "lane": -1}}},  # type: ignore[operator]
        seconds=seconds,
        actors={
            "car": {
                "path": {"road": 211, "lane": -1, "station_m": 60.0, "to": {"road": 212, "lane": -1}},
                "speed_mps": 10.0,
                "behaviour": "idm",
            }
        },
        signals={"green_s": 60.0, "offset_s": changes.pop("offset_s")},
        **changes,
    )
    assert world._state is not None
    return np.array([world._state.actors[actor_state.PATH_S_M, 1]])


def test_a_driver_runs_the_red_light_from_the_trigger_on() -> None:
    runs = [{"actor": "car", "trigger": {"time_s": 0.5}, "run_red_light": True}]
    stations_m = {}
    for offset_s in (0.0, 65.0):
        stations_m[offset_s] = (
            float(_crossing(15.0, offset_s=offset_s)[0]),
            float(_crossing(15.0, offset_s=offset_s, manoeuvres=runs)[0]),
        )
    red_s = min(stations_m, key=lambda offset_s: stations_m[offset_s][0])
    stops_at_m, runs_to_m = stations_m[red_s]
    green_m = stations_m[65.0 - red_s][0]
    assert stops_at_m < 123.0  # the street ends at the junction, 122 m from its start
    assert runs_to_m > 150.0
    assert green_m == pytest.approx(runs_to_m, abs=1.0)


def test_traffic_with_mobil_gets_past_a_slow_truck() -> None:
    final_m = {}
    for behaviour in ("idm", "mobil"):
        log, world = _play(
            TRACK,
            seconds=25.0,
            actors={
                "truck": {"class": "truck", "lane": "ego", "gap_m": 120.0, "speed_mps": 10.0},
                "car": {"lane": "ego", "gap_m": 40.0, "speed_mps": 22.0, "behaviour": behaviour},
            },
        )
        assert world.outcome().state is OutcomeState.SUCCESS
        ahead_m = _of(log, 2, "station_m") - _of(log, 1, "station_m")
        final_m[behaviour] = float(ahead_m[-1])
        d_m = _of(log, 2, "lateral_offset_m")
        assert abs(abs(d_m[-1]) - (LANE_M if behaviour == "mobil" else 0.0)) < 0.01
    assert final_m["idm"] < 0.0 < final_m["mobil"]


def test_who_never_starts_is_no_conflict_and_does_nothing() -> None:
    trigger = {"all": [{"time_s": 1.0}, {"never": True}]}
    log, _ = _play(
        TRACK,
        seconds=4.0,
        actors={"car": {"lane": "left", "gap_m": 30.0, "speed_mps": 20.0}},
        manoeuvres=[
            {"actor": "car", "trigger": trigger, "change_lane": {"to": "ego", "lateral_speed_mps": 1.0}}
        ],
    )
    assert _kinds(log) == []
    assert np.ptp(_of(log, 1, "lateral_offset_m")) == 0.0
    assert math.isclose(_of(log, 1, "lateral_offset_m")[0], LANE_M)
