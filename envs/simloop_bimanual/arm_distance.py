"""How near the two arms have come to each other: the least distance of their collision geometry so far."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from simloop_bimanual.model import TwoArmModel
from simloop_bimanual.robosuite_import import load_mujoco

FloatArray = npt.NDArray[np.float64]

FARTHEST_M = 1.0
"""Distance from which arms are not told apart any more."""
_RESOLUTION_M = 5e-4


class ArmDistance:
    """Follows the least distance between the moving geoms of the left arm and gripper and those of the right ones.

    MuJoCo measures a pair only if it can be nearer than any pair was before: a pair's distance shrinks by no more than
    its two geoms have moved since it was measured, and is never below that of the spheres around them.

    Args:
        model: The physics model.
    """

    def __init__(self, model: TwoArmModel) -> None:
        self._mujoco, self._mj_model = load_mujoco(), model.mj_model
        is_fixed = self._mj_model.body_weldid[self._mj_model.geom_bodyid] == 0
        sides = np.array([model.class_names[number].split("_")[0] for number in model.geom_class])
        self._geoms = [np.flatnonzero((sides == side) & ~is_fixed) for side in ("left", "right")]
        self._ids = [geoms.tolist() for geoms in self._geoms]
        self._radii = [self._mj_model.geom_rbound[geoms] for geoms in self._geoms]
        self._poses = [np.zeros((len(geoms), 12)) for geoms in self._geoms]
        self._bounds = np.zeros((len(self._geoms[0]), len(self._geoms[1])))
        self._least = FARTHEST_M

    def clear(self) -> None:
        """Forgets everything, for the next episode."""
        self._least = FARTHEST_M
        self._bounds[:] = -np.inf

    def measure(self, data: Any) -> float:
        """Returns the least distance at any call since ``clear``, metres, at most ``FARTHEST_M``; negative in overlap.

        Args:
            data: MjData whose geoms are where its joints put them.
        """
        bounds = self._bounds
        if bounds.size:
            _lower(data.geom_xpos, data.geom_xmat, *self._geoms, *self._radii, *self._poses, bounds)
            while True:
                at = int(bounds.argmin())
                left, right = divmod(at, bounds.shape[1])
                if bounds[left, right] >= self._least:
                    break
                bounds[left, right] = found = self._distance(data, self._ids[0][left], self._ids[1][right])
                self._least = min(self._least, found)
        return self._least

    def _distance(self, data: Any, left: int, right: int) -> float:
        """Returns the distance of two geoms, m, at most ``FARTHEST_M``."""
        measure, model = self._mujoco.mj_geomDistance, self._mj_model
        found: float = measure(model, data, left, right, FARTHEST_M, None)
        if found != 0.0:
            return found
        # In a few poses of separate bodies MuJoCo 3.9 answers 0; whether they are farther than some distance is right.
        near, far = 0.0, FARTHEST_M
        while far - near > _RESOLUTION_M:
            middle = (near + far) / 2.0
            if measure(model, data, left, right, middle, None) < middle:
                far = middle
            else:
                near = middle
        return near


@numba.njit(cache=True, error_model="numpy")
def _motions(geom_xpos: Any, geom_xmat: Any, geoms: Any, radii: Any, poses: Any) -> Any:
    """Returns how far any point of each geom has moved at most since the last call, m, and keeps the poses."""
    moved = np.empty(len(geoms))
    for i in range(len(geoms)):
        shift, turn = 0.0, 0.0
        for k in range(3):
            shift += (geom_xpos[geoms[i], k] - poses[i, k]) ** 2
            poses[i, k] = geom_xpos[geoms[i], k]
        for k in range(9):
            turn += (geom_xmat[geoms[i], k] - poses[i, 3 + k]) ** 2
            poses[i, 3 + k] = geom_xmat[geoms[i], k]
        # The Frobenius norm of a difference of rotations is 2 sqrt(2) sin(angle / 2).
        moved[i] = np.sqrt(shift) + radii[i] * np.sqrt(turn / 2.0)
    return moved


@numba.njit(cache=True, error_model="numpy")
def _lower(
    geom_xpos: Any,
    geom_xmat: Any,
    left: Any,
    right: Any,
    left_radii: Any,
    right_radii: Any,
    left_poses: Any,
    right_poses: Any,
    bounds: Any,
) -> None:
    """Makes (L, R) lower bounds of distances those of the present instant."""
    left_moved = _motions(geom_xpos, geom_xmat, left, left_radii, left_poses)
    right_moved = _motions(geom_xpos, geom_xmat, right, right_radii, right_poses)
    for i in range(len(left)):
        for j in range(len(right)):
            square = 0.0
            for k in range(3):
                square += (left_poses[i, k] - right_poses[j, k]) ** 2
            spheres = np.sqrt(square) - left_radii[i] - right_radii[j]
            bounds[i, j] = max(bounds[i, j] - left_moved[i] - right_moved[j], spheres)
