"""The RGB cameras that every driving world has: the present picture, and the one of 0.4 s ago."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving import step_kernel
from simloop_driving.camera import front_camera
from simloop_driving.periods import CONTROL_PERIOD_NS, STEPS_PER_TICK
from simloop_driving.scenario.actor_state import EGO
from simloop_driving.sensors.seen import (
    EGO_POSE,
    SeenActors,
    camera_scene,
    present_actors,
    recorded_actors,
    signal_states,
)
from simloop_driving.sensors.snapshot import Episode, Snapshot

FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

CAMERA_PERIOD_NS = 50_000_000
PAST_NS = 400_000_000
"""How much earlier ``front_camera_past`` looks than ``front_camera``."""
_PAST_TICKS = PAST_NS // CONTROL_PERIOD_NS


class FrontCamera:
    """Draws ``front_camera`` and ``front_camera_past``.

    Args:
        supersampling: Samples per pixel along each axis.
        size_px: Height and width of the pictures.
    """

    def __init__(self, supersampling: int, size_px: tuple[int, int]) -> None:
        self._supersampling = supersampling
        self._size_px = size_px
        self._lens = front_camera(size_px)

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
        if snapshot.step not in snapshot.episode.images:
            self._draw(
                snapshot.episode, snapshot.step, snapshot.actors[EGO_POSE, EGO], present_actors(snapshot)
            )
        return snapshot.episode.images[snapshot.step].copy()

    def _read_past(self, snapshot: Snapshot, index: int) -> Image:
        tick = max(snapshot.step // STEPS_PER_TICK - _PAST_TICKS, 0)
        step = tick * STEPS_PER_TICK
        if step not in snapshot.episode.images:
            record = snapshot.episode.actor_record[tick]
            pose = record[EGO, step_kernel.RECORD_X : step_kernel.RECORD_YAW + 1]
            self._draw(snapshot.episode, step, pose, recorded_actors(snapshot, record))
        return snapshot.episode.images[step].copy()

    def _draw(self, episode: Episode, step: int, ego_pose: FloatArray, actors: SeenActors) -> None:
        """Draws the picture of a physics step and keeps it for the past camera."""
        images = episode.images
        oldest = max(images, default=step) - 2 * _PAST_TICKS * STEPS_PER_TICK
        for old in [known for known in images if 0 < known < oldest]:
            del images[old]
        road_map = episode.start.road_map
        states = signal_states(episode, step)
        images[step] = camera_scene(road_map).render(
            ego_pose, *actors, states, camera=self._lens, supersampling=self._supersampling
        )
