"""What a picture of an episode needs, read from its log: moving footprints or moving points, thinned in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog

FloatArray = npt.NDArray[np.float64]

ACTORS_TABLE = "world.actors"
MOTION_TABLE = "world.motion"
_ACTOR_COLUMNS = ("t_ns", "actor", "x_m", "y_m", "yaw_rad", "length_m", "width_m")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActorTrack:
    """One footprint over time.

    Attributes:
        actor: Number of the actor; 0 is the ego.
        length_m: Length of the footprint.
        width_m: Width of the footprint.
        pose: (T, 3) x_m, y_m, yaw_rad of its centre in the world frame; NaN where the actor is not there.
        speed_mps: (T,) along the heading; NaN where it is not recorded.
    """

    actor: int
    length_m: float
    width_m: float
    pose: FloatArray
    speed_mps: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """An episode as frames at common instants.

    Attributes:
        t_s: (T,) instants.
        actors: Footprints, the ego first; empty for a scene of points.
        road: Polylines (N, 2) in metres, world frame, to draw under the footprints.
        points: (T, 3) positions in metres, world frame, by point name; empty for a scene of footprints.
    """

    t_s: FloatArray
    actors: tuple[ActorTrack, ...] = ()
    road: tuple[FloatArray, ...] = ()
    points: tuple[tuple[str, FloatArray], ...] = ()


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
    has_speed = "speed_mps" in log.tables[ACTORS_TABLE]
    tracks = []
    for number in np.unique(actor):
        rows = np.flatnonzero((actor == number) & np.isin(t_ns, frames))
        if not len(rows):
            continue
        pose, speed = np.full((len(frames), 3), np.nan), np.full(len(frames), np.nan)
        at = np.searchsorted(frames, t_ns[rows])
        for i, name in enumerate(("x_m", "y_m", "yaw_rad")):
            pose[at, i] = log.column(ACTORS_TABLE, name)[rows]
        if has_speed:
            speed[at] = log.column(ACTORS_TABLE, "speed_mps")[rows]
        tracks.append(
            ActorTrack(
                actor=int(number),
                length_m=float(log.column(ACTORS_TABLE, "length_m")[rows[0]]),
                width_m=float(log.column(ACTORS_TABLE, "width_m")[rows[0]]),
                pose=pose,
                speed_mps=speed,
            )
        )
    road = tuple(
        np.asarray(line, dtype=np.float64)[:, :2] for line in log.attributes.get("road", ()) if len(line) > 1
    )
    return Scene(t_s=frames * 1e-9, actors=tuple(tracks), road=road)


def _read_points(log: EpisodeLog, max_frames: int) -> Scene:
    t_ns, point = log.column(MOTION_TABLE, "t_ns"), log.column(MOTION_TABLE, "point")
    position = log.column(MOTION_TABLE, "position_m")
    frames = _frames(t_ns, max_frames)
    names = list(log.attributes.get("motion_points", ()))
    points = []
    for index in np.unique(point):
        rows = np.flatnonzero((point == index) & np.isin(t_ns, frames))
        track = np.full((len(frames), 3), np.nan)
        track[np.searchsorted(frames, t_ns[rows])] = position[rows]
        name = str(names[index]) if index < len(names) else f"point {index}"
        points.append((name, track))
    return Scene(t_s=frames * 1e-9, points=tuple(points))
