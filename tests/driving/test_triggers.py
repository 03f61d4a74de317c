"""Conditions hold when they should: each kind against closed forms, combinations against Python's own and/or."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simloop.errors import ConfigurationError, UnknownNameError
from simloop.spec import Scenario
from simloop_driving.scenario import actor_state as rows
from simloop_driving.scenario import manoeuvres, triggers
from simloop_driving.scenario.manoeuvre_table import Stage, build_tables
from simloop_driving.scenario.scene import Scene, read_scene
from simloop_driving.scenario.triggers import holds

FloatArray = npt.NDArray[np.float64]

GREEN, RED = 0, 2
LIGHTS = {7: 0, 9: 1}
BRAKE = {"rate_mps2": 4.0, "end_speed_mps": 0.0}
DOES = {"change_speed": BRAKE}
OFFSETS_M = {"left": 3.5, "right": -3.5, "ego": 0.0, "kerb": -6.0}


def _scene(trigger: Mapping[str, Any], *, actor: str = "car", does: Mapping[str, Any] = DOES) -> Scene:
    entry: dict[str, Any] = {"actor": actor, "trigger": trigger, **does}
    scene = {
        "map": "town",
        "ego": {"lane": -1, "station_m": 100.0, "initial_speed_mps": 20.0},
        "actors": {
            "car": {"lane": "ego", "gap_m": 30.0},
            "crosser": {"path": {"road": 2, "lane": 1, "station_m": 0.0}, "behaviour": "idm"},
            "sleeper": {"lane": "kerb", "gap_m": 50.0},
        },
        "manoeuvres": [
            entry,
            {"actor": "sleeper", "name": "walk", "trigger": {"time_s": 1.0}, "cross": {"to": "left", "speed_mps": 2.0}},
        ],
        "criteria": {"goal_time_s": 20.0, "min_progress_ratio": 0.0},
    }  # fmt: skip
    scenario = Scenario(family="own", world="driving", parameters={}, scene=scene, time_limit_ns=30 * 10**9)
    return read_scene(scenario)


def _actors(**values: float) -> FloatArray:
    """Ego at 100 m with 20 m/s, car at 140 m with 15 m/s, a crosser on a path of its own, a sleeper at 190 m."""
    actors = np.zeros((rows.NUM_ROWS, 4))
    actors[rows.S_M] = (100.0, 140.0, 180.0, 190.0)
    actors[rows.PATH] = (0, 0, 1, 0)
    actors[rows.PATH_S_M] = (100.0, 140.0, 12.0, 190.0)
    actors[rows.PATH_D_M] = (0.0, 0.0, 0.0, -6.0)
    actors[rows.SPEED_MPS] = (20.0, 15.0, 8.0, 0.0)
    actors[rows.ROUTE_SPEED_MPS] = (20.0, 15.0, -5.0, 0.0)
    actors[rows.LENGTH_M] = 4.0
    for name, value in values.items():
        actors[getattr(rows, name), 1] = value
    return actors


def _stage(actors: FloatArray) -> Stage:
    def offset_m(_actor: str, lane: str, where: str) -> float:
        if lane not in OFFSETS_M:
            raise ConfigurationError(f"{where}: no lane {lane}")
        return OFFSETS_M[lane]

    return Stage(
        actors=actors,
        columns={"ego": 0, "car": 1, "crosser": 2, "sleeper": 3},
        offset_m=offset_m,
        path_length_m={"ego": 500.0, "car": 500.0, "crosser": 80.0, "sleeper": 500.0},
        conflict_entry_m={"crosser": (160.0, 30.0)},
        lights=LIGHTS,
        path_lights={"ego": (1,), "car": (1,), "crosser": (), "sleeper": (1,)},
    )


def _holds(
    trigger: Mapping[str, Any],
    *,
    actors: FloatArray | None = None,
    time_s: float = 0.0,
    states: tuple[int, int] = (GREEN, RED),
    ended_s: tuple[float, float] = (-1.0, -1.0),
    actor: str = "car",
) -> bool:
    actors = _actors() if actors is None else actors
    table, conditions = build_tables(_scene(trigger, actor=actor), _stage(_actors()))
    first, num = int(table[manoeuvres.FIRST_CONDITION, 0]), int(table[manoeuvres.NUM_CONDITIONS, 0])
    return bool(
        holds(
            conditions,
            first,
            num,
            actors,
            np.array(ended_s),
            np.array(states, dtype=np.int64),
            time_s,
        )
    )


@pytest.mark.parametrize(
    ("trigger", "edge"),
    [
        # The car is 36 m ahead, bumper to bumper; the ego has 20 m/s and nears it with 5 m/s.
        ({"distance_m": 36.0}, "distance_m"),
        ({"headway_s": 36.0 / 20.0}, "headway_s"),
        ({"ttc_s": 36.0 / 5.0}, "ttc_s"),
        # The crosser, projected on the route, is 76 m ahead and comes with 5 m/s.
        ({"distance_m": 76.0, "of": "crosser"}, "distance_m"),
        ({"ttc_s": 76.0 / 25.0, "of": "crosser"}, "ttc_s"),
        # The ego's front is at 102 m.
        ({"time_to_arrival_s": 36.0 / 20.0}, "time_to_arrival_s"),
        ({"time_to_arrival_s": 38.0 / 20.0, "at_station_m": 140.0}, "time_to_arrival_s"),
        # The crosser's front is at 14 m of its path.
        (
            {"time_to_arrival_s": 36.0 / 8.0, "of": "crosser", "at_station_m": 50.0},
            "time_to_arrival_s",
        ),
    ],
)
def test_comparisons_turn_at_their_closed_form(trigger: dict[str, Any], edge: str) -> None:
    assert _holds(trigger | {edge: trigger[edge] * 1.0001})
    assert not _holds(trigger | {edge: trigger[edge] * 0.9999})


@pytest.mark.parametrize(
    ("subject", "station_m", "expected"),
    [("ego", 99.9, True), ("ego", 100.1, False), ("crosser", 12.0, True), ("crosser", 12.1, False)],
)
def test_station_is_along_the_own_path(subject: str, station_m: float, expected: bool) -> None:
    assert _holds({"station_m": station_m, "of": subject}) is expected


def test_arrival_where_the_paths_meet() -> None:
    # Ego: 160 - 102 = 58 m at 20 m/s; crosser: 30 - 14 = 16 m at 8 m/s.
    assert _holds({"time_to_arrival_s": 2.91}, actor="crosser")
    assert not _holds({"time_to_arrival_s": 2.89}, actor="crosser")
    assert _holds({"time_to_arrival_s": 2.01, "of": "crosser"}, actor="crosser")
    assert not _holds({"time_to_arrival_s": 1.99, "of": "crosser"}, actor="crosser")


def test_nothing_nears_what_is_behind_or_as_fast() -> None:
    assert not _holds({"distance_m": 500.0}, actors=_actors(S_M=90.0))
    assert not _holds({"ttc_s": 99.0}, actors=_actors(SPEED_MPS=20.0))
    assert _holds({"time_to_arrival_s": 0.5}, actors=_actors(S_M=90.0))  # has been there


def test_signals_by_id_or_the_first_of_the_route() -> None:
    assert _holds({"signal": {"id": 7, "state": "green"}})
    assert not _holds({"signal": {"id": 7, "state": "red"}})
    assert _holds({"signal": {"state": "red"}})
    assert not _holds({"signal": {"state": "red"}}, states=(RED, GREEN))


def test_time_latest_and_after() -> None:
    assert _holds({"time_s": 3.0}, time_s=3.0)
    assert not _holds({"time_s": 3.0}, time_s=2.95)
    assert not _holds({"distance_m": 5.0, "latest_s": 4.0}, time_s=3.95)
    assert _holds({"distance_m": 5.0, "latest_s": 4.0}, time_s=4.0)
    after = {"after": "walk", "delay_s": 1.5}
    assert not _holds(after, time_s=9.0)
    assert not _holds(after, time_s=3.4, ended_s=(-1.0, 2.0))
    assert _holds(after, time_s=3.5, ended_s=(-1.0, 2.0))


TRUE, FALSE = {"time_s": 1.0}, {"time_s": 9.0}


def _evaluated(condition: Mapping[str, Any]) -> bool:
    if "all" in condition:
        return all(_evaluated(part) for part in condition["all"])
    if "any" in condition:
        return any(_evaluated(part) for part in condition["any"])
    return condition == TRUE


def test_nested_combinations_are_pythons_and_or() -> None:
    num = 0
    for first, second, third in itertools.product((TRUE, FALSE), repeat=3):
        for outer, middle, inner in itertools.product(("all", "any"), repeat=3):
            condition = {outer: [first, {middle: [second, {inner: [third, first, second]}]}, third]}
            assert _holds(condition, time_s=5.0) is _evaluated(condition), condition
            num += 1
    assert num == 64


def test_a_column_of_many_conditions() -> None:
    assert not _holds({"all": [*[TRUE] * 40, FALSE]}, time_s=5.0)
    assert _holds({"all": [TRUE] * 41}, time_s=5.0)
    assert _holds({"any": [*[FALSE] * 40, TRUE]}, time_s=5.0)
    with pytest.raises(ConfigurationError, match=r"its trigger has 63 conditions; allowed: up to 62"):
        _holds({"all": [TRUE] * 62})


@pytest.mark.parametrize(
    ("trigger", "changes", "message"),
    [
        ({"station_m": 501.0, "of": "ego"}, {}, r"station 501 is beyond .* of ego\. Allowed: up to 500"),
        (
            {"station_m": 90.0, "of": "crosser"},
            {},
            r"own: scene\.manoeuvres\[0\]\.change_speed: trigger\.station_m .*path of crosser\. Allowed: up to 80",
        ),
        ({"time_to_arrival_s": 3.0, "at_station_m": 600.0}, {}, r"station 600 is beyond the end"),
        ({"station_m": 195.0, "of": "sleeper"}, {}, r"sleeper stands, and nothing sets it going"),
        ({"time_to_arrival_s": 3.0, "of": "crosser"}, {}, r"does not say where crosser arrives.*at_station_m"),
        (
            {"time_s": 3.0},
            {"actor": "crosser", "does": {"run_red_light": True}},
            r"there is no traffic light on the path of crosser",
        ),
    ],
)  # fmt: skip
def test_triggers_that_can_never_hold_on_this_map(
    trigger: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    scene = _scene(trigger, **changes)
    with pytest.raises(ConfigurationError, match=message):
        build_tables(scene, _stage(_actors()))


def test_signals_that_are_not_there() -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown traffic light '8' in .*trigger\.signal\.id.*Available: 7, 9"
    ):
        _holds({"signal": {"id": 8, "state": "red"}})


def test_no_condition_column_is_left_over() -> None:
    table, conditions = build_tables(_scene({"any": [{"time_s": 1.0}, {"ttc_s": 2.0}]}), _stage(_actors()))
    assert conditions.shape == (triggers.NUM_ROWS, 4)
    assert list(table[manoeuvres.FIRST_CONDITION]) == [0, 3]
    assert list(table[manoeuvres.NUM_CONDITIONS]) == [3, 1]
    assert math.isnan(table[manoeuvres.TARGET_D_M, 0])
