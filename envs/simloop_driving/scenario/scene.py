"""The driving scene of a concrete scenario: what the ``scene`` block of its file says, checked and resolved.

    map: highway
    ego: {road: 1, lane: -3, station_m, initial_speed_mps, set_speed_mps, lateral_offset_m, heading_offset_rad}
    actors: {NAME: {class, lane: ego | left | right, gap_m or headway_s, closing_time_s,
                    relative_speed_mps or speed_mps or speed_ratio (of the ego's), behaviour: scripted | idm,
                    length_m, width_m, gap_at_lateral_speed_mps, heading: of_travel | along_lane,
                    ahead_of: NAME}}
    manoeuvres: [{actor, trigger: {time_s | headway_s | distance_m | ttc_s, latest_s},
                  change_lane: {to, lateral_speed_mps} or
                  change_speed: {rate_mps2, end_speed_mps or end_speed_ratio}}]
    background: {lanes, num_actors, classes, headway_range_s, relative_speed_range_mps}
    criteria: {goal_time_s, min_progress_ratio, conflict_over_s}

``left`` and ``right`` are the lanes beside the ego's, at the start. The gap is ahead of the ego, or ``ahead_of`` an
actor named before. With ``gap_at_lateral_speed_mps`` everybody starts earlier, by the time in which the actor takes up
that lateral speed towards the ego's lane: gap and lane then hold for the instant at which it has it. With
``conflict_over_s`` the episode ends, well, when nothing that is scripted could have led to a collision for that long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simloop.errors import ConfigurationError, UnknownNameError
from simloop.spec import Scenario
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, LATERAL_ACCELERATION_MPS2
from simloop_driving.scenario.block_reader import BlockReader
from simloop_driving.scenario.manoeuvres import TRIGGERS

LANES = ("ego", "left", "right")
MAX_SPEED_MPS = 70.0
MAX_BACKGROUND_ACTORS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class EgoStart:
    """Where and how the ego starts; offsets are against the centre and direction of its lane."""

    road_id: int
    lane_id: int
    station_m: float
    initial_speed_mps: float
    set_speed_mps: float
    lateral_offset_m: float
    heading_offset_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStart:
    """A named actor: class, lane and bumper-to-bumper gap ahead of the ego; a size of 0 is its class's."""

    name: str
    actor_class: str
    lane: str
    gap_m: float
    speed_mps: float
    is_idm: bool
    length_m: float = 0.0
    width_m: float = 0.0
    away_from_ego_lane_m: float = 0.0
    keeps_heading: bool = False
    ahead_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manoeuvre:
    """One scripted manoeuvre; ``to_lane`` is empty for a change of speed."""

    actor: str
    trigger: str
    threshold: float
    latest_s: float
    to_lane: str = ""
    end_speed_mps: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """IDM traffic that the seed places."""

    lanes: tuple[str, ...]
    num_actors: int
    classes: tuple[str, ...]
    headway_range_s: tuple[float, float]
    relative_speed_range_mps: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A checked scene with every parameter resolved."""

    map_name: str
    ego: EgoStart
    actors: tuple[ActorStart, ...]
    manoeuvres: tuple[Manoeuvre, ...]
    background: Background | None
    goal_time_s: float
    min_progress_ratio: float
    time_limit_s: float
    conflict_over_s: float


def read_scene(scenario: Scenario) -> Scene:
    """Reads and checks the scene of a scenario.

    Raises:
        ConfigurationError: A key is missing or unknown, a value is out of range, a name means nothing, or a
            parameter of the scenario is not used; the message names the family and the key.
    """
    used: set[str] = set()
    top = BlockReader(scenario.scene, f"{scenario.family}: scene", scenario.parameters, used)
    map_name = str(top.value("map"))
    ego = _read_ego(top.block("ego"))
    actors: tuple[ActorStart, ...] = ()
    for name, block in top.named_blocks("actors").items():
        actors += (_read_actor(name, block, ego, tuple(actor.name for actor in actors)),)
    speeds = {actor.name: actor.speed_mps for actor in actors}
    manoeuvres = tuple(_read_manoeuvre(block, speeds) for block in top.items("manoeuvres"))
    background = _read_background(top.block("background")) if top.has("background") else None
    criteria = top.block("criteria")
    time_limit_s = scenario.time_limit_ns / 1e9
    goal_time_s = criteria.number("goal_time_s", low=1.0, high=time_limit_s)
    min_progress_ratio = criteria.number("min_progress_ratio", low=0.0, high=1.0)
    conflict_over_s = criteria.number("conflict_over_s", low=0.0, high=time_limit_s, default=0.0)
    criteria.finish()
    top.finish()
    unused = sorted(set(scenario.parameters) - used)
    if unused:
        raise ConfigurationError(
            f"{scenario.family}: the scene does not use the parameters {', '.join(unused)}; refer to a parameter as "
            "$name, or leave it out."
        )
    return Scene(
        map_name=map_name,
        ego=ego,
        actors=actors,
        manoeuvres=manoeuvres,
        background=background,
        goal_time_s=goal_time_s,
        min_progress_ratio=min_progress_ratio,
        time_limit_s=time_limit_s,
        conflict_over_s=conflict_over_s,
    )


def _read_ego(block: BlockReader) -> EgoStart:
    initial_speed_mps = block.number("initial_speed_mps", low=0.0, high=MAX_SPEED_MPS)
    ego = EgoStart(
        road_id=block.whole("road", low=0, high=2**31, default=1),
        lane_id=block.whole("lane", low=-100, high=100),
        station_m=block.number("station_m", low=0.0),
        initial_speed_mps=initial_speed_mps,
        set_speed_mps=block.number("set_speed_mps", low=0.0, high=MAX_SPEED_MPS, default=initial_speed_mps),
        lateral_offset_m=block.number("lateral_offset_m", low=-1.5, high=1.5, default=0.0),
        heading_offset_rad=block.number("heading_offset_rad", low=-0.3, high=0.3, default=0.0),
    )
    block.finish()
    return ego


def _read_actor(name: str, block: BlockReader, ego: EgoStart, before: tuple[str, ...]) -> ActorStart:
    speed_mps = _actor_speed_mps(block, ego)
    if block.exactly_one(("gap_m", "headway_s")) == "gap_m":
        gap_m = block.number("gap_m", low=0.0, high=500.0)
    else:
        gap_m = block.number("headway_s", low=0.0, high=20.0) * ego.initial_speed_mps
    closing_mps = max(0.0, ego.initial_speed_mps - speed_mps)
    gap_m += closing_mps * block.number("closing_time_s", low=0.0, high=20.0, default=0.0)
    lateral_mps = block.number("gap_at_lateral_speed_mps", low=0.0, high=5.0, default=0.0)
    gap_m += (ego.initial_speed_mps - speed_mps) * lateral_mps / LATERAL_ACCELERATION_MPS2
    actor = ActorStart(
        name=name,
        actor_class=block.text("class", allowed=ACTOR_CLASSES, default="car"),
        lane=block.text("lane", allowed=LANES),
        gap_m=gap_m,
        speed_mps=speed_mps,
        is_idm=block.text("behaviour", allowed=("scripted", "idm"), default="scripted") == "idm",
        length_m=block.number("length_m", low=0.2, high=30.0) if block.has("length_m") else 0.0,
        width_m=block.number("width_m", low=0.2, high=4.0) if block.has("width_m") else 0.0,
        away_from_ego_lane_m=0.5 * lateral_mps * lateral_mps / LATERAL_ACCELERATION_MPS2,
        keeps_heading=block.text("heading", allowed=("of_travel", "along_lane"), default="of_travel")
        == "along_lane",
        ahead_of=block.text("ahead_of", allowed=before) if block.has("ahead_of") else "",
    )
    block.finish()
    return actor


def _actor_speed_mps(block: BlockReader, ego: EgoStart) -> float:
    given = [key for key in ("relative_speed_mps", "speed_mps", "speed_ratio") if block.has(key)]
    if not given:
        return ego.initial_speed_mps
    key = block.exactly_one(("relative_speed_mps", "speed_mps", "speed_ratio"))
    if key == "speed_mps":
        return block.number(key, low=0.0, high=MAX_SPEED_MPS)
    if key == "speed_ratio":
        return block.number(key, low=0.0, high=2.0) * ego.initial_speed_mps
    return max(0.0, ego.initial_speed_mps + block.number(key, low=-70.0, high=70.0))


def _read_manoeuvre(block: BlockReader, speeds: dict[str, float]) -> Manoeuvre:
    actor = str(block.value("actor"))
    if actor not in speeds:
        raise UnknownNameError("actor", actor, speeds, where="scene.manoeuvres")
    trigger_block = block.block("trigger")
    trigger = trigger_block.exactly_one(TRIGGERS)
    threshold = trigger_block.number(trigger, low=0.0, high=500.0)
    latest_s = (
        trigger_block.number("latest_s", low=0.0, high=600.0) if trigger_block.has("latest_s") else math.inf
    )
    trigger_block.finish()
    if block.exactly_one(("change_lane", "change_speed")) == "change_lane":
        change = block.block("change_lane")
        to_lane = change.text("to", allowed=LANES)
        rate = change.number("lateral_speed_mps", low=0.0, high=5.0)
        end_speed_mps = 0.0
    else:
        change = block.block("change_speed")
        to_lane = ""
        rate = change.number("rate_mps2", low=0.01, high=12.0)
        if change.exactly_one(("end_speed_mps", "end_speed_ratio")) == "end_speed_mps":
            end_speed_mps = change.number("end_speed_mps", low=0.0, high=MAX_SPEED_MPS)
        else:
            end_speed_mps = change.number("end_speed_ratio", low=0.0, high=2.0) * speeds[actor]
    change.finish()
    block.finish()
    return Manoeuvre(
        actor=actor,
        trigger=trigger,
        threshold=threshold,
        latest_s=latest_s,
        to_lane=to_lane,
        end_speed_mps=end_speed_mps,
        rate=rate,
    )


def _read_background(block: BlockReader) -> Background:
    background = Background(
        lanes=block.texts("lanes", allowed=LANES),
        num_actors=block.whole("num_actors", low=0, high=MAX_BACKGROUND_ACTORS),
        classes=block.texts("classes", allowed=ACTOR_CLASSES) if block.has("classes") else ("car",),
        headway_range_s=block.interval("headway_range_s", low=0.5, high=30.0),
        relative_speed_range_mps=block.interval("relative_speed_range_mps", low=-30.0, high=30.0),
    )
    block.finish()
    return background
