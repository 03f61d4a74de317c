"""Reads who takes part in a driving scene: the blocks ``ego``, ``actors`` and ``background``."""

from __future__ import annotations

from simloop.errors import ConfigurationError
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, LATERAL_ACCELERATION_MPS2
from simloop_driving.scenario.block_reader import BlockReader
from simloop_driving.scenario.scene_actors import (
    BEHAVIOURS,
    LANES,
    MAX_SPEED_MPS,
    OWN_PATH_LANES,
    ActorStart,
    Background,
    EgoStart,
    LanePoint,
    OwnPath,
)

STATIC_CLASSES = ("barrier", "cone")
"""Obstacles; they stand."""
STANDING_LANES = ("parking", "kerb", "left_kerb")
"""Places in which actors stand at the start unless the scene says otherwise."""
MAX_BACKGROUND_ACTORS = 64
MAX_NAMED_ACTORS = 64


def read_ego(block: BlockReader) -> EgoStart:
    """Reads the block ``ego``."""
    initial_speed_mps = block.number("initial_speed_mps", low=0.0, high=MAX_SPEED_MPS)
    to, via = _read_way(block)
    ego = EgoStart(
        road_id=block.whole("road", low=0, high=2**31, default=1),
        lane_id=block.whole("lane", low=-100, high=100),
        section=_read_section(block),
        station_m=block.number("station_m", low=0.0),
        initial_speed_mps=initial_speed_mps,
        set_speed_mps=block.number("set_speed_mps", low=0.0, high=MAX_SPEED_MPS, default=initial_speed_mps),
        lateral_offset_m=block.number("lateral_offset_m", low=-1.5, high=1.5, default=0.0),
        heading_offset_rad=block.number("heading_offset_rad", low=-0.3, high=0.3, default=0.0),
        to=to,
        via=via,
    )
    block.finish()
    return ego


def read_actors(top: BlockReader, ego: EgoStart) -> tuple[ActorStart, ...]:
    """Reads the block ``actors``; an actor may refer to those before it."""
    blocks = top.named_blocks("actors")
    if len(blocks) > MAX_NAMED_ACTORS:
        raise ConfigurationError(
            f"{top.where}.actors has {len(blocks)} actors; allowed: up to {MAX_NAMED_ACTORS}."
        )
    actors: tuple[ActorStart, ...] = ()
    for name, block in blocks.items():
        if name == "ego" or "." in name:
            raise ConfigurationError(
                f"{block.where}: an actor cannot be called {name!r}; allowed: any other name without a dot."
            )
        actors += (_read_actor(name, block, ego, actors),)
    return actors


def _read_actor(name: str, block: BlockReader, ego: EgoStart, before: tuple[ActorStart, ...]) -> ActorStart:
    actor_class = block.text("class", allowed=ACTOR_CLASSES, default="car")
    own_path, arrives_s = _read_own_path(block, may_arrive=True)
    lanes = OWN_PATH_LANES if own_path is not None else LANES
    lane = block.text("lane", allowed=lanes, default="own" if own_path is not None else None)
    stands = actor_class in STATIC_CLASSES or lane in STANDING_LANES
    speed_mps = _actor_speed_mps(block, ego, 0.0 if stands else ego.initial_speed_mps)
    if actor_class in STATIC_CLASSES and speed_mps > 0.0:
        raise ConfigurationError(
            f"{block.where} is a {actor_class} at {speed_mps:g} m/s; allowed: a speed of 0, or another class."
        )
    lateral_mps = block.number("gap_at_lateral_speed_mps", low=0.0, high=5.0, default=0.0)
    placed, gap_m = ("ahead", 0.0) if own_path is not None else _read_gap(block, ego, speed_mps)
    earlier_m = (ego.initial_speed_mps - speed_mps) * lateral_mps / LATERAL_ACCELERATION_MPS2
    gap_m += -earlier_m if placed == "behind" else earlier_m
    behaviour = block.text("behaviour", allowed=BEHAVIOURS, default="scripted")
    signals, right_of_way = _read_obeys(block, behaviour)
    names = {actor.name: actor for actor in before}
    ahead_of = block.text("ahead_of", allowed=names) if own_path is None and block.has("ahead_of") else ""
    if ahead_of and names[ahead_of].own_path is not None:
        raise ConfigurationError(
            f"{block.where}.ahead_of is {ahead_of!r}, which has a path of its own; allowed: an actor of the ego's "
            "route."
        )
    actor = ActorStart(
        name=name,
        actor_class=actor_class,
        lane=lane,
        placed=placed,
        gap_m=gap_m,
        speed_mps=speed_mps,
        behaviour=behaviour,
        length_m=block.optional("length_m", low=0.2, high=30.0, otherwise=0.0),
        width_m=block.optional("width_m", low=0.2, high=4.0, otherwise=0.0),
        away_from_ego_lane_m=0.5 * lateral_mps * lateral_mps / LATERAL_ACCELERATION_MPS2,
        lateral_offset_m=block.number("lateral_offset_m", low=-10.0, high=10.0, default=0.0),
        keeps_heading=block.text("heading", allowed=("of_travel", "along_lane"), default="of_travel")
        == "along_lane",
        ahead_of=ahead_of,
        own_path=own_path,
        arrives_with_ego_s=arrives_s,
        obeys_signals=signals,
        obeys_right_of_way=right_of_way,
    )
    block.finish()
    return actor


