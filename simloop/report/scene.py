"""What a picture of an episode needs, read from its log: moving footprints or moving points, thinned in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog
from simloop.report.arms import LINKS_TABLE, ArmScene, read_arms

FloatArray = npt.NDArray[np.float64]

ACTORS_TABLE = "world.actors"
MOTION_TABLE = "world.motion"
SIGNALS_TABLE = "world.signals"
ROAD_MARGIN_M = 120.0
TURN_RAD = 0.5
ROAD_TOLERANCE_M = 0.1
_ACTOR_COLUMNS = ("t_ns", "actor", "x_m", "y_m", "yaw_rad", "length_m", "width_m")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActorTrack:
    """One footprint over time.

    Attributes:
        actor: Number of the actor; 0 is the ego.
        size_m: (T, 2) length and width of the footprint; a door grows.
        pose: (T, 3) x_m, y_m, yaw_rad of its centre in the world frame; NaN where the actor is not there.
        speed_mps: (T,) along the heading; NaN where it is not recorded.
    """

    actor: int
    size_m: FloatArray
    pose: FloatArray
    speed_mps: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signal:
    """A traffic light or sign beside the road.

    Attributes:
        kind: ``traffic_light``, ``stop`` or ``yield``.
        x_m, y_m: Where it stands, world frame.
        changes: Instant in s and state (0 green, 1 amber, 2 red) of each change; empty for a sign.
    """

    kind: str
    x_m: float
    y_m: float
    changes: tuple[tuple[float, int], ...] = ()

    def state_at(self, t_s: float) -> int | None:
        """Returns the state at an instant; None for a sign."""
        states = [state for start_s, state in self.changes if start_s <= t_s + 1e-9]
        return states[-1] if states else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StopLine:
    """A line across a lane at which a signal stops traffic.

    Attributes:
        ends_m: (2, 2) its ends, world frame.
        signal: Index into ``Scene.signals``; -1 for none.
    """

    ends_m: FloatArray
    signal: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """An episode as frames at common instants.

    Attributes:
        t_s: (T,) instants.
        actors: Footprints, the ego first; empty for a scene of points.
        road: Polylines (N, 2) in metres, world frame, to draw under the footprints.
        paths: Polylines (N, 2) that actors mean to follow, the ego's route first.
        signals: Traffic lights and signs.
        stop_lines: Stop lines.
        points: (T, 3) positions in metres, world frame, by point name; empty for a scene of footprints.
        arms: Links and shapes of arms and objects, where they are recorded.
    """

    t_s: FloatArray
    actors: tuple[ActorTrack, ...] = ()
    road: tuple[FloatArray, ...] = ()
    paths: tuple[FloatArray, ...] = ()
    signals: tuple[Signal, ...] = ()
    stop_lines: tuple[StopLine, ...] = ()
    points: tuple[tuple[str, FloatArray], ...] = ()
    arms: ArmScene | None = None

    @property
    def course_rad(self) -> float:
        """Direction that a picture from above lays to the right: the ego's way, or the one it came if it turns."""
        ego = self.actors[0].pose
        seen = ego[np.isfinite(ego).all(axis=1)]
        travelled = seen[-1, :2] - seen[0, :2]
        if abs(seen[-1, 2] - seen[0, 2]) > TURN_RAD or np.hypot(*travelled) <= 1.0:
            return float(seen[0, 2])
        return float(np.arctan2(travelled[1], travelled[0]))


def read_scene(log: EpisodeLog, max_frames: int) -> Scene | None:
    """Returns the scene of a log, with at most ``max_frames`` frames, or None if there is nothing to draw."""
    actors = log.tables.get(ACTORS_TABLE, {})
    if all(name in actors for name in _ACTOR_COLUMNS) and log.num_rows(ACTORS_TABLE):
        return _read_actors(log, max_frames)
    if log.has(MOTION_TABLE) and log.num_rows(MOTION_TABLE):
        return _read_points(log, max_frames)
    return None


def _frames(instants: npt.NDArray[np.int64], max_frames: int) -> npt.NDArray[np.int64]:
    """Picks evenly spaced instants; the first and the last are among them."""
    unique = np.unique(instants)
    if len(unique) > max_frames:
        unique = unique[np.unique(np.linspace(0, len(unique) - 1, max_frames).round().astype(np.int64))]
    return unique


