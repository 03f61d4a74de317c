"""What cameras, lidar and radar see at an instant: who is there, what signals show, and the scene that holds them."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simloop.rendering import Scene
from simloop_driving import step_kernel
from simloop_driving.camera import CameraScene
from simloop_driving.periods import STEP_S
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    BRAKE_LIGHT_BELOW_MPS2,
    CLASS,
    D_RATE_MPS,
    HEIGHT_M,
    IS_ABSENT,
    KEEPS_HEADING,
    LENGTH_M,
    SPEED_MPS,
    X_M,
    YAW_RAD,
)
from simloop_driving.scenario.signals import fill_states
from simloop_driving.sensors.snapshot import Episode, Snapshot

FloatArray = npt.NDArray[np.float64]

EGO_POSE = slice(X_M, YAW_RAD + 1)
"""Rows of the actor table that hold a pose."""
_SIZE = slice(LENGTH_M, HEIGHT_M + 1)


class SeenActors(NamedTuple):
    """The actors that are there, as ``CameraScene.place`` takes them.

    Attributes:
        poses: (n, 3) x_m, y_m, yaw_rad.
        dimensions_m: (n, 3) length, width, height.
        classes: (n,) codes.
        is_braking: (n,).
        paints: (n,) codes.
    """

    poses: FloatArray
    dimensions_m: FloatArray
    classes: npt.NDArray[np.int64]
    is_braking: npt.NDArray[np.bool_]
    paints: npt.NDArray[np.int64]


@functools.lru_cache(maxsize=4)
def camera_scene(road_map: RoadMap) -> CameraScene:
    """Returns the scene of a map, made once."""
    return CameraScene(road_map)


def present_actors(snapshot: Snapshot) -> SeenActors:
    """Returns the actors that are there, without the ego."""
    actors = snapshot.actors[:, 1:]
    is_present = actors[IS_ABSENT] == 0.0
    there = actors[:, is_present]
    return SeenActors(
        poses=there[EGO_POSE].T,
        dimensions_m=there[_SIZE].T,
        classes=there[CLASS].astype(np.int64),
        is_braking=there[ACCELERATION_MPS2] < BRAKE_LIGHT_BELOW_MPS2,
        paints=snapshot.episode.actor_paint[is_present],
    )


def recorded_actors(snapshot: Snapshot, record: FloatArray) -> SeenActors:
    """Returns the actors that were there at an earlier control tick, without the ego.

    Args:
        snapshot: A later snapshot of the same episode; classes, paints and heights do not change.
        record: (N, step_kernel.NUM_RECORD_COLUMNS) of that tick.
    """
    is_present = record[1:, step_kernel.RECORD_IS_PRESENT] > 0.0
    there, actors = record[1:][is_present], snapshot.actors[:, 1:][:, is_present]
    size = (there[:, step_kernel.RECORD_LENGTH], there[:, step_kernel.RECORD_WIDTH], actors[HEIGHT_M])
    return SeenActors(
        poses=there[:, step_kernel.RECORD_X : step_kernel.RECORD_YAW + 1],
        dimensions_m=np.stack(size, axis=1),
        classes=actors[CLASS].astype(np.int64),
        is_braking=there[:, step_kernel.RECORD_ACCELERATION] < BRAKE_LIGHT_BELOW_MPS2,
        paints=snapshot.episode.actor_paint[is_present],
    )


def signal_states(episode: Episode, step: int) -> npt.NDArray[np.int64]:
    """Returns what the map's signals show after ``step`` physics steps, (K,)."""
    program = episode.start.signal_program
    states = np.empty(len(program), dtype=np.int64)
    fill_states(program, step * STEP_S, states)
    return states


def placed_scene(snapshot: Snapshot) -> Scene:
    """Returns the map's scene with everybody where they are in a snapshot; valid until the next call."""
    episode = snapshot.episode
    scene = camera_scene(episode.start.road_map)
    scene.place(*present_actors(snapshot), signal_states=signal_states(episode, snapshot.step))
    return scene.scene


def yaw_rotation(yaw_rad: float) -> FloatArray:
    """Returns the (3, 3) rotation about the vertical."""
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def velocities(actors: FloatArray) -> FloatArray:
    """Returns the (N, 2) velocities of all actors in the map frame; that of the ego from its speed along the route."""
    drift = np.where(actors[KEEPS_HEADING] > 0.0, np.arctan2(actors[D_RATE_MPS], actors[SPEED_MPS]), 0.0)
    course = actors[YAW_RAD] + drift
    speed = np.hypot(actors[SPEED_MPS], actors[D_RATE_MPS])
    return np.stack([speed * np.cos(course), speed * np.sin(course)], axis=1)
