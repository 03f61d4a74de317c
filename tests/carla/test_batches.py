"""Batches and records of the server, in process: what is done at once is what would be done one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from simloop_carla.server.bodies import body_kernel
from simloop_carla.server.methods import METHODS, batches
from simloop_carla.server.methods.actors import set_physics
from simloop_carla.server.simulator import Simulator
from simloop_carla.server.towns.town import Town, load_town
from simloop_carla.wire.streams import ACTOR_RECORD, VEHICLE_RECORD
from simloop_carla.wire.structs import IDENTITY, ActorDescription, Rotation, Transform, Vector3

CAR, WALKER, CONE = "vehicle.tesla.model3", "walker.pedestrian.0001", "static.prop.trafficcone01"
NUM_CARS = 6
NOBODY = 4_000_000
DELTA_S = 0.05
MALFORMED = [[0, ["malformed command"]]]

Command = Any


@pytest.fixture(scope="module")
def town() -> Town:
    return load_town("town")


class Played:
    """A server without sockets, with six cars, a walker, a cone and a sensor on the first car."""

    def __init__(self, town: Town) -> None:
        self.simulator = Simulator(town, 0)
        self.simulator.set_settings(
            self.simulator.settings._replace(synchronous_mode=True, fixed_delta_seconds=DELTA_S)
        )
        names = [CAR] * NUM_CARS + [WALKER, CONE]
        points = town.spawn_points[:: max(len(town.spawn_points) // len(names), 1)]
        spawn = self.simulator.episode.spawn
        bodies = [
            spawn(ActorDescription(0, name, []), point) for name, point in zip(names, points, strict=False)
        ]
        sensor = spawn(ActorDescription(0, "sensor.other.gnss", []), IDENTITY, bodies[0])
        self.ids = [actor.id for actor in (*bodies, sensor)]

    def run(self, commands: list[Command]) -> list[Any]:
        """Runs a batch and a tick; malformed commands are shown without their texts."""
        responses = batches.run_batch(self.simulator, commands)
        self.simulator.tick()
        return [
            MALFORMED if response[0][0] == 0 and response[0][1][0].startswith("malformed") else response
            for response in responses
        ]

    def state(self) -> tuple[bytes, ...]:
        own = self.simulator.episode.bodies
        arrays = (
            own.states,
            own.commands,
            own.controls,
            own.heights_m,
            self.simulator.episode.roster.records,
        )
        return tuple(array.tobytes() for array in arrays)

    def record(self, number: int) -> Any:
        episode = self.simulator.episode
        return episode.roster.records[episode.roster.row(episode.roster.by_id[self.ids[number]])]


def drive(actor_id: Any, *values: Any) -> Command:
    return [[2, [actor_id, list(values)]]]


def put(actor_id: Any, location: list[Any], yaw_deg: float) -> Command:
    return [[6, [actor_id, [location, [0.0, yaw_deg, 0.0]]]]]


def control(throttle: float) -> tuple[Any, ...]:
    return throttle, 0.1, 0.0, False, False, False, 0


def cases(ids: list[int]) -> dict[str, list[Command]]:
    """Returns batches by what is special about them."""
    cars = ids[:NUM_CARS]
    walker, cone, sensor = ids[NUM_CARS:]
    nobody: list[Any] = [True, -1, "1", None, 2**40, cars[0], []]
    controls = [drive(car, *control(0.1 * number)) for number, car in enumerate(cars)]
    poses = [put(car, [5.0 * number, 2.0 * number, 0.0], 400.0 * number) for number, car in enumerate(cars)]
    following = [drive(0, *control(0.9)), [[8, [0, [1.0, 2.0, 0.0]]]]]
    spawned: list[list[Any]] = [
        [0, [[0, CAR, []], [[30.0 * number, 200.0, 0.0], [0.0, 0.0, 0.0]], [False], 0, ""]]
        for number in range(3)
    ]
    return {
        "controls": controls,
        "poses": poses,
        "runs of different commands": [*controls, *poses, [[14, [cars[0], False]]], *controls[::-1]],
        "in turns": [command for pair in zip(controls, poses, strict=True) for command in pair],
        "an unknown actor in the middle": [*controls[:3], drive(NOBODY, *control(1.0)), *controls[3:]],
        "an unknown actor among poses": [*poses[:3], put(NOBODY, [0.0, 0.0, 0.0], 0.0), *poses[3:]],
        "the same actor again": [*controls, *(drive(cars[0], *control(0.1 * turn)) for turn in range(5)), controls[1]],
        "the same actor put again": [*poses, put(cars[0], [7.0, 8.0, 1.0], -30.0), put(cars[1], [9.0, 8.0, 1.0], 30.0)],
        "beyond their range": [drive(car, 1.7, -3.0, -0.5, True, False, True, -1) for car in cars],
        "what is not driven": [drive(actor, *control(0.5)) for actor in (walker, cone, sensor, *cars)],
        "what has no body": [put(actor, [1.0, 2.0, 3.0], 4.0) for actor in (*cars, sensor)],
        "whole numbers": [drive(car, 1, 0, 0, False, False, False, 1) for car in cars],
        "not a number in the middle": [*controls[:3], drive(cars[3], *control(math.nan)), *controls[4:]],
        "an infinite pose": [*poses[:3], put(cars[3], [math.inf, 0.0, 0.0], 0.0), *poses[4:]],
        "an enormous pose": [*poses[:3], put(cars[3], [1e39, 0.0, 0.0], 0.0), *poses[4:]],
        "an enormous control": [*controls[:3], drive(cars[3], *control(-1e39)), *controls[4:]],
        "numbers for flags": [*controls[:3], drive(cars[3], 0.5, 0.0, 0.0, 1, 0, 0, 0), *controls[4:]],
        "too few numbers": [*controls[:3], drive(cars[3], 0.5), *controls[4:]],
        "a gear that is none": [*controls[:3], drive(cars[3], 0.5, 0.0, 0.0, False, False, True, 2**40)],
        "texts": [drive(car, *"0000000") for car in cars],
        "ids that are none": [drive(actor, *control(0.5)) for actor in nobody],
        "no commands": [*controls, 5, [], [[2]], [[2, []]], ["ab"], [[[], [1, 2]]], *poses],
        "numbers of no command": [[[number, [car, 0]]] for number in (99, "x", 2.5) for car in cars],
        "what follows a spawn": [
            *([[[kind, [*rest, following]]] for kind, rest in spawned]),
            *controls,
        ],
        "destroyed in between": [*controls[:4], [[1, [cars[2]]]], *controls],
        "nothing": [],
    }  # fmt: skip


NAMES = list(cases(list(range(1, NUM_CARS + 4))))


@pytest.mark.parametrize("name", NAMES)
def test_runs_of_commands_do_what_single_ones_do(
    town: Town, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, single = Played(town), Played(town)
    commands = cases(together.ids)[name]
    responses = together.run(commands)
    assert len(responses) == len(commands)
    assert any(len(part) for part in together.state())
    monkeypatch.setattr(batches, "AT_ONCE_FROM", 10**6)
    assert single.run(commands) == responses
    assert single.state() == together.state()


def test_random_batches_do_what_single_commands_do(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    together, single = Played(town), Played(town)
    draws = np.random.default_rng(7)
    ids = [*together.ids, NOBODY]
    num_at_once = 0

    def command(is_pose: bool) -> Command:
        actor_id = int(draws.choice(ids))
        if is_pose:
            return put(actor_id, draws.uniform(-50.0, 50.0, 3).tolist(), float(draws.uniform(-400.0, 400.0)))
        flags = [bool(flag) for flag in draws.random(3) < 0.1]
        return drive(actor_id, *draws.uniform(-1.5, 1.5, 3).tolist(), *flags, int(draws.integers(-1, 4)))

    for _ in range(150):
        commands = [command(draws.random() < 0.2) for _ in range(int(draws.integers(0, 12)))]
        commands.sort(key=lambda one: one[0][0] if draws.random() < 0.7 else 0)
        responses = together.run(commands)
        with monkeypatch.context() as only_single:
            only_single.setattr(batches, "AT_ONCE_FROM", 10**6)
            assert single.run(commands) == responses
        assert single.state() == together.state()
        num_at_once += len(commands)
    assert num_at_once > 500


def test_long_runs_are_taken_at_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(town)

    def refuse(*_: Any) -> Any:
        raise AssertionError("a command was run by itself")

    monkeypatch.setattr(batches, "run_command", refuse)
    for name in ("controls", "poses", "an unknown actor in the middle", "the same actor again"):
        assert played.run(cases(played.ids)[name])


def test_a_response_is_the_id_or_the_reason(town: Town) -> None:
    played = Played(town)
    responses = played.run(cases(played.ids)["an unknown actor in the middle"])
    cars = played.ids[:NUM_CARS]
    missing = [[0, [f"unable to apply command: actor {NOBODY} not found"]]]
    assert responses == [*([[1, car]] for car in cars[:3]), missing, *([[1, car]] for car in cars[3:])]


@pytest.mark.parametrize("wrong", [5, [[99, [0, 0.0]]], [[8, [0, [1e39, 0.0, 0.0]]]], [[21, [0]]]])
def test_a_spawn_with_a_malformed_follow_up_leaves_nobody(town: Town, wrong: Any) -> None:
    played = Played(town)
    roster = played.simulator.episode.roster
    there = dict(roster.by_id)

    def born(y_m: float, *following: Any) -> Command:
        return [[0, [[0, CAR, []], [[0.0, y_m, 0.0], [0.0, 0.0, 0.0]], [False], 0, "", list(following)]]]

    in_turn = born(300.0, born(400.0), [[8, [0, [1.0, 0.0, 0.0]]]], born(500.0, wrong))
    assert played.run([in_turn]) == [MALFORMED]
    assert roster.by_id == there
    assert len(played.simulator.episode.bodies.states) == NUM_CARS + 2
    assert played.run([born(300.0, born(400.0))]) == [[[1, max(there) + 4]]]
    assert len(roster.by_id) == len(there) + 2


def test_a_batch_turns_lights_as_a_call_does(town: Town) -> None:
    shown = []
    for is_batch in (True, False):
        played = Played(town)
        actor, states = played.simulator.episode.roster.of_kind("light")[0][0], []
        light = actor.light
        assert light is not None
        for state in (2, 200, 0):
            played.simulator.tick()
            if is_batch:
                batches.run_batch(played.simulator, [[[21, [actor.id, state]]]])
            else:
                METHODS["set_traffic_light_state"].call(played.simulator, actor.id, state)
            states.append((light.state, light.elapsed_s))
        shown.append(states)
    assert shown[0] == shown[1] == [(2, 0.0), (4, 0.0), (0, 0.0)]


def test_controls_are_cut_and_shown_as_they_were_sent(town: Town) -> None:
    played = Played(town)
    played.run(cases(played.ids)["beyond their range"])
    own = played.simulator.episode.bodies
    command = own.commands[0]
    columns = [body_kernel.THROTTLE, body_kernel.STEER, body_kernel.BRAKE, body_kernel.HAND_BRAKE]
    assert command[columns].tolist() == [1.0, 1.0, 0.0, 1.0]  # steer is to the right on the wire
    assert command[body_kernel.REVERSE] == 1.0  # by its gear
    assert own.control(0) == (1.7, -3.0, -0.5, True, False, True, -1)
    roster = played.simulator.episode.roster
    shown = roster.records.view(VEHICLE_RECORD)[roster.row(roster.by_id[played.ids[0]])]
    assert (shown["steer"], shown["gear"], shown["hand_brake"]) == (-3.0, -1, 1)


def test_records_have_poses_and_motion_in_carlas_frame(town: Town) -> None:
    played = Played(town)
    car = played.ids[0]
    set_physics(played.simulator, played.simulator.episode.roster.by_id[car], False)
    commands = [put(car, [10.0, -4.0, 1.5], 190.0), [[8, [car, [3.0, 4.0, 0.0]]]]]
    played.run(commands)
    first = played.record(0)
    assert first["location"].tolist() == [10.0, -4.0, 1.5]
    assert first["rotation"] == pytest.approx([0.0, -170.0, 0.0], abs=1e-4)
    assert first["velocity"] == pytest.approx([3.0, 4.0, 0.0], abs=1e-5)
    assert first["acceleration"].tolist() == [0.0, 0.0, 0.0]  # it is new: there is nothing to compare with
    played.run([[[8, [car, [3.5, 3.0, 0.0]]]]])
    assert played.record(0)["acceleration"] == pytest.approx([0.5 / DELTA_S, -1.0 / DELTA_S, 0.0], abs=1e-3)


def test_a_newcomer_does_not_change_what_others_accelerate(town: Town) -> None:
    alone, joined = Played(town), Played(town)
    for played in (alone, joined):
        played.run([drive(played.ids[0], *control(0.8))])
        played.run([])
    pose = Transform(Vector3(300.0, 300.0, 0.0), Rotation(0.0, 0.0, 0.0))
    joined.simulator.episode.spawn(ActorDescription(0, CAR, []), pose)
    for played in (alone, joined):
        played.run([])
    assert alone.record(0)["acceleration"][:2].any()
    assert joined.record(0).tobytes() == alone.record(0).tobytes()


def test_a_car_before_a_light_is_told_its_colour(town: Town) -> None:
    played = Played(town)
    episode = played.simulator.episode
    stops = episode.stop_lines
    stop = int(np.flatnonzero(stops.is_light[stops.owners])[0])
    x_m, y_m, yaw_rad, *_ = stops.poses[stop].tolist()
    at_m = (x_m - 3.0 * math.cos(yaw_rad), y_m - 3.0 * math.sin(yaw_rad))
    played.run([put(played.ids[0], [at_m[0], -at_m[1], 0.0], -math.degrees(yaw_rad))])
    light = episode.lights.items[int(stops.owners[stop])]
    own = episode.roster.records.view(VEHICLE_RECORD)
    row = episode.roster.row(episode.roster.by_id[played.ids[0]])
    owner = next(actor for actor in episode.roster.by_id.values() if actor.light is light)
    shown = (own["has_light"][row], own["light_state"][row], own["light_id"][row])
    assert shown == (1, light.state, owner.id)
    played.run([put(played.ids[0], [at_m[0], -at_m[1], 0.0], 180.0 - math.degrees(yaw_rad))])  # looks away
    assert own["has_light"][row] == 0
    assert own["light_id"][row] == 0


def test_destroying_keeps_the_others_records(town: Town) -> None:
    played = Played(town)
    played.run(cases(played.ids)["controls"])
    before = [played.record(number)["location"].tolist() for number in range(NUM_CARS)]
    episode = played.simulator.episode
    episode.destroy(episode.roster.by_id[played.ids[2]])
    del played.ids[2], before[2]
    assert [played.record(number)["location"].tolist() for number in range(NUM_CARS - 1)] == before
    assert episode.roster.records.dtype == ACTOR_RECORD
    assert [episode.roster.by_id[one].number for one in played.ids[:-1]] == list(range(NUM_CARS + 1))
