"""The action spaces of the two-arm world: robosuite's deltas, and absolute poses of the grippers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simloop.errors import ConfigurationError
from simloop.world import ActionDimension, ActionSpec, Anchor, Hold
from simloop_bimanual.robosuite_import import load_mujoco
from simloop_bimanual.tasks import Task

FloatArray = npt.NDArray[np.float64]

ARM_POSE = ("x_m", "y_m", "z_m", "rx_rad", "ry_rad", "rz_rad", "grip")
"""Layout of an arm's absolute pose: position and rotation vector of the grip site in the frame of the arm's base."""
REACH_M = 1.5
"""Bound of absolute positions; none of the robots reaches farther."""

_DELTAS = ("dx", "dy", "dz", "rx", "ry", "rz", "grip")
_DELTA_UNITS = ("0.05 m", "0.05 m", "0.05 m", "0.5 rad", "0.5 rad", "0.5 rad", "1")
_ARMS = ("left", "right")


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsolutePoses(ActionSpec):
    """Poses that the grip sites shall have, in the frames of their arms' bases.

    They do not depend on the pose at which they take effect: late or early, a target is the same place, and
    ``to_world`` is the identity. Where a base moves, its targets move along. The anchor holds the poses at its instant,
    which are the target until the first chunk arrives.
    """

    def start_action(self, anchor: Anchor) -> FloatArray:
        """Returns the (A,) action that keeps both grippers where they are."""
        return np.array(anchor.pose, dtype=np.float64)


def _deltas(name: str, num_entries: int) -> ActionSpec:
    return ActionSpec(
        name=name,
        dimensions=tuple(
            ActionDimension(name=f"{arm}_{entry}", unit=unit, low=-1.0, high=1.0)
            for arm in _ARMS
            for entry, unit in list(zip(_DELTAS, _DELTA_UNITS, strict=True))[:num_entries]
        ),
        hold=Hold.NULL,
        null_action=(0.0,) * (2 * num_entries),
    )


def _absolute(name: str, num_entries: int) -> ActionSpec:
    bounds = (REACH_M,) * 3 + (float(np.pi),) * 3 + (1.0,)
    units = ("m",) * 3 + ("rad",) * 3 + ("1",)
    dimensions = tuple(
        ActionDimension(name=f"{arm}_{entry}", unit=unit, low=-bound, high=bound)
        for arm in _ARMS
        for entry, unit, bound in list(zip(ARM_POSE, units, bounds, strict=True))[:num_entries]
    )
    return AbsolutePoses(
        name=name,
        dimensions=dimensions,
        hold=Hold.REPEAT,
        null_action=(0.0,) * len(dimensions),
        anchor_layout=tuple(dimension.name for dimension in dimensions),
    )


TWO_ARM_DELTA = _deltas("two_arm_delta", 7)
"""robosuite's default deltas: an entry of 1 asks for a goal 5 cm or 0.5 rad away from the pose that the gripper has
when the action takes effect, in the frame of the arm's base. A positive ``grip`` closes, a negative one opens, zero
keeps the fingers where they are told to be, so the null action holds a grasp."""
TWO_ARM_POSE_DELTA = _deltas("two_arm_pose_delta", 6)
"""The same without the ``grip`` entries, for tasks whose arms have no grippers."""
TWO_ARM_ABSOLUTE = _absolute("two_arm_absolute", 7)
"""robosuite's absolute poses (``input_type`` absolute): position of the grip site, metres, and rotation vector (axis
times angle), radians, in the frame of the arm's base: z up, x from the base towards the table. ``grip`` acts as in
``two_arm_delta``. The goal stays until the next action and is repeated when none is there. No action asks for nothing
in every pose, so ``null_action`` (zeros) is a pose inside the bases: do not hold with it."""
TWO_ARM_POSE_ABSOLUTE = _absolute("two_arm_pose_absolute", 6)
"""The same without the ``grip`` entries."""


def action_space(task: type[Task], action: str) -> ActionSpec:
    """Returns the action space of a task that a world config names.

    Args:
        task: The task.
        action: ``"delta"`` or ``"absolute"``, or the full name of one of the task's action spaces.

    Raises:
        ConfigurationError: The task has no such action space.
    """
    delta, absolute = (
        (TWO_ARM_DELTA, TWO_ARM_ABSOLUTE)
        if task.has_grippers
        else (TWO_ARM_POSE_DELTA, TWO_ARM_POSE_ABSOLUTE)
    )
    by_name = {delta.name: delta, "delta": delta, absolute.name: absolute, "absolute": absolute}
    if action not in by_name:
        raise ConfigurationError(
            f"World config key 'action' is {action!r}; in the bimanual world {task.name!r} allows: "
            f"{', '.join(map(repr, by_name))}."
        )
    return by_name[action]


def present_poses(
    data: Any, base_sites: tuple[int, int], grip_sites: tuple[int, int], size: int
) -> FloatArray:
    """Returns the (size,) absolute action that asks for the poses that the grip sites have in an MjData now."""
    mujoco = load_mujoco()
    out = np.zeros((2, size // 2))
    inverse, quaternion, vector = np.empty(4), np.empty(4), np.empty(3)
    for arm, (base, site) in enumerate(zip(base_sites, grip_sites, strict=True)):
        to_base = data.site_xmat[base].reshape(3, 3).T
        out[arm, :3] = to_base @ (data.site_xpos[site] - data.site_xpos[base])
        mujoco.mju_mat2Quat(quaternion, data.site_xmat[site])
        mujoco.mju_mat2Quat(inverse, np.ascontiguousarray(to_base).reshape(-1))
        mujoco.mju_mulQuat(quaternion, inverse, quaternion.copy())
        mujoco.mju_quat2Vel(vector, quaternion, 1.0)
        out[arm, 3:6] = vector
    return out.reshape(-1)