def _read_gap(block: BlockReader, ego: EgoStart, speed_mps: float) -> tuple[str, float]:
    """Returns what the gap is measured between, and the gap."""
    given = block.exactly_one(("gap_m", "headway_s", "behind_m", "beside_m"))
    if given == "behind_m":
        return "behind", block.number("behind_m", low=0.0, high=500.0)
    if given == "beside_m":
        return "beside", block.number("beside_m", low=-100.0, high=100.0)
    if given == "gap_m":
        gap_m = block.number("gap_m", low=0.0, high=2000.0)
    else:
        gap_m = block.number("headway_s", low=0.0, high=60.0) * ego.initial_speed_mps
    closing_mps = max(0.0, ego.initial_speed_mps - speed_mps)
    return "ahead", gap_m + closing_mps * block.number("closing_time_s", low=0.0, high=20.0, default=0.0)


def _actor_speed_mps(block: BlockReader, ego: EgoStart, otherwise_mps: float) -> float:
    given = [key for key in ("relative_speed_mps", "speed_mps", "speed_ratio") if block.has(key)]
    if not given:
        return otherwise_mps
    key = block.exactly_one(("relative_speed_mps", "speed_mps", "speed_ratio"))
    if key == "speed_mps":
        return block.number(key, low=0.0, high=MAX_SPEED_MPS)
    if key == "speed_ratio":
        return block.number(key, low=0.0, high=2.0) * ego.initial_speed_mps
    return max(0.0, ego.initial_speed_mps + block.number(key, low=-70.0, high=70.0))


def _read_obeys(block: BlockReader, behaviour: str) -> tuple[bool, bool]:
    is_driven = behaviour != "scripted"
    if not block.has("obeys"):
        return is_driven, is_driven
    if not is_driven:
        raise ConfigurationError(
            f"{block.where}.obeys: a scripted actor does what its manoeuvres say and obeys nothing; allowed with "
            "behaviour: idm, mobil."
        )
    obeys = block.block("obeys")
    signals, right_of_way = obeys.flag("signals", default=True), obeys.flag("right_of_way", default=True)
    obeys.finish()
    return signals, right_of_way


def _read_section(block: BlockReader) -> int:
    return block.whole("section", low=0, high=1000, default=0)


def _lane_of(block: BlockReader) -> LanePoint:
    return LanePoint(
        road_id=block.whole("road", low=0, high=2**31),
        lane_id=block.whole("lane", low=-100, high=100),
        section=_read_section(block),
    )


def _read_lane_point(block: BlockReader) -> LanePoint:
    point = _lane_of(block)
    block.finish()
    return point


def _read_way(block: BlockReader) -> tuple[LanePoint | None, tuple[LanePoint, ...]]:
    to = _read_lane_point(block.block("to")) if block.has("to") else None
    via = tuple(_read_lane_point(item) for item in block.items("via"))
    if via and to is None:
        raise ConfigurationError(f"{block.where}.via needs the key 'to', the lane to which the way leads.")
    return to, via


def _read_own_path(block: BlockReader, *, may_arrive: bool) -> tuple[OwnPath | None, float | None]:
    has_arrival = may_arrive and block.has("arrives_with_ego_s")
    if not block.has("path"):
        if has_arrival:
            raise ConfigurationError(
                f"{block.where}.arrives_with_ego_s needs the key 'path': {{road, lane, to}}, a path of its own that "
                "meets the ego's route."
            )
        return None, None
    plan = block.block("path")
    to, via = _read_way(plan)
    path = OwnPath(
        start=_lane_of(plan),
        station_m=0.0 if has_arrival else plan.number("station_m", low=0.0),
        to=to,
        via=via,
    )
    plan.finish()
    arrives_s = block.number("arrives_with_ego_s", low=-60.0, high=60.0) if has_arrival else None
    return path, arrives_s


def read_background(block: BlockReader) -> Background:
    """Reads one block of ``background``."""
    own_path, _ = _read_own_path(block, may_arrive=False)
    lanes = OWN_PATH_LANES if own_path is not None else LANES
    has_speed = block.has("speed_range_mps")
    behaviour = block.text("behaviour", allowed=BEHAVIOURS[1:], default="idm")
    signals, right_of_way = _read_obeys(block, behaviour)
    background = Background(
        lanes=block.texts("lanes", allowed=lanes) if own_path is None or block.has("lanes") else ("own",),
        num_actors=block.whole("num_actors", low=0, high=MAX_BACKGROUND_ACTORS),
        classes=block.texts("classes", allowed=ACTOR_CLASSES) if block.has("classes") else ("car",),
        headway_range_s=block.interval("headway_range_s", low=0.5, high=30.0),
        relative_speed_range_mps=(0.0, 0.0)
        if has_speed
        else block.interval("relative_speed_range_mps", low=-30.0, high=30.0),
        speed_range_mps=block.interval("speed_range_mps", low=0.5, high=MAX_SPEED_MPS) if has_speed else None,
        behaviour=behaviour,
        own_path=own_path,
        obeys_signals=signals,
        obeys_right_of_way=right_of_way,
    )
    block.finish()
    return background
