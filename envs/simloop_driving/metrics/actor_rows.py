"""The columns of the log table ``world.actors`` that driving metrics read, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simloop.log import EpisodeLog

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TABLE = "world.actors"
"""One row for each actor and control tick; actor 0 is the ego; the rows of one tick lie together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActorRows:
    """Rows of ``world.actors`` as arrays of equal length.

    Attributes:
        t_ns: (rows,) int64 virtual instant, not decreasing.
        actor: (rows,) int64 number of the actor, 0 = ego.
        pose: (rows, 3) float64 x_m, y_m, yaw_rad of the footprint's centre, world frame.
        speed_mps: (rows,) float64 speed along the heading.
        size_m: (rows, 2) float64 length and width of the footprint.
        lane: (rows,) int64 lane of the centre.
    """

    t_ns: IntArray
    actor: IntArray
    pose: FloatArray
    speed_mps: FloatArray
    size_m: FloatArray
    lane: IntArray

    @classmethod
    def from_log(cls, log: EpisodeLog) -> ActorRows:
        """Reads the table from a log.

        Raises:
            LogError: The log has no such table, or the table lacks a column.
        """

        def column(name: str) -> FloatArray:
            return np.asarray(log.column(TABLE, name), dtype=np.float64)

        return cls(
            t_ns=np.asarray(log.column(TABLE, "t_ns"), dtype=np.int64),
            actor=np.asarray(log.column(TABLE, "actor"), dtype=np.int64),
            pose=np.column_stack([column("x_m"), column("y_m"), column("yaw_rad")]),
            speed_mps=column("speed_mps"),
            size_m=np.column_stack([column("length_m"), column("width_m")]),
            lane=np.asarray(log.column(TABLE, "lane"), dtype=np.int64),
        )

    @property
    def is_ego(self) -> npt.NDArray[np.bool_]:
        """(rows,) True for the ego's rows."""
        is_ego: npt.NDArray[np.bool_] = self.actor == 0
        return is_ego
