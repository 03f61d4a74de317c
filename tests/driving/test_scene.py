"""Scenes of the driving world are read in full, and what does not fit is refused with file, key, got and allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from simloop.errors import ConfigurationError, ParameterError, UnknownNameError
from simloop.spec import Scenario
from simloop_driving.scenario.scene import Scene, SignalProgram, read_scene
from simloop_driving.scenario.scene_actors import LanePoint, OwnPath

EGO = {"road": 111, "lane": -1, "station_m": 20.0, "initial_speed_mps": 12.0}
IDM = {"path": {"road": 212, "lane": 1, "station_m": 5.0, "to": {"road": 211, "lane": 1}}, "behaviour": "idm"}


def _read(
    scene: Mapping[str, Any] | None = None, parameters: Mapping[str, float] | None = None, **blocks: Any
) -> Scene:
    full = {"map": "town", "ego": EGO, "criteria": {"goal_distance_m": 80.0}} | dict(scene or {}) | blocks
    scenario = Scenario(
        family="own", world="driving", parameters=parameters or {}, scene=full, time_limit_ns=30 * 10**9
    )
    return read_scene(scenario)


def test_every_block_is_read() -> None:
    scene = _read(
        parameters={"offset_s": -4.0},
        ego=EGO | {"to": {"road": 212, "lane": -1}, "via": [{"road": 5, "lane": -1}], "set_speed_mps": 13.0},
        actors={
            "crosser": IDM | {"speed_mps": 9.0, "obeys": {"signals": False}},
            "timed": {
                "path": {"road": 211, "lane": -1, "to": {"road": 212, "lane": -1}},
                "arrives_with_ego_s": "$offset_s",
            },
            "oncoming": {"lane": "opposite", "gap_m": 90.0, "speed_mps": 10.0},
            "parked": {"lane": "parking", "gap_m": 30.0, "length_m": 4.0},
            "works": {"class": "barrier", "lane": "ego", "gap_m": 60.0, "lateral_offset_m": -0.5},
            "follower": {"lane": "ego", "behind_m": 12.0},
            "beside": {"lane": "left", "beside_m": -1.0},
        },
        background=[
            {
                "path": {"road": 112, "lane": 1, "station_m": 0.0, "to": {"road": 111, "lane": 1}},
                "num_actors": 4,
                "headway_range_s": [2, 5],
                "speed_range_mps": [8, 12],
                "behaviour": "mobil",
            },
            {
                "lanes": ["opposite"],
                "num_actors": 2,
                "headway_range_s": [2, 5],
                "relative_speed_range_mps": [-1, 1],
            },
        ],
        signals={"green_s": 12.0, "offset_s": "$offset_s"},
        criteria={"goal_station_m": 130.0, "may_run_red": True},
    )
    assert (scene.ego.to, scene.ego.via) == (
        LanePoint(road_id=212, lane_id=-1),
        (LanePoint(road_id=5, lane_id=-1),),
    )
    actors = {actor.name: actor for actor in scene.actors}
    assert actors["crosser"].own_path == OwnPath(
        start=LanePoint(road_id=212, lane_id=1), station_m=5.0, to=LanePoint(road_id=211, lane_id=1)
    )
    assert (actors["crosser"].obeys_signals, actors["crosser"].obeys_right_of_way) == (False, True)
    assert actors["crosser"].lane == "own"
    assert actors["timed"].arrives_with_ego_s == -4.0
    assert not actors["timed"].obeys_signals
    assert (actors["parked"].speed_mps, actors["works"].speed_mps) == (0.0, 0.0)
    assert (actors["follower"].placed, actors["follower"].gap_m) == ("behind", 12.0)
    assert (actors["beside"].placed, actors["beside"].gap_m) == ("beside", -1.0)
    first, second = scene.flows
    assert (first.lanes, first.behaviour, first.speed_range_mps) == (("own",), "mobil", (8.0, 12.0))
    assert (second.lanes, second.relative_speed_range_mps, second.own_path) == (
        ("opposite",),
        (-1.0, 1.0),
        None,
    )
    assert scene.signals == SignalProgram(green_s=12.0, offset_s=-4.0)
    assert (scene.goal_station_m, scene.goal_time_s, scene.may_run_red) == (130.0, math.inf, True)
    assert not scene.may_pass_stop_sign


def test_a_goal_distance_counts_from_the_start() -> None:
    assert _read().goal_station_m == 100.0


def test_an_opening_door_is_an_actor_inside_its_car() -> None:
    scene = _read(
        actors={"parked": {"lane": "parking", "gap_m": 30.0, "lateral_offset_m": 0.1}},
        manoeuvres=[
            {
                "actor": "parked",
                "trigger": {"time_to_arrival_s": 2.0},
                "open_door": {"width_m": 0.9, "time_s": 1.0},
            }
        ],
    )
    car, door = scene.actors
    assert (door.name, door.actor_class, door.attached_to) == ("parked.door", "door", "parked")
    assert (door.length_m, door.width_m) == (1.1, 0.9)
    assert door.gap_m + 0.5 * door.length_m == pytest.approx(car.gap_m + 0.5 * 4.5)  # centres side by side
    assert door.lateral_offset_m + 0.5 * door.width_m == pytest.approx(0.1 + 0.5 * 1.82)  # flush on the left
    assert scene.manoeuvres[0].actor == "parked.door"


def test_who_pulls_out_waits_until_then() -> None:
    scene = _read(
        actors={"parked": {"lane": "parking", "gap_m": 30.0, "behaviour": "idm"}},
        manoeuvres=[
            {
                "actor": "parked",
                "trigger": {"distance_m": 40.0},
                "pull_out": {"to": "ego", "end_speed_mps": 8.0},
            }
        ],
    )
    assert scene.actors[0].waits
    assert scene.manoeuvres[0].then == "idm"


CAR = {"class": "car", "lane": "ego", "gap_m": 30.0}
BRAKE = {"rate_mps2": 4.0, "end_speed_mps": 0.0}


def _does(trigger: Any, **action: Any) -> dict[str, Any]:
    return {
        "actors": {"car": CAR, "other": IDM | {"speed_mps": 9.0}},
        "manoeuvres": [{"actor": "car", "trigger": trigger} | (action or {"change_speed": BRAKE})],
    }


def _deep(depth: int) -> dict[str, Any]:
    return {"time_s": 1.0} if depth == 0 else {"any": [_deep(depth - 1)]}


@pytest.mark.parametrize(
    ("blocks", "error", "message"),
    [
        ({"map": 7}, ParameterError, r"own: scene\.map is 7; allowed: a text"),
        (
            {"ego": EGO | {"to": {"road": 3}}},
            ConfigurationError,
            r"own: scene\.ego\.to: key 'lane' is missing",
        ),
        (
            {"ego": EGO | {"via": [{"road": 3, "lane": 1}]}},
            ConfigurationError,
            r"scene\.ego\.via needs the key 'to'",
        ),
        (
            {"ego": EGO | {"station_m": 10**400}},
            ParameterError,
            r"scene\.ego\.station_m is 1000.*allowed: a number from 0 to 1e\+09",
        ),
        ({"ego": EGO | {"station_m": True}}, ParameterError, r"station_m is True; allowed: a number"),
        ({"ego": [1]}, ConfigurationError, r"scene\.ego is \[1\]; allowed: a mapping"),
        ({"actors": {"ego": CAR}}, ConfigurationError, r"actor cannot be called 'ego'"),
        ({"actors": {"a.door": CAR}}, ConfigurationError, r"actor cannot be called 'a\.door'"),
        (
            {"actors": {"a": CAR | {"class": ["car"]}}},
            UnknownNameError,
            r"Unknown class .*Available: .*bicycle, car",
        ),
        (
            {"actors": {"a": CAR | {"class": "cone", "speed_mps": 3.0}}},
            ConfigurationError,
            r"is a cone at 3 m/s; allowed: a speed of 0",
        ),
        (
            {"actors": {"a": CAR | {"arrives_with_ego_s": 1.0}}},
            ConfigurationError,
            r"actors\.a\.arrives_with_ego_s needs the key 'path'",
        ),
        (
            {"actors": {"a": IDM | {"gap_m": 3.0}}},
            UnknownNameError,
            r"Unknown key 'gap_m' in own: scene\.actors\.a",
        ),
        (
            {"actors": {"a": CAR | {"obeys": {"signals": True}}}},
            ConfigurationError,
            r"a scripted actor .* obeys nothing; allowed with behaviour: idm, mobil",
        ),
        (
            {"actors": {"a": IDM | {"obeys": {"signals": "yes"}}}},
            ParameterError,
            r"obeys\.signals is 'yes'; allowed: true, false",
        ),
        (
            {"actors": {"a": IDM, "b": CAR | {"ahead_of": "a"}}},
            ConfigurationError,
            r"ahead_of is 'a', which has a path of its own",
        ),
        (
            {"actors": {str(i): CAR for i in range(65)}},
            ConfigurationError,
            r"has 65 actors; allowed: up to 64",
        ),
        (
            {
                "background": {
                    "lanes": ["own"],
                    "num_actors": 1,
                    "headway_range_s": [1, 2],
                    "speed_range_mps": [5, 6],
                }
            },
            UnknownNameError,
            r"Unknown lanes 'own'",
        ),
        (
            {
                "background": {
                    "lanes": ["ego"],
                    "num_actors": 1,
                    "headway_range_s": [3, 2],
                    "speed_range_mps": [5, 6],
                }
            },
            ParameterError,
            r"headway_range_s is \[3, 2\]; allowed: \[from, to\] in order",
        ),
        (
            {"signals": {"green_s": 0.0}},
            ParameterError,
            r"signals\.green_s is 0\.0; allowed: a number from 1 to 300",
        ),
        ({"signals": {"red_s": 4.0}}, UnknownNameError, r"Unknown key 'red_s' in own: scene\.signals"),
        (
            {"criteria": {"goal_time_s": 9.0, "goal_distance_m": 9.0}},
            ConfigurationError,
            r"criteria has goal_time_s, goal_distance_m of .*; allowed: exactly one",
        ),
        (
            {"criteria": {"goal_station_m": 10.0}},
            ConfigurationError,
            r"goal_station_m is 10; the ego starts at 20",
        ),
        (
            {"criteria": {"goal_distance_m": 500.0}},
            ConfigurationError,
            r"the goal is 500 m away; at 12 m/s the ego gets 360 m far within the time limit of 30 s",
        ),
        (
            _does({"time_s": 2.0}) | {"actors": {"other": CAR}},
            UnknownNameError,
            r"Unknown actor 'car' in own: scene\.manoeuvres\[0\]\. .*Available: other",
        ),
        (_does({"time_s": 2.0}, change_speed=BRAKE, swerve={}), ConfigurationError, r"allowed: exactly one"),
        (
            _does({"time_s": math.nan}),
            ParameterError,
            r"trigger\.time_s is nan; allowed: a number from 0 to 3600",
        ),
        (
            _does({"when": 3}),
            ConfigurationError,
            r"trigger has none of time_s, .*never, all, any; allowed: exactly one",
        ),
        (
            _does({"time_s": 3.0, "of": "other"}),
            UnknownNameError,
            r"Unknown key 'of' in own: scene\.manoeuvres\[0\]\.trigger",
        ),
        (
            _does({"ttc_s": 3.0, "of": "ego"}),
            ConfigurationError,
            r"ttc_s is between the ego and another\. Allowed: car, other",
        ),
        (_does({"any": []}), ConfigurationError, r"any has 0 conditions at depth 1; allowed: at least one"),
        (_does(_deep(9)), ConfigurationError, r"up to depth 8"),
        (
            _does({"after": "x"}),
            UnknownNameError,
            r"Unknown after 'x'",
        ),
        (
            _does({"signal": {"id": 3, "state": "blue"}}),
            UnknownNameError,
            r"Unknown state 'blue'.*amber, green, red",
        ),
        (
            _does({"time_s": 31.0}),
            ConfigurationError,
            r"\[0\]\.change_speed: its trigger can never fire: the earliest is 31 s, the episode ends at 30 s",
        ),
        (
            _does({"all": [{"headway_s": 1.0}, {"time_s": 40.0}]}),
            ConfigurationError,
            r"can never fire: the earliest is 40 s",
        ),
        (
            _does({"all": [{"signal": {"id": 4, "state": "red"}}, {"signal": {"id": 4, "state": "green"}}]}),
            ConfigurationError,
            r"can never fire: it asks signal 4 to be red and green at once",
        ),
        (
            _does({"signal": {"state": "amber"}}) | {"signals": {"amber_s": 0.0}},
            ConfigurationError,
            r"waits for amber, but signals\.amber_s is 0",
        ),
        (_does({"never": True, "latest_s": 3.0}), ConfigurationError, r"never and latest_s; allowed: one"),
        (
            _does({"time_s": 5.0, "latest_s": 3.0}),
            ConfigurationError,
            r"latest_s is 3, and its conditions cannot hold before 5 s",
        ),
        (
            _does({"time_s": 2.0}, run_red_light=True),
            ConfigurationError,
            r"car is scripted and obeys nothing anyway; allowed: an actor with behaviour idm or mobil",
        ),
        (
            _does({"time_s": 2.0}, swerve={"amplitude_m": 1.0, "period_s": 2.0}),
            ConfigurationError,
            r"period_s is 2; 1 m to either side at 1\.5 m/s2 take at least 4\.62 s",
        ),
        (
            _does({"time_s": 2.0}, open_door={"width_m": 0.9, "time_s": 1.0}),
            ConfigurationError,
            r"car is a car \(scripted\) at 12 m/s; allowed: a scripted car or truck that stands",
        ),
        (
            _does({"time_s": 2.0}, pull_out={"to": "ego", "end_speed_mps": 8.0}),
            ConfigurationError,
            r"car starts at 12 m/s; allowed: an actor that stands",
        ),
        (
            _does({"time_s": 2.0}, change_lane={"to": "own_lane", "lateral_speed_mps": 1.0}),
            UnknownNameError,
            r"Unknown to 'own_lane' in own: scene\.manoeuvres\[0\]\.change_lane",
        ),
    ],
)
def test_what_does_not_fit_is_refused(blocks: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _read(blocks)


def test_sequences_that_lead_back_to_themselves_never_start() -> None:
    first = {"actor": "car", "name": "a", "trigger": {"after": "b"}, "change_speed": BRAKE}
    second = {
        "actor": "car",
        "name": "b",
        "trigger": {"after": "a"},
        "change_lane": {"to": "left", "lateral_speed_mps": 1.0},
    }
    with pytest.raises(ConfigurationError, match=r"manoeuvres\[0\].*can never fire: the earliest is never"):
        _read(actors={"car": CAR}, manoeuvres=[first, second])
    scene = _read(actors={"car": CAR}, manoeuvres=[first, second | {"trigger": {"time_s": 3.0}}])
    assert scene.manoeuvres[0].trigger.after == "b"
    with pytest.raises(ConfigurationError, match=r"manoeuvres\[1\]\.name 'a' is given twice"):
        _read(actors={"car": CAR}, manoeuvres=[first, second | {"name": "a"}])


def test_two_manoeuvres_that_start_together_may_not_command_the_same() -> None:
    trigger = {"all": [{"headway_s": 1.0}, {"time_s": 2.0}]}
    left = {
        "actor": "car",
        "trigger": trigger,
        "change_lane": {"to": "left", "lateral_speed_mps": 1.0},
    }
    right = left | {"change_lane": {"to": "right", "lateral_speed_mps": 1.0}}
    with pytest.raises(
        ConfigurationError, match=r"manoeuvres\[1\].* starts together with own: scene\.manoeuvres\[0\]"
    ):
        _read(actors={"car": CAR}, manoeuvres=[left, right])
    brake = {"actor": "car", "trigger": trigger, "change_speed": BRAKE}
    assert len(_read(actors={"car": CAR}, manoeuvres=[left, brake]).manoeuvres) == 2


def test_who_never_starts_may_say_so() -> None:
    for trigger in ({"never": True}, {"all": [{"time_s": 900.0}, {"never": True}]}):
        scene = _read(_does(trigger))
        assert scene.manoeuvres[0].trigger.is_never
    assert not _read(_does({"any": [{"time_s": 3.0}, {"never": True}]})).manoeuvres[0].trigger.is_never
