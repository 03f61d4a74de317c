"""The RGB cameras that every driving world has: the present picture, and the one of 0.4 s ago."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving import step_kernel
from simloop_driving.camera import CameraScene
from simloop_driving.periods import CONTROL_PERIOD_NS, STEPS_PER_TICK
from simloop_driving.roads.road_map import RoadMap
from simloop_driving.scenario.actor_state import (
    ACCELERATION_MPS2,
    BRAKE_LIGHT_BELOW_MPS2,
    CLASS,
    EGO,
    HEIGHT_M,
    LENGTH_M,
    X_M,
    YAW_RAD,
)
from simloop_driving.sensors.snapshot import Episode, Snapshot

FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

CAMERA_PERIOD_NS = 50_000_000
PAST_NS = 400_000_000
"""How much earlier ``front_camera_past`` looks than ``front_camera``."""
_PAST_TICKS = PAST_NS // CONTROL_PERIOD_NS


@functools.lru_cache(maxsize=4)
def _camera_scene(road_map: RoadMap, supersampling: int, size_px: tuple[int, int]) -> CameraScene:
    return CameraScene(road_map, supersampling=supersampling, size_px=size_px)


class FrontCamera:
    """Draws ``front_camera`` and ``front_camera_past``.

    Args:
        supersampling: Samples per pixel along each axis.
        size_px: Height and width of the pictures.
    """

    def __init__(self, supersampling: int, size_px: tuple[int, int]) -> None:
        self._supersampling = supersampling
        self._size_px = size_px

    @property
    def specs(self) -> tuple[SensorSpec, SensorSpec]:
        """Layout of both."""
        return (
            self._spec("front_camera", "RGB, behind the windscreen, looking ahead"),
            self._spec("front_camera_past", "the same camera 0.4 s earlier; before that, the first picture"),
        )

    @property
    def readers(self) -> dict[str, Callable[[Snapshot, int], Image]]:
        """What makes the pictures, by sensor."""
        return {"front_camera": self._read, "front_camera_past": self._read_past}

    def _spec(self, name: str, description: str) -> SensorSpec:
        shape = (*self._size_px, 3)
        return SensorSpec(
            name=name,
            kind=SensorKind.CAMERA,
            shape=shape,
            dtype="uint8",
            period_ns=CAMERA_PERIOD_NS,
            payload_bytes=math.prod(shape),
            description=description,
        )

    def _read(self, snapshot: Snapshot, index: int) -> Image:
        actors = snapshot.actors
        poses = actors[X_M : YAW_RAD + 1].T
        return self._image(snapshot.episode, snapshot.step, poses, actors, actors[ACCELERATION_MPS2])

    def _read_past(self, snapshot: Snapshot, index: int) -> Image:
        tick = max(snapshot.step // STEPS_PER_TICK - _PAST_TICKS, 0)
        record = snapshot.episode.actor_record[tick]
        poses = record[:, step_kernel.RECORD_X : step_kernel.RECORD_YAW + 1]
        return self._image(
            snapshot.episode,
            tick * STEPS_PER_TICK,
            poses,
            snapshot.actors,
            record[:, step_kernel.RECORD_ACCELERATION],
        )

    def _image(
        self,
        episode: Episode,
        step: int,
        poses: FloatArray,
        actors: FloatArray,
        acceleration_mps2: FloatArray,
    ) -> Image:
        """Draws the picture of a physics step, once."""
        images = episode.images
        if step not in images:
            oldest = max(images, default=step) - 2 * _PAST_TICKS * STEPS_PER_TICK
            for old in [known for known in images if 0 < known < oldest]:
                del images[old]
            images[step] = _camera_scene(episode.start.road_map, self._supersampling, self._size_px).render(
                poses[EGO],
                poses[1:],
                actors[LENGTH_M : HEIGHT_M + 1, 1:].T,
                actors[CLASS, 1:].astype(np.int64),
                acceleration_mps2[1:] < BRAKE_LIGHT_BELOW_MPS2,
                episode.actor_paint,
            )
        return images[step].copy()
