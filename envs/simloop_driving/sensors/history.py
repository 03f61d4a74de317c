"""The privileged sensor ``history``: all control ticks so far, which reference drivers read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simloop.world import SensorKind, SensorSpec
from simloop_driving import step_kernel
from simloop_driving.periods import STEPS_PER_TICK
from simloop_driving.scenario.actor_state import LENGTH_M, WIDTH_M
from simloop_driving.sensors.options import ExtraSensor
from simloop_driving.sensors.snapshot import Snapshot

FloatArray = npt.NDArray[np.float64]

NUM_HISTORY_ROWS = 800
NUM_HISTORY_ACTORS = 3
HISTORY_COLUMNS = (
    "station_m",
    "lateral_offset_m",
    "speed_mps",
    "lateral_speed_mps",
    "acceleration_mps2",
    "length_m",
    "width_m",
)
"""Columns of ``history``: position along and across the ego's route (left positive), speeds along and across it,
acceleration, size. A row is a control tick, the first one t = 0; rows that are still to come are zero. The ego comes
first, then the first actors of the scene; an actor that does not exist has no length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History(ExtraSensor):
    """All control ticks so far."""

    type_name: ClassVar[str] = "history"

    @property
    def spec(self) -> SensorSpec:
        """Layout: (800, 4, 7), see ``HISTORY_COLUMNS``."""
        return self.make_spec(
            SensorKind.OBJECTS,
            (NUM_HISTORY_ROWS, 1 + NUM_HISTORY_ACTORS, len(HISTORY_COLUMNS)),
            "all control ticks so far; the ego and the first actors; columns: " + ", ".join(HISTORY_COLUMNS),
            is_privileged=True,
        )

    def read(self, snapshot: Snapshot, index: int) -> FloatArray:
        """Returns the (800, 4, 7) array."""
        record = snapshot.episode.actor_record[: snapshot.step // STEPS_PER_TICK + 1]
        return history(snapshot.actors, record)


def history(actors: FloatArray, record: FloatArray) -> FloatArray:
    """Returns the (800, 4, 7) ``history``.

    Args:
        actors: (actor_state.NUM_ROWS, N) of a snapshot.
        record: (ticks, N, step_kernel.NUM_RECORD_COLUMNS) up to the snapshot's control tick.
    """
    out = np.zeros((NUM_HISTORY_ROWS, 1 + NUM_HISTORY_ACTORS, len(HISTORY_COLUMNS)))
    num_rows, num_actors = min(len(record), NUM_HISTORY_ROWS), min(record.shape[1], 1 + NUM_HISTORY_ACTORS)
    known, part = record[:num_rows, :num_actors], out[:num_rows, :num_actors]
    part[:, :, 0] = known[:, :, step_kernel.RECORD_S]
    part[:, :, 1] = known[:, :, step_kernel.RECORD_D]
    rate = known[:, :, step_kernel.RECORD_D_RATE]
    speed = known[:, :, step_kernel.RECORD_SPEED]
    part[:, :, 2] = np.sqrt(np.maximum(speed * speed - rate * rate, 0.0))
    part[:, :, 3] = rate
    part[:, :, 4] = known[:, :, step_kernel.RECORD_ACCELERATION]
    part[:, :, 5] = actors[LENGTH_M, :num_actors]
    part[:, :, 6] = actors[WIDTH_M, :num_actors]
    return out
