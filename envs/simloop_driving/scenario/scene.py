"""The driving scene of a concrete scenario: what the ``scene`` block of its file says, checked and resolved.

docs/scenarios.md describes the language. Who takes part is read in ``actor_blocks``, what happens in
``manoeuvre_blocks``; here they come together with the map, the signals and the criteria.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

from simloop.errors import ConfigurationError
from simloop.spec import Scenario
from simloop_driving.scenario.actor_blocks import read_actors, read_background, read_ego
from simloop_driving.scenario.actor_state import ACTOR_DIMENSIONS_M
from simloop_driving.scenario.block_reader import BlockReader
from simloop_driving.scenario.checks import check_scene
from simloop_driving.scenario.manoeuvre_blocks import read_manoeuvres
from simloop_driving.scenario.scene_actors import ActorStart, Background, EgoStart, door_of
from simloop_driving.scenario.scene_manoeuvres import Manoeuvre


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalProgram:
    """The cycle of every signal controller: its phases follow each other, each green, then amber, then all red.

    Attributes:
        green_s, amber_s, all_red_s: Durations.
        offset_s: How far the cycle is at the start; phase 0 turns green at ``-offset_s``.
    """

    green_s: float = 20.0
    amber_s: float = 3.0
    all_red_s: float = 2.0
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A checked scene with every parameter resolved.

    Attributes:
        where: Its place in the file, for messages.
        map_name: A shipped map, the path of an OpenDRIVE file, or a town of the world's server.
        is_map_of_server: Whether it is such a town.
        ego: The ego.
        actors: The named actors; doors follow their cars.
        manoeuvres: What happens.
        flows: Traffic that the seed places.
        signals: Cycle of the traffic lights.
        goal_time_s: The episode succeeds at this time; inf: not by time.
        goal_station_m: It succeeds when the ego's station along its route reaches this; inf: not by place.
        min_progress_ratio: Least way, over what traffic allowed, for success.
        may_run_red, may_pass_stop_sign: Whether passing a red light or a stop sign without a stop is no failure.
        time_limit_s: The episode fails at this time.
        conflict_over_s: The episode succeeds when nothing scripted could have led to a collision for this long; 0:
            it goes on.
    """

    where: str
    map_name: str
    is_map_of_server: bool
    ego: EgoStart
    actors: tuple[ActorStart, ...]
    manoeuvres: tuple[Manoeuvre, ...]
    flows: tuple[Background, ...]
    signals: SignalProgram
    goal_time_s: float
    goal_station_m: float
    min_progress_ratio: float
    may_run_red: bool
    may_pass_stop_sign: bool
    time_limit_s: float
    conflict_over_s: float


def read_scene(scenario: Scenario) -> Scene:
    """Reads and checks the scene of a scenario.

    Raises:
        ConfigurationError: A key is missing or unknown, a value is out of range, a name means nothing, or a
            parameter of the scenario is not used; the message names the family and the key.
    """
    used: set[str] = set()
    file = scenario.where or scenario.family
    where = f"{file}: scene"
    top = BlockReader(scenario.scene, where, scenario.parameters, used)
    map_name, is_map_of_server = _read_map(top)
    ego = read_ego(top.block("ego"))
    named = read_actors(top, ego)
    manoeuvres = read_manoeuvres(top, {actor.name: actor for actor in named})
    time_limit_s = scenario.time_limit_ns / 1e9
    scene = Scene(
        where=where,
        map_name=map_name,
        is_map_of_server=is_map_of_server,
        ego=ego,
        actors=_with_doors(named, manoeuvres),
        manoeuvres=manoeuvres,
        flows=tuple(read_background(block) for block in top.one_or_more("background")),
        signals=_read_signals(top.block("signals")) if top.has("signals") else SignalProgram(),
        time_limit_s=time_limit_s,
        **_read_criteria(top.block("criteria"), ego, time_limit_s),
    )
    top.finish()
    check_scene(scene)
    unused = sorted(set(scenario.parameters) - used)
    if unused:
        raise ConfigurationError(
            f"{file}: the scene does not use the parameters {', '.join(unused)}; refer to a parameter as "
            "$name, or leave it out."
        )
    return scene


def _read_map(top: BlockReader) -> tuple[str, bool]:
    """Returns the map's name or path, and whether the world's server has it."""
    if not isinstance(top.value("map"), Mapping):
        return top.name("map"), False
    block = top.block("map")
    name = block.name("server")
    block.finish()
    return name, True


def _with_doors(named: tuple[ActorStart, ...], manoeuvres: tuple[Manoeuvre, ...]) -> tuple[ActorStart, ...]:
    """Returns the actors with the doors that open, and with those that wait until they pull out."""
    actors: list[ActorStart] = []
    for actor in named:
        waits = any(m.actor == actor.name and m.kind == "pull_out" for m in manoeuvres)
        actors.append(replace(actor, waits=waits))
        doors = [m for m in manoeuvres if m.actor == f"{actor.name}.door"]
        if len(doors) > 1:
            raise ConfigurationError(
                f"{doors[1].where}: the door of {actor.name} opens already; allowed: once."
            )
        for door in doors:
            length_m, width_m, height_m = ACTOR_DIMENSIONS_M[actor.actor_class]
            dimensions_m = (actor.length_m or length_m, actor.width_m or width_m, height_m)
            actors.append(door_of(actor, door.amplitude_m, dimensions_m))
    return tuple(actors)


def _read_signals(block: BlockReader) -> SignalProgram:
    usual = SignalProgram()
    program = SignalProgram(
        green_s=block.number("green_s", low=1.0, high=300.0, default=usual.green_s),
        amber_s=block.number("amber_s", low=0.0, high=10.0, default=usual.amber_s),
        all_red_s=block.number("all_red_s", low=0.0, high=60.0, default=usual.all_red_s),
        offset_s=block.number("offset_s", low=-1000.0, high=1000.0, default=usual.offset_s),
    )
    block.finish()
    return program


class _Criteria(TypedDict):
    goal_time_s: float
    goal_station_m: float
    min_progress_ratio: float
    may_run_red: bool
    may_pass_stop_sign: bool
    conflict_over_s: float


def _read_criteria(block: BlockReader, ego: EgoStart, time_limit_s: float) -> _Criteria:
    given = block.exactly_one(("goal_time_s", "goal_station_m", "goal_distance_m"))
    goal_station_m = block.optional("goal_station_m", low=0.0, high=1e6, otherwise=math.inf)
    if given == "goal_distance_m":
        goal_station_m = ego.station_m + block.number(given, low=1.0, high=1e6)
    if goal_station_m <= ego.station_m:
        raise ConfigurationError(
            f"{block.where}.goal_station_m is {goal_station_m:g}; the ego starts at {ego.station_m:g}. Allowed: "
            "a station ahead of it."
        )
    criteria = _Criteria(
        goal_time_s=block.optional("goal_time_s", low=1.0, high=time_limit_s, otherwise=math.inf),
        goal_station_m=goal_station_m,
        min_progress_ratio=block.number(
            "min_progress_ratio", low=0.0, high=1.0, default=None if given == "goal_time_s" else 0.0
        ),
        may_run_red=block.flag("may_run_red", default=False),
        may_pass_stop_sign=block.flag("may_pass_stop_sign", default=False),
        conflict_over_s=block.number("conflict_over_s", low=0.0, high=time_limit_s, default=0.0),
    )
    block.finish()
    return criteria
