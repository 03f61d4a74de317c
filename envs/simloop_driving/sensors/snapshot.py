"""What a sensor reads: a frozen copy of the moving state, and the episode that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simloop.randomness import generator, stream_key

if TYPE_CHECKING:
    from simloop_driving.scenario.initial_state import InitialState

FloatArray = npt.NDArray[np.float64]


@dataclass(slots=True, kw_only=True, eq=False)
class Episode:
    """What holds for all captures of an episode.

    Attributes:
        family: Name of the scenario's family.
        seed: Seed of the episode; with the family it keys all draws.
        start: Map, route and everything else that does not move; its moving arrays are the present ones, so
            sensors take those from the snapshot instead.
        actor_paint: (N - 1,) code of each actor's paint.
        actor_record: (ticks, N, step_kernel.NUM_RECORD_COLUMNS) of all control ticks so far; the rows that are
            there do not change.
        motion_record: (steps, step_kernel.NUM_MOTION_COLUMNS) of the ego at all physics steps so far.
        images: Pictures of the front camera by physics step, so that each is drawn once.
    """

    family: str
    seed: int
    start: InitialState
    actor_paint: npt.NDArray[np.int64]
    actor_record: FloatArray
    motion_record: FloatArray
    images: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def draws(self, sensor: str, index: int) -> np.random.Generator:
        """Returns the generator of one capture of a sensor: same family, seed, sensor and index, same draws."""
        return generator(stream_key("driving.sensor", sensor, self.family, self.seed), index)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """The state at one physics instant, copied.

    Attributes:
        episode: The episode.
        step: Physics steps since the start.
        ego: (single_track.NUM_EGO_ENTRIES,) float64.
        actors: (actor_state.NUM_ROWS, N) float64.
    """

    episode: Episode
    step: int
    ego: FloatArray
    actors: FloatArray
