"""Which chosen geoms touch each other: grasps and resting contacts, read from one instant's contacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

NUM_PADS = 4
"""Finger pads: the left arm's two, then the right arm's two."""


@numba.njit(cache=True)
def _touching(contact_geoms: Any, role: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = False
    for i in range(contact_geoms.shape[0]):
        if contact_geoms[i, 0] < 0 or contact_geoms[i, 1] < 0:
            continue  # of a flex, which is in no group
        a, b = role[contact_geoms[i, 0]], role[contact_geoms[i, 1]]
        if a >= 0 and b >= 0:
            out[a, b] = True
            out[b, a] = True


_GRIPPERS = (("gripper0_right_",), ("gripper1_right_", "gripper0_left_"))
"""Prefixes of what belongs to either arm's gripper; the last one is that of a robot with two arms."""
_PADS = (
    (
        "finger1_pad_collision",
        "l_fingerpad_g0",
        "left_fingerpad_collision",
        "index_pad_collision",
        "pinky_pad_collision",
    ),
    (
        "finger2_pad_collision",
        "r_fingerpad_g0",
        "right_fingerpad_collision",
        "thumb_pad_collision",
    ),
)
"""What robosuite's grippers call their pads, on either side."""


def pad_geom_names() -> tuple[tuple[str, ...], ...]:
    """Returns the names that the geoms of each finger pad have, of any gripper."""
    return tuple(
        tuple(prefix + name for prefix in prefixes for name in names)
        for prefixes in _GRIPPERS
        for names in _PADS
    )


class Touches:
    """Tells which groups of geoms touch each other.

    Args:
        geom_names: Names of all geoms by id.
        groups: Names of the geoms of each further group; group 0..3 are the finger pads, group 4 the first of these.
    """

    def __init__(self, geom_names: Sequence[str], *groups: Sequence[str]) -> None:
        self._role = np.full(len(geom_names), -1, dtype=np.int64)
        for number, names in enumerate((*pad_geom_names(), *groups)):
            for name in names:
                if name in geom_names:
                    self._role[geom_names.index(name)] = number
        self._matrix: npt.NDArray[np.bool_] = np.zeros((NUM_PADS + len(groups),) * 2, dtype=np.bool_)

    def update(self, data: Any) -> None:
        """Reads the contacts of an MjData."""
        _touching(data.contact.geom, self._role, self._matrix)

    def between(self, group: int, other: int) -> bool:
        """Whether two groups touch; the first group given to the constructor is 0."""
        return bool(self._matrix[NUM_PADS + group, NUM_PADS + other])

    def is_grasped(self, arm: int, *groups: int) -> bool:
        """Whether both finger pads of an arm touch a geom of the groups (robosuite's ``_check_grasp``)."""
        first, second = self._matrix[2 * arm], self._matrix[2 * arm + 1]
        return any(first[NUM_PADS + group] for group in groups) and any(
            second[NUM_PADS + group] for group in groups
        )

    def is_touched(self, arm: int, *groups: int) -> bool:
        """Whether a finger pad of an arm touches a geom of the groups."""
        columns = [NUM_PADS + group for group in groups]
        return bool(self._matrix[2 * arm : 2 * arm + 2, columns].any())
