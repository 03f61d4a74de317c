"""Who takes part in a driving scene and where everybody starts, as values with every parameter resolved."""

from __future__ import annotations

from dataclasses import dataclass, replace

LANES = ("ego", "left", "right", "opposite", "parking", "kerb", "left_kerb")
"""Places across the ego's route, at the start: its lane and those beside it, the lane of the opposite direction next
to its direction's leftmost, the parking lane on the right, and just outside of the road on the right and left."""
OWN_PATH_LANES = ("own", *LANES[1:])
"""The same for an actor with a path of its own, against that path."""
BEHAVIOURS = ("scripted", "idm", "mobil")
MAX_SPEED_MPS = 70.0
DOOR_LENGTH_M = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePoint:
    """A lane of the map by its OpenDRIVE ids.

    Attributes:
        road_id, lane_id: The ids.
        section: Which of the road's lane sections that have the lane.
    """

    road_id: int
    lane_id: int
    section: int = 0


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
        road_id, lane_id, section: The lane in which it starts, as in ``LanePoint``.
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
    section: int = 0
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
