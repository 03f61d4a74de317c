"""Twenty actors at a time on the shipped maps: nobody collides, runs a red light or waits for ever."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from simloop.log import EpisodeLog
from simloop.spec import Scenario
from simloop_driving import recording, step_kernel
from simloop_driving.periods import CONTROL_PERIOD_NS
from simloop_driving.roads.road_map import STOP_SIGN, TRAFFIC_LIGHT
from simloop_driving.roads.route import STOP_S_M, STOP_SIGNAL
from simloop_driving.scenario import actor_state
from simloop_driving.scenario.signals import RED, state_at
from simloop_driving.world import DrivingWorld

SECONDS = 150
WAITS_AT_MOST_S = 75
"""A cycle of the lights lasts 50 s; whoever turns left may miss a green."""


def _flow(start: str, goal: str, num_actors: int, **options: Any) -> dict[str, Any]:
    road, lane = map(int, start.split("/"))
    goal_road, goal_lane = map(int, goal.split("/"))
    return {
        "path": {"road": road, "lane": lane, "station_m": 5.0, "to": {"road": goal_road, "lane": goal_lane}},
        "num_actors": num_actors,
        "behaviour": "idm",
        "headway_range_s": [3.0, 8.0],
        "speed_range_mps": [9.0, 13.0],
        "classes": ["car", "car", "truck", "motorcycle"],
        **options,
    }


def _slow(start: str, goal: str, num_actors: int) -> dict[str, Any]:
    return _flow(start, goal, num_actors, speed_range_mps=[7.0, 10.0])


def _fast(start: str, goal: str, num_actors: int, low_mps: float, high_mps: float) -> dict[str, Any]:
    return _flow(start, goal, num_actors, speed_range_mps=[low_mps, high_mps], headway_range_s=[1.5, 5.0])


# The ego stands aside: its map, road and lane, and the flows.
SCENES: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "lights": (
        "town",
        "103/-1",
        [
            _flow("111/-1", "112/-1", 3),
            _flow("111/-1", "212/-1", 2),
            _flow("112/1", "111/1", 3),
            _flow("112/1", "211/1", 2),
            _flow("211/-1", "212/-1", 3),
            _flow("211/-1", "111/1", 2),
            _flow("212/1", "211/1", 3),
            _flow("212/1", "112/-1", 2),
        ],
    ),
    "stop_signs": (
        "town",
        "103/-1",
        [
            _flow("121/-1", "122/-1", 4),
            _flow("122/1", "121/1", 3),
            _flow("121/-1", "213/-1", 2),
            _flow("122/1", "212/1", 2),
            _flow("212/-1", "213/-1", 3),
            _flow("212/-1", "121/1", 2),
            _flow("213/1", "212/1", 2),
            _flow("213/1", "122/-1", 2),
        ],
    ),
    "uncontrolled": (
        "town",
        "123/-1",
        [
            _flow("100/-1", "101/-1", 4),
            _flow("101/1", "100/1", 4),
            _flow("200/-1", "201/-1", 4),
            _flow("201/1", "200/1", 4),
            _flow("200/-1", "101/-1", 2),
            _flow("100/-1", "201/-1", 2),
        ],
    ),
    "uncontrolled_t": (
        "town",
        "123/-1",
        [
            _flow("101/-1", "102/-1", 4),
            _flow("102/1", "101/1", 4),
            _flow("102/1", "211/-1", 3),
            _flow("101/-1", "211/-1", 3),
            _flow("211/1", "101/1", 3),
            _flow("211/1", "102/-1", 3),
        ],
    ),
    "roundabout": (
        "roundabout",
        "4/1",
        [
            _slow("4/-1", "2/1", 3),
            _slow("4/-1", "3/1", 2),
            _slow("3/-1", "1/1", 3),
            _slow("3/-1", "2/1", 2),
            _slow("2/-1", "1/1", 3),
            _slow("2/-1", "3/1", 2),
            _slow("1/-1", "3/1", 3),
            _slow("1/-1", "2/1", 2),
        ],
    ),
    "on_ramp": (
        "merge",
        "12/-1",
        [
            _fast("11/-1", "3/-4", 5, 18.0, 22.0),
            _fast("1/-4", "3/-4", 8, 22.0, 27.0),
            _fast("1/-3", "3/-3", 7, 25.0, 30.0),
        ],
    ),
}


@dataclass(frozen=True, slots=True)
class _Played:
    """What an episode left behind: arrays are (ticks, actors), column 0 is the ego."""

    world: DrivingWorld
    log: EpisodeLog
    is_present: np.ndarray
    speed_mps: np.ndarray
    path_s_m: np.ndarray


def _play(scene: dict[str, Any], seed: int, seconds: int) -> _Played:
    world = DrivingWorld(action="acceleration")
    scene = {**scene, "criteria": {"goal_time_s": float(seconds), "min_progress_ratio": 0.0}}
    scenario = Scenario(
        family="traffic", world="driving", parameters={}, scene=scene, time_limit_ns=(seconds + 1) * 10**9
    )
    world.reset(scenario, seed)
    world.actuate(np.array([-5.0, 0.0]))
    world.advance(seconds * 10**9)
    log = EpisodeLog.from_columns(recording.TABLES, world.drain())
    state = world._started()
    num_actors = state.actors.shape[1]
    num_ticks = seconds * 10**9 // CONTROL_PERIOD_NS

    def column(name: str) -> np.ndarray:
        return np.asarray(log.column("actors", name)).reshape(-1, num_actors)[:num_ticks]

    return _Played(
        world,
        log,
        column("is_present"),
        column("speed_mps"),
        world._actor_record[:num_ticks, :, step_kernel.RECORD_PATH_S].copy(),
    )


@functools.cache
def _scene_played(name: str, seed: int) -> _Played:
    map_name, stands_on, flows = SCENES[name]
    road, lane = map(int, stands_on.split("/"))
    ego = {"road": road, "lane": lane, "station_m": 100.0, "initial_speed_mps": 0.0, "set_speed_mps": 10.0}
    return _play({"map": map_name, "ego": ego, "background": flows}, seed, SECONDS)


EVERY_SCENE = [
    pytest.param(name, seed, marks=pytest.mark.nightly if seed > 1 else ())
    for name in SCENES
    for seed in range(15)
]


@pytest.mark.parametrize(("name", "seed"), EVERY_SCENE)
def test_nobody_touches_anybody(name: str, seed: int) -> None:
    played = _scene_played(name, seed)
    assert played.log.num_rows("actor_contacts") == 0
    assert played.log.num_rows("contacts") == 0


@pytest.mark.parametrize(("name", "seed"), EVERY_SCENE)
def test_everybody_gets_on(name: str, seed: int) -> None:
    played = _scene_played(name, seed)
    assert played.is_present.shape[1] == 21
    last = slice(-WAITS_AT_MOST_S * 10**9 // CONTROL_PERIOD_NS, None)
    has_moved = (played.speed_mps[last] > 0.5).any(axis=0)
    is_gone = ~played.is_present[-1]
    assert np.all(has_moved[1:] | is_gone[1:])
    assert played.is_present.any(axis=0).all()
    assert np.count_nonzero(is_gone) >= 10


def _crossings(played: _Played, kind: int) -> list[tuple[int, int, int]]:
    """Returns actor, signal and tick of every front that passed a line of a kind."""
    state = played.world._started()
    found = []
    for actor in range(1, state.actors.shape[1]):
        front_m = played.path_s_m[:, actor] + 0.5 * state.actors[actor_state.LENGTH_M, actor]
        route = state.paths.routes[int(state.actors[actor_state.PATH, actor])]
        for stop in route.stops:
            signal = int(stop[STOP_SIGNAL])
            is_behind = (front_m > stop[STOP_S_M]) & played.is_present[:, actor]
            passes = np.flatnonzero(is_behind[1:] & ~is_behind[:-1] & played.is_present[:-1, actor]) + 1
            if state.road_map.signal_kind[signal] == kind:
                found += [(actor, signal, int(tick)) for tick in passes]
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_nobody_passes_a_red_light(seed: int) -> None:
    played = _scene_played("lights", seed)
    program = played.world._started().signal_program
    crossings = _crossings(played, TRAFFIC_LIGHT)
    assert len(crossings) >= 15
    for _, signal, tick in crossings:
        assert state_at(program, signal, tick * CONTROL_PERIOD_NS / 1e9 - 0.1) != RED


@pytest.mark.parametrize("seed", [0, 1])
def test_everybody_stops_at_a_stop_sign(seed: int) -> None:
    played = _scene_played("stop_signs", seed)
    crossings = _crossings(played, STOP_SIGN)
    assert len(crossings) >= 8
    for actor, _, tick in crossings:
        before = played.speed_mps[max(tick - 600, 0) : tick, actor]
        assert before.min() < 0.1


def _at_the_uncontrolled_junction(*, obeys: bool) -> dict[str, Any]:
    """From the west (has to give way) and from the south (has priority), at the junction at the same time."""

    def actor(road: int, goal: int, *, right_of_way: bool) -> dict[str, Any]:
        return {
            "class": "car",
            "behaviour": "idm",
            "path": {"road": road, "lane": -1, "station_m": 40.0, "to": {"road": goal, "lane": -1}},
            "speed_mps": 10.0,
            "obeys": {"signals": True, "right_of_way": right_of_way},
        }

    return {
        "map": "town",
        "ego": {"road": 123, "lane": -1, "station_m": 100.0, "initial_speed_mps": 0.0, "set_speed_mps": 10.0},
        "actors": {
            "from_west": actor(100, 101, right_of_way=obeys),
            "from_south": actor(200, 201, right_of_way=obeys),
        },
    }


def test_without_right_of_way_they_collide_and_with_it_the_left_one_waits() -> None:
    blind = _play(_at_the_uncontrolled_junction(obeys=False), 0, 20)
    assert blind.log.num_rows("actor_contacts") == 1
    polite = _play(_at_the_uncontrolled_junction(obeys=True), 0, 20)
    assert polite.log.num_rows("actor_contacts") == 0
    slowest = polite.speed_mps[:200].min(axis=0)
    assert slowest[1] < 5.0  # from the west: the other one comes from its right
    assert slowest[2] > 8.0