def _read_actors(log: EpisodeLog, max_frames: int) -> Scene:
    t_ns, actor = log.column(ACTORS_TABLE, "t_ns"), log.column(ACTORS_TABLE, "actor")
    frames = _frames(t_ns, max_frames)
    table = log.tables[ACTORS_TABLE]
    has_speed = "speed_mps" in table
    is_present = table.get("is_present", np.ones(len(actor), dtype=bool))
    tracks = []
    for number in np.unique(actor):
        rows = np.flatnonzero((actor == number) & np.isin(t_ns, frames) & is_present)
        if not len(rows):
            continue
        size = np.zeros((len(frames), 2))
        pose, speed = np.full((len(frames), 3), np.nan), np.full(len(frames), np.nan)
        at = np.searchsorted(frames, t_ns[rows])
        for i, name in enumerate(("x_m", "y_m", "yaw_rad")):
            pose[at, i] = log.column(ACTORS_TABLE, name)[rows]
        for i, name in enumerate(("length_m", "width_m")):
            size[at, i] = log.column(ACTORS_TABLE, name)[rows]
        if has_speed:
            speed[at] = log.column(ACTORS_TABLE, "speed_mps")[rows]
        tracks.append(
            ActorTrack(
                actor=int(number),
                size_m=size,
                pose=pose,
                speed_mps=speed,
            )
        )
    ego_m = tracks[0].pose[:, :2]
    return Scene(
        t_s=frames * 1e-9,
        actors=tuple(tracks),
        road=_near_lines(log, "road", ego_m),
        paths=_near_lines(log, "paths", ego_m),
        signals=_read_signals(log),
        stop_lines=tuple(
            StopLine(ends_m=np.array([first, second], dtype=np.float64)[:, :2], signal=int(signal))
            for first, second, signal in log.attributes.get("stop_lines", ())
        ),
    )


def _read_signals(log: EpisodeLog) -> tuple[Signal, ...]:
    changes: dict[int, list[tuple[float, int]]] = {}
    if log.has(SIGNALS_TABLE):
        columns = (log.column(SIGNALS_TABLE, name).tolist() for name in ("t_ns", "signal", "state"))
        for t_ns, signal, state in zip(*columns, strict=True):
            changes.setdefault(int(signal), []).append((t_ns * 1e-9, int(state)))
    return tuple(
        Signal(
            kind=str(signal["kind"]),
            x_m=float(signal["x_m"]),
            y_m=float(signal["y_m"]),
            changes=tuple(changes.get(number, ())),
        )
        for number, signal in enumerate(log.attributes.get("signals", ()))
    )


def _near_lines(log: EpisodeLog, attribute: str, ego_m: FloatArray) -> tuple[FloatArray, ...]:
    """Returns the stretches of an attribute's polylines near the ego's path, without points that change nothing."""
    lines = []
    for values in log.attributes.get(attribute, ()):
        line = np.asarray(values, dtype=np.float64)[:, :2]
        distance = np.abs(line[:, None, :] - ego_m[None, ::8, :]).max(axis=2)
        near = np.flatnonzero(np.nanmin(distance, axis=1) < ROAD_MARGIN_M)
        if len(near) > 1:
            lines.append(simplify(line[max(near[0] - 1, 0) : near[-1] + 2], ROAD_TOLERANCE_M))
    return tuple(lines)


def simplify(line: FloatArray, tolerance_m: float) -> FloatArray:
    """Leaves out points of an (N, 2) polyline that lie within a tolerance of it (Douglas and Peucker 1973)."""
    keep = np.zeros(len(line), dtype=bool)
    keep[[0, -1]] = True
    spans = [(0, len(line) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        chord, offset = line[last] - line[first], line[first + 1 : last] - line[first]
        length = float(np.hypot(*chord))
        if length > 0.0:
            error = np.abs(chord[0] * offset[:, 1] - chord[1] * offset[:, 0]) / length
        else:
            error = np.hypot(offset[:, 0], offset[:, 1])
        worst = int(error.argmax())
        if error[worst] > tolerance_m:
            keep[first + 1 + worst] = True
            spans += [(first, first + 1 + worst), (first + 1 + worst, last)]
    kept: FloatArray = line[keep]
    return kept


def _read_points(log: EpisodeLog, max_frames: int) -> Scene:
    t_ns, point = log.column(MOTION_TABLE, "t_ns"), log.column(MOTION_TABLE, "point")
    position = log.column(MOTION_TABLE, "position_m")
    links = log.tables.get(LINKS_TABLE, {})
    frames = _frames(links["t_ns"] if len(links.get("t_ns", ())) else t_ns, max_frames)
    names = list(log.attributes.get("motion_points", ()))
    points = []
    for index in np.unique(point):
        rows = np.flatnonzero((point == index) & np.isin(t_ns, frames))
        track = np.full((len(frames), 3), np.nan)
        track[np.searchsorted(frames, t_ns[rows])] = position[rows]
        name = str(names[index]) if index < len(names) else f"point {index}"
        points.append((name, track))
    return Scene(t_s=frames * 1e-9, points=tuple(points), arms=read_arms(log, frames))
