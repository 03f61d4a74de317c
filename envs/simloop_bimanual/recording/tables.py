"""What the two-arm world records besides contacts: motion and joints at 500 Hz, the task at the control rate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.log import MOTION, Column, Columns, TableSchema
from simloop_bimanual.recording.contacts import CONTACTS_WITH_FORCES

JOINTS = TableSchema(
    description="One row a physics step: both arms' joints, left arm first, seven each (robots with fewer: fewer).",
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant"),
        Column(name="joint_position_rad", width=14),
        Column(name="joint_velocity_radps", width=14),
        Column(name="joint_torque_nm", width=14, description="actuator torque applied from this instant on"),
    ),
)

ARMS = TableSchema(
    description="One row a control period, from t = 0: what the grippers do, left arm first.",
    columns=(
        Column(name="t_ns", dtype="int64", description="virtual instant"),
        Column(name="gripper_opening_m", width=2, description="between the fingers; 0 without gripper"),
        Column(
            name="held_object",
            dtype="int64",
            width=2,
            description="index into the log attribute object_classes: what both finger pads touched within the last "
            "50 ms; -1 for nothing",
        ),
        Column(
            name="least_arm_distance_m",
            description="least distance of the two arms' moving collision geometry so far, at most 1 m; 0 or less: "
            "they touched",
        ),
    ),
)


def joints_table(num_joints: int) -> TableSchema:
    """Returns ``JOINTS`` for arms that have ``num_joints`` joints together."""
    columns = (replace(column, width=num_joints if column.width else 0) for column in JOINTS.columns)
    return replace(JOINTS, columns=tuple(columns))


TABLES = {"motion": MOTION, "contacts": CONTACTS_WITH_FORCES, "arms": ARMS}
"""Tables of every world beside the joints, the links and the task's own."""


class Rows:
    """A growing block of rows of one shape; rows are written in place.

    Args:
        shape: Shape of a row.
        capacity: Rows that fit before the block grows.
    """

    __slots__ = ("_block", "count")

    def __init__(self, shape: tuple[int, ...], capacity: int) -> None:
        self._block = np.zeros((capacity, *shape))
        self.count = 0

    def reserve(self, count: int) -> npt.NDArray[np.float64]:
        """Makes room for ``count`` more rows and returns the whole block; the caller raises ``count`` as it writes."""
        while self.count + count > len(self._block):
            self._block = np.concatenate([self._block, np.zeros_like(self._block)])
        return self._block

    def append(self, row: Any) -> None:
        """Adds one row."""
        self.reserve(1)[self.count] = row
        self.count += 1

    def take(self) -> npt.NDArray[np.float64]:
        """Returns a copy of the rows and forgets them."""
        rows = self._block[: self.count].copy()
        self.count = 0
        return rows


def motion_columns(
    t_ns: npt.NDArray[np.int64], positions: npt.NDArray[np.float64], velocities: npt.NDArray[np.float64]
) -> Columns:
    """Lays out (n,) instants and (n, num_points, 3) kinematics as the ``motion`` table."""
    num_points = positions.shape[1]
    return {
        "t_ns": np.repeat(t_ns, num_points),
        "point": np.tile(np.arange(num_points, dtype=np.int64), len(t_ns)),
        "position_m": positions.reshape(-1, 3),
        "velocity_mps": velocities.reshape(-1, 3),
    }
