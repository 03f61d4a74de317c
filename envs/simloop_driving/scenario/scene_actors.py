"""Who takes part in a driving scene and where everybody starts: the blocks ``ego``, ``actors`` and ``background``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simloop.errors import ConfigurationError
from simloop_driving.scenario.actor_state import ACTOR_CLASSES, LATERAL_ACCELERATION_MPS2
from simloop_driving.scenario.block_reader import BlockReader

LANES = ("ego", "left", "right", "opposite", "parking", "kerb", "left_kerb")
"""Places across the ego's route, at the start: its lane and those beside it, the lane of the opposite direction next
to its direction's leftmost, the parking lane on the right, and just outside of the road on the right and left."""
OWN_PATH_LANES = ("own", *LANES[1:])
"""The same for an actor with a path of its own, against that path."""
BEHAVIOURS = ("scripted", "idm", "mobil")
STATIC_CLASSES = ("barrier", "cone")
"""Obstacles; they stand."""
STANDING_LANES = ("parking", "kerb", "left_kerb")
"""Places in which actors stand at the start unless the scene says otherwise."""
MAX_SPEED_MPS = 70.0
MAX_BACKGROUND_ACTORS = 64
MAX_NAMED_ACTORS = 64
DOOR_LENGTH_M = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePoint:
    """A lane of the map by its OpenDRIVE ids."""

    road_id: int
    lane_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPath:
    """The path of an actor that does not follow the ego's route.

    Attributes:
        start: Lane on which the path begins.
        station_m: Where on that lane the actor starts, along the lane's direction of travel.
        to: Lane to which the path leads; None: it is the start lane alone.
        via: Lanes on the way, in order.
    """

    start: LanePoint
    station_m: float
    to: LanePoint | None = None
    via: tuple[LanePoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EgoStart:
    """Where and how the ego starts; offsets are against the centre and direction of its lane.

    Attributes:
        road_id, lane_id: The lane in which it starts.
        station_m: Where on that lane, along its direction of travel.
        to: Lane to which its route leads; None: the route is the start lane alone.
        via: Lanes on the way, in order.
    """

    road_id: int
    lane_id: int
    station_m: float
    initial_speed_mps: float
    set_speed_mps: float
    lateral_offset_m: float
    heading_offset_rad: float
    to: LanePoint | None = None
    via: tuple[LanePoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStart:
    """A named actor at the start.

    Attributes:
        name: Its name in the scene.
        actor_class: One of ``ACTOR_CLASSES``.
        lane: One of ``LANES``, or with a path of its own one of ``OWN_PATH_LANES``.
        placed: What ``gap_m`` is measured between: ``ahead`` and ``behind``, bumper to bumper ahead of or behind the
            ego (or the actor ``ahead_of``), ``beside``, from the ego's centre to the actor's. Without meaning for an
            actor with a path of its own.
        gap_m: That gap.
        speed_mps: Speed along its path at the start.
        behaviour: One of ``BEHAVIOURS``.
        length_m, width_m: Size; 0 is the size of its class.
        away_from_ego_lane_m: How much farther from the ego's lane it starts than its own lane's centre.
        lateral_offset_m: Offset from the lane's centre, positive to the left of the direction of its path.
        keeps_heading: It points along the lane while it drifts across it.
        ahead_of: Name of the actor from which the gap is measured; empty: the ego.
        own_path: Its own path, or None: the ego's route.
        arrives_with_ego_s: Where it starts follows from this: it reaches the first conflict with the ego's route so
            many seconds after the ego would at its set speed. None: ``own_path.station_m`` says where.
        obeys_signals, obeys_right_of_way: Whether an actor with a driver model stops at red and gives way.
        attached_to: The actor that it is a part of (a door); it may start inside it.
        waits: It stands until a manoeuvre sets it going, whatever its behaviour.
    """

    name: str
    actor_class: str
    lane: str
    gap_m: float
    speed_mps: float
    behaviour: str = "scripted"
    placed: str = "ahead"
    length_m: float = 0.0
    width_m: float = 0.0
    away_from_ego_lane_m: float = 0.0
    lateral_offset_m: float = 0.0
    keeps_heading: bool = False
    ahead_of: str = ""
    own_path: OwnPath | None = None
    arrives_with_ego_s: float | None = None
    obeys_signals: bool = False
    obeys_right_of_way: bool = False
    attached_to: str = ""
    waits: bool = False

    @property
    def is_idm(self) -> bool:
        """Whether a driver model moves it along its path."""
        return self.behaviour != "scripted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Traffic by a driver model that the seed places.

    Attributes:
        lanes: Where it goes, ``LANES``; with a path of its own ``OWN_PATH_LANES``.
        num_actors: How many.
        classes: Classes to draw from, each equally likely.
        headway_range_s: Range of the time gaps.
        relative_speed_range_mps: Range of a lane's speed against the ego's at the start.
        speed_range_mps: Range of a lane's speed, in place of ``relative_speed_range_mps``.
        behaviour: ``idm`` or ``mobil``.
        own_path: Path of the flow, whose last vehicle stands at ``own_path.station_m`` at the start; None: the ego's
            route.
        obeys_signals, obeys_right_of_way: As of ``ActorStart``.
    """

    lanes: tuple[str, ...]
    num_actors: int
    classes: tuple[str, ...]
    headway_range_s: tuple[float, float]
    relative_speed_range_mps: tuple[float, float]
    speed_range_mps: tuple[float, float] | None = None
    behaviour: str = "idm"
    own_path: OwnPath | None = None
    obeys_signals: bool = True
    obeys_right_of_way: bool = True


def read_ego(block: BlockReader) -> EgoStart:
    """Reads the block ``ego``."""
    initial_speed_mps = block.number("initial_speed_mps", low=0.0, high=MAX_SPEED_MPS)
    to, via = _read_way(block)
    ego = EgoStart(
        road_id=block.whole("road", low=0, high=2**31, default=1),
        lane_id=block.whole("lane", low=-100, high=100),
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
    gap_m += (ego.initial_speed_mps - speed_mps) * lateral_mps / LATERAL_ACCELERATION_MPS2
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


def _read_lane_point(block: BlockReader) -> LanePoint:
    point = LanePoint(
        road_id=block.whole("road", low=0, high=2**31), lane_id=block.whole("lane", low=-100, high=100)
    )
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
        start=LanePoint(
            road_id=plan.whole("road", low=0, high=2**31), lane_id=plan.whole("lane", low=-100, high=100)
        ),
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


def door_of(actor: ActorStart, width_m: float, dimensions_m: tuple[float, float, float]) -> ActorStart:
    """Returns the left front door of a standing car, closed: inside its left side, with its hinge in front.

    Args:
        actor: The car.
        width_m: How far the open door sticks out.
        dimensions_m: Length, width and height of the car.
    """
    length_m, car_width_m = dimensions_m[0], dimensions_m[1]
    return replace(
        actor,
        name=f"{actor.name}.door",
        actor_class="door",
        length_m=DOOR_LENGTH_M,
        width_m=width_m,
        gap_m=actor.gap_m + (0.0 if actor.placed == "beside" else 0.5 * (length_m - DOOR_LENGTH_M)),
        lateral_offset_m=actor.lateral_offset_m + 0.5 * (car_width_m - width_m),
        behaviour="scripted",
        obeys_signals=False,
        obeys_right_of_way=False,
        attached_to=actor.name,
    )
