"""Roads, lanes and signals of a map that is to be written, and the geometry of their reference lines.

Connecting curves are three clothoids with continuous heading and curvature at both ends (G2 Hermite interpolation:
Bertolazzi and Frego, "On the G2 Hermite interpolation problem with clothoids", J. Comput. Appl. Math. 341, 2018;
``pyclothoids.SolveG2``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

SIGNAL_TYPES = {"traffic_light": "1000001", "stop": "206", "yield": "205"}
"""OpenDRIVE's type of a traffic light, and the German catalogue's of the signs."""

Pose = tuple[float, float, float]
"""x and y in metres, heading in radians."""
Element = tuple[float, float, float]
"""Length in metres, curvature at its start and at its end in 1/m (positive turns left)."""
WidthPiece = tuple[float, float, float, float, float]
"""Station at which it begins, and the coefficients a, b, c, d of the width's cubic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSpec:
    """One lane of a cross section.

    Attributes:
        kind: OpenDRIVE lane type.
        width: Constant width in metres, or pieces of cubics.
        mark: ``"solid"``, ``"broken"`` or ``"none"`` on the outer border.
        predecessor: Lane that it is linked to at the start of the road, or None.
        successor: Lane that it is linked to at the end of the road, or None.
    """

    kind: str
    width: float | tuple[WidthPiece, ...]
    mark: str = "none"
    predecessor: int | None = None
    successor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a road.

    Attributes:
        road_id: The road.
        contact: ``"start"`` or ``"end"``.
        pose: Of the reference line there, looking out of the road.
    """

    road_id: int
    contact: str
    pose: Pose


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSpec:
    """A signal of a road.

    Attributes:
        signal_id: OpenDRIVE id.
        kind: A key of ``SIGNAL_TYPES``.
        station_m: Where the traffic stops.
        t_m: Where the sign stands, to the left of the reference line.
        height_m: Of its centre.
        is_forward: Whether it is for traffic along the reference line.
        lanes: First and last lane that it is for.
        head: Where the head stands and looks if not at the station.
    """

    signal_id: int
    kind: str
    station_m: float
    t_m: float
    height_m: float
    is_forward: bool
    lanes: tuple[int, int]
    head: Pose | None


@dataclass(slots=True, kw_only=True)
class RoadSpec:
    """A road before it is written; its links may be set until then.

    Attributes:
        road_id: OpenDRIVE id.
        start: Pose of the reference line at its start.
        elements: Geometry of the reference line.
        left: Lanes 1, 2, ... from the reference line outwards.
        right: Lanes -1, -2, ... from the reference line outwards.
        speed_limit_kmh: Of the whole road.
        road_type: OpenDRIVE road type.
        centre_mark: Marking of lane 0.
        junction_id: The junction that it belongs to, or -1.
        name: Of the road.
        predecessor: Element type, id and contact point before its start, or None.
        successor: Element type, id and contact point behind its end, or None.
        signals: Its signals.
    """

    road_id: int
    start: Pose
    elements: tuple[Element, ...]
    left: tuple[LaneSpec, ...] = ()
    right: tuple[LaneSpec, ...]
    speed_limit_kmh: int
    road_type: str = "town"
    centre_mark: str = "none"
    junction_id: int = -1
    name: str = ""
    predecessor: tuple[str, int, str | None] | None = None
    successor: tuple[str, int, str | None] | None = None
    signals: list[SignalSpec] = field(default_factory=list)

    @property
    def length_m(self) -> float:
        """Length of the reference line."""
        return sum(element[0] for element in self.elements)

    def end(self, contact: str) -> End:
        """Returns one of its ends."""
        pose = self.start
        if contact == "start":
            return End(road_id=self.road_id, contact=contact, pose=(*pose[:2], pose[2] + math.pi))
        for length, begin, finish in self.elements:
            pose = advance(pose, length, begin, finish)
        return End(road_id=self.road_id, contact=contact, pose=pose)


def bend(radius_m: float, angle_rad: float, clothoid_m: float) -> tuple[Element, ...]:
    """Returns a bend by an angle (positive turns left): clothoid, arc of the radius, clothoid.

    Each clothoid turns by its length over twice the radius, so the arc is the shorter by one clothoid's length.
    """
    curvature = math.copysign(1.0 / radius_m, angle_rad)
    arc_m = radius_m * abs(angle_rad) - clothoid_m
    return (clothoid_m, 0.0, curvature), (arc_m, curvature, curvature), (clothoid_m, curvature, 0.0)


def clothoids(
    start: Pose, end: Pose, start_curvature_per_m: float = 0.0, end_curvature_per_m: float = 0.0
) -> tuple[Element, ...]:
    """Returns the curve of continuous curvature from one pose to another; a line where it is straight."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    across_m = dy * math.cos(start[2]) - dx * math.sin(start[2])
    turn = math.remainder(end[2] - start[2], 2.0 * math.pi)
    if max(abs(across_m), abs(turn), abs(start_curvature_per_m), abs(end_curvature_per_m)) < 1e-9:
        return ((round(math.hypot(dx, dy), 9), 0.0, 0.0),)
    from pyclothoids import SolveG2

    pieces = SolveG2(*start, start_curvature_per_m, end[0], end[1], start[2] + turn, end_curvature_per_m)
    ends = [start_curvature_per_m]
    for piece in pieces[:-1]:
        ends.append(round(piece.KappaEnd, 10))
    ends.append(end_curvature_per_m)
    lengths = [round(piece.length, 9) for piece in pieces]
    return tuple(zip(lengths, ends[:-1], ends[1:], strict=True))


def advance(pose: Pose, length_m: float, begin: float, finish: float) -> Pose:
    """Returns the pose at the end of an element that starts at a pose."""
    from pyclothoids import Clothoid

    piece = Clothoid.StandardParams(*pose, begin, (finish - begin) / length_m, length_m)
    return piece.XEnd, piece.YEnd, piece.ThetaEnd
